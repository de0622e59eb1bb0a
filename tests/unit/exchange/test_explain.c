/* What the coordinator writes down about its rounds: every reason, its times, and that it is final. */
#include "coordinator_bench.h"

#include <stdlib.h>

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    b->view = calloc(1, sizeof(*b->view));
    start(b, 3, 1);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    gx_coordinator_destroy(b->c);
    free(b->view);
    free(b);
    return 0;
}

/* The row of a round of fragment 0; asserts that there is exactly one and that it is whole. */
static const struct gx_decision *row_of(const struct bench *b, uint64_t round)
{
    const struct gx_decision *found = NULL;

    for (unsigned i = 0; i < GX_DECISIONS; i++) {
        const struct gx_decision *d = &b->view->decisions[i];
        assert_int_equal(d->sequence % 2, 0);
        if (!d->used || d->round != round)
            continue;
        assert_null(found);
        found = d;
    }
    assert_non_null(found);
    assert_string_equal(found->run, "run");
    return found;
}

static void each_site_has_its_reason(void **state)
{
    struct bench *b = *state;

    say(b, 3);
    assert_int_equal(row_of(b, 1)->why[2], GX_WHY_UNKNOWN);
    say(b, 7);
    assert_int_equal(row_of(b, 1)->why[2], GX_WHY_NO_OFFER);
    b->reports[2].flags = GX_REPORT_TRAINER;
    say(b, 7);
    assert_int_equal(row_of(b, 1)->why[2], GX_WHY_NOT_READY);
    b->reports[2].flags = 0;
    say(b, 7);
    assert_int_equal(row_of(b, 1)->why[2], GX_WHY_NO_TRAINER);
    b->reports[2].flags = GX_REPORT_TRAINER | GX_REPORT_STATE | GX_REPORT_LEAVING;
    say(b, 7);
    assert_int_equal(row_of(b, 1)->why[2], GX_WHY_LEAVING);
    b->reports[2].flags = GX_REPORT_TRAINER | GX_REPORT_STATE | GX_REPORT_BEHIND;
    say(b, 7);
    assert_int_equal(row_of(b, 1)->why[2], GX_WHY_BEHIND);
    b->reports[2].flags = GX_REPORT_TRAINER | GX_REPORT_STATE;
    say(b, 7);
    pass(b, 4 * S, 3);
    assert_int_equal(row_of(b, 1)->why[2], GX_WHY_SILENT);
    b->reports[2].schema.digest = digest_of(5);
    say(b, 7);
    assert_int_equal(row_of(b, 1)->why[2], GX_WHY_REFUSED);
}

static void an_offer_is_on_its_way_then_eligible(void **state)
{
    struct bench *b = *state;

    say(b, 7);
    assert_int_equal(row_of(b, 1)->opened_ns, 0);
    offer(b, 1, 1, 2);
    say(b, 7);
    const struct gx_decision *d = row_of(b, 1);
    assert_int_equal(d->opened_ns, b->now);
    assert_int_equal(d->deadline_ns, b->now + 5 * S);
    assert_int_equal(d->why[1], GX_WHY_NOT_HELD);
    assert_int_equal(d->holders[1], 1u << 1);
    assert_int_equal(d->offered_ns[1], b->now);
    assert_int_equal(d->eligible_ns[1], 0);
    b->now += S;
    hold(b, 2, 1, 1, 2);
    say(b, 7);
    assert_int_equal(d->why[1], GX_WHY_ELIGIBLE);
    assert_int_equal(d->holders[1], 1u << 1 | 1u << 2);
    assert_int_equal(d->offered_ns[1], b->now - S);
    assert_int_equal(d->eligible_ns[1], b->now);
}

static void an_offer_on_another_base_says_so(void **state)
{
    struct bench *b = *state;

    say(b, 7);
    offer(b, 0, 1, 1);
    say(b, 7);
    b->reports[2].state = digest_of(101);
    offer(b, 2, 1, 3);
    say(b, 7);
    assert_int_equal(row_of(b, 1)->why[2], GX_WHY_WRONG_BASE);
}

