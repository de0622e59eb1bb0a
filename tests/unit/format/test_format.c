/* The formats against docs/formats.md, with a reference written from its text in double precision.
 */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "format/format.h"
#include "tests/unit/format/values.h"

#define BLOCKS 2000u
#define COUNT (BLOCKS * 128u + 77u)
#define GUARD 0xa5

static const enum gx_format formats[] = {GX_FP32, GX_BF16, GX_INT8, GX_E3M0};

static float *fresh_values(uint64_t count)
{
    static uint64_t seed = 1;
    float *values = malloc(count * sizeof(float) + 1);
    assert_non_null(values);
    values_fill(values, count, seed++);
    return values;
}

static void *poisoned(size_t bytes)
{
    void *memory = malloc(bytes + 1);
    assert_non_null(memory);
    return memset(memory, GUARD, bytes + 1);
}

static uint8_t *encoded(enum gx_format format, const float *values, uint64_t count)
{
    uint64_t bytes = gx_wire_bytes(format, count);
    uint8_t *wire = poisoned(bytes);
    assert_int_equal(gx_encode(format, wire, values, count), 0);
    assert_int_equal(wire[bytes], GUARD);
    return wire;
}

static uint32_t abs_bits(float value)
{
    return float_bits(value) & 0x7fffffff;
}

/* ---- sizes and names
 * ----------------------------------------------------------------------------------- */

static void wire_bytes_follow_the_page(void **state)
{
    (void)state;
    assert_int_equal(gx_wire_bytes(GX_FP32, 0), 0);
    assert_int_equal(gx_wire_bytes(GX_FP32, 129), 516);
    assert_int_equal(gx_wire_bytes(GX_BF16, 129), 258);
    assert_int_equal(gx_wire_bytes(GX_INT8, 0), 0);
    assert_int_equal(gx_wire_bytes(GX_INT8, 1), 2);
    assert_int_equal(gx_wire_bytes(GX_INT8, 128), 129);
    assert_int_equal(gx_wire_bytes(GX_INT8, 129), 131);
    assert_int_equal(gx_wire_bytes(GX_E3M0, 0), 0);
    assert_int_equal(gx_wire_bytes(GX_E3M0, 1), 65);
    assert_int_equal(gx_wire_bytes(GX_E3M0, 128), 65);
    assert_int_equal(gx_wire_bytes(GX_E3M0, 129), 130);
}

static void wire_bytes_of_a_huge_count_do_not_wrap(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < GX_FORMAT_COUNT; f++) {
        assert_true(gx_wire_bytes(formats[f], UINT64_MAX) >= 1ull << 60);
        assert_true(gx_wire_bytes(formats[f], 1ull << 62) >= 1ull << 60);
    }
}

static void names_are_parsed_back(void **state)
{
    (void)state;
    enum gx_format format = GX_FP32;
    for (uint32_t f = 0; f < GX_FORMAT_COUNT; f++) {
        assert_int_equal(gx_format_parse(gx_format_name(formats[f]), &format), 0);
        assert_int_equal(format, formats[f]);
    }
    assert_int_equal(gx_format_parse("fp16", &format), -EINVAL);
    assert_int_equal(gx_format_parse("", &format), -EINVAL);
    assert_int_equal(format, GX_E3M0);
}

/* ---- fp32 and bf16
 * ------------------------------------------------------------------------------------- */

static void fp32_travels_as_it_lies(void **state)
{
    (void)state;
    float *values = fresh_values(COUNT), *back = poisoned(COUNT * sizeof(float));
    uint8_t *wire = encoded(GX_FP32, values, COUNT);
    assert_memory_equal(wire, values, COUNT * sizeof(float));
    gx_decode(GX_FP32, back, wire, COUNT);
    assert_memory_equal(back, values, COUNT * sizeof(float));
    free(values), free(back), free(wire);
}

/* The nearest of the two neighbours, by distance; of equally near ones the even; never an infinity.
 */
static uint16_t bf16_reference(float value)
{
    uint16_t low = (uint16_t)(abs_bits(value) >> 16), high = (uint16_t)(low + 1), nearest = low;
    double magnitude = fabs((double)value), at_low = float_from((uint32_t)low << 16);
    double at_high = float_from((uint32_t)high << 16);
    if (high < 0x7f80 && (at_high - magnitude < magnitude - at_low ||
                          (at_high - magnitude == magnitude - at_low && low % 2)))
        nearest = high;
    return (uint16_t)(nearest | (signbit(value) ? 0x8000 : 0));
}

