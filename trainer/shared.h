/* gx_shared: the shared parameters and momentum of one fragment, and what DiLoCo does with them: on the device if it has an
 * outer side, else on the host.
 *
 * Memory    theta and momentum are the arena's, whichever it is; a device may have copies.
 * Errors    0 or -errno, with the line for the user in the train's failure.
 */
#ifndef GX_TRAINER_SHARED_H
#define GX_TRAINER_SHARED_H

#include <stdbool.h>
#include <stdint.h>

#include "train.h"

struct gx_shared {
    struct gx_train *train;
    struct gx *gx;
    const struct gx_device_outer *outer; /* NULL: on the host */
    bool attached;
    float *theta, *momentum;
    float *delta; /* on the host: [param_count]; holds theta's old values during a rebase */
};

/* After gx_register(); gx_shared_fini() before gx_detach(). */
int gx_shared_init(struct gx_shared *shared, struct gx_train *train, struct gx *gx);
void gx_shared_fini(struct gx_shared *shared);

/* The arena's theta and momentum were written by others. */
int gx_shared_load(struct gx_shared *shared);

/* The same, and theta becomes the device's parameters. */
int gx_shared_adopt(struct gx_shared *shared);

/* Encodes theta minus the device's parameters into gx_contribution(round), which must be free, in the options' format; on
 * the host with its digest (gx_contribute()). */
int gx_shared_contribute(struct gx_shared *shared, uint64_t round);

/* The outer step with the cohort's mean. Then the device's parameters are theta, or, with `keep_local`, have moved by what
 * theta moved. */
int gx_shared_apply(struct gx_shared *shared, const float *mean, bool keep_local);

#endif
