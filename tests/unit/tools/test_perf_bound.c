#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "gx-perf/bound.h"

static const struct gx_perf_link link_200 = {
    .rate_bps = 200000000, .delay_seconds = 0.025, .loss = 0, .shard_bytes = 1408};

static void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-9 * fabs(expected)))
        fail_msg("%.12g is not %.12g", got, expected);
}

static void a_transfer_takes_its_frames_and_one_delay(void **state)
{
    (void)state;
    /* 25 MB in packets of 1408 + 90 bytes: 26,598,011 bytes at 25 MB/s, + 25 ms */
    near(gx_perf_transfer_bound(&link_200, 25000000, 2), 25e6 * (1498.0 / 1408.0) / 25e6 + 0.025);
}

static void loss_and_peers_multiply(void **state)
{
    struct gx_perf_link link = link_200;

    (void)state;
    link.delay_seconds = 0;
    double one = gx_perf_transfer_bound(&link, 25000000, 2);
    near(gx_perf_transfer_bound(&link, 25000000, 4), 3 * one);
    link.loss = 0.05;
    near(gx_perf_transfer_bound(&link, 25000000, 2), one / 0.95);
}

static void a_round_takes_two_more_delays_and_an_fsync(void **state)
{
    struct gx_perf_link link = link_200;

    (void)state;
    link.fsync_seconds = 0.004;
    near(gx_perf_round_bound(&link, 25000000, 2),
         gx_perf_transfer_bound(&link, 25000000, 2) + 0.05 + 0.004);
}

static void larger_shards_have_less_overhead(void **state)
{
    struct gx_perf_link link = link_200;

    (void)state;
    link.delay_seconds = 0;
    link.shard_bytes = 8896;
    near(gx_perf_transfer_bound(&link, 8896, 2), 8 * (8896.0 + 90) / 200e6);
}

static void without_rate_or_peers_there_is_no_bound(void **state)
{
    struct gx_perf_link link = link_200;

    (void)state;
    assert_true(isnan(gx_perf_transfer_bound(&link, 25000000, 1)));
    link.rate_bps = 0;
    assert_true(isnan(gx_perf_transfer_bound(&link, 25000000, 2)));
    assert_true(isnan(gx_perf_round_bound(&link, 25000000, 2)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transfer_takes_its_frames_and_one_delay),
        cmocka_unit_test(loss_and_peers_multiply),
        cmocka_unit_test(a_round_takes_two_more_delays_and_an_fsync),
        cmocka_unit_test(larger_shards_have_less_overhead),
        cmocka_unit_test(without_rate_or_peers_there_is_no_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
