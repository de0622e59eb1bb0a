/* trainer/philox.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "philox.h"

/* Known answers of Random123 (kat_vectors, philox4x32 10). */
static void the_known_answers_come_out(void **state)
{
    (void)state;
    const uint32_t zero[4] = {0}, ones[4] = {~0u, ~0u, ~0u, ~0u};
    const uint32_t want_zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    const uint32_t want_ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    uint32_t out[4];
    gx_philox(out, zero, zero);
    assert_memory_equal(out, want_zero, sizeof(out));
    gx_philox(out, ones, ones);
    assert_memory_equal(out, want_ones, sizeof(out));
}

static void streams_seeds_and_counters_differ(void **state)
{
    (void)state;
    uint64_t x = gx_philox_u64(1, GX_PHILOX_INIT, 5);
    assert_int_equal(x, gx_philox_u64(1, GX_PHILOX_INIT, 5));
    assert_int_not_equal(x, gx_philox_u64(2, GX_PHILOX_INIT, 5));
    assert_int_not_equal(x, gx_philox_u64(1, GX_PHILOX_BATCH, 5));
    assert_int_not_equal(x, gx_philox_u64(1, GX_PHILOX_INIT, 6));
}

static void numbers_below_a_bound_fill_it(void **state)
{
    (void)state;
    uint32_t seen[7] = {0};
    for (uint64_t i = 0; i < 7000; i++)
        seen[gx_philox_below(7, 1, GX_PHILOX_BATCH, i)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 880, 1120);
}

static void normals_have_mean_0_and_variance_1(void **state)
{
    (void)state;
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        double x = (double)gx_philox_normal(1, GX_PHILOX_INIT, i);
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / 100000) < 0.015);
    assert_true(fabs(squares / 100000 - 1) < 0.02);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_known_answers_come_out),
        cmocka_unit_test(streams_seeds_and_counters_differ),
        cmocka_unit_test(numbers_below_a_bound_fill_it),
        cmocka_unit_test(normals_have_mean_0_and_variance_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
