/* Scalar functions of the layers, on the device and on the host. */
#ifndef GX_TRAINER_CUDA_SCALAR_H
#define GX_TRAINER_CUDA_SCALAR_H

#include "cuda/ptx.h"

/* e^x, within a few units in the last place where the result is normal. */
GX_DEVICE float gx_fast_exp(float x)
{
    return gx_exp2(1.44269504f * x);
}

/* x / y within 2 units in the last place; 0 where y is above 2^126. */
GX_DEVICE float gx_fast_divide(float x, float y)
{
#ifdef GX_SIMT
    return x / y;
#else
    return __fdividef(x, y);
#endif
}

#define GX_GELU_SCALE 0.797884560802865f /* sqrt(2 / pi) */
#define GX_GELU_CUBE 0.044715f

/* (1 + tanh(u)) / 2 = 1 / (1 + e^-2u) keeps its relative precision where tanh(u) nears -1. */
GX_DEVICE float gx_gelu_gate(float x)
{
    const float u = GX_GELU_SCALE * (x + GX_GELU_CUBE * x * x * x);
    return gx_fast_divide(1.0f, 1.0f + gx_fast_exp(-2.0f * u));
}

/* GELU(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), Hendrycks and Gimpel 2016. */
GX_DEVICE float gx_gelu(float x)
{
    return x * gx_gelu_gate(x);
}

/* Its derivative. */
GX_DEVICE float gx_gelu_slope(float x)
{
    const float gate = gx_gelu_gate(x);
    const float inner = GX_GELU_SCALE * (1.0f + 3.0f * GX_GELU_CUBE * x * x);
    return gate + 2.0f * x * gate * (1.0f - gate) * inner;
}

#endif
