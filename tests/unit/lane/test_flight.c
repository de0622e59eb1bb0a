/* The log of what was sent: seen by number, judged by time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lane/flight.h"

static struct gx_flight_entry ring[8];
static struct gx_flight flight;

static int setup(void **state)
{
    (void)state;
    gx_flight_init(&flight, ring, 8);
    for (uint64_t n = 1; n <= 6; n++) {
        struct gx_flight_entry entry = {.sent_ns = n * 100, .block = (uint32_t)n};

        gx_flight_sent(&flight, n, &entry);
    }
    return 0;
}

static uint32_t see_all(uint64_t highest)
{
    uint32_t count = 0;

    while (gx_flight_see(&flight, highest) != NULL)
        count++;
    return count;
}

static void entries_are_seen_once_and_in_order(void **state)
{
    (void)state;
    assert_int_equal(gx_flight_see(&flight, 2)->block, 1);
    assert_int_equal(gx_flight_see(&flight, 2)->block, 2);
    assert_null(gx_flight_see(&flight, 2));
    assert_int_equal(see_all(6), 4);
    assert_int_equal(see_all(6), 0);
}

static void only_what_was_seen_and_sent_early_enough_is_judged(void **state)
{
    (void)state;
    see_all(4);
    assert_int_equal(gx_flight_seen_sent_ns(&flight), 400);
    assert_int_equal(gx_flight_judge(&flight, 200)->block, 1);
    assert_int_equal(gx_flight_judge(&flight, 200)->block, 2);
    assert_null(gx_flight_judge(&flight, 200));
    assert_int_equal(gx_flight_judge(&flight, 9999)->block, 3);
    assert_int_equal(gx_flight_judge(&flight, 9999)->block, 4);
    assert_null(gx_flight_judge(&flight, 9999));
}

static void a_peer_that_names_numbers_never_sent_sees_what_was(void **state)
{
    (void)state;
    assert_int_equal(see_all(UINT64_MAX), 6);
}

static void full_log_makes_room_by_judging_the_oldest(void **state)
{
    struct gx_flight_entry entry = {.sent_ns = 700, .block = 7};

    (void)state;
    see_all(1);
    gx_flight_sent(&flight, 7, &entry);
    gx_flight_sent(&flight, 8, &entry);
    assert_true(gx_flight_full(&flight));
    assert_int_equal(gx_flight_drop(&flight)->block, 1);
    assert_int_equal(gx_flight_drop(&flight)->block, 2);
    assert_false(gx_flight_full(&flight));
    assert_int_equal(gx_flight_see(&flight, 8)->block, 3);
}

static void ring_holds_a_second_within_bounds(void **state)
{
    (void)state;
    assert_int_equal(gx_flight_ring_count(1000000, 1498), 1 << 12);
    assert_int_equal(gx_flight_ring_count(200000000, 1498), 1 << 15);
    assert_int_equal(gx_flight_ring_count(400000000000ull, 1498), 1 << 20);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(entries_are_seen_once_and_in_order),
        TEST(only_what_was_seen_and_sent_early_enough_is_judged),
        TEST(a_peer_that_names_numbers_never_sent_sees_what_was),
        TEST(full_log_makes_room_by_judging_the_oldest),
        TEST(ring_holds_a_second_within_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
