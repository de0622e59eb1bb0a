/* gx_bf16: bfloat16, the upper half of an FP32 number. The same bits on the device and on the host. */
#ifndef GX_TRAINER_CUDA_BF16_H
#define GX_TRAINER_CUDA_BF16_H

#include "cuda/gpu.h"
#include "cuda/ptx.h"

struct gx_bf16 {
    uint16_t bits;
};

GX_DEVICE float gx_bf16_float(struct gx_bf16 value)
{
    return gx_float_of_bits(static_cast<uint32_t>(value.bits) << 16);
}

/* To nearest, ties to even; every NaN becomes 0x7fff. */
GX_DEVICE struct gx_bf16 gx_bf16_round(float value)
{
    return {gx_ptx_bf16(value)};
}

/* Up with the probability of the part that is cut off: `random` is uniform over 16 bits. What is not finite stays so. */
GX_DEVICE struct gx_bf16 gx_bf16_round_stochastic(float value, uint32_t random)
{
    const uint32_t bits = gx_bits_of_float(value);
    if ((bits & 0x7f800000u) == 0x7f800000u)
        return gx_bf16_round(value);
    return {static_cast<uint16_t>((bits + (random & 0xffffu)) >> 16)};
}

/* Two in a word, as tensor cores take them: the first in the low half. */
GX_DEVICE uint32_t gx_bf16_pack(float low, float high)
{
    return gx_ptx_bf16_pair(low, high);
}

GX_DEVICE float gx_bf16_low(uint32_t pair)
{
    return gx_float_of_bits(pair << 16);
}

GX_DEVICE float gx_bf16_high(uint32_t pair)
{
    return gx_float_of_bits(pair & 0xffff0000u);
}

/* For templates over the type of activations. */
GX_DEVICE float gx_to_float(float value)
{
    return value;
}

GX_DEVICE float gx_to_float(struct gx_bf16 value)
{
    return gx_bf16_float(value);
}

template <typename T> GX_DEVICE T gx_from_float(float value);
template <> __device__ __forceinline__ float gx_from_float<float>(float value)
{
    return value;
}
template <> __device__ __forceinline__ struct gx_bf16 gx_from_float<struct gx_bf16>(float value) {
    return gx_bf16_round(value);
}

#endif
