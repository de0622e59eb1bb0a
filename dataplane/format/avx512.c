/* The formats in AVX-512 (F, BW, VL); equals plain.c byte for byte. VCVTNEPS2BF16 is of no use: it
 * flushes subnormals. */
#ifdef __x86_64__
#include "format/kernel.h"

#include <immintrin.h>

#define BLOCK GX_FORMAT_BLOCK_VALUES
#define TARGET target("avx512f,avx512bw,avx512vl")
#define AVX512 __attribute__((TARGET))
#define INLINE static inline __attribute__((TARGET, always_inline))

INLINE __m512i set_bits(uint32_t bits)
{
    return _mm512_set1_epi32((int)bits);
}

INLINE __m512i abs_bits(__m512i bits)
{
    return _mm512_and_si512(bits, set_bits(GX_FP32_ABS));
}

INLINE __m512i abs_bits_most(__m512i max, const void *src)
{
    for (uint32_t i = 0; i < BLOCK; i += 16)
        max = _mm512_max_epu32(max, abs_bits(_mm512_loadu_si512((const uint8_t *)src + 4 * i)));
    return max;
}

INLINE uint32_t abs_bits_max(const void *src)
{
    return _mm512_reduce_max_epu32(abs_bits_most(_mm512_setzero_si512(), src));
}

/* One answer for all: no block's maximum is of interest. */
AVX512 static bool finite_fp32(const uint8_t *src, uint64_t block_count)
{
    __m512i max = _mm512_setzero_si512();
    for (; block_count; block_count--, src += 4 * BLOCK)
        max = abs_bits_most(max, src);
    return _mm512_reduce_max_epu32(max) < GX_FP32_INF;
}

AVX512 static bool finite_bf16(const uint8_t *src, uint64_t block_count)
{
    const __m512i mask = _mm512_set1_epi16(0x7fff), limit = _mm512_set1_epi16(0x7f7f);
    for (; block_count; block_count--, src += GX_BF16_BLOCK_BYTES) {
        __mmask32 over = 0;
        for (uint32_t i = 0; i < BLOCK; i += 32) {
            __m512i a = _mm512_and_si512(_mm512_loadu_si512(src + 2 * i), mask);
            over |= _mm512_cmpgt_epu16_mask(a, limit);
        }
        if (over)
            return false;
    }
    return true;
}

AVX512 static bool bf16_encode(uint8_t *dst, const float *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += BLOCK, dst += GX_BF16_BLOCK_BYTES) {
        GX_FORMAT_PREFETCH(src, GX_FORMAT_READ_AHEAD_BYTES, 0);
        if (abs_bits_max(src) >= GX_FP32_INF)
            return false;
        for (uint32_t i = 0; i < BLOCK; i += 16) {
            __m512i bits = _mm512_loadu_si512(src + i);
            __m512i a = _mm512_min_epu32(abs_bits(bits), set_bits(GX_BF16_ABS_MAX));
            __m512i odd = _mm512_and_si512(_mm512_srli_epi32(a, 16), set_bits(1));
            a = _mm512_add_epi32(a, _mm512_add_epi32(odd, set_bits(0x7fff)));
            a = _mm512_or_si512(a, _mm512_and_si512(bits, set_bits(GX_FP32_SIGN)));
            __m256i out = _mm512_cvtepi32_epi16(_mm512_srli_epi32(a, 16));
            _mm256_storeu_si256((__m256i *)(dst + 2 * i), out);
        }
    }
    return true;
}

INLINE __m512 bf16_values(const uint8_t *src)
{
    __m256i in = _mm256_loadu_si256((const __m256i *)src);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(in), 16));
}

AVX512 static void bf16_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += GX_BF16_BLOCK_BYTES, dst += BLOCK) {
        GX_FORMAT_PREFETCH(dst, GX_FORMAT_WRITE_AHEAD_BYTES, 1);
        for (uint32_t i = 0; i < BLOCK; i += 16)
            _mm512_storeu_ps(dst + i, bf16_values(src + 2 * i));
    }
}

