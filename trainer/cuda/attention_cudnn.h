/* gx_cudnn_attention: cuDNN's attention in place of our own, where it is installed and has kernels for the shape. bf16,
 * layouts as in attention.h: the same `lse`, so either can go back after the other went forward.
 *
 * Order     the way back adds up dQ by atomics: not the same bits every time.
 * Twins     attention_cudnn.c asks cuDNN; tests/simt/ has one in plain C.
 * Errors    -errno, with the line for the user in *why (of a static buffer). Nothing is kept as the device's failure.
 */
#ifndef GX_TRAINER_CUDA_ATTENTION_CUDNN_H
#define GX_TRAINER_CUDA_ATTENTION_CUDNN_H

#include <stddef.h>

#include "cuda/attention.h"

struct gx_cudnn_attention;

/* -ENOENT: not installed; -ENOTSUP: no kernels for this shape on this GPU. */
int gx_cudnn_attention_create(struct gx_cudnn_attention **out, struct gx_gpu_attention_shape shape,
                              const char **why);
void gx_cudnn_attention_destroy(struct gx_cudnn_attention *attention); /* NULL is allowed */

/* "cuDNN 9.28" */
const char *gx_cudnn_attention_name(const struct gx_cudnn_attention *attention);

/* Of the device memory that a run takes, aligned to 256 bytes. */
size_t gx_cudnn_attention_scratch_bytes(const struct gx_cudnn_attention *attention);

int gx_cudnn_attention_forward(struct gx_cudnn_attention *attention, void *out, float *lse,
                               const void *qkv, void *scratch, struct gx_dev_stream *stream,
                               const char **why);
int gx_cudnn_attention_backward(struct gx_cudnn_attention *attention, void *dqkv, float *delta,
                                const void *dout, const void *qkv, const void *out,
                                const float *lse, void *scratch, struct gx_dev_stream *stream,
                                const char **why);

#endif
