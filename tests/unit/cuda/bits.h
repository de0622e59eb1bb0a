/* An FP32 number and its bits, on the host. */
#ifndef GX_TESTS_UNIT_CUDA_BITS_H
#define GX_TESTS_UNIT_CUDA_BITS_H

#include <stdint.h>
#include <string.h>

static inline float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

#endif
