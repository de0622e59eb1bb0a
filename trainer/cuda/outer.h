/* DiLoCo's outer step on the GPU, bit-equal to trainer/outer.c, and what it leaves in the local parameters: one pass.
 *
 * Memory    any of the arrays may also be host memory that the device can reach (--outer-offload).
 */
#ifndef GX_TRAINER_CUDA_OUTER_H
#define GX_TRAINER_CUDA_OUTER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gx_dev_stream;

enum gx_gpu_local {
    GX_LOCAL_KEEP,    /* theta_local stays */
    GX_LOCAL_REPLACE, /* theta_local = theta_outer */
    GX_LOCAL_MIX, /* theta_local = alpha theta_local + (1 - alpha) theta_outer, each product and the sum rounded */
    GX_LOCAL_REBASE, /* theta_local += theta_outer's movement: gx_outer_rebase() */
};

struct gx_gpu_outer {
    float lr, momentum_factor;
    float alpha; /* of GX_LOCAL_MIX */
    enum gx_gpu_local local;
};

/* v = mu v + delta_mean; theta = theta - eta (delta_mean + mu v); then theta_local by step->local, and copy_bf16, unless
 * it is NULL, becomes theta_local rounded to nearest even. theta_local may be NULL with GX_LOCAL_KEEP. */
void gx_gpu_outer_step(const struct gx_gpu_outer *step, float *theta, float *momentum,
                       const float *delta_mean, float *theta_local, void *copy_bf16, uint64_t count,
                       struct gx_dev_stream *stream);

/* The mixing alone, for a theta_outer that came from elsewhere: REPLACE or MIX. */
void gx_gpu_outer_adopt(const struct gx_gpu_outer *step, const float *theta, float *theta_local,
                        void *copy_bf16, uint64_t count, struct gx_dev_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
