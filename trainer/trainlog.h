/* gx_trainlog: what gx-train tells: one table row a round on stdout, one JSON object a round in the log. */
#ifndef GX_TRAINER_TRAINLOG_H
#define GX_TRAINER_TRAINLOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "failure.h"
#include "gx.h"
#include "options.h"
#include "outer.h"

/* How a round ended here. */
enum gx_outcome {
    GX_OUTCOME_START, /* round 0: the initial state */
    GX_OUTCOME_ALONE,
    GX_OUTCOME_MEMBER,
    GX_OUTCOME_LEFT_OUT,
    GX_OUTCOME_VOID,
    GX_OUTCOME_FETCHED, /* the round's state came from another site */
};

struct gx_record {
    enum gx_outcome outcome;
    uint64_t round;
    uint64_t steps;    /* inner steps that this site has made in all */
    uint64_t tokens;   /* processed in this round */
    double inner_loss; /* mean over the round's inner steps; NaN: no step was made */
    double val_loss;   /* of the shared parameters */
    double train_seconds;
    double exchange_seconds; /* from this site's offer to the round's completion */
    double waited_seconds;   /* in which the trainer did nothing else */
    double held_seconds;     /* longest time from a peer's offer to its contribution held here */
    uint64_t weight, divisor;
    uint64_t sent_bytes;                              /* in this round */
    uint64_t sent_bytes_total, redundant_bytes_total; /* since registration */
    uint64_t expected_shards_total, lost_shards_total;
    char cohort[GX_SITES_MAX][GX_NAME_MAX];
    uint32_t cohort_count;
    char digest[GX_OUTER_DIGEST_CHARS];
    const char (
        *rank_digests)[GX_OUTER_DIGEST_CHARS]; /* of each rank's parameters; NULL: one rank */
};

struct gx_trainlog {
    FILE *json; /* NULL: none */
    FILE *table;
    uint32_t rank_count;
    bool heading_written;
};

/* Opens the log, appending. `table` is usually stdout. */
int gx_trainlog_open(struct gx_trainlog *log, const char *json_path, FILE *table,
                     struct gx_failure *failure);
void gx_trainlog_close(struct gx_trainlog *log);

/* The first line: what is trained. `device` is its name; `site` is NULL when alone. */
void gx_trainlog_start(struct gx_trainlog *log, const struct gx_train_options *options,
                       const char *device, uint64_t param_count, const char *site,
                       uint64_t resumed_round);
void gx_trainlog_round(struct gx_trainlog *log, const struct gx_record *record);
void gx_trainlog_end(struct gx_trainlog *log, uint64_t rounds, double seconds, uint64_t tokens);

const char *gx_outcome_name(enum gx_outcome outcome);

#endif
