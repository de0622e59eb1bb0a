/* The token bucket: long-run rate, credit saved up, trains, debt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lane/pace.h"

#define S 1000000000ull

static uint64_t sent_in(struct gx_pace *pace, uint64_t from, uint64_t to, uint64_t step)
{
    uint64_t bytes = 0;

    for (uint64_t now = from; now < to; now += step)
        while (gx_pace_allows(pace, now)) {
            gx_pace_charge(pace, 1498);
            bytes += 1498;
        }
    return bytes;
}

static void rate_holds_at_any_step(void **state)
{
    static const uint64_t rates[] = {1000000, 200000000, 10000000000ull, 400000000000ull};
    static const uint64_t steps[] = {1000, 77777, 500000};

    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        for (size_t j = 0; j < sizeof steps / sizeof steps[0]; j++) {
            struct gx_pace pace;
            uint64_t bytes, allowed = rates[i] / 8;

            gx_pace_init(&pace, rates[i], 1498, 0);
            sent_in(&pace, 0, S / 10, steps[j]);
            bytes = sent_in(&pace, S / 10, S / 10 + S, steps[j]);
            assert_in_range(bytes, allowed - allowed / 500 - 1498 * 3,
                            allowed + allowed / 500 + 1498 * 3);
        }
}

static void idle_bucket_saves_five_milliseconds_at_most(void **state)
{
    struct gx_pace pace;
    uint64_t burst;

    (void)state;
    gx_pace_init(&pace, 200000000, 1498, 0);
    sent_in(&pace, 0, 1, 1);
    burst = sent_in(&pace, 100 * S, 100 * S + 1, 1);
    assert_in_range(burst, 125000, 125000 + 1498);
}

static void slow_bucket_holds_eight_packets(void **state)
{
    struct gx_pace pace;

    (void)state;
    gx_pace_init(&pace, 1000000, 1498, 0);
    assert_in_range(sent_in(&pace, 0, 1, 1), 8 * 1498, 9 * 1498);
}

/* What leaves at `when`, and nothing a nanosecond before. */
static uint64_t next_train(uint64_t rate_bps)
{
    struct gx_pace pace;
    uint64_t when;

    gx_pace_init(&pace, rate_bps, 1498, 0);
    sent_in(&pace, 0, 1, 1);
    when = gx_pace_when(&pace);
    assert_true(when > 1);
    assert_int_equal(sent_in(&pace, when - 2, when - 1, 1), 0);
    return sent_in(&pace, when, when + 1, 1);
}

static void a_train_is_a_millisecond_of_the_rate(void **state)
{
    (void)state;
    assert_in_range(next_train(200000000), 25000, 25000 + 1498);
    assert_in_range(next_train(500000000), 62500, 62500 + 1498);
}

static void a_train_is_two_packets_at_least_and_64_kib_at_most(void **state)
{
    (void)state;
    assert_in_range(next_train(1000000), 2 * 1498, 3 * 1498);
    /* Two nanoseconds of 40 Gbit/s are ten bytes. */
    assert_in_range(next_train(10000000000ull), 65536, 65536 + 1498 + 10);
    assert_in_range(next_train(40000000000ull), 65536, 65536 + 1498 + 10);
}

static void a_train_that_leaves_goes_on_until_the_credit_is_used(void **state)
{
    struct gx_pace pace;
    uint64_t when;

    (void)state;
    gx_pace_init(&pace, 200000000, 1498, 0);
    sent_in(&pace, 0, 1, 1);
    when = gx_pace_when(&pace);
    assert_true(gx_pace_allows(&pace, when));
    gx_pace_charge(&pace, 1498);
    assert_true(gx_pace_when(&pace) <= when);
    assert_true(gx_pace_allows(&pace, when));
    while (gx_pace_allows(&pace, when))
        gx_pace_charge(&pace, 1498);
    /* A packet's worth of credit does not open the next one. */
    assert_false(gx_pace_allows(&pace, when + 2 * 1498 * 40));
    assert_true(gx_pace_when(&pace) > when + 2 * 1498 * 40);
}

static void debt_is_bounded(void **state)
{
    struct gx_pace pace;

    (void)state;
    gx_pace_init(&pace, 1000000, 1498, 0);
    for (int i = 0; i < 100000; i++)
        gx_pace_charge(&pace, 9000);
    assert_true(gx_pace_when(&pace) < S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_holds_at_any_step),
        cmocka_unit_test(idle_bucket_saves_five_milliseconds_at_most),
        cmocka_unit_test(slow_bucket_holds_eight_packets),
        cmocka_unit_test(a_train_is_a_millisecond_of_the_rate),
        cmocka_unit_test(a_train_is_two_packets_at_least_and_64_kib_at_most),
        cmocka_unit_test(a_train_that_leaves_goes_on_until_the_credit_is_used),
        cmocka_unit_test(debt_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
