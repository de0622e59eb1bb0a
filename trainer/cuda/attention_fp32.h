/* The FP32 half of attention.h, whose words are valid here. */
#ifndef GX_TRAINER_CUDA_ATTENTION_FP32_H
#define GX_TRAINER_CUDA_ATTENTION_FP32_H

#include "cuda/attention.h"

#ifdef __cplusplus
extern "C" {
#endif

void gx_gpu_attention_fp32_forward(float *out, float *lse, const float *qkv,
                                   struct gx_gpu_attention_shape shape,
                                   struct gx_dev_stream *stream);
void gx_gpu_attention_fp32_backward(float *dqkv, float *delta, const float *dout, const float *qkv,
                                    const float *out, const float *lse,
                                    struct gx_gpu_attention_shape shape,
                                    struct gx_dev_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
