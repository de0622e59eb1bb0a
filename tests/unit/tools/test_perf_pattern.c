#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gx-perf/pattern.h"

#define COUNT 10000u

static void any_part_is_as_in_the_whole(void **state)
{
    static float whole[COUNT], part[COUNT];

    (void)state;
    gx_perf_pattern_fill(whole, 1, 2, 3, 0, COUNT);
    for (uint64_t first = 0; first < COUNT; first += 777) {
        uint64_t count = COUNT - first < 777 ? COUNT - first : 777;
        gx_perf_pattern_fill(part, 1, 2, 3, first, count);
        assert_memory_equal(part, whole + first, count * sizeof(float));
    }
}

static unsigned equal_values(const float *a, const float *b)
{
    unsigned equal = 0;

    for (unsigned i = 0; i < COUNT; i++)
        equal += a[i] == b[i];
    return equal;
}

static void run_site_round_and_place_all_matter(void **state)
{
    static float base[COUNT], other[COUNT];

    (void)state;
    gx_perf_pattern_fill(base, 1, 2, 3, 0, COUNT);
    gx_perf_pattern_fill(other, 9, 2, 3, 0, COUNT);
    assert_true(equal_values(base, other) < 5);
    gx_perf_pattern_fill(other, 1, 3, 3, 0, COUNT);
    assert_true(equal_values(base, other) < 5);
    gx_perf_pattern_fill(other, 1, 2, 4, 0, COUNT);
    assert_true(equal_values(base, other) < 5);
    gx_perf_pattern_fill(other, 1, 2, 3, 1, COUNT);
    assert_true(equal_values(base, other) < 5);
    gx_perf_pattern_fill(other, 1, 2, 3, 1ull << 32, COUNT);
    assert_true(equal_values(base, other) < 5);
}

static void a_span_over_2_to_the_32_is_seamless(void **state)
{
    float across[20], before[10], after[10];

    (void)state;
    gx_perf_pattern_fill(across, 1, 2, 3, (1ull << 32) - 10, 20);
    gx_perf_pattern_fill(before, 1, 2, 3, (1ull << 32) - 10, 10);
    gx_perf_pattern_fill(after, 1, 2, 3, 1ull << 32, 10);
    assert_memory_equal(across, before, sizeof(before));
    assert_memory_equal(across + 10, after, sizeof(after));
}

static void values_are_finite_balanced_and_spread(void **state)
{
    static float values[COUNT];
    unsigned negative = 0, small = 0;

    (void)state;
    gx_perf_pattern_fill(values, 42, 0, 1, 0, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(isfinite(values[i]) && fabsf(values[i]) <= 1);
        negative += values[i] < 0;
        small += fabsf(values[i]) < 1.0f / 64;
    }
    assert_in_range(negative, COUNT * 45 / 100, COUNT * 55 / 100);
    assert_in_range(small, COUNT / 5, COUNT / 2);
}

static void names_of_runs_give_seeds(void **state)
{
    (void)state;
    assert_true(gx_perf_seed("a") == 0xaf63dc4c8601ec8cu); /* FNV-1a's published value */
    assert_true(gx_perf_seed("run1") != gx_perf_seed("run2"));
}

static void weights_differ_by_site(void **state)
{
    (void)state;
    for (uint32_t site = 1; site < GX_SITES_MAX; site++)
        assert_true(gx_perf_weight(site) != gx_perf_weight(site - 1));
}

static void the_param_count_is_the_largest_that_fits(void **state)
{
    static const uint64_t sizes[] = {1, 4, 63, 64, 65, 66, 127, 132, 1408, 25000000};

    (void)state;
    assert_int_equal(gx_perf_param_count(GX_FP32, 25000000), 6250000);
    assert_int_equal(gx_perf_param_count(GX_FP32, 25000003), 6250000);
    assert_int_equal(gx_perf_param_count(GX_FP32, 3), 0);
    assert_int_equal(gx_perf_param_count(GX_BF16, 1000), 500);
    for (int format = 0; format < GX_FORMAT_COUNT; format++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            uint64_t count = gx_perf_param_count((enum gx_format)format, sizes[i]);
            assert_true(gx_wire_bytes((enum gx_format)format, count) <= sizes[i]);
            assert_true(gx_wire_bytes((enum gx_format)format, count + 1) > sizes[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_part_is_as_in_the_whole),
        cmocka_unit_test(run_site_round_and_place_all_matter),
        cmocka_unit_test(a_span_over_2_to_the_32_is_seamless),
        cmocka_unit_test(values_are_finite_balanced_and_spread),
        cmocka_unit_test(names_of_runs_give_seeds),
        cmocka_unit_test(weights_differ_by_site),
        cmocka_unit_test(the_param_count_is_the_largest_that_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
