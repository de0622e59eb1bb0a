/* What a receiver lets its senders send: together no more than it can take, and nothing is left unused for long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "transfer/grant.h"

#define MBIT 1000000ull
#define MS 1000000ull
#define SENDERS 8

/* Each sends at bps[i] for 300 ms, looked at every 10 ms; 0: it does not. */
static void play(struct gx_grant_use *uses, const uint64_t *bps)
{
    for (uint64_t t = 0; t <= 300; t += 10)
        for (uint32_t i = 0; i < SENDERS; i++)
            gx_grant_look(&uses[i], bps[i] > 0, bps[i] / 8 * t / 1000, t * MS);
}

static void a_sender_alone_has_all(void **state)
{
    struct gx_grant_use uses[SENDERS] = {{0}};

    (void)state;
    assert_int_equal(gx_grant_bps(uses, SENDERS, 3, 200 * MBIT), 200 * MBIT);
}

static void eager_senders_have_equal_shares(void **state)
{
    struct gx_grant_use uses[SENDERS] = {{0}};
    uint64_t bps[SENDERS], sum = 0;

    (void)state;
    for (uint32_t i = 0; i < SENDERS; i++)
        bps[i] = 24 * MBIT;
    play(uses, bps);
    for (uint32_t i = 0; i < SENDERS; i++)
        sum += gx_grant_bps(uses, SENDERS, i, 200 * MBIT);
    assert_int_equal(sum, 200 * MBIT);
}

static void what_a_slow_sender_leaves_is_the_others(void **state)
{
    struct gx_grant_use uses[SENDERS] = {{0}};
    const uint64_t bps[SENDERS] = {16 * MBIT, 60 * MBIT, 60 * MBIT, 60 * MBIT};

    (void)state;
    play(uses, bps);
    assert_int_equal(gx_grant_bps(uses, SENDERS, 0, 200 * MBIT), 50 * MBIT);
    for (uint32_t i = 1; i < 4; i++)
        assert_in_range(gx_grant_bps(uses, SENDERS, i, 200 * MBIT), 60 * MBIT, 61 * MBIT);
}

static void a_sender_that_begins_is_not_taken_for_slow(void **state)
{
    struct gx_grant_use uses[SENDERS] = {{0}};

    (void)state;
    gx_grant_look(&uses[0], true, 1000, 10 * MS);
    gx_grant_look(&uses[1], true, 1000, 10 * MS);
    gx_grant_look(&uses[0], true, 2000, 150 * MS);
    assert_int_equal(gx_grant_bps(uses, SENDERS, 1, 200 * MBIT), 100 * MBIT);
}

static void a_sender_that_ends_leaves_its_share(void **state)
{
    struct gx_grant_use uses[SENDERS] = {{0}};
    const uint64_t both[SENDERS] = {100 * MBIT, 100 * MBIT}, one[SENDERS] = {0, 100 * MBIT};

    (void)state;
    play(uses, both);
    play(uses, one);
    assert_int_equal(gx_grant_bps(uses, SENDERS, 1, 200 * MBIT), 200 * MBIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sender_alone_has_all),
        cmocka_unit_test(eager_senders_have_equal_shares),
        cmocka_unit_test(what_a_slow_sender_leaves_is_the_others),
        cmocka_unit_test(a_sender_that_begins_is_not_taken_for_slow),
        cmocka_unit_test(a_sender_that_ends_leaves_its_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
