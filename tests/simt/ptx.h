/* The twins, on the host, of trainer/cuda/ptx.h, where each is described. */
#ifndef GX_TESTS_SIMT_PTX_H
#define GX_TESTS_SIMT_PTX_H

#include <cmath>
#include <cstring>

#include "simt/simt.h"

GX_DEVICE float gx_float_of_bits(uint32_t bits)
{
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

GX_DEVICE uint32_t gx_bits_of_float(float value)
{
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

GX_DEVICE uint16_t gx_ptx_bf16(float value)
{
    const uint32_t bits = gx_bits_of_float(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return 0x7fff;
    return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

GX_DEVICE uint32_t gx_ptx_bf16_pair(float low, float high)
{
    return static_cast<uint32_t>(gx_ptx_bf16(high)) << 16 | gx_ptx_bf16(low);
}

GX_DEVICE float gx_exp2(float x)
{
    const float y = exp2f(x);
    return y < 0x1p-126f ? 0.0f : y;
}

/* Collective: all lanes of the warp. */
void gx_mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
void gx_ldmatrix(uint32_t (&to)[4], const void *row);
void gx_ldmatrix_transposed(uint32_t (&to)[4], const void *row);

/* From here on the bytes are poison; the copy is made by the wait, as late as the hardware might. */
void gx_copy_async16(void *shared, const void *from, bool valid);
void gx_copy_async4(void *shared, const void *from, bool valid);
void gx_copy_async_commit(void);
void gx_simt_copy_wait(unsigned pending, struct gx_simt_site site);
#define gx_copy_async_wait(pending) gx_simt_copy_wait(pending, {__FILE__, __LINE__})

#endif
