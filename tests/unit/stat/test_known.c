/* What a gxd takes over from the one before it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "stat/file.h"

#define S 1000000000ull
#define HOUR (3600 * S)

static struct gx_stat_file *last;

static int setup(void **state)
{
    (void)state;
    last = calloc(1, sizeof(*last));
    if (!last)
        return -1;
    last->site_count = 3;
    last->worker_count = 1;
    strcpy(last->site_names[0], "here");
    strcpy(last->site_names[1], "paris");
    strcpy(last->site_names[2], "oslo");
    last->started_ns = 1000 * HOUR;
    last->started_clock_ns = 2 * HOUR;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(last);
    return 0;
}

static void measure(uint32_t worker, uint32_t site, uint64_t packets, uint64_t loss_ppm)
{
    uint64_t *link = last->workers[worker].link[site];

    link[GX_LINK_rtt_ns] = 50000000;
    link[GX_LINK_sent_packets_total] = packets;
    link[GX_LINK_loss_ppm] = loss_ppm;
    link[GX_LINK_burst_milli] = 1500;
    link[GX_LINK_allowed_bps] = 100000000;
    link[GX_LINK_heard_ns] = last->started_clock_ns + 60 * S;
}

static void counters_tell_of_a_site_by_its_name(void **state)
{
    struct gx_known known;

    (void)state;
    measure(0, 2, 800, 10000);
    known = gx_known_of(last, "oslo");
    assert_int_equal(known.at_ns, 1000 * HOUR + 60 * S);
    assert_int_equal(known.packets, 800);
    assert_int_equal(known.loss_ppm, 10000);
    assert_int_equal(known.burst_milli, 1500);
    assert_int_equal(known.rate_bps, 100000000);
    assert_int_equal(gx_known_of(last, "paris").packets, 0);
    assert_int_equal(gx_known_of(last, "rome").packets, 0);
}

static void lanes_are_taken_together(void **state)
{
    struct gx_known known;

    (void)state;
    last->worker_count = 3;
    measure(0, 1, 100000, 10000);
    measure(1, 1, 100000, 30000); /* the third has carried nothing */
    known = gx_known_of(last, "paris");
    assert_int_equal(known.packets, 5000);
    assert_int_equal(known.loss_ppm, 20000);
    assert_int_equal(known.rate_bps, 200000000);
}

static void what_was_taken_over_goes_on_where_the_peer_was_not_heard(void **state)
{
    struct gx_known before = {.at_ns = 900 * HOUR, .packets = 4000, .loss_ppm = 50000};

    (void)state;
    last->known[1] = before;
    assert_int_equal(gx_known_of(last, "paris").at_ns, 900 * HOUR);
    assert_int_equal(gx_known_of(last, "paris").loss_ppm, 50000);
    measure(0, 1, 2000, 10000);
    assert_int_equal(gx_known_of(last, "paris").loss_ppm, 10000);
}

static void it_is_worth_less_with_age_and_nothing_after_a_day(void **state)
{
    struct gx_known known = {.at_ns = 100 * HOUR, .packets = 4000, .rate_bps = 5};

    (void)state;
    assert_int_equal(gx_known_aged(&known, 100 * HOUR).packets, 4000);
    assert_int_equal(gx_known_aged(&known, 106 * HOUR).packets, 3000);
    assert_int_equal(gx_known_aged(&known, 94 * HOUR).packets, 3000); /* the clock was set back */
    assert_int_equal(gx_known_aged(&known, 124 * HOUR).packets, 0);
    assert_int_equal(gx_known_aged(&known, 124 * HOUR).rate_bps, 0);
    assert_int_equal(known.packets, 4000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counters_tell_of_a_site_by_its_name),
        TEST(lanes_are_taken_together),
        TEST(what_was_taken_over_goes_on_where_the_peer_was_not_heard),
        TEST(it_is_worth_less_with_age_and_nothing_after_a_day),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
