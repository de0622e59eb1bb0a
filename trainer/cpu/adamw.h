/* gx_adamw: AdamW (Loshchilov and Hutter 2019) with clipping by the global norm. FP32. */
#ifndef GX_TRAINER_ADAMW_H
#define GX_TRAINER_ADAMW_H

#include <stdbool.h>
#include <stdint.h>

struct gx_adamw {
    float lr, beta1, beta2, epsilon, weight_decay;
    float grad_scale; /* gradients are multiplied by this first: gx_clip_scale() */
    uint64_t update;  /* 1 for the first update of these moments */
};

/* The norm of all values; summed in double and in fixed pieces, so the same for any number of threads. */
double gx_global_norm(const float *grads, uint64_t count);

/* What brings a norm down to `clip_norm`; 1 when it is not above it. */
float gx_clip_scale(double norm, float clip_norm);

/* One update of `count` values. `decay` says whether weight decay applies to them. */
void gx_adamw_step(const struct gx_adamw *opt, float *params, float *moment1, float *moment2,
                   const float *grads, uint64_t count, bool decay);

#endif