static void a_round_is_over_when_its_record_is_durable(void **state)
{
    struct bench *b = *state;
    uint64_t sequence;

    say(b, 7);
    both_offer_and_hold(b, 1);
    pass(b, 5 * S, 7); /* c offers nothing */
    const struct gx_decision *d = row_of(b, 1);
    uint64_t decided_ns = d->decided_ns;
    assert_true(decided_ns >= d->deadline_ns);
    assert_int_equal(d->flags & GX_DECISION_OVER, 0);
    written(b, &sequence);
    pass(b, 4 * S, 3); /* meanwhile c falls silent: that is not why it was left out */
    gx_coordinator_journal_done(b->c, sequence, b->now);
    assert_int_equal(d->decided_ns, decided_ns);
    assert_int_equal(d->durable_ns, b->now);
    assert_int_equal(d->members, 3);
    assert_int_equal(d->why[0], GX_WHY_MEMBER);
    assert_int_equal(d->why[2], GX_WHY_NO_OFFER);
    assert_true(d->flags & GX_DECISION_OVER);
    say(b, 3);
    assert_int_equal(row_of(b, 2)->opened_ns, 0);
    assert_int_equal(row_of(b, 2)->why[2], GX_WHY_SILENT);
}

static void a_round_waits_for_its_sites(void **state)
{
    struct bench *b = *state;

    say(b, 3);
    assert_int_equal(row_of(b, 1)->flags & GX_DECISION_STARTED, 0);
    assert_int_equal(row_of(b, 1)->sites_needed, 3);
    say(b, 7);
    assert_true(row_of(b, 1)->flags & GX_DECISION_STARTED);
    assert_int_equal(row_of(b, 1)->sites_needed, 1);
}

static void a_new_deadline_moves_the_open_round(void **state)
{
    struct bench *b = *state;

    say(b, 7);
    both_offer_and_hold(b, 1);
    uint64_t opened_ns = b->now;
    gx_coordinator_deadline(b->c, 2 * S);
    pass(b, S, 7);
    assert_int_equal(row_of(b, 1)->deadline_ns, opened_ns + 2 * S);
    assert_true(quiet(b));
    pass(b, S + S / 5, 7);
    assert_false(quiet(b));
    assert_true(row_of(b, 1)->decided_ns < opened_ns + 3 * S);
}

static void the_oldest_rounds_give_way(void **state)
{
    struct bench *b = *state;
    uint64_t sequence;

    say(b, 7);
    for (uint64_t round = 1; round <= GX_DECISIONS + 10; round++) {
        both_offer_and_hold(b, round);
        offer(b, 2, round, 3);
        hold(b, 0, round, 2, 3);
        say(b, 7);
        written(b, &sequence);
        gx_coordinator_journal_done(b->c, sequence, b->now);
        for (int i = 0; i < 3; i++)
            b->reports[i].applied = b->reports[i].reduced = b->reports[i].decided = round;
        say(b, 7);
    }
    assert_int_equal(row_of(b, GX_DECISIONS + 10)->members, 7);
    assert_int_equal(row_of(b, GX_DECISIONS + 11)->members, 0);
    for (unsigned i = 0; i < GX_DECISIONS; i++)
        assert_true(b->view->decisions[i].round > 11);
}

static void without_a_view_nothing_is_written(void **state)
{
    struct bench b = {0};

    (void)state;
    start(&b, 2, 1);
    say(&b, 3);
    both_offer_and_hold(&b, 1);
    assert_false(quiet(&b));
    gx_coordinator_destroy(b.c);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_site_has_its_reason),         TEST(an_offer_is_on_its_way_then_eligible),
        TEST(an_offer_on_another_base_says_so), TEST(a_round_is_over_when_its_record_is_durable),
        TEST(a_round_waits_for_its_sites),      TEST(a_new_deadline_moves_the_open_round),
        TEST(the_oldest_rounds_give_way),       cmocka_unit_test(without_a_view_nothing_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
