/* gx_perf_report: what was measured, and how it is printed. */
#ifndef GX_PERF_REPORT_H
#define GX_PERF_REPORT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gx-perf/busy.h"
#include "gx-perf/options.h"
#include "gx.h"

/* MEASURE(id, key, title): what is reported of each round and in percentiles: of a transfer, of a round from the last
 * offer, and from when it was due; in seconds, over the bound, over the realised bound;
 * and the share of a transfer's time in which the links into this site were idle. */
#define GX_PERF_MEASURES                                                                           \
    MEASURE(HELD_SECONDS, "held_seconds", "transfer, s")                                           \
    MEASURE(ROUND_SECONDS, "round_seconds", "round, s")                                            \
    MEASURE(DUE_SECONDS, "due_seconds", "round since due, s")                                      \
    MEASURE(TRANSFER_RATIO, "transfer_ratio", "transfer / bound")                                  \
    MEASURE(ROUND_RATIO, "round_ratio", "round / bound")                                           \
    MEASURE(TRANSFER_REALISED, "transfer_ratio_realised", "transfer / realised")                   \
    MEASURE(ROUND_REALISED, "round_ratio_realised", "round / realised")                            \
    MEASURE(LINK_IDLE, "link_idle", "link idle, share")

enum gx_perf_measure {
#define MEASURE(id, key, title) GX_PERF_##id,
    GX_PERF_MEASURES
#undef MEASURE
        GX_PERF_MEASURE_COUNT
};

/* PERCENTILE(key, title, share) */
#define GX_PERF_PERCENTILES                                                                        \
    PERCENTILE("p50", "p50", 0.5)                                                                  \
    PERCENTILE("p90", "p90", 0.9)                                                                  \
    PERCENTILE("p99", "p99", 0.99)                                                                 \
    PERCENTILE("p999", "p99.9", 0.999)

struct gx_perf_round {
    uint64_t round;
    double held_seconds;   /* NAN: nothing was received */
    double seconds;        /* NAN: void */
    double due_seconds;    /* NAN: void, or no --interval */
    double link_loss;      /* that the links into this site made; NAN: not known */
    double link_idle;      /* share of the transfer's time less a delay; NAN: not known */
    uint64_t offered_ns;   /* CLOCK_MONOTONIC, by this site; 0: it did not */
    uint64_t completed_ns; /* CLOCK_MONOTONIC */
    uint32_t cohort;
};

/* Totals of the counted rounds: what the events said after the last, less what they said after the warm-up. */
struct gx_perf_totals {
    uint64_t sent_bytes, redundant_bytes, expected_shards, lost_shards;
};

struct gx_perf_report {
    const struct gx_perf_options *options;
    uint64_t bytes, param_count; /* of one contribution */
    uint32_t site, site_count;
    char site_names[GX_SITES_MAX][GX_NAME_MAX];
    struct gx_perf_round *rounds; /* [options->rounds] */
    uint32_t round_count;
    uint64_t warm_ns; /* CLOCK_MONOTONIC: the warm-up was over */
    uint32_t warm_cohort;
    struct gx_perf_totals totals, seen;
    struct gx_perf_busy busy; /* of gxd's workers in the counted rounds */
    uint64_t checked, errors, left_out, voids, behind, reattached;
};

int gx_perf_report_init(struct gx_perf_report *report, const struct gx_perf_options *options);
void gx_perf_report_fini(struct gx_perf_report *report);

/* Takes a round's last event. `counted`: not the warm-up. */
void gx_perf_report_event(struct gx_perf_report *report, const struct gx_event *event, int counted);

/* This site offered in the round that was taken last (CLOCK_MONOTONIC). */
void gx_perf_report_offered(struct gx_perf_report *report, uint64_t offered_ns);

/* The round that was taken last was due at due_ns (CLOCK_MONOTONIC). */
void gx_perf_report_due(struct gx_perf_report *report, uint64_t due_ns);

/* What a round measures; NAN: it is not known. */
double gx_perf_report_value(const struct gx_perf_report *report, const struct gx_perf_round *round,
                            enum gx_perf_measure measure);

/* The same of all counted rounds: the percentile p, from 0 to 1. NAN of none. */
double gx_perf_report_percentile(const struct gx_perf_report *report, enum gx_perf_measure measure,
                                 double p);

const char *gx_perf_measure_title(enum gx_perf_measure measure);

/* Payload bytes received from all peers in a second of the counted rounds, pauses between them included; NAN: of none. */
double gx_perf_report_rate_bps(const struct gx_perf_report *report);

/* The smallest of `values` that at least the share `p` of them does not exceed (nearest rank). NAN of none; NANs among
 * the values are left out. Sorts `values`. */
double gx_perf_percentile(double *values, size_t count, double p);

struct json_t;
/* A new reference. */
struct json_t *gx_perf_report_object(const struct gx_perf_report *report);
void gx_perf_report_json(const struct gx_perf_report *report, FILE *out);
void gx_perf_report_text(const struct gx_perf_report *report, FILE *out);

/* "a,b": the names of a cohort, into `out` of GX_SITES_MAX * GX_NAME_MAX bytes. */
const char *gx_perf_cohort_text(const struct gx_perf_report *report, uint32_t cohort, char *out);

#endif
