/* Scalar functions that a compiler can vectorize without fast-math: no branches, no calls. */
#ifndef GX_TRAINER_MATH_H
#define GX_TRAINER_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "cpu/real.h"

/* e^x within 2 ulp for x in [-87, 88], clamped outside; NaN stays NaN (Cephes' expf: 2^n times a polynomial). */
static inline float gx_expf(float value)
{
    const float to_int = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float x =
        value > -87.0f ? value : -87.0f; /* NaN too: its conversion to an integer is undefined */
    x = x < 88.0f ? x : 88.0f;
    float shifted = x * 1.44269504f + to_int;
    float n = shifted - to_int;
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t power = ((int32_t)n + 127) * (1 << 23);
    float scale;
    memcpy(&scale, &power, sizeof(scale));
    return value == value ? p * scale : value;
}

#ifdef GX_REAL_DOUBLE
static inline real gx_exp(real x)
{
    return exp(x);
}

static inline real gx_sqrt(real x)
{
    return sqrt(x);
}
#else
static inline real gx_exp(real x)
{
    return gx_expf(x);
}

static inline real gx_sqrt(real x)
{
    return sqrtf(x);
}
#endif

/* tanh through e^2x: absolute error of a few ulp of 1, which is what GELU needs. */
static inline real gx_tanh(real x)
{
    return 1 - 2 / (gx_exp(2 * x) + 1);
}

#endif
