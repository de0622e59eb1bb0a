/* trainer/cuda/elementwise.cu against plain C. */
#include "arrays.h"
#include "device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/elementwise.h"
#include "philox.h"

static const uint64_t counts[] = {1, 7, 8, 31, 256, 1023, 2051};
#define EACH_COUNT(i) for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
#define EACH_TYPE(type) for (enum gx_dtype type = GX_DTYPE_FP32; type <= GX_DTYPE_BF16; type++)

/* In double: GELU(x) = x g, g = (1 + tanh(u)) / 2 = 1 / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3). */
static void gelu_in_double(const float *x, float *y, float *slope, uint64_t count)
{
    const double scale = sqrt(2 / acos(-1));
    for (uint64_t i = 0; i < count; i++) {
        const double v = (double)x[i], u = scale * (v + 0.044715 * v * v * v);
        const double g = 1 / (1 + exp(-2 * u));
        y[i] = (float)(v * g);
        slope[i] = (float)(g + 2 * v * g * (1 - g) * scale * (1 + 3 * 0.044715 * v * v));
    }
}

static void gelu_of(enum gx_dtype type, const float *values, uint64_t count, uint32_t shift)
{
    struct array x = array_of(type, values, count, shift), dy = array_random(type, count, 0, 1.0f);
    struct array y = array_output(type, count, shift), dx = array_output(type, count, 0);
    float *want = calloc(count, sizeof(float)), *slope = calloc(count, sizeof(float));
    const float error = dtype_error(type) + 1e-5f;
    gx_gpu_gelu_forward(type, y.at, x.at, count, test_stream());
    gx_gpu_gelu_backward(type, dx.at, dy.at, x.at, count, test_stream());
    gelu_in_double(x.values, want, slope, count);
    for (uint64_t i = 0; i < count; i++)
        slope[i] *= dy.values[i];
    array_near(&y, want, 1e-30f, error, "GELU");
    array_near(&dx, slope, 1e-6f, error, "GELU's gradient");
    gx_gpu_gelu_backward(type, dy.at, dy.at, x.at, count, test_stream());
    array_near(&dy, slope, 1e-6f, error, "GELU's gradient in place");
    array_free(&x), array_free(&dy), array_free(&y), array_free(&dx);
    free(want), free(slope);
}

static void gelu_is_right(void **state)
{
    (void)state;
    EACH_TYPE(type)
    EACH_COUNT(i)
    {
        struct array values = array_random(GX_DTYPE_FP32, counts[i], 0, 2.0f);
        gelu_of(type, values.values, counts[i], 0);
        gelu_of(type, values.values, counts[i], 1);
        array_free(&values);
    }
}

/* Far left, GELU is small but not noise, as x (1 + tanh(u)) / 2 would be in FP32. */
static void gelu_of_large_values_is_right(void **state)
{
    (void)state;
    const float values[] = {-60, -12, -6, -5, -4, 4, 6, 12, 60, 0, -0.0f};
    EACH_TYPE(type)
    gelu_of(type, values, sizeof(values) / sizeof(*values), 0);
}

static void add_of(enum gx_dtype type, uint64_t count, uint32_t shift)
{
    struct array a = array_random(type, count, shift, 1.0f), b = array_random(type, count, 0, 1.0f);
    struct array y = array_output(type, count, 0);
    float *want = calloc(count, sizeof(float));
    for (uint64_t i = 0; i < count; i++)
        want[i] = dtype_rounded(type, a.values[i] + b.values[i]);
    gx_gpu_residual_add(type, y.at, a.at, b.at, count, test_stream());
    array_equal(&y, want, "sum");
    gx_gpu_residual_add(type, a.at, a.at, b.at, count, test_stream());
    array_equal(&a, want, "sum in place");
    if (type == GX_DTYPE_FP32) {
        for (uint64_t i = 0; i < count; i++)
            want[i] += b.values[i];
        gx_gpu_accumulate(y.at, b.at, count, test_stream());
        array_equal(&y, want, "accumulated sum");
    }
    array_free(&a), array_free(&b), array_free(&y);
    free(want);
}

static void sums_are_exact(void **state)
{
    (void)state;
    EACH_TYPE(type)
    EACH_COUNT(i)
    {
        add_of(type, counts[i], 0);
        add_of(type, counts[i], 3);
    }
}

/* Every sort of FP32 number; those that are not finite as well. */
static float *all_sorts(uint64_t count)
{
    float *values = malloc(count * sizeof(float));
    assert_non_null(values);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)arrays_random();
        if (i % 5 == 0)
            bits &= 0xffff8000u; /* ties */
        if (i % 97 == 5)
            bits |= 0x7f800000u;
        memcpy(values + i, &bits, 4);
        if (isnan(values[i])) /* NaNs have no bits that a test may ask for */
            values[i] = i % 2 ? INFINITY : -INFINITY;
    }
    return values;
}

