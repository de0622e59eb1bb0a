/* gx_outer: DiLoCo's outer step on the shared FP32 copy (theta, momentum). It knows no model: another trainer may
 * call it on its own arrays.
 *
 * Memory    the caller's: theta and momentum are usually gx_theta() and gx_momentum() of libgx.
 * Bits      every site must compute the same: compiled with -ffp-contract=off, no fast-math, no threads.
 * Source    DiLoCo (Douillard et al. 2023), algorithm 1, with Nesterov momentum as in PyTorch's SGD, v0 = 0.
 */
#ifndef GX_TRAINER_OUTER_H
#define GX_TRAINER_OUTER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GX_OUTER_DIGEST_CHARS 33 /* 128 bits in hex, and the terminator */

/* The pseudo-gradient: delta = theta_outer - theta_local. */
void gx_outer_delta(float *delta, const float *theta_outer, const float *theta_local,
                    uint64_t count);

/* v = mu v + delta_mean; theta = theta - eta (delta_mean + mu v), eta = lr, mu = momentum_factor. */
void gx_outer_step(float *theta, float *momentum, const float *delta_mean, uint64_t count, float lr,
                   float momentum_factor);

/* Keeps local work over an outer step that did not contain it: theta_local += theta_new - theta_old. */
void gx_outer_rebase(float *theta_local, const float *theta_new, const float *theta_old,
                     uint64_t count);

/* XXH3-128 of theta's bytes followed by momentum's, in hex. `momentum` may be NULL: theta's alone. */
void gx_outer_digest(char hex[GX_OUTER_DIGEST_CHARS], const float *theta, const float *momentum,
                     uint64_t count);

#ifdef __cplusplus
}
#endif
#endif
