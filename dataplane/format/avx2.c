/* The formats in AVX2; equals plain.c byte for byte. */
#ifdef __x86_64__
#include "format/kernel.h"

#include <immintrin.h>
#include <string.h>

#define BLOCK GX_FORMAT_BLOCK_VALUES
#define AVX2 __attribute__((target("avx2")))
#define INLINE static inline __attribute__((target("avx2"), always_inline))

INLINE __m256i load(const void *at)
{
    return _mm256_loadu_si256((const __m256i *)at);
}

INLINE void store(void *at, __m256i v)
{
    _mm256_storeu_si256((__m256i *)at, v);
}

INLINE __m256i abs_bits(__m256i bits)
{
    return _mm256_and_si256(bits, _mm256_set1_epi32((int)GX_FP32_ABS));
}

INLINE __m256i set_bits(uint32_t bits)
{
    return _mm256_set1_epi32((int)bits);
}

INLINE uint32_t abs_bits_max(const void *src)
{
    __m256i max = _mm256_setzero_si256();
    for (uint32_t i = 0; i < BLOCK; i += 8)
        max = _mm256_max_epi32(max, abs_bits(load((const uint8_t *)src + 4 * i)));
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(m);
}

/* 2 x 8 numbers of 0 to 65535 to 16 of 16 bits, in order. */
INLINE __m256i pack16(__m256i a, __m256i b)
{
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
}

AVX2 static bool finite_fp32(const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += 4 * BLOCK)
        if (abs_bits_max(src) >= GX_FP32_INF)
            return false;
    return true;
}

AVX2 static bool finite_bf16(const uint8_t *src, uint64_t block_count)
{
    const __m256i mask = _mm256_set1_epi16(0x7fff), limit = _mm256_set1_epi16(0x7f7f);
    for (; block_count; block_count--, src += GX_BF16_BLOCK_BYTES) {
        __m256i over = _mm256_setzero_si256();
        for (uint32_t i = 0; i < BLOCK; i += 16) {
            __m256i a = _mm256_and_si256(load(src + 2 * i), mask);
            over = _mm256_or_si256(over, _mm256_cmpgt_epi16(a, limit));
        }
        if (!_mm256_testz_si256(over, over))
            return false;
    }
    return true;
}

INLINE __m256i bf16_round(__m256i bits)
{
    __m256i a = _mm256_min_epu32(abs_bits(bits), set_bits(GX_BF16_ABS_MAX));
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(a, 16), set_bits(1));
    a = _mm256_add_epi32(a, _mm256_add_epi32(odd, set_bits(0x7fff)));
    a = _mm256_or_si256(a, _mm256_and_si256(bits, set_bits(GX_FP32_SIGN)));
    return _mm256_srli_epi32(a, 16);
}

AVX2 static bool bf16_encode(uint8_t *dst, const float *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += BLOCK, dst += GX_BF16_BLOCK_BYTES) {
        if (abs_bits_max(src) >= GX_FP32_INF)
            return false;
        for (uint32_t i = 0; i < BLOCK; i += 16)
            store(dst + 2 * i, pack16(bf16_round(load(src + i)), bf16_round(load(src + i + 8))));
    }
    return true;
}

AVX2 static void bf16_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    for (uint64_t i = 0; i < block_count * BLOCK; i += 8) {
        __m128i in = _mm_loadu_si128((const __m128i *)(src + 2 * i));
        store(dst + i, _mm256_slli_epi32(_mm256_cvtepu16_epi32(in), 16));
    }
}

/* The current rounding mode is nearest even, as in plain.c. */
INLINE __m256i int8_round(const float *src, __m256 low, __m256 high)
{
    __m256 v = _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(src), low), high);
    __m256i q = _mm256_min_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(GX_INT8_MAX));
    return _mm256_max_epi32(q, _mm256_set1_epi32(-GX_INT8_MAX));
}

AVX2 static bool int8_encode(uint8_t *dst, const float *src, uint64_t block_count)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (; block_count; block_count--, src += BLOCK, dst += GX_INT8_BLOCK_BYTES) {
        uint32_t max = abs_bits_max(src), inverse[2];
        if (max >= GX_FP32_INF)
            return false;
        uint32_t scale = gx_int8_scale(max);
        gx_int8_inverse_bits(scale, inverse);
        __m256 low = _mm256_castsi256_ps(set_bits(inverse[0]));
        __m256 high = _mm256_castsi256_ps(set_bits(inverse[1]));
        dst[0] = (uint8_t)scale;
        for (uint32_t i = 0; i < BLOCK; i += 32) {
            __m256i a = _mm256_packs_epi32(int8_round(src + i, low, high),
                                           int8_round(src + i + 8, low, high));
            __m256i b = _mm256_packs_epi32(int8_round(src + i + 16, low, high),
                                           int8_round(src + i + 24, low, high));
            store(dst + 1 + i, _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order));
        }
    }
    return true;
}

