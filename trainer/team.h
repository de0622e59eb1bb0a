/* gx_team: one device made of the same device at every rank. Rank 0 uses it like any other, with the site's whole batch;
 * the other ranks serve it, and need neither data nor gxd.
 *
 * Work      each rank computes its rows of a batch; gradients are added up inside the device's step (device.h). What is
 *           set at rank 0 is set at all ranks; get and logits are rank 0's.
 * Failure   a rank whose device fails says so and ends, and with it the others.
 * Memory    every rank but 0 keeps one array of the model's size beside the device's.
 */
#ifndef GX_TRAINER_TEAM_H
#define GX_TRAINER_TEAM_H

#include "device.h"
#include "failure.h"
#include "outer.h"
#include "ranks.h"

/* Everything but create, which gx_team_create() is. */
extern const struct gx_device gx_team_device;

/* At rank 0, while the others call gx_team_serve(). config->batch is the site's: a multiple of the ranks. The state, for
 * gx_team_device, goes to *out; ranks and device outlive it. */
int gx_team_create(struct gx_ranks *ranks, const struct gx_device *device,
                   const struct gx_gpt2 *model, const struct gx_device_config *config, void **out,
                   struct gx_failure *failure);

/* At every other rank: does as rank 0 asks, until that destroys its team (0) or something fails. */
int gx_team_serve(struct gx_ranks *ranks, const struct gx_device *device,
                  const struct gx_gpt2 *model, const struct gx_device_config *config,
                  struct gx_failure *failure);

/* At rank 0: the digests of every rank's parameters, [ranks]; they stay valid until the next call. -EUCLEAN: they are not
 * all equal, and ranks->failure names the one. */
int gx_team_digest(void *state, const char (**digests)[GX_OUTER_DIGEST_CHARS]);

#endif
