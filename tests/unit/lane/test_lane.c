/* When feedback and probes are due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lane/lane.h"

#define MS 1000000ull

static struct gx_flight_entry ring[16];
static struct gx_lane lane;

static int setup(void **state)
{
    (void)state;
    gx_lane_init(&lane, &gx_rate_fixed, 200000000, 0, 1498, ring, 16, 0);
    gx_lane_session(&lane, NULL, true, 0);
    return 0;
}

static void interval_is_a_quarter_of_rtt_from_1_to_10_ms(void **state)
{
    (void)state;
    assert_int_equal(gx_lane_interval_ns(&lane), 10 * MS);
    lane.estimate.rtt_ns = 20 * MS;
    assert_int_equal(gx_lane_interval_ns(&lane), 5 * MS);
    lane.estimate.rtt_ns = MS;
    assert_int_equal(gx_lane_interval_ns(&lane), MS);
    lane.estimate.rtt_ns = 300 * MS;
    assert_int_equal(gx_lane_interval_ns(&lane), 10 * MS);
}

static void window_follows_lateness_up_to_half_an_rtt(void **state)
{
    (void)state;
    lane.estimate.rtt_ns = 80 * MS;
    assert_int_equal(gx_lane_window_ns(&lane, 0), 10 * MS);
    assert_int_equal(gx_lane_window_ns(&lane, 16000), 20 * MS);
    assert_int_equal(gx_lane_window_ns(&lane, 90000), 40 * MS);
}

static void a_new_session_probes_at_once(void **state)
{
    (void)state;
    assert_true(gx_lane_probe(&lane, 0));
    assert_false(gx_lane_probe(&lane, MS));
    assert_true(gx_lane_probe(&lane, 125 * MS));
    gx_lane_feedback_heard(&lane, 130 * MS);
    assert_false(gx_lane_probe(&lane, 600 * MS));
    assert_true(gx_lane_probe(&lane, 630 * MS));
}

static void last_shard_is_probed_for_until_judged(void **state)
{
    struct gx_flight_entry entry = {.sent_ns = 0};

    (void)state;
    lane.estimate.rtt_ns = 80 * MS;
    gx_lane_probe(&lane, 0);
    gx_lane_feedback_heard(&lane, 1000 * MS); /* no probe for another cause until 1.5 s */
    gx_flight_sent(&lane.flight, 1, &entry);
    gx_lane_shard_sent(&lane, 1000 * MS);
    assert_false(gx_lane_probe(&lane, 1009 * MS));
    assert_true(gx_lane_probe(&lane, 1010 * MS));
    assert_true(gx_lane_probe(&lane, 1020 * MS));
    assert_false(gx_lane_probe(&lane, 1029 * MS));
    while (gx_flight_see(&lane.flight, 1) != NULL || gx_flight_judge(&lane.flight, 1) != NULL)
        ;
    gx_lane_feedback_heard(&lane, 1030 * MS);
    assert_false(gx_lane_probe(&lane, 1200 * MS));
    assert_int_equal(lane.tail_due_ns, GX_LANE_NEVER);
}

/* The way back may lose a run of feedback: a hundred in a row are asked for quickly. */
static void probes_become_seldom_when_nobody_answers(void **state)
{
    struct gx_flight_entry entry = {.sent_ns = 0};
    uint64_t now, count = 0;

    (void)state;
    lane.estimate.rtt_ns = 80 * MS;
    gx_flight_sent(&lane.flight, 1, &entry);
    gx_lane_shard_sent(&lane, 1000 * MS);
    for (now = 1010 * MS; now < 2010 * MS; now += MS) {
        gx_lane_feedback_heard(&lane, now); /* no probe for another cause */
        count += gx_lane_probe(&lane, now);
    }
    assert_int_equal(count, 100);
    for (count = 0; now < 60010 * MS; now += MS) {
        gx_lane_feedback_heard(&lane, now);
        count += gx_lane_probe(&lane, now);
    }
    assert_in_range(count, 55, 65);
}

static void feedback_keeps_its_interval(void **state)
{
    (void)state;
    lane.feedback_sent_ns = 100 * MS;
    gx_lane_feedback_soon(&lane, 102 * MS);
    assert_int_equal(lane.feedback_due_ns, 110 * MS);
    gx_lane_feedback_now(&lane, 103 * MS);
    assert_int_equal(lane.feedback_due_ns, 103 * MS);
    gx_lane_feedback_soon(&lane, 104 * MS);
    assert_int_equal(lane.feedback_due_ns, 103 * MS);
}

static void feedback_comes_more_often_where_bursts_take_it(void **state)
{
    (void)state;
    lane.feedback_sent_ns = 1000 * MS;
    gx_estimate_totals(&lane.estimate, 20000, 1000, 20);
    gx_lane_feedback_soon(&lane, 1000 * MS);
    assert_int_equal(lane.feedback_due_ns, 1002 * MS + MS / 2);
    assert_int_equal(gx_lane_interval_ns(&lane), 10 * MS);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(interval_is_a_quarter_of_rtt_from_1_to_10_ms),
        TEST(window_follows_lateness_up_to_half_an_rtt),
        TEST(a_new_session_probes_at_once),
        TEST(last_shard_is_probed_for_until_judged),
        TEST(probes_become_seldom_when_nobody_answers),
        TEST(feedback_keeps_its_interval),
        TEST(feedback_comes_more_often_where_bursts_take_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
