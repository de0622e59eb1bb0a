/* gx_gpt2: the one description of the model: GPT-2's architecture and its table of parameters.
 *
 * Layout    sixteen tensors in the order and with the shapes of llm.c (train_gpt2.c), layers stacked inside a tensor,
 *           linear weights as (outputs, inputs), row-major FP32: weights load elsewhere as they lie.
 * Model     learned positions, LayerNorm (eps 1e-5) before attention and before the MLP, fused QKV, biases everywhere,
 *           GELU by tanh, a final LayerNorm, and logits through the transposed token embedding (tied).
 * Vocabulary  exact: no padding rows (GPT-2 has 50257, bytes have 256).
 */
#ifndef GX_TRAINER_GPT2_H
#define GX_TRAINER_GPT2_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"

#define GX_LAYERNORM_EPSILON 1e-5

struct gx_gpt2_config {
    uint32_t vocab;
    uint32_t context; /* positions, also the length of a training sequence */
    uint32_t layers;
    uint32_t heads;
    uint32_t width;
};

/* T(identifier, name, rank, first, second, third dimension, weight decay, initial value): V, T, L, C as in llm.c. */
#define GX_GPT2_TENSORS(T)                                                                         \
    T(WTE, "wte", 2, V, C, 1, true, NORMAL)                                                        \
    T(WPE, "wpe", 2, P, C, 1, true, NORMAL)                                                        \
    T(LN1W, "ln1w", 2, L, C, 1, false, ONE)                                                        \
    T(LN1B, "ln1b", 2, L, C, 1, false, ZERO)                                                       \
    T(QKVW, "qkvw", 3, L, 3 * C, C, true, NORMAL)                                                  \
    T(QKVB, "qkvb", 2, L, 3 * C, 1, false, ZERO)                                                   \
    T(ATTPROJW, "attprojw", 3, L, C, C, true, RESIDUAL)                                            \
    T(ATTPROJB, "attprojb", 2, L, C, 1, false, ZERO)                                               \
    T(LN2W, "ln2w", 2, L, C, 1, false, ONE)                                                        \
    T(LN2B, "ln2b", 2, L, C, 1, false, ZERO)                                                       \
    T(FCW, "fcw", 3, L, 4 * C, C, true, NORMAL)                                                    \
    T(FCB, "fcb", 2, L, 4 * C, 1, false, ZERO)                                                     \
    T(FCPROJW, "fcprojw", 3, L, C, 4 * C, true, RESIDUAL)                                          \
    T(FCPROJB, "fcprojb", 2, L, C, 1, false, ZERO)                                                 \
    T(LNFW, "lnfw", 1, C, 1, 1, false, ONE)                                                        \
    T(LNFB, "lnfb", 1, C, 1, 1, false, ZERO)

enum gx_gpt2_tensor {
#define T(id, name, rank, d0, d1, d2, decay, start) GX_##id,
    GX_GPT2_TENSORS(T)
#undef T
        GX_GPT2_TENSOR_COUNT
};

/* NORMAL: standard deviation 0.02. RESIDUAL: that divided by sqrt(2 * layers), for what adds to the residual stream. */
enum gx_tensor_start { GX_START_ZERO, GX_START_ONE, GX_START_NORMAL, GX_START_RESIDUAL };

struct gx_tensor {
    const char *name;
    uint32_t rank;
    uint64_t shape[3]; /* 1 beyond rank */
    uint64_t offset;   /* in values, from the first parameter */
    uint64_t count;
    bool decay; /* AdamW's weight decay: matrices and embeddings only */
    enum gx_tensor_start start;
};

struct gx_gpt2 {
    struct gx_gpt2_config config;
    struct gx_tensor tensors[GX_GPT2_TENSOR_COUNT];
    uint64_t param_count;
};

/* Fills the table. -EINVAL with the number at fault when the config describes no model. */
int gx_gpt2_init(struct gx_gpt2 *model, const struct gx_gpt2_config *config,
                 struct gx_failure *failure);

/* The initial parameters [param_count] of a seed, the same on every machine. */
void gx_gpt2_randomize(const struct gx_gpt2 *model, float *params, uint64_t seed);

#endif
