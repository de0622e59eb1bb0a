/* Test values: FP32 bit patterns that reach every branch of an encoder. */
#ifndef GX_TEST_FORMAT_VALUES_H
#define GX_TEST_FORMAT_VALUES_H

#include <stdint.h>
#include <string.h>

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u); /* SplitMix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline float float_from(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* Finite values whose magnitudes lie within a few powers of two of `exponent` (0 to 254), with
 * ties, signed zeros and the neighbours of powers of two among them. */
static inline float value_near(uint64_t *state, uint32_t exponent)
{
    uint64_t r = random_next(state);
    uint32_t drop = (uint32_t)(r >> 32) % 10, e = exponent > drop ? exponent - drop : 0;
    uint32_t mantissa = (uint32_t)r & 0x7fffff;
    static const uint32_t corners[] = {0,        1,        0x3fffff, 0x400000, 0x400001, 0x7fffff,
                                       0x7effff, 0x7f0000, 0x7f0001, 0x7e8000, 0x008000, 0x018000,
                                       0x7f8000, 0x7f7fff, 0x010000, 0x030000};
    switch ((r >> 40) % 8) {
    case 0:
        return float_from((uint32_t)(r >> 63) << 31);
    case 1:
    case 2:
        mantissa = corners[(r >> 48) % (sizeof(corners) / sizeof(corners[0]))];
        break;
    case 3:
        mantissa &= 0x7f0000; /* few bits: ties for int8 */
        break;
    default:
        break;
    }
    return float_from((uint32_t)(r >> 63) << 31 | e << 23 | mantissa);
}

/* Each block of 128 values has a range of its own; every eighth lies at the top, every eighth at
 * the bottom. */
static inline void values_fill(float *values, uint64_t count, uint64_t seed)
{
    uint64_t state = seed;
    uint32_t exponent = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (i % 128 == 0) {
            uint64_t r = random_next(&state);
            exponent = r % 8 == 0   ? 254 - (uint32_t)(r >> 32) % 2
                       : r % 8 == 1 ? (uint32_t)(r >> 32) % 10
                                    : (uint32_t)(r >> 32) % 255;
        }
        values[i] = value_near(&state, exponent);
    }
}

#endif
