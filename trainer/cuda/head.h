/* Which head of which sequence a block of an attention kernel works on: blockIdx.y and blockIdx.z. */
#ifndef GX_TRAINER_CUDA_HEAD_H
#define GX_TRAINER_CUDA_HEAD_H

#include "cuda/attention.h"
#include "cuda/gpu.h"

struct gx_head {
    size_t qkv, out,
        rows; /* offsets of its first query and output value, and of its row 0 among all rows */
    size_t qkv_stride,
        width; /* from row to row of qkv; of out, and from queries to keys to values */
};

GX_DEVICE struct gx_head gx_head_own(unsigned context, unsigned head_values)
{
    const size_t heads = gridDim.y, h = blockIdx.y, b = blockIdx.z, width = heads * head_values;
    return {b * context * 3 * width + h * head_values, b * context * width + h * head_values,
            (b * heads + h) * context, 3 * width, width};
}

/* The longest rows first: a block's work grows with its first row, and the last ones to start should be short. */
GX_DEVICE unsigned gx_head_first_row(unsigned rows)
{
    return (gridDim.x - 1 - blockIdx.x) * rows;
}

static inline dim3 gx_head_grid(struct gx_gpu_attention_shape shape, unsigned rows)
{
    return dim3((shape.context + rows - 1) / rows, shape.heads, shape.batch);
}

static inline float gx_head_scale(struct gx_gpu_attention_shape shape)
{
    return 1 / sqrtf(static_cast<float>(shape.head_values));
}

#endif
