/* The formats in AVX2; equals plain.c byte for byte. */
#ifdef __x86_64__
#include "format/kernel.h"

#include <immintrin.h>

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
        GX_FORMAT_PREFETCH(src, GX_FORMAT_READ_AHEAD_BYTES, 0);
        if (abs_bits_max(src) >= GX_FP32_INF)
            return false;
        for (uint32_t i = 0; i < BLOCK; i += 16)
            store(dst + 2 * i, pack16(bf16_round(load(src + i)), bf16_round(load(src + i + 8))));
    }
    return true;
}

INLINE __m256 bf16_values(const uint8_t *src)
{
    __m128i in = _mm_loadu_si128((const __m128i *)src);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(in), 16));
}

AVX2 static void bf16_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += GX_BF16_BLOCK_BYTES, dst += BLOCK) {
        GX_FORMAT_PREFETCH(dst, GX_FORMAT_WRITE_AHEAD_BYTES, 1);
        for (uint32_t i = 0; i < BLOCK; i += 8)
            _mm256_storeu_ps(dst + i, bf16_values(src + 2 * i));
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
        GX_FORMAT_PREFETCH(src, GX_FORMAT_READ_AHEAD_BYTES, 0);
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

INLINE __m256 int8_quotients(const uint8_t *src)
{
    __m128i q = _mm_loadl_epi64((const __m128i *)src);
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q));
}

AVX2 static void int8_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += GX_INT8_BLOCK_BYTES, dst += BLOCK) {
        GX_FORMAT_PREFETCH(dst, GX_FORMAT_WRITE_AHEAD_BYTES, 1);
        __m256 step = _mm256_castsi256_ps(set_bits(gx_int8_step_bits(src[0])));
        for (uint32_t i = 0; i < BLOCK; i += 8)
            _mm256_storeu_ps(dst + i, _mm256_mul_ps(int8_quotients(src + 1 + i), step));
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
        GX_FORMAT_PREFETCH(src, GX_FORMAT_READ_AHEAD_BYTES, 0);
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

/* The magnitudes of the codes 0 to 7 under a scale. */
INLINE __m256i e3m0_magnitudes(uint32_t scale)
{
    const __m256i c = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 256);
    __m256i e = _mm256_max_epi32(_mm256_sub_epi32(set_bits(scale), c), _mm256_setzero_si256());
    return _mm256_slli_epi32(e, 23);
}

/* 8 bytes of two codes each, one a lane; a look-up takes the low three bits of a lane. */
INLINE __m256i e3m0_pairs(const uint8_t *src)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)src));
}

AVX2 static void e3m0_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += GX_E3M0_BLOCK_BYTES, dst += BLOCK) {
        GX_FORMAT_PREFETCH(dst, GX_FORMAT_WRITE_AHEAD_BYTES, 1);
        __m256i magnitudes = e3m0_magnitudes(src[0]);
        for (uint32_t i = 0; i < BLOCK / 2; i += 8) {
            __m256i pairs = e3m0_pairs(src + 1 + i);
            store(dst + i, e3m0_values(pairs, magnitudes));
            store(dst + BLOCK / 2 + i, e3m0_values(_mm256_srli_epi32(pairs, 4), magnitudes));
        }
    }
}

/* The sums of 64 values, half of a block: they stay in registers while the members pass by. One by
 * one, since gcc -O2 would keep an array of them in memory. */
struct sums {
    __m256 v0, v1, v2, v3, v4, v5, v6, v7;
};
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define ADD(i, product) sums->v##i = _mm256_add_ps(sums->v##i, product);

/* Add half `half` (0, 1) of a member's block. */
INLINE void fp32_add(struct sums *sums, const uint8_t *src, uint32_t half, float scale)
{
    const __m256 s = _mm256_set1_ps(scale);
    const float *values = (const float *)(const void *)(src + 256 * half);
#define ADD_FP32(i) ADD(i, _mm256_mul_ps(s, _mm256_loadu_ps(values + 8 * (i))))
    EACH(ADD_FP32)
}

INLINE void bf16_add(struct sums *sums, const uint8_t *src, uint32_t half, float scale)
{
    const __m256 s = _mm256_set1_ps(scale);
    src += 128 * half;
#define ADD_BF16(i) ADD(i, _mm256_mul_ps(s, bf16_values(src + 16 * (i))))
    EACH(ADD_BF16)
}

