/* The optimizer on the GPU: norm of the gradient, clip, AdamW on the FP32 masters, and the bf16 copy in the same pass.
 *
 * Nothing waits for the host: the norm, the clip and whether to update at all are decided in device memory
 * (struct gx_gpu_norm), and what changes from step to step is read from there (struct gx_gpu_adamw), so that a captured
 * graph serves every step.
 */
#ifndef GX_TRAINER_CUDA_ADAMW_H
#define GX_TRAINER_CUDA_ADAMW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gx_adamw;
struct gx_dev_stream;

/* In device memory; the host may copy it out after the step. */
struct gx_gpu_norm {
    double norm;      /* of all gradients together */
    float grad_scale; /* clip: gradients are multiplied by it */
    uint32_t
        finite; /* 0: loss or norm is not finite, and gx_gpu_adamw_step() leaves everything alone */
};

size_t gx_gpu_norm_scratch_bytes(uint64_t count);

/* Two passes, in double, in pieces that only `count` decides. `loss` may be NULL: not looked at. */
void gx_gpu_norm_compute(struct gx_gpu_norm *out, const float *grads, const float *loss,
                         void *scratch, uint64_t count, float clip_norm,
                         struct gx_dev_stream *stream);

/* One step's numbers, in device memory. */
struct gx_gpu_adamw {
    float lr, beta1, beta2, epsilon, weight_decay;
    float correct1, correct2; /* 1 / (1 - beta^update) */
    uint32_t update;          /* also the part of the rounding's Philox counter */
    uint64_t seed;            /* of stochastic rounding */
};

/* On the host: `opt` as the CPU's gx_adamw_step() takes it, without its grad_scale. */
void gx_gpu_adamw_fill(struct gx_gpu_adamw *step, const struct gx_adamw *opt, uint64_t seed);

#define GX_GPU_DECAY_RANGES_MAX 16u

/* Which parameters decay: range i ends before values[i], the first begins at 0. */
struct gx_gpu_decay {
    uint64_t end[GX_GPU_DECAY_RANGES_MAX];
    uint32_t decays; /* bit i: range i does */
    uint32_t count;
};

enum gx_gpu_rounding { GX_ROUND_NEAREST, GX_ROUND_STOCHASTIC };

/* One update of the parameters [0, decay's last end). `copy_bf16` may be NULL. */
void gx_gpu_adamw_step(const struct gx_gpu_adamw *step, const struct gx_gpu_norm *norm,
                       const struct gx_gpu_decay *decay, float *params, float *moment1,
                       float *moment2, const float *grads, void *copy_bf16,
                       enum gx_gpu_rounding rounding, struct gx_dev_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
