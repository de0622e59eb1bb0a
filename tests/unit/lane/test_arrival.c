/* Losses by packet numbers: gaps, runs, late arrivals, jumps, lateness. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lane/arrival.h"
#include "session/random.h"

#define WINDOW 1000u
#define LATE (1ull << 40)

static struct gx_replay replay;
static struct gx_arrival arrival;

static int setup(void **state)
{
    (void)state;
    gx_replay_init(&replay);
    gx_arrival_init(&arrival);
    return 0;
}

static void arrives(uint64_t number, uint64_t now)
{
    gx_arrival_packet(&arrival, &replay, number, (uint32_t)number, now);
    gx_replay_mark(&replay, number);
}

/* Enough ticks that all is judged. */
static void settle(void)
{
    for (uint64_t now = LATE; now < LATE + 4 * WINDOW; now += WINDOW)
        gx_arrival_tick(&arrival, &replay, WINDOW, now);
}

static void gap_is_lost_only_after_the_window(void **state)
{
    (void)state;
    arrives(1, 10);
    arrives(4, 20);
    gx_arrival_tick(&arrival, &replay, WINDOW, 500);
    assert_int_equal(arrival.expected, 0);
    settle();
    assert_int_equal(arrival.expected, 4);
    assert_int_equal(arrival.lost, 2);
    assert_int_equal(arrival.bursts, 1);
}

static void reordered_packet_is_not_lost(void **state)
{
    (void)state;
    arrives(1, 10);
    arrives(3, 20);
    arrives(2, 30);
    settle();
    assert_int_equal(arrival.lost, 0);
    assert_int_equal(arrival.bursts, 0);
}

static void late_arrival_takes_its_loss_back(void **state)
{
    (void)state;
    arrives(1, 10);
    arrives(5, 20);
    settle();
    assert_int_equal(arrival.lost, 3);
    assert_int_equal(arrival.bursts, 1);
    arrives(3, LATE + 9 * WINDOW); /* in the middle of the run */
    assert_int_equal(arrival.lost, 2);
    assert_int_equal(arrival.bursts, 2);
    arrives(2, LATE + 9 * WINDOW);
    arrives(4, LATE + 9 * WINDOW);
    assert_int_equal(arrival.lost, 0);
    assert_int_equal(arrival.bursts, 0);
}

static void jump_beyond_the_window_is_counted_at_once(void **state)
{
    (void)state;
    arrives(1, 10);
    arrives(1ull << 40, 20);
    settle();
    assert_int_equal(arrival.expected, 1ull << 40);
    assert_int_equal(arrival.lost, (1ull << 40) - 2);
    assert_int_equal(arrival.bursts, 1);
}

static void counts_are_exact_for_random_losses(void **state)
{
    struct gx_random random;
    uint64_t lost = 0, bursts = 0, last = 300000;
    bool was_lost = false;

    (void)state;
    gx_random_init(&random, 5);
    for (uint64_t n = 1; n <= last; n++) {
        bool loses = n < last && gx_random_u64(&random) % 10 == 0;

        lost += loses;
        bursts += loses && !was_lost;
        was_lost = loses;
        if (!loses)
            arrives(n, n * 60);
        if (n % 167 == 0)
            gx_arrival_tick(&arrival, &replay, WINDOW, n * 60);
    }
    settle();
    assert_int_equal(arrival.expected, last);
    assert_int_equal(arrival.lost, lost);
    assert_int_equal(arrival.bursts, bursts);
}

static void a_new_session_judges_the_rest_of_the_old_one(void **state)
{
    (void)state;
    arrives(1, 10);
    arrives(3, 20);
    gx_arrival_session(&arrival, &replay);
    gx_replay_init(&replay);
    arrives(2, 30);
    settle();
    assert_int_equal(arrival.expected, 5);
    assert_int_equal(arrival.lost, 2);
}

static void lateness_is_that_of_the_overtaken(void **state)
{
    (void)state;
    arrives(1000, 10);
    arrives(3000, 20);
    arrives(1200, 30);
    assert_int_equal(gx_arrival_lateness_us(&arrival), 1800);
    gx_arrival_tick(&arrival, &replay, WINDOW, LATE);
    assert_int_equal(gx_arrival_lateness_us(&arrival), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gap_is_lost_only_after_the_window),
        TEST(reordered_packet_is_not_lost),
        TEST(late_arrival_takes_its_loss_back),
        TEST(jump_beyond_the_window_is_counted_at_once),
        TEST(counts_are_exact_for_random_losses),
        TEST(a_new_session_judges_the_rest_of_the_old_one),
        TEST(lateness_is_that_of_the_overtaken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
