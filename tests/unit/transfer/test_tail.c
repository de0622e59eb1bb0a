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
    assert_near(gx_tail_risk(&tail, 0, 4, 2), 5.0 / 16, 1e-3);
    assert_near(gx_tail_risk(&tail, 0, 4, 0), 15.0 / 16, 1e-3);
    assert_true(gx_tail_risk(&tail, 0, 4, 4) == 0);
}

static void bursts_raise_the_risk_and_interleaving_lowers_it(void **state)
{
    struct gx_tail single = make(0.05, 1.05, 16, 0.01);
    struct gx_tail burst = make(0.05, 10, 1, 0.01);
    struct gx_tail spread = make(0.05, 10, 32, 0.01);

    (void)state;
    assert_true(gx_tail_risk(&burst, 70, 0, 8) > 2 * gx_tail_risk(&single, 70, 0, 8));
    assert_true(gx_tail_risk(&spread, 70, 0, 8) < gx_tail_risk(&burst, 70, 0, 8));
}

static void parity_of_many_blocks_lies_farther_apart_than_data(void **state)
{
    struct gx_policy policy = {.loss = 0.05, .burst = 50, .epsilon = 0.01, .depth = 13};
    struct gx_tail tail;

    (void)state;
    gx_tail_init(&tail, &policy, 10000, 200);
    assert_true(gx_tail_risk(&tail, 0, 70, 10) < gx_tail_risk(&tail, 35, 35, 10));
    assert_true(gx_tail_risk(&tail, 35, 35, 10) < gx_tail_risk(&tail, 70, 0, 10));
}

static void blocks_that_one_burst_takes_count_once(void **state)
{
    struct gx_policy policy = {.loss = 0.05, .burst = 1 / 0.95, .epsilon = 0.01, .depth = 13};
    struct gx_tail tail;

    (void)state;
    gx_tail_init(&tail, &policy, 10000, 130);
    assert_near(tail.epsilon, 0.01 / 130, 1e-9);
    policy.burst = 50;
    gx_tail_init(&tail, &policy, 10000, 130);
    assert_near(tail.epsilon, 0.01 / 10, 1e-9);
}

/* The chance of a burst falls so slowly with the rows that meeting epsilon would take longer than one more round trip. */
static void rows_are_added_while_they_save_time(void **state)
{
    struct gx_policy policy = {.loss = 0.05, .burst = 50, .epsilon = 0.001, .depth = 13};
    struct gx_tail any, worth;
    uint32_t rows;

    (void)state;
    gx_tail_init(&any, &policy, 10000, 13);
    policy.round = 200;
    gx_tail_init(&worth, &policy, 10000, 13);
    rows = gx_tail_rows(&worth, 64, 0, 64);
    assert_true(rows > 3 && rows < gx_tail_rows(&any, 64, 0, 64));
    assert_true(gx_tail_risk(&worth, 64, rows - 1, rows - 1) -
                    gx_tail_risk(&worth, 64, rows, rows) >=
                worth.gain_min);
    assert_true(gx_tail_risk(&worth, 64, rows, rows) -
                    gx_tail_risk(&worth, 64, rows + 1, rows + 1) <
                worth.gain_min);
}

static void rows_are_the_fewest_that_meet_epsilon(void **state)
{
    struct gx_tail tail = make(0.1, 1.1, 16, 0.001);

    (void)state;
    for (uint32_t lack = 1; lack <= 64; lack += 7)
        for (uint32_t flight = 0; flight <= 80; flight += 5) {
            uint32_t rows = gx_tail_rows(&tail, 0, flight, lack);
            uint32_t n = flight + rows;

            assert_true(n >= lack && gx_tail_risk(&tail, 0, n, n - lack) <= tail.epsilon);
            if (rows > 0 && n > lack)
                assert_true(gx_tail_risk(&tail, 0, n - 1, n - 1 - lack) > tail.epsilon);
        }
}

static void clean_link_gets_exactly_what_is_lacking(void **state)
{
    struct gx_tail tail = make(0, 1, 16, 0.01);

    (void)state;
    assert_int_equal(gx_tail_rows(&tail, 0, 0, 5), 5);
    assert_int_equal(gx_tail_rows(&tail, 0, 5, 5), 0);
    assert_int_equal(gx_tail_rows(&tail, 0, 9, 5), 0);
}

static void negligible_losses_get_no_rows_in_advance(void **state)
{
    struct gx_policy policy = {.loss = 1e-5, .burst = 1, .epsilon = 1e-9, .depth = 16};
    struct gx_tail tail;

    (void)state;
    gx_tail_init(&tail, &policy, 900, 14);
    assert_int_equal(gx_tail_rows(&tail, 0, 64, 64), 0);
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

static void warm_links_expect_what_was_measured(void **state)
{
    struct gx_policy policy;

    (void)state;
    gx_policy_init(&policy, 0.04, 3, false, 100, 1000, 2);
    assert_near(policy.loss, 0.04, 1e-9);
    assert_near(policy.round, 1.3 * 64 * 50, 1e-6);
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
        cmocka_unit_test(parity_of_many_blocks_lies_farther_apart_than_data),
        cmocka_unit_test(blocks_that_one_burst_takes_count_once),
        cmocka_unit_test(rows_are_added_while_they_save_time),
        cmocka_unit_test(rows_are_the_fewest_that_meet_epsilon),
        cmocka_unit_test(clean_link_gets_exactly_what_is_lacking),
        cmocka_unit_test(negligible_losses_get_no_rows_in_advance),
        cmocka_unit_test(cold_links_expect_loss_only_for_small_transfers),
        cmocka_unit_test(warm_links_expect_what_was_measured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
