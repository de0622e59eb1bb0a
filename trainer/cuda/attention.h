/* Causal multi-head self-attention on the GPU, forward and backward. The matrix of scores is never in memory.
 *
 * Layout    qkv[batch][context][3][heads][head_values], out[batch][context][heads][head_values], lse and delta
 *           [batch][heads][context], all on the device and aligned to 16 bytes.
 * Types     qkv, out and their gradients are of type `type`; lse and delta are FP32. bf16: products on tensor cores,
 *           summed in FP32. FP32: no tensor cores, nothing is rounded to less.
 * Order     every sum's order depends on the sizes alone: the same bits every time. The way back computes the scores twice
 *           (once by rows for dQ, once by columns for dK and dV) instead of adding up dQ by atomics.
 */
#ifndef GX_TRAINER_CUDA_ATTENTION_H
#define GX_TRAINER_CUDA_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gx_dev_stream;

struct gx_gpu_attention_shape {
    uint32_t batch, context, heads;
    uint32_t head_values; /* 32, 64 or 128 */
};

/* Whether there are kernels for this shape: head_values as above, batch and heads up to 65,535. */
bool gx_gpu_attention_has(struct gx_gpu_attention_shape shape);

/* out = softmax(q k^T / sqrt(head_values)) v. lse: the logarithm of each row's sum of exponentials, for the way back. */
void gx_gpu_attention_forward(enum gx_dtype type, void *out, float *lse, const void *qkv,
                              struct gx_gpu_attention_shape shape, struct gx_dev_stream *stream);

/* dqkv from dout and what the way forward left. `delta` is scratch: the dot product of each row of out and dout. */
void gx_gpu_attention_backward(enum gx_dtype type, void *dqkv, float *delta, const void *dout,
                               const void *qkv, const void *out, const float *lse,
                               struct gx_gpu_attention_shape shape, struct gx_dev_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
