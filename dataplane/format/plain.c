/* The formats in plain C: what every other kernel must equal. The inner loops run over a fixed 128
 * values, so that compilers vectorise them without being told more. */
#include "format/kernel.h"

#define BLOCK GX_FORMAT_BLOCK_VALUES
#define INLINE static inline __attribute__((always_inline))

static uint32_t fp32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static float fp32_from(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t abs_bits_max(const float *src)
{
    uint32_t max = 0;
    for (uint32_t i = 0; i < BLOCK; i++) {
        uint32_t a = fp32_bits(src[i]) & GX_FP32_ABS;
        max = a > max ? a : max;
    }
    return max;
}

static bool finite_fp32(const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += 4 * BLOCK) {
        float values[BLOCK];
        memcpy(values, src, sizeof(values));
        if (abs_bits_max(values) >= GX_FP32_INF)
            return false;
    }
    return true;
}

static bool finite_bf16(const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += GX_BF16_BLOCK_BYTES) {
        uint16_t values[BLOCK], max = 0;
        memcpy(values, src, sizeof(values));
        for (uint32_t i = 0; i < BLOCK; i++) {
            uint16_t a = (uint16_t)(values[i] & 0x7fff);
            max = a > max ? a : max;
        }
        if (max >= GX_FP32_INF >> 16)
            return false;
    }
    return true;
}

static bool bf16_encode(uint8_t *dst, const float *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += BLOCK, dst += GX_BF16_BLOCK_BYTES) {
        uint16_t out[BLOCK];
        if (abs_bits_max(src) >= GX_FP32_INF)
            return false;
        for (uint32_t i = 0; i < BLOCK; i++) {
            uint32_t bits = fp32_bits(src[i]), a = bits & GX_FP32_ABS;
            a = a < GX_BF16_ABS_MAX ? a : GX_BF16_ABS_MAX;
            a += 0x7fff + (a >> 16 & 1);
            out[i] = (uint16_t)((a | (bits & GX_FP32_SIGN)) >> 16);
        }
        memcpy(dst, out, sizeof(out));
    }
    return true;
}

static void bf16_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += GX_BF16_BLOCK_BYTES, dst += BLOCK) {
        uint16_t in[BLOCK];
        memcpy(in, src, sizeof(in));
        for (uint32_t i = 0; i < BLOCK; i++)
            dst[i] = fp32_from((uint32_t)in[i] << 16);
    }
}

static bool int8_encode(uint8_t *dst, const float *src, uint64_t block_count)
{
    /* Added to a small number, 1.5 * 2^23 leaves its nearest integer, ties to even, in the low
     * bits. */
    const float magic = 12582912.0f;
    for (; block_count; block_count--, src += BLOCK, dst += GX_INT8_BLOCK_BYTES) {
        uint32_t max = abs_bits_max(src), inverse[2];
        if (max >= GX_FP32_INF)
            return false;
        uint32_t scale = gx_int8_scale(max);
        gx_int8_inverse_bits(scale, inverse);
        float low = fp32_from(inverse[0]), high = fp32_from(inverse[1]);
        dst[0] = (uint8_t)scale;
        for (uint32_t i = 0; i < BLOCK; i++) {
            float rounded = src[i] * low * high + magic;
            int32_t q = (int32_t)(fp32_bits(rounded) - fp32_bits(magic));
            q = q < GX_INT8_MAX ? q : GX_INT8_MAX;
            q = q > -GX_INT8_MAX ? q : -GX_INT8_MAX;
            dst[1 + i] = (uint8_t)q;
        }
    }
    return true;
}

static void int8_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += GX_INT8_BLOCK_BYTES, dst += BLOCK) {
        float step = fp32_from(gx_int8_step_bits(src[0]));
        for (uint32_t i = 0; i < BLOCK; i++)
            dst[i] = (float)(int8_t)src[1 + i] * step;
    }
}

static uint32_t e3m0_code(uint32_t scale, float value)
{
    uint32_t bits = fp32_bits(value), e = gx_e3m0_exponent(bits & GX_FP32_ABS);
    uint32_t c = scale > e ? scale - e : 0;
    return c >= GX_E3M0_ZERO || e == 0 ? GX_E3M0_ZERO : c | (bits >> 31) << 3;
}

static bool e3m0_encode(uint8_t *dst, const float *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += BLOCK, dst += GX_E3M0_BLOCK_BYTES) {
        uint32_t max = abs_bits_max(src);
        if (max >= GX_FP32_INF)
            return false;
        uint32_t scale = gx_e3m0_scale(max);
        dst[0] = (uint8_t)scale;
        for (uint32_t i = 0; i < BLOCK / 2; i++)
            dst[1 + i] =
                (uint8_t)(e3m0_code(scale, src[i]) | e3m0_code(scale, src[BLOCK / 2 + i]) << 4);
    }
    return true;
}

static void e3m0_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    for (; block_count; block_count--, src += GX_E3M0_BLOCK_BYTES, dst += BLOCK) {
        float values[16];
        for (uint32_t c = 0; c < 8; c++) {
            uint32_t bits = gx_e3m0_magnitude_bits(src[0], c);
            values[c] = fp32_from(bits);
            values[8 + c] = fp32_from(bits ? bits | GX_FP32_SIGN : 0);
        }
        for (uint32_t i = 0; i < BLOCK / 2; i++) {
            dst[i] = values[src[1 + i] & 15];
            dst[BLOCK / 2 + i] = values[src[1 + i] >> 4];
        }
    }
}

/* The definition: decode, multiply, add, in this order. */
INLINE void mean(float *dst, const struct gx_format_cohort *cohort, uint64_t first_block,
                 uint64_t block_count, gx_format_decode_fn *decode, uint32_t block_bytes)
{
    for (uint64_t block = first_block; block < first_block + block_count; block++, dst += BLOCK) {
        float sums[BLOCK] = {0}, values[BLOCK];
        for (uint32_t m = 0; m < cohort->member_count; m++) {
            float scale = cohort->scales[m];
            decode(values, (const uint8_t *)cohort->members[m] + block * block_bytes, 1);
            for (uint32_t i = 0; i < BLOCK; i++) {
                float product = scale * values[i];
                sums[i] += product;
            }
        }
        memcpy(dst, sums, sizeof(sums));
    }
}

static void fp32_decode(float *dst, const uint8_t *src, uint64_t block_count)
{
    memcpy(dst, src, block_count * BLOCK * sizeof(float));
}

#define MEAN(format, block_bytes)                                                                  \
    static void format##_mean(float *dst, const struct gx_format_cohort *cohort,                   \
                              uint64_t first_block, uint64_t block_count)                          \
    {                                                                                              \
        mean(dst, cohort, first_block, block_count, format##_decode, block_bytes);                 \
    }
MEAN(fp32, 4 * BLOCK)
MEAN(bf16, GX_BF16_BLOCK_BYTES)
MEAN(int8, GX_INT8_BLOCK_BYTES)
MEAN(e3m0, GX_E3M0_BLOCK_BYTES)

const struct gx_format_kernel gx_format_plain = {
    .name = "plain",
    .encode = {NULL, bf16_encode, int8_encode, e3m0_encode},
    .decode = {NULL, bf16_decode, int8_decode, e3m0_decode},
    .mean = {fp32_mean, bf16_mean, int8_mean, e3m0_mean},
    .finite_fp32 = finite_fp32,
    .finite_bf16 = finite_bf16,
};