static void bf16_is_the_nearest_even(void **state)
{
    (void)state;
    float *values = fresh_values(COUNT), *back = poisoned(COUNT * sizeof(float));
    uint8_t *wire = encoded(GX_BF16, values, COUNT);
    gx_decode(GX_BF16, back, wire, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t got = (uint32_t)wire[2 * i] | (uint32_t)wire[2 * i + 1] << 8;
        assert_int_equal(got, bf16_reference(values[i]));
        assert_int_equal(float_bits(back[i]), got << 16);
    }
    free(values), free(back), free(wire);
}

static void bf16_saturates_instead_of_overflowing(void **state)
{
    (void)state;
    const float values[] = {FLT_MAX, -FLT_MAX, float_from(0x7f7f7fff), float_from(0x7f7f8000)};
    uint16_t wire[4];
    assert_int_equal(gx_encode(GX_BF16, wire, values, 4), 0);
    assert_int_equal(wire[0], 0x7f7f);
    assert_int_equal(wire[1], 0xff7f);
    assert_int_equal(wire[2], 0x7f7f);
    assert_int_equal(wire[3], 0x7f7f);
}

/* ---- int8
 * ---------------------------------------------------------------------------------------------- */

/* The smallest E with which the largest magnitude rounds to at most 127 steps of 2^(E-133), and at
 * most 254. */
static int int8_reference_scale(const float *values, uint32_t count)
{
    double max = 0;
    for (uint32_t i = 0; i < count; i++)
        max = fmax(max, fabs((double)values[i]));
    int scale = 0;
    while (scale < 254 && nearbyint(ldexp(max, 133 - scale)) > 127)
        scale++;
    return scale;
}

static void int8_block_check(const uint8_t *block, const float *values, const float *back,
                             uint32_t count)
{
    int scale = int8_reference_scale(values, count);
    assert_int_equal(block[0], scale);
    for (uint32_t i = 0; i < count; i++) {
        double q = nearbyint(ldexp((double)values[i], 133 - scale));
        q = q > 127 ? 127 : q < -127 ? -127 : q;
        assert_int_equal((int8_t)block[1 + i], (int)q);
        float expected = (float)ldexp(q == 0 ? 0.0 : q, scale - 133);
        assert_int_equal(float_bits(back[i]), float_bits(expected));
        assert_true(isfinite(back[i]));
    }
}

static void int8_equals_the_reference(void **state)
{
    (void)state;
    float *values = fresh_values(COUNT), *back = poisoned(COUNT * sizeof(float));
    uint8_t *wire = encoded(GX_INT8, values, COUNT);
    gx_decode(GX_INT8, back, wire, COUNT);
    for (uint32_t b = 0; b <= BLOCKS; b++)
        int8_block_check(wire + 129 * b, values + 128 * b, back + 128 * b,
                         b < BLOCKS ? 128 : COUNT % 128);
    free(values), free(back), free(wire);
}

static void int8_near_the_largest_float_stays_finite(void **state)
{
    (void)state;
    const float values[] = {FLT_MAX, -FLT_MAX, 0x1p127f};
    uint8_t wire[4];
    float back[3];
    assert_int_equal(gx_encode(GX_INT8, wire, values, 3), 0);
    assert_int_equal(wire[0], 254);
    assert_int_equal((int8_t)wire[1], 127);
    assert_int_equal((int8_t)wire[2], -127);
    assert_int_equal((int8_t)wire[3], 64);
    gx_decode(GX_INT8, back, wire, 3);
    assert_true(back[0] == 127 * 0x1p121f && back[1] == -back[0] && back[2] == 0x1p127f);
}

static void int8_of_zeros_and_of_the_smallest_is_zero(void **state)
{
    (void)state;
    const float values[] = {0.0f, -0.0f, 0x1p-149f, -0x1p-149f, 0x1p-134f, 0x1.8p-133f};
    const uint8_t expected[] = {0, 0, 0, 0, 0, 0, 2};
    uint8_t wire[7];
    assert_int_equal(gx_encode(GX_INT8, wire, values, 6), 0);
    assert_memory_equal(wire, expected, sizeof(expected));
}

/* ---- e3m0
 * ---------------------------------------------------------------------------------------------- */

