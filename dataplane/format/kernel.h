/* gx_format_kernel: the loops of the formats for one instruction set, over whole blocks of 128
 * values.
 *
 * format.c adds what is not worth a vector: short last blocks, positions, errors. Every kernel must
 * equal gx_format_plain byte for byte; tests/unit/format/test_kernel.c compares them. Memory source
 * and destination do not overlap; any alignment.
 */
#ifndef GX_FORMAT_KERNEL_H
#define GX_FORMAT_KERNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "format/format.h"

#define GX_BF16_BLOCK_BYTES 256u
#define GX_INT8_BLOCK_BYTES 129u
#define GX_E3M0_BLOCK_BYTES 65u

/* Encodes; false when a value is not finite (the destination is then of no use). */
typedef bool gx_format_encode_fn(uint8_t *dst, const float *src, uint64_t block_count);
typedef void gx_format_decode_fn(float *dst, const uint8_t *src, uint64_t block_count);
/* gx_format_mean() of whole blocks. A sum starts at +0, so it never becomes -0: the sign of a product
 * that is 0 is of no matter. */
typedef void gx_format_mean_fn(float *dst, const struct gx_format_cohort *cohort,
                               uint64_t first_block, uint64_t block_count);
/* Whether all values of fp32 or bf16 blocks are finite. */
typedef bool gx_format_finite_fn(const uint8_t *src, uint64_t block_count);

struct gx_format_kernel {
    const char *name;
    gx_format_encode_fn *encode[GX_FORMAT_COUNT]; /* NULL for fp32: it is copied */
    gx_format_decode_fn *decode[GX_FORMAT_COUNT]; /* likewise */
    gx_format_mean_fn *mean[GX_FORMAT_COUNT];
    gx_format_finite_fn *finite_fp32;
    gx_format_finite_fn *finite_bf16;
};

extern const struct gx_format_kernel gx_format_plain;
#ifdef __x86_64__
extern const struct gx_format_kernel gx_format_avx2;
extern const struct gx_format_kernel gx_format_avx512;
#endif

/* Bit patterns of FP32, as the kernels use them. */
#define GX_FP32_ABS 0x7fffffffu
#define GX_FP32_SIGN 0x80000000u
#define GX_FP32_INF 0x7f800000u
#define GX_FP32_NORMAL_MIN 0x00800000u

/* The largest magnitude that rounds to a finite bf16; larger ones saturate to it. */
#define GX_BF16_ABS_MAX 0x7f7f7fffu

#define GX_SCALE_MAX 254u
#define GX_INT8_MAX 127
#define GX_E3M0_ZERO 7u

/* nvcc compiles these for the device too. */
#ifdef __CUDACC__
#define GX_FORMAT_INLINE static inline __host__ __device__
#else
#define GX_FORMAT_INLINE static inline
#endif

/* A block of values is asked for this far ahead: the CPU's own prefetching comes too late for what is
 * done to them, and later still for what is written. */
#define GX_FORMAT_READ_AHEAD_BYTES 4096u
#define GX_FORMAT_WRITE_AHEAD_BYTES 2048u
#define GX_FORMAT_PREFETCH(values, ahead, write)                                                   \
    for (uint32_t line = 0; line < GX_FORMAT_BLOCK_VALUES * 4; line += 64)                         \
    __builtin_prefetch((const char *)(values) + (ahead) + line, write)

/* int8: the scale byte of a block whose largest magnitude has these bits. Rounding up at 127.5/64
 * keeps every quotient at or below 127. */
GX_FORMAT_INLINE uint32_t gx_int8_scale(uint32_t abs_bits_max)
{
    uint32_t e = (abs_bits_max + 0x10000u) >> 23;
    return e < GX_SCALE_MAX ? e : GX_SCALE_MAX;
}

/* int8: the bits of the step 2^(E-133); below E = 7 it is a subnormal number. */
GX_FORMAT_INLINE uint32_t gx_int8_step_bits(uint32_t scale)
{
    return scale > 6 ? (scale - 6) << 23 : 0x10000u << scale;
}

/* int8: 2^(133-E) as the product of two powers of two, since 2^133 is no FP32 number. Both products
 * are exact unless the result is far below half a step. */
GX_FORMAT_INLINE void gx_int8_inverse_bits(uint32_t scale, uint32_t bits[2])
{
    uint32_t high = scale < 6 ? 6 - scale : 0;
    bits[0] = (127 + 133 - scale - high) << 23;
    bits[1] = (127 + high) << 23;
}

/* int8: whether round(scale * (q * step)) is round(q * factor) for every q, with factor = scale *
 * step. It is where the factor is exact, which a power of two leaves it unless it goes out of the
 * range of normal numbers, and no q * step is infinite. The smallest normal number itself may be
 * what a subnormal one was rounded to. */
GX_FORMAT_INLINE bool gx_int8_fold(uint32_t scale_byte, float scale, float *factor)
{
    uint32_t bits = gx_int8_step_bits(scale_byte);
    float step;
    memcpy(&step, &bits, sizeof(step));
    *factor = scale * step;
    memcpy(&bits, factor, sizeof(bits));
    bits &= GX_FP32_ABS;
    return bits > GX_FP32_NORMAL_MIN && bits < GX_FP32_INF && scale_byte < GX_SCALE_MAX;
}

/* e3m0: the exponent of a magnitude, ties up. */
GX_FORMAT_INLINE uint32_t gx_e3m0_exponent(uint32_t abs_bits)
{
    return (abs_bits + 0x400000u) >> 23;
}

GX_FORMAT_INLINE uint32_t gx_e3m0_scale(uint32_t abs_bits_max)
{
    uint32_t e = gx_e3m0_exponent(abs_bits_max);
    return e < GX_SCALE_MAX ? e : GX_SCALE_MAX;
}

/* e3m0: the bits of the magnitude of code c (0 to 7) under scale E. */
GX_FORMAT_INLINE uint32_t gx_e3m0_magnitude_bits(uint32_t scale, uint32_t c)
{
    return c == GX_E3M0_ZERO || scale <= c ? 0 : (scale - c) << 23;
}

#endif