AVX512 static bool int8_encode(uint8_t *dst, const float *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += BLOCK, dst += GX_INT8_BLOCK_BYTES) {
        GX_FORMAT_PREFETCH(src, GX_FORMAT_READ_AHEAD_BYTES, 0);
        uint32_t max = abs_bits_max(src), inverse[2];
        if (max >= GX_FP32_INF)
            return false;
        uint32_t scale = gx_int8_scale(max);
        gx_int8_inverse_bits(scale, inverse);
        __m512 low = _mm512_castsi512_ps(set_bits(inverse[0]));
        __m512 high = _mm512_castsi512_ps(set_bits(inverse[1]));
        dst[0] = (uint8_t)scale;
        for (uint32_t i = 0; i < BLOCK; i += 16) {
            __m512 v = _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(src + i), low), high);
            __m512i q = _mm512_min_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(GX_INT8_MAX));
            q = _mm512_max_epi32(q, _mm512_set1_epi32(-GX_INT8_MAX));
            _mm_storeu_si128((__m128i *)(dst + 1 + i), _mm512_cvtepi32_epi8(q));
        }
    }
    return true;
}

INLINE __m512 int8_quotients(const uint8_t *src)
{
    __m128i q = _mm_loadu_si128((const __m128i *)src);
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q));
}

AVX512 static void int8_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += GX_INT8_BLOCK_BYTES, dst += BLOCK) {
        GX_FORMAT_PREFETCH(dst, GX_FORMAT_WRITE_AHEAD_BYTES, 1);
        __m512 step = _mm512_castsi512_ps(set_bits(gx_int8_step_bits(src[0])));
        for (uint32_t i = 0; i < BLOCK; i += 16)
            _mm512_storeu_ps(dst + i, _mm512_mul_ps(int8_quotients(src + 1 + i), step));
    }
}

INLINE __m512i e3m0_code(__m512i scale, const float *src)
{
    __m512i bits = _mm512_loadu_si512(src), zero = set_bits(GX_E3M0_ZERO);
    __m512i e = _mm512_srli_epi32(_mm512_add_epi32(abs_bits(bits), set_bits(0x400000)), 23);
    __m512i c = _mm512_max_epi32(_mm512_sub_epi32(scale, e), _mm512_setzero_si512());
    __mmask16 is_zero =
        (__mmask16)(_mm512_cmpge_epi32_mask(c, zero) | _mm512_testn_epi32_mask(e, e));
    __m512i sign = _mm512_and_si512(_mm512_srli_epi32(bits, 28), set_bits(8));
    return _mm512_mask_mov_epi32(_mm512_or_si512(c, sign), is_zero, zero);
}

AVX512 static bool e3m0_encode(uint8_t *dst, const float *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += BLOCK, dst += GX_E3M0_BLOCK_BYTES) {
        GX_FORMAT_PREFETCH(src, GX_FORMAT_READ_AHEAD_BYTES, 0);
        uint32_t max = abs_bits_max(src);
        if (max >= GX_FP32_INF)
            return false;
        dst[0] = (uint8_t)gx_e3m0_scale(max);
        __m512i scale = set_bits(dst[0]);
        for (uint32_t i = 0; i < BLOCK / 2; i += 16) {
            __m512i high = _mm512_slli_epi32(e3m0_code(scale, src + BLOCK / 2 + i), 4);
            __m512i pair = _mm512_or_si512(e3m0_code(scale, src + i), high);
            _mm_storeu_si128((__m128i *)(dst + 1 + i), _mm512_cvtepi32_epi8(pair));
        }
    }
    return true;
}

/* The values of the 16 codes under a scale. */
INLINE __m512 e3m0_table(uint32_t scale)
{
    const __m512i c = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 256, 0, 1, 2, 3, 4, 5, 6, 256);
    __m512i e = _mm512_max_epi32(_mm512_sub_epi32(set_bits(scale), c), _mm512_setzero_si512());
    __m512i bits = _mm512_slli_epi32(e, 23);
    __mmask16 negative = (__mmask16)(_mm512_test_epi32_mask(e, e) & 0xff00);
    return _mm512_castsi512_ps(_mm512_mask_or_epi32(bits, negative, bits, set_bits(GX_FP32_SIGN)));
}

/* 16 bytes of two codes each, one a lane; a look-up takes the low four bits of a lane. */
INLINE __m512i e3m0_pairs(const uint8_t *src)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)src));
}

AVX512 static void e3m0_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += GX_E3M0_BLOCK_BYTES, dst += BLOCK) {
        GX_FORMAT_PREFETCH(dst, GX_FORMAT_WRITE_AHEAD_BYTES, 1);
        __m512 table = e3m0_table(src[0]);
        for (uint32_t i = 0; i < BLOCK / 2; i += 16) {
            __m512i pairs = e3m0_pairs(src + 1 + i), high = _mm512_srli_epi32(pairs, 4);
            _mm512_storeu_ps(dst + i, _mm512_permutexvar_ps(pairs, table));
            _mm512_storeu_ps(dst + BLOCK / 2 + i, _mm512_permutexvar_ps(high, table));
        }
    }
}