static void e3m0_block_check(const uint8_t *block, const float *values, const float *back,
                             uint32_t count)
{
    int e[128] = {0}, max = 0;
    for (uint32_t i = 0; i < count; i++) {
        e[i] = (int)((abs_bits(values[i]) + 0x400000) >> 23);
        max = e[i] > max ? e[i] : max;
    }
    int scale = max < 254 ? max : 254;
    assert_int_equal(block[0], scale);
    for (uint32_t i = 0; i < 128; i++) {
        int c = scale - e[i] < 0 ? 0 : scale - e[i] > 7 ? 7 : scale - e[i];
        bool zero = c == 7 || e[i] == 0;
        int code = zero ? 7 : c | (signbit(values[i < count ? i : 0]) ? 8 : 0);
        assert_int_equal(i < 64 ? block[1 + i] & 15 : block[1 + i - 64] >> 4, code);
        if (i < count) {
            float magnitude = zero ? 0.0f : (float)ldexp(1.0, scale - c - 127);
            float expected = !zero && signbit(values[i]) ? -magnitude : magnitude;
            assert_int_equal(float_bits(back[i]), float_bits(expected));
            assert_true(isfinite(back[i]));
        }
    }
}

static void e3m0_equals_the_reference(void **state)
{
    (void)state;
    float *values = fresh_values(COUNT), *back = poisoned(COUNT * sizeof(float));
    uint8_t *wire = encoded(GX_E3M0, values, COUNT);
    gx_decode(GX_E3M0, back, wire, COUNT);
    for (uint32_t b = 0; b <= BLOCKS; b++)
        e3m0_block_check(wire + 65 * b, values + 128 * b, back + 128 * b,
                         b < BLOCKS ? 128 : COUNT % 128);
    free(values), free(back), free(wire);
}

static void e3m0_rounds_ties_up(void **state)
{
    (void)state;
    const float values[] = {4.0f,  1.5f,      float_from(float_bits(1.5f) - 1),
                            -1.5f, 4.0f / 64, 4.0f / 128};
    float back[6];
    uint8_t wire[65];
    assert_int_equal(gx_encode(GX_E3M0, wire, values, 6), 0);
    gx_decode(GX_E3M0, back, wire, 6);
    assert_true(back[0] == 4.0f && back[1] == 2.0f && back[2] == 1.0f && back[3] == -2.0f);
    assert_true(back[4] == 4.0f / 64 && float_bits(back[5]) == 0);
}

static void e3m0_codes_that_no_encoder_makes_decode_to_plus_zero(void **state)
{
    (void)state;
    uint8_t wire[65];
    float back[128];
    memset(wire, 0xf3, sizeof(wire)); /* codes 3 (below exponent 1) and 15 (a negative zero) */
    wire[0] = 3;
    gx_decode(GX_E3M0, back, wire, 128);
    for (uint32_t i = 0; i < 128; i++)
        assert_int_equal(float_bits(back[i]), 0);
}

/* ---- every format
 * -------------------------------------------------------------------------------------- */

static void every_count_to_400_is_the_start_of_a_longer_one(void **state)
{
    (void)state;
    float *values = fresh_values(400);
    for (uint32_t f = 0; f < GX_FORMAT_COUNT; f++) {
        for (uint32_t count = 0; count <= 400; count++) {
            float padded[512] = {0}, whole[512], *back = poisoned(count * sizeof(float));
            memcpy(padded, values, count * sizeof(float));
            uint8_t *wire = encoded(formats[f], values, count);
            uint8_t *wire_padded = encoded(formats[f], padded, 512);
            assert_memory_equal(wire, wire_padded, gx_wire_bytes(formats[f], count));
            gx_decode(formats[f], back, wire, count);
            gx_decode(formats[f], whole, wire_padded, 512);
            assert_memory_equal(back, whole, count * sizeof(float));
            assert_int_equal(((uint8_t *)back)[count * sizeof(float)], GUARD);
            free(back), free(wire), free(wire_padded);
        }
    }
    free(values);
}

static void not_finite_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001};
    uint8_t *wire = poisoned(4 * 300);
    float *values = fresh_values(300);
    for (uint32_t f = 0; f < GX_FORMAT_COUNT; f++) {
        for (uint32_t i = 0; i < 300; i++) {
            float kept = values[i];
            values[i] = float_from(bad[i % 5]);
            assert_int_equal(gx_encode(formats[f], wire, values, 300), -EDOM);
            values[i] = kept;
        }
        assert_int_equal(gx_encode(formats[f], wire, values, 300), 0);
    }
    free(values), free(wire);
}

static void an_unknown_format_is_refused(void **state)
{
    (void)state;
    float value = 1;
    assert_int_equal(gx_encode(GX_FORMAT_COUNT, &value, &value, 1), -EINVAL);
    assert_string_equal(gx_format_name(GX_FORMAT_COUNT), "unknown");
}

