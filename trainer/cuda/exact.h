/* FP32 operations that round once each, whatever the compiler's flags say about fused multiply-adds: for what must be
 * bit-equal on every machine. */
#ifndef GX_TRAINER_CUDA_EXACT_H
#define GX_TRAINER_CUDA_EXACT_H

#include "cuda/gpu.h"

#ifdef GX_SIMT /* compiled with -ffp-contract=off */
GX_DEVICE float gx_mul(float a, float b)
{
    return a * b;
}
GX_DEVICE float gx_add(float a, float b)
{
    return a + b;
}
GX_DEVICE float gx_sub(float a, float b)
{
    return a - b;
}
#else
GX_DEVICE float gx_mul(float a, float b)
{
    return __fmul_rn(a, b);
}
GX_DEVICE float gx_add(float a, float b)
{
    return __fadd_rn(a, b);
}
GX_DEVICE float gx_sub(float a, float b)
{
    return __fsub_rn(a, b);
}
#endif

#endif
