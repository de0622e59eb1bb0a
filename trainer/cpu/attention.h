/* Causal multi-head self-attention.
 *
 * qkv[batch][time][3 * width] holds queries, keys, values, each split into heads; y[batch][time][width].
 * probs[batch][heads][time][time] is kept for the way back, zero above the diagonal.
 */
#ifndef GX_TRAINER_ATTENTION_H
#define GX_TRAINER_ATTENTION_H

#include <stddef.h>

#include "cpu/real.h"

struct gx_attention_shape {
    size_t batch, time, heads, width;
};

void gx_attention_forward(real *y, real *probs, const real *qkv, struct gx_attention_shape shape);

/* `scratch` has time * time values for each thread. Overwrites dqkv. */
void gx_attention_backward(real *dqkv, real *scratch, const real *dy, const real *qkv,
                           const real *probs, struct gx_attention_shape shape);

#endif
