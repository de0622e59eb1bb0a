/* The tail's policy: risks against exact sums, rows against the risk they must meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>

#include "transfer/tail.h"

static struct gx_tail make(double loss, double burst, uint32_t depth, double epsilon)
{
    struct gx_policy policy = {.loss = loss, .burst = burst, .epsilon = epsilon, .depth = depth};
    struct gx_tail tail;

    gx_tail_init(&tail, &policy, 1000, 1);
    return tail;
}

static void assert_near(double a, double b, double within)
{
    assert_true(fabs(a - b) <= within);
}

static void independent_losses_are_binomial(void **state)
{
    struct gx_tail tail = make(0.5, 2, 16, 0.01); /* mean burst of independent losses: 1/(1-p) */

    (void)state;
    /* Of 4 coins more than 2 fall heads: 5/16. */
    assert_near(gx_tail_risk(&tail, 4, 2), 5.0 / 16, 1e-3);
    assert_near(gx_tail_risk(&tail, 4, 0), 15.0 / 16, 1e-3);
    assert_true(gx_tail_risk(&tail, 4, 4) == 0);
}

static void bursts_raise_the_risk_and_interleaving_lowers_it(void **state)
{
    struct gx_tail single = make(0.05, 1.05, 16, 0.01);
    struct gx_tail burst = make(0.05, 10, 1, 0.01);
    struct gx_tail spread = make(0.05, 10, 32, 0.01);

    (void)state;
    assert_true(gx_tail_risk(&burst, 70, 8) > 2 * gx_tail_risk(&single, 70, 8));
    assert_true(gx_tail_risk(&spread, 70, 8) < gx_tail_risk(&burst, 70, 8));
}

static void rows_are_the_fewest_that_meet_epsilon(void **state)
{
    struct gx_tail tail = make(0.1, 1.1, 16, 0.001);

    (void)state;
    for (uint32_t lack = 1; lack <= 64; lack += 7)
        for (uint32_t flight = 0; flight <= 80; flight += 5) {
            uint32_t rows = gx_tail_rows(&tail, flight, lack);
            uint32_t n = flight + rows;

            assert_true(n >= lack && gx_tail_risk(&tail, n, n - lack) <= tail.epsilon);
            if (rows > 0 && n > lack)
                assert_true(gx_tail_risk(&tail, n - 1, n - 1 - lack) > tail.epsilon);
        }
}

static void clean_link_gets_exactly_what_is_lacking(void **state)
{
    struct gx_tail tail = make(0, 1, 16, 0.01);

    (void)state;
    assert_int_equal(gx_tail_rows(&tail, 0, 5), 5);
    assert_int_equal(gx_tail_rows(&tail, 5, 5), 0);
    assert_int_equal(gx_tail_rows(&tail, 9, 5), 0);
}

static void negligible_losses_get_no_rows_in_advance(void **state)
{
    struct gx_policy policy = {.loss = 1e-5, .burst = 1, .epsilon = 1e-9, .depth = 16};
    struct gx_tail tail;

    (void)state;
    gx_tail_init(&tail, &policy, 900, 14);
    assert_int_equal(gx_tail_rows(&tail, 64, 64), 0);
}

static void cold_links_expect_loss_only_for_small_transfers(void **state)
{
    struct gx_policy policy;

    (void)state;
    gx_policy_init(&policy, 0.01, 1, true, 100, 199, 10);
    assert_near(policy.loss, 0.05, 1e-9);
    gx_policy_init(&policy, 0.08, 1, true, 100, 199,
                   10); /* the little that was measured says more */
    assert_near(policy.loss, 0.08, 1e-9);
    gx_policy_init(&policy, 0.5, 1, true, 100, 201, 10);
    assert_near(policy.loss, 0, 1e-9);
}

static void warm_links_expect_what_was_measured_and_a_fifth_more(void **state)
{
    struct gx_policy policy;

    (void)state;
    gx_policy_init(&policy, 0.04, 3, false, 100, 1000, 2);
    assert_near(policy.loss, 0.048, 1e-9);
    assert_int_equal(policy.depth, 16);
    gx_policy_init(&policy, 0.04, 20, false, 100, 1000, 2);
    assert_int_equal(policy.depth, 40);
    gx_policy_init(&policy, 0.04, 20, false, 100, 1000, 25);
    assert_int_equal(policy.depth, 4);
    gx_policy_init(&policy, 0.04, 20, false, 100, 1000, 200);
    assert_int_equal(policy.depth, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(independent_losses_are_binomial),
        cmocka_unit_test(bursts_raise_the_risk_and_interleaving_lowers_it),
        cmocka_unit_test(rows_are_the_fewest_that_meet_epsilon),
        cmocka_unit_test(clean_link_gets_exactly_what_is_lacking),
        cmocka_unit_test(negligible_losses_get_no_rows_in_advance),
        cmocka_unit_test(cold_links_expect_loss_only_for_small_transfers),
        cmocka_unit_test(warm_links_expect_what_was_measured_and_a_fifth_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
