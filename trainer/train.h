/* gx_train: one site's training: model, data, device, counters. What training alone and DiLoCo share.
 *
 * Counters  `state` says where the run stands; it is what a checkpoint saves. Round r + 1 is made of inner steps on
 *           top of state.round = r.
 * Memory    scratch arrays hold copies of the device's, one round at a time.
 * Errors    0 or -errno, with the line for the user in `failure`.
 */
#ifndef GX_TRAINER_TRAIN_H
#define GX_TRAINER_TRAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "checkpoint.h"
#include "data.h"
#include "device.h"
#include "failure.h"
#include "options.h"
#include "ranks.h"
#include "trainlog.h"
#include "schedule.h"

struct gx_train {
    struct gx_train_options options;
    struct gx_gpt2 model;
    const struct gx_device *device;
    void *device_state;
    const char *device_name; /* of each rank's */
    struct gx_ranks *ranks;  /* NULL: this process alone trains */
    struct gx_tokens data, val;
    struct gx_schedule schedule;
    uint16_t *inputs, *targets; /* [batch][context] */
    float *params;              /* [param_count] scratch */
    float *moment1, *moment2;   /* likewise; NULL without --checkpoint */
    struct gx_checkpoint_state state;
    struct gx_trainlog log;
    struct gx_failure failure;
    bool gxd_missing; /* the failure is that no gxd answered */
    uint64_t started_ns;
    /* since the last record */
    double loss_sum;
    uint64_t loss_count, tokens, train_ns;
    uint64_t tokens_total;
};

/* Opens everything that the options name. `ranks`, whose rank 0 this is, compute on such a device each; NULL: alone.
 * `table` gets the rows, usually stdout. */
int gx_train_init(struct gx_train *train, const struct gx_train_options *options,
                  const struct gx_device *device, struct gx_ranks *ranks, FILE *table);

/* What a device gets to know of the options. */
struct gx_device_config gx_train_device_config(const struct gx_train_options *options);
void gx_train_fini(struct gx_train *train);

/* The failure of a device's function while `doing`: `rc`, with the device's own line. */
int gx_train_fail_device(struct gx_train *train, int rc, const char *doing);

/* One inner step of round state.round + 1. */
int gx_train_step(struct gx_train *train);

/* The mean loss of the device's parameters on the validation batches. */
int gx_train_validate(struct gx_train *train, double *loss);

/* Fails unless all ranks have the same parameters; their digests go to `record`, if there is one. */
int gx_train_compare_ranks(struct gx_train *train, struct gx_record *record);

/* Starts a record with what the inner steps since the last one gave. */
void gx_train_record(struct gx_train *train, struct gx_record *record);

/* Puts the seed's initial parameters on the device and into train->params. */
int gx_train_start(struct gx_train *train);

/* Reads --checkpoint if there is one: 1 resumed (device, state, theta and momentum are set; train->params holds the
 * local parameters), 0 there is none. `theta` and `momentum` are NULL when alone. */
int gx_train_resume(struct gx_train *train, float *theta, float *momentum);

/* Writes --checkpoint, if it was given. */
int gx_train_checkpoint(struct gx_train *train, float *theta, float *momentum);

/* All rounds without any exchange: the same inner steps, and no outer step. */
int gx_train_alone(struct gx_train *train);

/* Writes the sample of text to the table's stream, and the log's last line. */
int gx_train_finish(struct gx_train *train);

uint64_t gx_train_now_ns(void);

#endif
