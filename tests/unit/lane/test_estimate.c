/* Round-trip time, loss and burst length from a peer's totals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>

#include "lane/estimate.h"

static void loss_and_burst_follow_the_totals(void **state)
{
    struct gx_estimate estimate = {0};

    (void)state;
    assert_true(gx_estimate_cold(&estimate));
    gx_estimate_totals(&estimate, 2000, 100, 50);
    assert_false(gx_estimate_cold(&estimate));
    assert_true(gx_estimate_loss(&estimate) == 0.05);
    assert_true(gx_estimate_burst(&estimate) == 2);
}

static void a_few_losses_may_mean_more(void **state)
{
    struct gx_estimate estimate = {0};

    (void)state;
    assert_true(gx_estimate_loss_likely(&estimate) == 0);
    gx_estimate_totals(&estimate, 200, 16, 16);
    assert_true(gx_estimate_loss_likely(&estimate) == (16 + 2 * 4) / 200.0);
    gx_estimate_totals(&estimate, 201, 17, 17);
    gx_estimate_totals(&estimate, 400, 400, 1);
    assert_true(gx_estimate_loss_likely(&estimate) <= 1);
}

static void old_losses_fade_within_some_20000_packets(void **state)
{
    struct gx_estimate estimate = {0};

    (void)state;
    gx_estimate_totals(&estimate, 20000, 2000, 2000);
    for (uint64_t n = 21000; n <= 120000; n += 1000)
        gx_estimate_totals(&estimate, n, 2000, 2000);
    assert_true(gx_estimate_loss(&estimate) < 0.002);
}

static void what_an_earlier_gxd_knew_counts_until_more_is_seen(void **state)
{
    struct gx_estimate estimate = {0};

    (void)state;
    gx_estimate_recall(&estimate, 4000, 0.1, 20);
    assert_false(gx_estimate_cold(&estimate));
    assert_true(fabs(gx_estimate_loss(&estimate) - 0.1) < 1e-9);
    assert_true(fabs(gx_estimate_burst(&estimate) - 20) < 1e-9);
    gx_estimate_totals(&estimate, 16000, 0, 0);
    assert_true(fabs(gx_estimate_loss(&estimate) - 0.02) < 1e-9);
    estimate = (struct gx_estimate){0};
    gx_estimate_recall(&estimate, 500, 0, 0);
    assert_true(gx_estimate_cold(&estimate) && gx_estimate_burst(&estimate) == 1);
}

static void late_arrivals_lower_the_loss(void **state)
{
    struct gx_estimate estimate = {0};

    (void)state;
    gx_estimate_totals(&estimate, 2000, 100, 50);
    gx_estimate_totals(&estimate, 2000, 20, 20);
    assert_true(gx_estimate_loss(&estimate) == 0.01);
}

static void a_peer_that_counts_anew_is_noticed(void **state)
{
    struct gx_estimate estimate = {0};

    (void)state;
    gx_estimate_totals(&estimate, 5000, 100, 50);
    gx_estimate_totals(&estimate, 1000, 100, 50);
    assert_true(gx_estimate_loss(&estimate) > 0.03 && gx_estimate_loss(&estimate) < 0.04);
}

static void hostile_totals_give_a_loss_between_0_and_1(void **state)
{
    struct gx_estimate estimate = {0};

    (void)state;
    gx_estimate_totals(&estimate, UINT64_MAX / 2, UINT64_MAX, 0);
    assert_true(gx_estimate_loss(&estimate) >= 0 && gx_estimate_loss(&estimate) <= 1);
    gx_estimate_totals(&estimate, 3, 77, UINT64_MAX);
    assert_true(gx_estimate_loss(&estimate) >= 0 && gx_estimate_loss(&estimate) <= 1);
    assert_true(gx_estimate_burst(&estimate) >= 1);
}

/* Twice the burst is the depth of interleaving, a u32: 2^33 would be cut to 0, and the pass would never end. */
static void a_hostile_burst_is_bounded(void **state)
{
    struct gx_estimate estimate = {0};

    (void)state;
    gx_estimate_totals(&estimate, 1ull << 33, 1ull << 32, 1);
    assert_true(gx_estimate_burst(&estimate) <= 1 << 20);
}

static void rtt_is_smoothed_and_its_minimum_kept(void **state)
{
    struct gx_estimate estimate = {0};

    (void)state;
    gx_estimate_rtt(&estimate, 800, 1);
    assert_int_equal(estimate.rtt_ns, 800);
    gx_estimate_rtt(&estimate, 1600, 2);
    assert_int_equal(estimate.rtt_ns, 900);
    assert_int_equal(gx_estimate_rtt_min_ns(&estimate), 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_and_burst_follow_the_totals),
        cmocka_unit_test(a_few_losses_may_mean_more),
        cmocka_unit_test(old_losses_fade_within_some_20000_packets),
        cmocka_unit_test(what_an_earlier_gxd_knew_counts_until_more_is_seen),
        cmocka_unit_test(late_arrivals_lower_the_loss),
        cmocka_unit_test(a_peer_that_counts_anew_is_noticed),
        cmocka_unit_test(hostile_totals_give_a_loss_between_0_and_1),
        cmocka_unit_test(a_hostile_burst_is_bounded),
        cmocka_unit_test(rtt_is_smoothed_and_its_minimum_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
