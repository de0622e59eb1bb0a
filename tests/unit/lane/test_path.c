/* The rate by a model of the path, fed with what a path of one bottleneck would say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lane/rate.h"

#define MS 1000000ull
#define MBIT 1000000ull
#define CEILING (200 * MBIT)
#define RTT (50 * MS)
#define STEP (10 * MS)

struct path {
    struct gx_rate rate;
    uint64_t now, capacity_bps, queue_bits, rtt_ns;
    double loss;
    bool backlogged;
    uint64_t grant_bps;
};

static void path_init(struct path *path, uint64_t capacity_bps)
{
    *path = (struct path){
        .now = 1000 * MS, .capacity_bps = capacity_bps, .rtt_ns = RTT, .backlogged = true};
    gx_rate_init(&path->rate, &gx_rate_path, CEILING, 0.15);
}

/* Another 10 ms: what was sent queues at the bottleneck, its delivery and the queue's length are told at once. */
static void step(struct path *path)
{
    uint64_t sent_bps = path->backlogged ? path->rate.bps : MBIT;
    uint64_t in = sent_bps / 100, out = path->capacity_bps / 100;
    uint64_t waiting = path->queue_bits + in;
    uint64_t leaves = waiting < out ? waiting : out;
    struct gx_rate_sample sample;

    path->queue_bits = waiting - leaves;
    path->now += STEP;
    sample = (struct gx_rate_sample){
        .now = path->now,
        .rtt_ns = path->rtt_ns,
        .rtt_min_ns = path->rtt_ns,
        .standing_ns = path->rtt_ns + path->queue_bits * 1000000000ull / path->capacity_bps,
        .grant_bps = path->grant_bps,
        .loss = path->loss,
        .backlogged = path->backlogged,
        .has_delivery = true,
        .delivery = {.packets = leaves / 12000,
                     .received = (uint64_t)((double)leaves * (1 - path->loss) / 12000),
                     .span_ns = STEP,
                     .sent_bps = sent_bps},
    };
    sample.delivery.delivered_bps = sample.delivery.received * 12000 * 100;
    path->rate.algorithm->on_feedback(&path->rate, &sample);
}

static void run(struct path *path, uint64_t ns)
{
    for (uint64_t end = path->now + ns; path->now < end;)
        step(path);
}

static uint64_t mean_bps(struct path *path, uint64_t ns)
{
    uint64_t sum = 0, count = 0;

    for (uint64_t end = path->now + ns; path->now < end; count++) {
        step(path);
        sum += path->rate.bps;
    }
    return sum / count;
}

static void it_starts_low_and_reaches_a_free_ceiling_in_a_few_round_trips(void **state)
{
    struct path path;

    (void)state;
    path_init(&path, 10 * CEILING);
    assert_int_equal(path.rate.bps, CEILING / 8);
    run(&path, 8 * RTT);
    assert_int_equal(path.rate.bps, CEILING);
}

static void it_stays_at_a_free_ceiling(void **state)
{
    struct path path;

    (void)state;
    path_init(&path, CEILING);
    run(&path, 8 * RTT);
    for (int i = 0; i < 10000; i++) {
        step(&path);
        assert_int_equal(path.rate.bps, CEILING);
    }
}

static void loss_below_the_floor_does_not_slow_it(void **state)
{
    struct path path;

    (void)state;
    path_init(&path, 10 * CEILING);
    path.loss = 0.12;
    run(&path, 20 * RTT);
    assert_true(mean_bps(&path, 100 * RTT) > CEILING * 99 / 100);
}

static void a_slower_path_is_filled_and_its_queue_stays_short(void **state)
{
    struct path path;

    (void)state;
    path_init(&path, CEILING / 4);
    run(&path, 40 * RTT);
    for (int i = 0; i < 2000; i++) {
        step(&path);
        assert_true(path.queue_bits < CEILING / 4 / 20); /* 50 ms of it: a round trip */
    }
    uint64_t mean = mean_bps(&path, 200 * RTT);
    assert_in_range(mean, CEILING / 4 * 93 / 100, CEILING / 4 * 101 / 100);
}

static void a_path_that_grows_faster_is_followed(void **state)
{
    struct path path;

    (void)state;
    path_init(&path, CEILING / 10);
    run(&path, 40 * RTT);
    path.capacity_bps = 2 * CEILING;
    run(&path, 40 * RTT);
    assert_int_equal(path.rate.bps, CEILING);
}

static void a_lane_with_little_to_send_learns_no_limit(void **state)
{
    struct path path;

    (void)state;
    path_init(&path, 10 * CEILING);
    run(&path, 10 * RTT);
    path.backlogged = false;
    run(&path, 400 * RTT);
    assert_int_equal(path.rate.bps, CEILING);
}

static void a_grant_binds_and_is_not_remembered(void **state)
{
    struct path path;

    (void)state;
    path_init(&path, 10 * CEILING);
    run(&path, 10 * RTT);
    path.grant_bps = CEILING / 5;
    step(&path);
    assert_int_equal(path.rate.bps, CEILING / 5);
    path.grant_bps = 0;
    step(&path);
    assert_true(path.rate.bps > CEILING / 2);
}

static void a_longer_route_is_sounded_and_then_no_queue(void **state)
{
    struct path path;

    (void)state;
    path_init(&path, 2 * CEILING);
    run(&path, 40 * RTT);
    path.rtt_ns = 3 * RTT;
    run(&path, 300 * RTT);
    assert_int_equal(path.rate.path.min_ns, 3 * RTT);
    assert_true(mean_bps(&path, 100 * RTT) > CEILING * 97 / 100);
}

static void a_lower_ceiling_holds_at_once(void **state)
{
    struct path path;

    (void)state;
    path_init(&path, 10 * CEILING);
    run(&path, 10 * RTT);
    gx_rate_ceiling(&path.rate, CEILING / 3);
    assert_int_equal(path.rate.bps, CEILING / 3);
    step(&path);
    assert_int_equal(path.rate.bps, CEILING / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_low_and_reaches_a_free_ceiling_in_a_few_round_trips),
        cmocka_unit_test(it_stays_at_a_free_ceiling),
        cmocka_unit_test(loss_below_the_floor_does_not_slow_it),
        cmocka_unit_test(a_slower_path_is_filled_and_its_queue_stays_short),
        cmocka_unit_test(a_path_that_grows_faster_is_followed),
        cmocka_unit_test(a_lane_with_little_to_send_learns_no_limit),
        cmocka_unit_test(a_grant_binds_and_is_not_remembered),
        cmocka_unit_test(a_longer_route_is_sounded_and_then_no_queue),
        cmocka_unit_test(a_lower_ceiling_holds_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