INLINE void int8_add(struct sums *sums, const uint8_t *src, uint32_t half, float scale)
{
    const uint8_t *q = src + 1 + 64 * half;
    float factor;
    if (gx_int8_fold(src[0], scale, &factor)) {
        const __m256 f = _mm256_set1_ps(factor);
#define ADD_FOLDED(i) ADD(i, _mm256_mul_ps(f, int8_quotients(q + 8 * (i))))
        EACH(ADD_FOLDED)
    } else {
        const __m256 s = _mm256_set1_ps(scale);
        const __m256 step = _mm256_castsi256_ps(set_bits(gx_int8_step_bits(src[0])));
#define ADD_INT8(i) ADD(i, _mm256_mul_ps(s, _mm256_mul_ps(step, int8_quotients(q + 8 * (i)))))
        EACH(ADD_INT8)
    }
}

/* The products are looked up, not the values. */
INLINE __m256 e3m0_products(__m256i codes, __m256 products)
{
    __m256i sign = _mm256_and_si256(_mm256_slli_epi32(codes, 28), set_bits(GX_FP32_SIGN));
    __m256 p = _mm256_permutevar8x32_ps(products, codes);
    return _mm256_xor_ps(p, _mm256_castsi256_ps(sign));
}

INLINE void e3m0_add(struct sums *sums, const uint8_t *src, uint32_t half, float scale)
{
    const __m256 magnitudes = _mm256_castsi256_ps(e3m0_magnitudes(src[0]));
    const __m256 products = _mm256_mul_ps(_mm256_set1_ps(scale), magnitudes);
    src += 1 + 32 * half;
#define ADD_E3M0(low, high)                                                                        \
    {                                                                                              \
        __m256i pairs = e3m0_pairs(src + 8 * (low));                                               \
        ADD(low, e3m0_products(pairs, products))                                                   \
        ADD(high, e3m0_products(_mm256_srli_epi32(pairs, 4), products))                            \
    }
    ADD_E3M0(0, 4)
    ADD_E3M0(1, 5)
    ADD_E3M0(2, 6)
    ADD_E3M0(3, 7)
}

INLINE void sums_store(const struct sums *sums, float *low, float *high)
{
    _mm256_storeu_ps(low, sums->v0);
    _mm256_storeu_ps(low + 8, sums->v1);
    _mm256_storeu_ps(low + 16, sums->v2);
    _mm256_storeu_ps(low + 24, sums->v3);
    _mm256_storeu_ps(high, sums->v4);
    _mm256_storeu_ps(high + 8, sums->v5);
    _mm256_storeu_ps(high + 16, sums->v6);
    _mm256_storeu_ps(high + 24, sums->v7);
}

/* `apart`: how many values lie from sum 0 to sum 4. */
#define MEAN(format, block_bytes, apart)                                                           \
    AVX2 static void format##_mean(float *dst, const struct gx_format_cohort *cohort,              \
                                   uint64_t first_block, uint64_t block_count)                     \
    {                                                                                              \
        uint64_t at = first_block * (block_bytes);                                                 \
        for (; block_count; block_count--, at += (block_bytes), dst += BLOCK) {                    \
            GX_FORMAT_PREFETCH(dst, GX_FORMAT_WRITE_AHEAD_BYTES, 1);                               \
            for (uint32_t half = 0; half < 2; half++) {                                            \
                struct sums sums = {EACH(ZERO)};                                                   \
                float *low = dst + half * (BLOCK - (apart) == 64 ? 32 : 64);                       \
                for (uint32_t m = 0; m < cohort->member_count; m++)                                \
                    format##_add(&sums, (const uint8_t *)cohort->members[m] + at, half,            \
                                 cohort->scales[m]);                                               \
                sums_store(&sums, low, low + (apart));                                             \
            }                                                                                      \
        }                                                                                          \
    }
#define ZERO(i) _mm256_setzero_ps(),
MEAN(fp32, 4 * BLOCK, 32)
MEAN(bf16, GX_BF16_BLOCK_BYTES, 32)
MEAN(int8, GX_INT8_BLOCK_BYTES, 32)
MEAN(e3m0, GX_E3M0_BLOCK_BYTES, 64)

const struct gx_format_kernel gx_format_avx2 = {
    .name = "avx2",
    .encode = {NULL, bf16_encode, int8_encode, e3m0_encode},
    .decode = {NULL, bf16_decode, int8_decode, e3m0_decode},
    .mean = {fp32_mean, bf16_mean, int8_mean, e3m0_mean},
    .finite_fp32 = finite_fp32,
    .finite_bf16 = finite_bf16,
};
#endif
