/* One value at a time: GELU, residual sums, casts, fills. All of them run at the speed of memory.
 *
 * y may be x in each of them. Pointers aligned to 16 bytes are read and written in vectors, others value by value.
 */
#ifndef GX_TRAINER_CUDA_ELEMENTWISE_H
#define GX_TRAINER_CUDA_ELEMENTWISE_H

#include <stdint.h>

#include "cuda/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gx_dev_stream;

/* GELU by tanh, as trainer/cpu/: for devices whose matrix library has no fused one. */
void gx_gpu_gelu_forward(enum gx_dtype type, void *y, const void *x, uint64_t count,
                         struct gx_dev_stream *stream);
/* dx = dy GELU'(x); dx may be dy. */
void gx_gpu_gelu_backward(enum gx_dtype type, void *dx, const void *dy, const void *x,
                          uint64_t count, struct gx_dev_stream *stream);

/* y = a + b, rounded to `type`. */
void gx_gpu_residual_add(enum gx_dtype type, void *y, const void *a, const void *b, uint64_t count,
                         struct gx_dev_stream *stream);

/* FP32 to bf16, nearest even. */
void gx_gpu_cast_bf16(void *dst, const float *src, uint64_t count, struct gx_dev_stream *stream);

/* FP32 to bf16, up or down at random so that the mean is right; value i of the call is drawn by
 * (seed, update, i): stochastic.h. */
void gx_gpu_cast_bf16_stochastic(void *dst, const float *src, uint64_t count, uint64_t seed,
                                 uint32_t update, struct gx_dev_stream *stream);

void gx_gpu_cast_fp32(float *dst, const void *src_bf16, uint64_t count,
                      struct gx_dev_stream *stream);

void gx_gpu_fill(float *dst, float value, uint64_t count, struct gx_dev_stream *stream);

/* acc += x */
void gx_gpu_accumulate(float *acc, const float *x, uint64_t count, struct gx_dev_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