/* ---- accumulation
 * -------------------------------------------------------------------------------------- */

/* What FP32 arithmetic gives, by way of double: the product of two floats is exact in double, and
 * rounding the sum of two floats first to double and then to float is harmless (Figueroa, 1995). */
static float rounded_product(float scale, float value)
{
    return (float)((double)scale * (double)value);
}

/* Members of fresh values, `shift` bytes off, and what the page says of their mean: decode, multiply, add, in double
 * precision rounded after each step. */
struct cohort {
    struct gx_format_cohort cohort;
    uint8_t *wires[GX_SITES_MAX];
    uint64_t count;
    float *expected;
};

static void cohort_make(struct cohort *c, enum gx_format format, uint32_t member_count,
                        uint64_t count, uint32_t shift)
{
    float *decoded = poisoned(count * sizeof(float));
    c->cohort = (struct gx_format_cohort){.format = format, .member_count = member_count};
    c->count = count;
    c->expected = calloc(count, sizeof(float));
    assert_non_null(c->expected);
    for (uint32_t m = 0; m < member_count; m++) {
        static const float scales[] = {0x1.555556p-2f, 0x1p-3f, 0x1.fffffep-2f, 0x1p-41f, 0.0f};
        uint64_t bytes = gx_wire_bytes(format, count);
        float *values = fresh_values(count), scale = scales[m % 5];
        for (uint64_t i = 0; i < count; i++)
            values[i] *= 0.125f; /* room, so that no sum overflows */
        c->wires[m] = poisoned(bytes + shift);
        assert_int_equal(gx_encode(format, c->wires[m] + shift, values, count), 0);
        gx_decode(format, decoded, c->wires[m] + shift, count);
        for (uint64_t i = 0; i < count; i++)
            c->expected[i] =
                (float)((double)c->expected[i] + (double)rounded_product(scale, decoded[i]));
        c->cohort.members[m] = c->wires[m] + shift;
        c->cohort.scales[m] = scale;
        free(values);
    }
    free(decoded);
}

static void cohort_free(struct cohort *c)
{
    for (uint32_t m = 0; m < c->cohort.member_count; m++)
        free(c->wires[m]);
    free(c->expected);
}

static void a_mean_rounds_each_product_then_each_sum(void **state)
{
    (void)state;
    float *mean = poisoned(COUNT * sizeof(float));
    for (uint32_t f = 0; f < GX_FORMAT_COUNT; f++)
        for (uint32_t members = 1; members <= 7; members += 3) {
            struct cohort c;
            cohort_make(&c, formats[f], members, COUNT, f + members);
            memset(mean, 0xff, COUNT * sizeof(float));
            gx_format_mean(&c.cohort, mean, 0, COUNT);
            assert_memory_equal(mean, c.expected, COUNT * sizeof(float));
            assert_int_equal(((uint8_t *)mean)[COUNT * sizeof(float)], GUARD);
            cohort_free(&c);
        }
    free(mean);
}

static void a_fused_multiply_add_would_be_noticed(void **state)
{
    (void)state;
    /* (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24: the product loses its last bit; a fused sum with -(1 +
     * 2^-11) keeps it. */
    float first[128], second[128], mean[128];
    for (uint32_t i = 0; i < 128; i++) {
        first[i] = -(1.0f + 0x1p-11f);
        second[i] = 1.0f + 0x1p-12f;
    }
    gx_format_mean(&(struct gx_format_cohort){GX_FP32, 2, {first, second}, {1.0f, 1.0f + 0x1p-12f}},
                   mean, 0, 128);
    for (uint32_t i = 0; i < 128; i++)
        assert_int_equal(float_bits(mean[i]), 0);
}

static void a_mean_has_no_negative_zeros(void **state)
{
    (void)state;
    float values[200], mean[200];
    uint8_t wire[sizeof(values)];
    for (uint32_t i = 0; i < 200; i++)
        values[i] = i % 2 ? -0.0f : -0x1p-149f;
    for (uint32_t f = 0; f < GX_FORMAT_COUNT; f++) {
        assert_int_equal(gx_encode(formats[f], wire, values, 200), 0);
        for (uint32_t members = 0; members <= 2; members++) {
            memset(mean, 0xff, sizeof(mean));
            gx_format_mean(
                &(struct gx_format_cohort){formats[f], members, {wire, wire}, {0.25f, 0.0f}}, mean,
                0, 200);
            for (uint32_t i = 0; i < 200; i++)
                assert_int_equal(float_bits(mean[i]), 0);
        }
    }
}

