/* GPT-2 on the device: forward and backward over one batch, all of it queued on one stream.
 *
 * Memory    taken from a pool once, by gx_gpu_gpt2_place(); nothing is allocated afterwards.
 * Precision bf16: activations and the weights that products read are bf16, sums FP32. fp32 and tf32: all FP32; tf32 lets
 *           the matrix library round the operands of products. Gradients of parameters are FP32 always.
 * Graphs    what is queued depends on the shapes alone.
 */
#ifndef GX_TRAINER_CUDA_GPT2_H
#define GX_TRAINER_CUDA_GPT2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda/dtype.h"
#include "cuda/matmul.h"
#include "cuda/pool.h"
#include "device.h"
#include "model/gpt2.h"

struct gx_dev_stream;
struct gx_gpu_gpt2;

struct gx_gpu_gpt2_config {
    uint32_t batch;
    enum gx_precision precision;
    enum gx_recompute recompute;
    enum gx_attention attention;
    bool tune;           /* time the matrix library's choices at the start */
    uint32_t capability; /* of struct gx_dev_properties */
};

/* What lies in device memory and is the caller's: [param_count] each. */
struct gx_gpu_gpt2_arrays {
    const float *params;
    const void *copy; /* of params, in bf16; NULL unless the precision is bf16 */
    float *grads;
};

/* What a batch is made of, on the device. */
struct gx_gpu_gpt2_batch {
    const uint16_t *inputs, *targets; /* [batch][context] */
    const void *index;                /* of embedding.h */
};

enum gx_dtype gx_gpu_gpt2_dtype(enum gx_precision precision);

/* Takes host memory, and loads cuDNN where that is wanted. -EINVAL, with a line in gx_dev_error(): the kernels can't
 * compute this model; -ENOENT, -ENOTSUP: cuDNN alone was wanted, but is not there or can't. */
int gx_gpu_gpt2_create(struct gx_gpu_gpt2 **out, const struct gx_gpt2 *model,
                       const struct gx_gpu_gpt2_config *config);
/* Whose attention is run: "own", or cuDNN's name. */
const char *gx_gpu_gpt2_attention(const struct gx_gpu_gpt2 *gpt2);
void gx_gpu_gpt2_destroy(struct gx_gpu_gpt2 *gpt2); /* NULL is allowed */

/* Takes activations and scratch from the pool; without memory it only counts. */
void gx_gpu_gpt2_place(struct gx_gpu_gpt2 *gpt2, struct gx_pool *pool);

/* After gx_gpu_gpt2_place() with memory: loads the matrix library, plans the products, and runs one batch (whose tokens
 * must be valid) with whatever the parameters are, so that nothing is loaded or chosen later. Overwrites the gradients.
 * `workspace`: the matrix library's, of GX_MATMUL_WORKSPACE_BYTES. */
int gx_gpu_gpt2_start(struct gx_gpu_gpt2 *gpt2, const struct gx_gpu_gpt2_arrays *arrays,
                      const struct gx_gpu_gpt2_batch *batch, void *workspace,
                      struct gx_dev_stream *stream);

/* `sequences`: config.batch, or 1. */
void gx_gpu_gpt2_forward(struct gx_gpu_gpt2 *gpt2, const uint16_t *inputs, uint32_t sequences);

/* Of the last forward: the logits, [rows][stride] of gx_gpu_gpt2_dtype(). */
const void *gx_gpu_gpt2_logits(const struct gx_gpu_gpt2 *gpt2, uint32_t *stride);

/* *loss = scale times the sum of the rows' cross-entropies, in nats. */
void gx_gpu_gpt2_loss(struct gx_gpu_gpt2 *gpt2, float *loss, const uint16_t *targets, float scale);

/* The same, and overwrites the gradients with those of that loss. Uses up the logits. */
void gx_gpu_gpt2_backward(struct gx_gpu_gpt2 *gpt2, float *loss,
                          const struct gx_gpu_gpt2_batch *batch, float scale);

#endif
