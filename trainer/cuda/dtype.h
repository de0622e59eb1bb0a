/* gx_dtype: the type of activations, and of the weights that matrix products read.
 *
 * Masters, moments, gradients of parameters, means and losses are FP32 in either case.
 */
#ifndef GX_TRAINER_CUDA_DTYPE_H
#define GX_TRAINER_CUDA_DTYPE_H

#include <stddef.h>

enum gx_dtype { GX_DTYPE_FP32, GX_DTYPE_BF16 };

__attribute__((unused)) static inline size_t gx_dtype_bytes(enum gx_dtype type)
{
    return type == GX_DTYPE_FP32 ? 4 : 2;
}

#endif