/* Steps of int8 and scales whose product is exact, subnormal, 0 or too large: the factor may be folded only where it is
 * exact. */
static void a_mean_of_every_scale_of_int8_is_the_same_as_decoded(void **state)
{
    (void)state;
    static const float scales[] = {1.0f,      0x1.555556p-2f, 0x1.fffffep-1f,
                                   0x1p-100f, 0x1.8p-130f,    0x1p-149f,
                                   0.0f,      2.0f,           0x1.8p6f};
    uint8_t wire[129];
    float decoded[128], mean[128];
    for (uint32_t i = 0; i < 128; i++)
        wire[1 + i] = (uint8_t)(2 * i % 255);
    for (uint32_t scale_byte = 0; scale_byte <= 254; scale_byte++) {
        wire[0] = (uint8_t)scale_byte;
        for (uint32_t i = 0; i < 128; i++)
            if (wire[1 + i] == 0x80)
                wire[1 + i] = 0x81;
        gx_decode(GX_INT8, decoded, wire, 128);
        for (uint32_t s = 0; s < sizeof(scales) / sizeof(scales[0]); s++) {
            gx_format_mean(&(struct gx_format_cohort){GX_INT8, 1, {wire}, {scales[s]}}, mean, 0,
                           128);
            for (uint32_t i = 0; i < 128; i++)
                assert_int_equal(float_bits(mean[i]),
                                 float_bits(0.0f + rounded_product(scales[s], decoded[i])));
        }
    }
}

static void pieces_of_a_mean_are_the_same_as_the_whole(void **state)
{
    (void)state;
    const uint64_t count = 128 * 9 + 50;
    float whole[128 * 9 + 50], pieces[128 * 9 + 50];
    for (uint32_t f = 0; f < GX_FORMAT_COUNT; f++) {
        struct cohort c;
        cohort_make(&c, formats[f], 3, count, 1);
        gx_format_mean(&c.cohort, whole, 0, count);
        for (uint64_t step = 128; step <= 512; step += 128) {
            memset(pieces, 0xff, sizeof(pieces));
            for (uint64_t first = 0; first < count; first += step) {
                uint64_t n = count - first < step ? count - first : step;
                gx_format_mean(&c.cohort, pieces + first, first, n);
            }
            assert_memory_equal(pieces, whole, sizeof(whole));
        }
        cohort_free(&c);
    }
}

/* ---- check
 * --------------------------------------------------------------------------------------------- */

/* Whether the pieces of `step` bytes are all right, asked one by one. */
static int pieces_check(enum gx_format format, const uint8_t *wire, uint64_t count, uint64_t step)
{
    uint64_t total = gx_wire_bytes(format, count);
    for (uint64_t at = 0; at < total; at += step) {
        uint64_t n = total - at < step ? total - at : step;
        int status = gx_format_check(format, wire, at, n, count);
        if (status)
            return status;
    }
    return 0;
}

static void check_accepts_what_encode_makes(void **state)
{
    (void)state;
    float *values = fresh_values(COUNT);
    for (uint32_t f = 0; f < GX_FORMAT_COUNT; f++) {
        uint8_t *wire = encoded(formats[f], values, COUNT);
        assert_int_equal(pieces_check(formats[f], wire, COUNT, UINT32_MAX), 0);
        assert_int_equal(pieces_check(formats[f], wire, COUNT, 65536), 0);
        assert_int_equal(pieces_check(formats[f], wire, COUNT, 4), 0);
        free(wire);
    }
    free(values);
}

/* Spoils one byte after another, and asks the reference whether that is to be refused. */
static void check_finds_bytes(enum gx_format format, uint8_t byte,
                              bool (*refused)(const uint8_t *wire, uint64_t at))
{
    const uint64_t count = 300;
    float values[300] = {0};
    for (uint32_t i = 0; i < 300; i++)
        values[i] = (float)(i % 7);
    uint8_t *wire = encoded(format, values, count);
    for (uint64_t at = 0; at < gx_wire_bytes(format, count); at++) {
        uint8_t kept = wire[at];
        wire[at] = byte;
        int expected = refused(wire, at) ? -EDOM : 0;
        assert_int_equal(pieces_check(format, wire, count, 65536), expected);
        assert_int_equal(pieces_check(format, wire, count, 12), expected);
        wire[at] = kept;
    }
    free(wire);
}