AVX2 static void int8_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += GX_INT8_BLOCK_BYTES, dst += BLOCK) {
        __m256 step = _mm256_castsi256_ps(set_bits(gx_int8_step_bits(src[0])));
        for (uint32_t i = 0; i < BLOCK; i += 8) {
            __m128i q = _mm_loadl_epi64((const __m128i *)(src + 1 + i));
            __m256 v = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q));
            _mm256_storeu_ps(dst + i, _mm256_mul_ps(v, step));
        }
    }
}

INLINE __m256i e3m0_code(__m256i scale, const float *src)
{
    __m256i bits = load(src), zero = set_bits(GX_E3M0_ZERO);
    __m256i e = _mm256_srli_epi32(_mm256_add_epi32(abs_bits(bits), set_bits(0x400000)), 23);
    __m256i c = _mm256_max_epi32(_mm256_sub_epi32(scale, e), _mm256_setzero_si256());
    __m256i is_zero = _mm256_or_si256(_mm256_cmpgt_epi32(c, set_bits(GX_E3M0_ZERO - 1)),
                                      _mm256_cmpeq_epi32(e, _mm256_setzero_si256()));
    __m256i sign = _mm256_and_si256(_mm256_srli_epi32(bits, 28), set_bits(8));
    return _mm256_blendv_epi8(_mm256_or_si256(c, sign), zero, is_zero);
}

INLINE __m256i e3m0_pair(__m256i scale, const float *src)
{
    return _mm256_or_si256(e3m0_code(scale, src),
                           _mm256_slli_epi32(e3m0_code(scale, src + BLOCK / 2), 4));
}

AVX2 static bool e3m0_encode(uint8_t *dst, const float *src, uint64_t block_count)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (; block_count; block_count--, src += BLOCK, dst += GX_E3M0_BLOCK_BYTES) {
        uint32_t max = abs_bits_max(src);
        if (max >= GX_FP32_INF)
            return false;
        dst[0] = (uint8_t)gx_e3m0_scale(max);
        __m256i scale = set_bits(dst[0]);
        for (uint32_t i = 0; i < BLOCK / 2; i += 32) {
            __m256i a =
                _mm256_packs_epi32(e3m0_pair(scale, src + i), e3m0_pair(scale, src + i + 8));
            __m256i b =
                _mm256_packs_epi32(e3m0_pair(scale, src + i + 16), e3m0_pair(scale, src + i + 24));
            store(dst + 1 + i, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), order));
        }
    }
    return true;
}

/* Each lane holds a code in its low four bits; magnitudes by table, then the sign unless the value
 * is 0. */
INLINE __m256i e3m0_values(__m256i codes, __m256i magnitudes)
{
    __m256i m = _mm256_permutevar8x32_epi32(magnitudes, codes);
    __m256i sign = _mm256_and_si256(_mm256_slli_epi32(codes, 28), set_bits(GX_FP32_SIGN));
    __m256i is_zero = _mm256_cmpeq_epi32(m, _mm256_setzero_si256());
    return _mm256_or_si256(m, _mm256_andnot_si256(is_zero, sign));
}

AVX2 static void e3m0_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += GX_E3M0_BLOCK_BYTES, dst += BLOCK) {
        uint32_t bits[8];
        for (uint32_t c = 0; c < 8; c++)
            bits[c] = gx_e3m0_magnitude_bits(src[0], c);
        __m256i magnitudes = load(bits);
        for (uint32_t i = 0; i < BLOCK / 2; i += 8) {
            __m256i pair = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(src + 1 + i)));
            store(dst + i, e3m0_values(pair, magnitudes));
            store(dst + BLOCK / 2 + i, e3m0_values(_mm256_srli_epi32(pair, 4), magnitudes));
        }
    }
}

AVX2 static void values_accumulate(float *acc, const float *values, uint64_t block_count,
                                   float scale)
{
    const __m256 s = _mm256_set1_ps(scale);
    for (uint64_t i = 0; i < block_count * BLOCK; i += 8) {
        __m256 product = _mm256_mul_ps(s, _mm256_loadu_ps(values + i));
        _mm256_storeu_ps(acc + i, _mm256_add_ps(_mm256_loadu_ps(acc + i), product));
    }
}

AVX2 static void values_scale(float *acc, const float *values, uint64_t block_count, float scale)
{
    const __m256 s = _mm256_set1_ps(scale);
    for (uint64_t i = 0; i < block_count * BLOCK; i += 8) {
        __m256 product = _mm256_mul_ps(s, _mm256_loadu_ps(values + i));
        _mm256_storeu_ps(acc + i, _mm256_add_ps(_mm256_setzero_ps(), product));
    }
}

const struct gx_format_kernel gx_format_avx2 = {
    .name = "avx2",
    .encode = {NULL, bf16_encode, int8_encode, e3m0_encode},
    .decode = {NULL, bf16_decode, int8_decode, e3m0_decode},
    .accumulate = values_accumulate,
    .scale = values_scale,
    .finite_fp32 = finite_fp32,
    .finite_bf16 = finite_bf16,
};
#endif
