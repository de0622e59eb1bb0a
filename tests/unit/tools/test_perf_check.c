#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "gx-perf/check.h"
#include "gx-perf/pattern.h"

#define COUNT 9001u /* not a multiple of a piece, nor of a block */
#define SEED 77u
#define ROUND 5u

static float result[COUNT], delta[COUNT];
static uint8_t wire[COUNT * 4];

/* What gxd's reduction promises: s = (float)(w/W), acc += s·Δ in site order. */
static void reduce(uint32_t cohort, enum gx_format format)
{
    double divisor = (double)gx_perf_divisor(cohort);

    memset(result, 0, sizeof(result));
    for (uint32_t site = 0; site < GX_SITES_MAX; site++) {
        if (!(cohort & 1u << site))
            continue;
        float scale = (float)((double)gx_perf_weight(site) / divisor);
        gx_perf_pattern_fill(delta, SEED, site, ROUND, 0, COUNT);
        assert_int_equal(gx_encode(format, wire, delta, COUNT), 0);
        gx_decode(format, delta, wire, COUNT);
        for (uint32_t i = 0; i < COUNT; i++)
            result[i] += scale * delta[i];
    }
}

static struct gx_perf_check checked(uint32_t cohort, enum gx_format format)
{
    struct gx_perf_check check;

    gx_perf_check_result(&check, SEED, format, ROUND, cohort, result, COUNT);
    return check;
}

static void a_right_result_passes_in_every_format(void **state)
{
    static const uint32_t cohorts[] = {1, 3, 5, 15};

    (void)state;
    for (int format = 0; format < GX_FORMAT_COUNT; format++) {
        for (size_t i = 0; i < sizeof(cohorts) / sizeof(cohorts[0]); i++) {
            reduce(cohorts[i], (enum gx_format)format);
            assert_int_equal(checked(cohorts[i], (enum gx_format)format).wrong, 0);
        }
    }
}

static void one_wrong_value_is_found_and_named(void **state)
{
    (void)state;
    reduce(3, GX_FP32);
    float right = result[8999];
    result[8999] = right + 1e-3f;
    struct gx_perf_check check = checked(3, GX_FP32);
    assert_int_equal(check.wrong, 1);
    assert_int_equal(check.first_index, 8999);
    assert_true(check.got == (double)result[8999]);
    assert_true(fabs(check.expected - (double)right) < 1e-6);
}

static void not_a_number_is_wrong(void **state)
{
    (void)state;
    reduce(3, GX_FP32);
    result[0] = NAN;
    assert_int_equal(checked(3, GX_FP32).wrong, 1);
}

static void a_mean_without_weights_is_wrong(void **state)
{
    (void)state;
    reduce(1, GX_FP32);
    static float first[COUNT];
    memcpy(first, result, sizeof(first));
    reduce(2, GX_FP32);
    for (uint32_t i = 0; i < COUNT; i++)
        result[i] = (result[i] + first[i]) / 2;
    assert_true(checked(3, GX_FP32).wrong > COUNT / 2);
}

static void another_cohort_is_wrong(void **state)
{
    (void)state;
    reduce(7, GX_BF16);
    assert_true(checked(3, GX_BF16).wrong > COUNT / 2);
}

static void the_divisor_is_the_sum_of_the_weights(void **state)
{
    (void)state;
    assert_int_equal(gx_perf_divisor(0), 0);
    assert_int_equal(gx_perf_divisor(5), gx_perf_weight(0) + gx_perf_weight(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_result_passes_in_every_format),
        cmocka_unit_test(one_wrong_value_is_found_and_named),
        cmocka_unit_test(not_a_number_is_wrong),
        cmocka_unit_test(a_mean_without_weights_is_wrong),
        cmocka_unit_test(another_cohort_is_wrong),
        cmocka_unit_test(the_divisor_is_the_sum_of_the_weights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