/* A block's 128 sums: they stay in registers while the members pass by. One by one, since gcc -O2
 * would keep an array of them in memory. */
struct sums {
    __m512 v0, v1, v2, v3, v4, v5, v6, v7;
};
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define ADD(i, product) sums->v##i = _mm512_add_ps(sums->v##i, product);

INLINE void fp32_add(struct sums *sums, const uint8_t *src, float scale)
{
    const __m512 s = _mm512_set1_ps(scale);
#define ADD_FP32(i) ADD(i, _mm512_mul_ps(s, _mm512_loadu_ps(src + 64 * (i))))
    EACH(ADD_FP32)
}

INLINE void bf16_add(struct sums *sums, const uint8_t *src, float scale)
{
    const __m512 s = _mm512_set1_ps(scale);
#define ADD_BF16(i) ADD(i, _mm512_mul_ps(s, bf16_values(src + 32 * (i))))
    EACH(ADD_BF16)
}

INLINE void int8_add(struct sums *sums, const uint8_t *src, float scale)
{
    float factor;
    if (gx_int8_fold(src[0], scale, &factor)) {
        const __m512 f = _mm512_set1_ps(factor);
#define ADD_FOLDED(i) ADD(i, _mm512_mul_ps(f, int8_quotients(src + 1 + 16 * (i))))
        EACH(ADD_FOLDED)
    } else {
        const __m512 s = _mm512_set1_ps(scale);
        const __m512 step = _mm512_castsi512_ps(set_bits(gx_int8_step_bits(src[0])));
#define ADD_INT8(i)                                                                                \
    ADD(i, _mm512_mul_ps(s, _mm512_mul_ps(step, int8_quotients(src + 1 + 16 * (i)))))
        EACH(ADD_INT8)
    }
}

/* The products are looked up, not the values. */
INLINE void e3m0_add(struct sums *sums, const uint8_t *src, float scale)
{
    const __m512 products = _mm512_mul_ps(_mm512_set1_ps(scale), e3m0_table(src[0]));
#define ADD_E3M0(low, high)                                                                        \
    {                                                                                              \
        __m512i pairs = e3m0_pairs(src + 1 + 16 * (low));                                          \
        ADD(low, _mm512_permutexvar_ps(pairs, products))                                           \
        ADD(high, _mm512_permutexvar_ps(_mm512_srli_epi32(pairs, 4), products))                    \
    }
    ADD_E3M0(0, 4)
    ADD_E3M0(1, 5)
    ADD_E3M0(2, 6)
    ADD_E3M0(3, 7)
}

#define MEAN(format, block_bytes)                                                                  \
    AVX512 static void format##_mean(float *dst, const struct gx_format_cohort *cohort,            \
                                     uint64_t first_block, uint64_t block_count)                   \
    {                                                                                              \
        uint64_t at = first_block * (block_bytes);                                                 \
        for (; block_count; block_count--, at += (block_bytes), dst += BLOCK) {                    \
            struct sums sums = {EACH(ZERO)};                                                       \
            GX_FORMAT_PREFETCH(dst, GX_FORMAT_WRITE_AHEAD_BYTES, 1);                               \
            for (uint32_t m = 0; m < cohort->member_count; m++)                                    \
                format##_add(&sums, (const uint8_t *)cohort->members[m] + at, cohort->scales[m]);  \
            EACH(STORE)                                                                            \
        }                                                                                          \
    }
#define ZERO(i) _mm512_setzero_ps(),
#define STORE(i) _mm512_storeu_ps(dst + 16 * (i), sums.v##i);
MEAN(fp32, 4 * BLOCK)
MEAN(bf16, GX_BF16_BLOCK_BYTES)
MEAN(int8, GX_INT8_BLOCK_BYTES)
MEAN(e3m0, GX_E3M0_BLOCK_BYTES)

const struct gx_format_kernel gx_format_avx512 = {
    .name = "avx512",
    .encode = {NULL, bf16_encode, int8_encode, e3m0_encode},
    .decode = {NULL, bf16_decode, int8_decode, e3m0_decode},
    .mean = {fp32_mean, bf16_mean, int8_mean, e3m0_mean},
    .finite_fp32 = finite_fp32,
    .finite_bf16 = finite_bf16,
};
#endif