static void casts_round_to_nearest_even(void **state)
{
    (void)state;
    EACH_COUNT(i)
    for (uint32_t shift = 0; shift < 2; shift++) {
        const uint64_t count = counts[i];
        float *values = all_sorts(count), *want = calloc(count, sizeof(float));
        struct array from = array_of(GX_DTYPE_FP32, values, count, shift);
        struct array to = array_output(GX_DTYPE_BF16, count, 0);
        struct array back = array_output(GX_DTYPE_FP32, count, shift);
        for (uint64_t j = 0; j < count; j++)
            want[j] = dtype_rounded(GX_DTYPE_BF16, values[j]);
        gx_gpu_cast_bf16(to.at, from.at, count, test_stream());
        gx_gpu_cast_fp32(back.at, to.at, count, test_stream());
        array_equal(&to, want, "bf16");
        array_equal(&back, want, "FP32 again");
        array_free(&from), array_free(&to), array_free(&back);
        free(values), free(want);
    }
}

static float rounded_at_random(float value, uint64_t i, uint64_t seed, uint32_t update)
{
    const uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)(i / 4 >> 32), GX_PHILOX_ROUND,
                                 update};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t random[4], bits;
    gx_philox(random, counter, key);
    memcpy(&bits, &value, 4);
    if (isfinite(value))
        bits = (bits + (random[i % 4] & 0xffff)) & 0xffff0000u;
    memcpy(&value, &bits, 4);
    return value;
}

static void stochastic_casts_draw_from_philox(void **state)
{
    (void)state;
    EACH_COUNT(i)
    for (uint32_t shift = 0; shift < 2; shift++) {
        const uint64_t count = counts[i], seed = arrays_random();
        const uint32_t update = (uint32_t)arrays_random();
        float *values = all_sorts(count), *want = calloc(count, sizeof(float));
        struct array from = array_of(GX_DTYPE_FP32, values, count, shift);
        struct array to = array_output(GX_DTYPE_BF16, count, 0);
        for (uint64_t j = 0; j < count; j++)
            want[j] = rounded_at_random(values[j], j, seed, update);
        gx_gpu_cast_bf16_stochastic(to.at, from.at, count, seed, update, test_stream());
        array_equal(&to, want, "bf16");
        array_free(&from), array_free(&to);
        free(values), free(want);
    }
}

/* 4,096 times a value a quarter of the way between two bf16 numbers: the mean is within five deviations. */
static void stochastic_casts_keep_the_mean(void **state)
{
    (void)state;
    enum { COUNT = 4096 };
    static float values[COUNT];
    for (int i = 0; i < COUNT; i++)
        values[i] = 1.0f + 0x1p-9f;
    struct array from = array_of(GX_DTYPE_FP32, values, COUNT, 0);
    struct array to = array_output(GX_DTYPE_BF16, COUNT, 0);
    gx_gpu_cast_bf16_stochastic(to.at, from.at, COUNT, arrays_random(), 1, test_stream());
    const float *got = array_read(&to);
    double up = 0;
    for (int i = 0; i < COUNT; i++) {
        assert_true(got[i] == 1.0f || got[i] == 1.0f + 0x1p-7f);
        up += got[i] > 1.0f;
    }
    assert_true(fabs(up / COUNT - 0.25) < 5 * sqrt(0.25 * 0.75 / COUNT));
    array_free(&from), array_free(&to);
}

static void fill_fills(void **state)
{
    (void)state;
    EACH_COUNT(i)
    for (uint32_t shift = 0; shift < 2; shift++) {
        struct array y = array_output(GX_DTYPE_FP32, counts[i], shift);
        float *want = malloc(counts[i] * sizeof(float));
        for (uint64_t j = 0; j < counts[i]; j++)
            want[j] = 0.625f;
        gx_gpu_fill(y.at, 0.625f, counts[i], test_stream());
        array_equal(&y, want, "fill");
        array_free(&y);
        free(want);
    }
}

int main(int argc, char **argv)
{
    arrays_seed(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gelu_is_right),
        cmocka_unit_test(gelu_of_large_values_is_right),
        cmocka_unit_test(sums_are_exact),
        cmocka_unit_test(casts_round_to_nearest_even),
        cmocka_unit_test(stochastic_casts_draw_from_philox),
        cmocka_unit_test(stochastic_casts_keep_the_mean),
        cmocka_unit_test(fill_fills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
