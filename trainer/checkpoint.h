/* gx_checkpoint: one file that holds everything a run needs to go on as if it had never stopped.
 *
 * File      header (magic, version, what run it belongs to, counters), then FP32 arrays of the model's size: local
 *           parameters, AdamW's two moments, and with -s the shared theta and momentum; then XXH3-128 of all before it.
 *           Little-endian.
 * Writing   a temporary name in the same directory, fsync, rename, fsync of the directory: after a crash the file is
 *           the old one or the new one.
 */
#ifndef GX_TRAINER_CHECKPOINT_H
#define GX_TRAINER_CHECKPOINT_H

#include <stdint.h>

#include "failure.h"
#include "model/gpt2.h"

/* Must be equal for a checkpoint to fit a run. */
struct gx_checkpoint_run {
    struct gx_gpt2_config model;
    uint32_t batch;
    uint32_t shared; /* 1: with -s, theta and momentum are in it */
    uint64_t inner_steps;
    uint64_t seed;
    uint64_t data_count, data_digest;
};

/* Where the run stands. */
struct gx_checkpoint_state {
    uint64_t round; /* the last one whose state is `theta` */
    uint64_t
        inner_done;   /* inner steps made since, in a round that ended before they were offered */
    uint64_t steps;   /* inner steps in all: the counter of the data's random numbers */
    uint64_t updates; /* of the AdamW moments */
    uint64_t weight;  /* tokens processed since this site was last a member */
};

struct gx_checkpoint {
    struct gx_checkpoint_run run;
    struct gx_checkpoint_state state;
    float *params, *moment1, *moment2; /* [param_count], the caller's */
    float *theta, *momentum;           /* likewise; not used unless run.shared */
};

int gx_checkpoint_write(const char *path, const struct gx_checkpoint *checkpoint,
                        uint64_t param_count, struct gx_failure *failure);

/* Reads into checkpoint->state and the arrays; checkpoint->run says what must be in the file. -ENOENT: no such file,
 * and nothing was touched. Any other error names the file and what is wrong; the arrays may then hold anything. */
int gx_checkpoint_read(const char *path, struct gx_checkpoint *checkpoint, uint64_t param_count,
                       struct gx_failure *failure);

#endif