static bool int8_scale_refused(const uint8_t *wire, uint64_t at)
{
    (void)wire;
    return at % 129 == 0;
}

static bool int8_value_refused(const uint8_t *wire, uint64_t at)
{
    (void)wire;
    return at % 129 != 0;
}

static bool e3m0_scale_refused(const uint8_t *wire, uint64_t at)
{
    (void)wire;
    return at % 65 == 0;
}

static bool bf16_refused(const uint8_t *wire, uint64_t at)
{
    return (wire[at | 1] & 0x7f) == 0x7f && wire[at & ~1ull] & 0x80;
}

static bool fp32_refused(const uint8_t *wire, uint64_t at)
{
    const uint8_t *value = wire + (at & ~3ull);
    return (value[3] & 0x7f) == 0x7f && value[2] & 0x80;
}

static void check_refuses_scale_255_and_the_value_minus_128(void **state)
{
    (void)state;
    check_finds_bytes(GX_INT8, 255, int8_scale_refused);
    check_finds_bytes(GX_INT8, 0x80, int8_value_refused);
    check_finds_bytes(GX_E3M0, 255, e3m0_scale_refused);
}

static void check_refuses_what_is_not_finite(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xff800001};
    float values[300] = {0};
    uint16_t halves[300] = {0};
    check_finds_bytes(GX_BF16, 0xff, bf16_refused);
    check_finds_bytes(GX_FP32, 0xff, fp32_refused);
    for (uint32_t i = 0; i < 300; i++) {
        values[i] = float_from(bad[i % 4]);
        assert_int_equal(gx_format_check(GX_FP32, values, 0, 1200, 300), -EDOM);
        assert_int_equal(gx_format_check(GX_FP32, values, 4 * i, 4, 300), -EDOM);
        values[i] = FLT_MAX;
        halves[i] = (uint16_t)(bad[i % 4] >> 16);
        assert_int_equal(gx_format_check(GX_BF16, halves, 0, 600, 300), -EDOM);
        halves[i] = 0xff7f;
    }
    assert_int_equal(gx_format_check(GX_FP32, values, 0, 1200, 300), 0);
    assert_int_equal(gx_format_check(GX_BF16, halves, 0, 600, 300), 0);
}

static void check_refuses_bytes_beyond_the_end(void **state)
{
    (void)state;
    uint8_t wire[260] = {0};
    assert_int_equal(gx_format_check(GX_INT8, wire, 0, 131, 129), 0);
    assert_int_equal(gx_format_check(GX_INT8, wire, 0, 132, 129), -EDOM);
    assert_int_equal(gx_format_check(GX_INT8, wire, 132, 0, 129), -EDOM);
    assert_int_equal(gx_format_check(GX_INT8, wire, 4, UINT64_MAX, 129), -EDOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire_bytes_follow_the_page),
        cmocka_unit_test(wire_bytes_of_a_huge_count_do_not_wrap),
        cmocka_unit_test(names_are_parsed_back),
        cmocka_unit_test(fp32_travels_as_it_lies),
        cmocka_unit_test(bf16_is_the_nearest_even),
        cmocka_unit_test(bf16_saturates_instead_of_overflowing),
        cmocka_unit_test(int8_equals_the_reference),
        cmocka_unit_test(int8_near_the_largest_float_stays_finite),
        cmocka_unit_test(int8_of_zeros_and_of_the_smallest_is_zero),
        cmocka_unit_test(e3m0_equals_the_reference),
        cmocka_unit_test(e3m0_rounds_ties_up),
        cmocka_unit_test(e3m0_codes_that_no_encoder_makes_decode_to_plus_zero),
        cmocka_unit_test(every_count_to_400_is_the_start_of_a_longer_one),
        cmocka_unit_test(not_finite_is_refused_wherever_it_stands),
        cmocka_unit_test(an_unknown_format_is_refused),
        cmocka_unit_test(a_mean_rounds_each_product_then_each_sum),
        cmocka_unit_test(a_fused_multiply_add_would_be_noticed),
        cmocka_unit_test(a_mean_has_no_negative_zeros),
        cmocka_unit_test(a_mean_of_every_scale_of_int8_is_the_same_as_decoded),
        cmocka_unit_test(pieces_of_a_mean_are_the_same_as_the_whole),
        cmocka_unit_test(check_accepts_what_encode_makes),
        cmocka_unit_test(check_refuses_scale_255_and_the_value_minus_128),
        cmocka_unit_test(check_refuses_what_is_not_finite),
        cmocka_unit_test(check_refuses_bytes_beyond_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
