/* LayerNorm on the GPU, alone or with the residual sum before it.
 *
 * Types     rows of activations (x, y, dx, dy, residuals) are of type `type`; gains and biases (w, b: the FP32 masters),
 *           mean, rstd and the gradients dw and db are FP32.
 * Widths    up to GX_GPU_LAYERNORM_WIDTH_MAX; vectors of 128 bits where rows are aligned to them, else slower.
 * Order     dw and db are summed in an order that only the sizes decide.
 */
#ifndef GX_TRAINER_CUDA_LAYERNORM_H
#define GX_TRAINER_CUDA_LAYERNORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gx_dev_stream;

#define GX_GPU_LAYERNORM_WIDTH_MAX 4096u

/* y = (x - mean) rstd w + b; mean[rows] and rstd[rows] are kept for the way back. */
void gx_gpu_layernorm_forward(enum gx_dtype type, void *y, float *mean, float *rstd, const void *x,
                              const float *w, const float *b, uint32_t rows, uint32_t width,
                              struct gx_dev_stream *stream);

/* sum = x + residual, rounded to `type`; y = LayerNorm(sum). `sum` may be x or residual. */
void gx_gpu_residual_layernorm_forward(enum gx_dtype type, void *sum, void *y, float *mean,
                                       float *rstd, const void *x, const void *residual,
                                       const float *w, const float *b, uint32_t rows,
                                       uint32_t width, struct gx_dev_stream *stream);

/* Scratch for the way back. */
size_t gx_gpu_layernorm_scratch_bytes(uint32_t rows, uint32_t width);

/* dx = dresidual + the gradient through the norm; dresidual may be NULL (0) or dx itself.
 * dw and db: overwritten, or added to when `add`. */
void gx_gpu_layernorm_backward(enum gx_dtype type, void *dx, const void *dresidual, float *dw,
                               float *db, const void *dy, const void *x, const float *w,
                               const float *mean, const float *rstd, void *scratch, uint32_t rows,
                               uint32_t width, bool add, struct gx_dev_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
