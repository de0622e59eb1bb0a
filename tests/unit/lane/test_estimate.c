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

#define MS 1000000ull

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
    gx_estimate_rtt(&estimate, 800, 0, 1);
    assert_int_equal(estimate.rtt_ns, 800);
    gx_estimate_rtt(&estimate, 1600, 0, 2);
    assert_int_equal(estimate.rtt_ns, 900);
    assert_int_equal(gx_estimate_rtt_min_ns(&estimate), 800);
}

/* 20 ms there, 30 ms back by clocks that differ by more than the counter holds: what either way adds. */
static void rtt_feed(struct gx_estimate *estimate, uint32_t there_us, uint32_t back_us,
                     uint64_t from_ns, uint64_t to_ns)
{
    for (uint64_t now = from_ns; now < to_ns; now += 10 * MS)
        gx_estimate_rtt(estimate, (50000ull + there_us + back_us) * 1000,
                        UINT32_MAX - 5000 + back_us, now);
}

static void a_queue_of_the_way_back_does_not_stand(void **state)
{
    struct gx_estimate estimate = {0};

    (void)state;
    rtt_feed(&estimate, 0, 0, 1000 * MS, 2000 * MS);
    assert_int_equal(gx_estimate_standing_ns(&estimate), 50 * MS);
    rtt_feed(&estimate, 0, 9000, 2000 * MS, 3000 * MS);
    assert_int_equal(gx_estimate_standing_ns(&estimate), 50 * MS);
    assert_true(estimate.rtt_ns > 58 * MS);
    rtt_feed(&estimate, 9000, 0, 3000 * MS, 4000 * MS);
    assert_int_equal(gx_estimate_standing_ns(&estimate), 59 * MS);
    rtt_feed(&estimate, 9000, 12000, 4000 * MS, 5000 * MS);
    assert_int_equal(gx_estimate_standing_ns(&estimate), 59 * MS);
}

/* A way back that has become longer stands after 20 s at most; so a drifting clock is followed, too. */
static void a_longer_way_back_is_learnt(void **state)
{
    struct gx_estimate estimate = {0};

    (void)state;
    rtt_feed(&estimate, 0, 0, 1000 * MS, 2000 * MS);
    rtt_feed(&estimate, 0, 9000, 2000 * MS, 22000 * MS);
    assert_int_equal(gx_estimate_standing_ns(&estimate), 59 * MS);
    gx_estimate_back_reset(&estimate);
    rtt_feed(&estimate, 0, 20000, 22000 * MS, 23000 * MS);
    assert_int_equal(gx_estimate_standing_ns(&estimate), 70 * MS);
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
        cmocka_unit_test(a_queue_of_the_way_back_does_not_stand),
        cmocka_unit_test(a_longer_way_back_is_learnt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
