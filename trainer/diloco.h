/* gx_diloco: plain DiLoCo (one fragment) through libgx.
 *
 * Round     H inner steps; delta = theta_outer - theta_local; offer it; wait for the round's event; outer step.
 *   MEMBER    theta_local = theta_outer
 *   LEFT_OUT  theta_local += the change of theta_outer: local work is kept, and its weight keeps growing
 *   VOID      nothing changes; the unchanged state is published, local work grows on
 *   BEHIND    hands off the state until STATE; then theta_local = theta_outer, and on with the round after it
 * A round may end before this site has made all its inner steps or has offered: what was done counts for the next.
 * Without gxd (-EPIPE) inner steps go on, and the site reattaches.
 */
#ifndef GX_TRAINER_DILOCO_H
#define GX_TRAINER_DILOCO_H

#include "train.h"

/* Takes part in train->options.run until its last round. 0 or -errno with train->failure; train->gxd_missing when no
 * gxd answered at the start. */
int gx_diloco_run(struct gx_train *train);

#endif
