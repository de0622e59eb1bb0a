/* The window against replay, compared with a plain list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "session/random.h"
#include "session/replay.h"

static struct gx_replay replay;

static void number_zero_is_never_new(void **state)
{
    (void)state;
    gx_replay_init(&replay);
    assert_true(gx_replay_seen(&replay, 0));
}

static void marked_number_is_seen_and_others_are_not(void **state)
{
    (void)state;
    gx_replay_init(&replay);
    gx_replay_mark(&replay, 100);
    assert_true(gx_replay_seen(&replay, 100));
    assert_false(gx_replay_seen(&replay, 99));
    assert_false(gx_replay_seen(&replay, 101));
}

static void numbers_below_the_window_count_as_seen(void **state)
{
    (void)state;
    gx_replay_init(&replay);
    gx_replay_mark(&replay, 10 * GX_REPLAY_WINDOW);
    assert_true(gx_replay_seen(&replay, 9 * GX_REPLAY_WINDOW));
    assert_false(gx_replay_seen(&replay, 9 * GX_REPLAY_WINDOW + 64));
}

static void a_jump_forgets_what_was_in_the_ring(void **state)
{
    (void)state;
    gx_replay_init(&replay);
    for (uint64_t n = 1; n <= 1000; n++)
        gx_replay_mark(&replay, n);
    gx_replay_mark(&replay, 1ull << 50);
    for (uint64_t n = (1ull << 50) - 65000; n < 1ull << 50; n++)
        assert_false(gx_replay_seen(&replay, n));
}

static void random_order_agrees_with_a_list(void **state)
{
    static uint8_t seen[200000];
    struct gx_random random;

    (void)state;
    memset(seen, 0, sizeof seen);
    gx_replay_init(&replay);
    gx_random_init(&random, 3);
    for (uint64_t base = 1; base < sizeof seen - 1000; base++) {
        uint64_t number = base + gx_random_u64(&random) % 1000;

        assert_int_equal(gx_replay_seen(&replay, number), seen[number]);
        if (!seen[number])
            gx_replay_mark(&replay, number);
        seen[number] = 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(number_zero_is_never_new),
        cmocka_unit_test(marked_number_is_seen_and_others_are_not),
        cmocka_unit_test(numbers_below_the_window_count_as_seen),
        cmocka_unit_test(a_jump_forgets_what_was_in_the_ring),
        cmocka_unit_test(random_order_agrees_with_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
