/* Biases on the GPU where the matrix library does not add or sum them itself. */
#ifndef GX_TRAINER_CUDA_BIAS_H
#define GX_TRAINER_CUDA_BIAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gx_dev_stream;

/* y[row][i] += b[i], b being FP32. */
void gx_gpu_bias_add(enum gx_dtype type, void *y, const float *b, uint32_t rows, uint32_t width,
                     struct gx_dev_stream *stream);

/* Scratch for the way back. */
size_t gx_gpu_bias_scratch_bytes(uint32_t rows, uint32_t width);

/* db[i] = (or += when `add`) the sum of dy[row][i] over the rows, in an order that only the sizes decide. */
void gx_gpu_bias_backward(enum gx_dtype type, float *db, const void *dy, void *scratch,
                          uint32_t rows, uint32_t width, bool add, struct gx_dev_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
