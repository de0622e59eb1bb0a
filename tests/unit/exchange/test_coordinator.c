/* The coordinator as a state machine: REPORTs go in by hand, STATUSes and journal entries come out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "coordinator_bench.h"

static void decides_when_all_present_are_eligible(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 2, 1);
    both_offer_and_hold(&b, 1);
    struct gx_journal_entry e = written(&b, &sequence);
    assert_int_equal(e.record.members, 3);
    assert_int_equal(e.record.divisor, 21);
    assert_true(gx_digest_equal(&e.record.base, &b.reports[0].state));
    gx_coordinator_destroy(b.c);
}

static void nobody_sees_a_record_before_it_is_durable(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 2, 1);
    both_offer_and_hold(&b, 1);
    written(&b, &sequence);
    assert_int_equal(status_for(&b, 1).decided, 0);
    gx_coordinator_journal_done(b.c, sequence, b.now);
    assert_int_equal(status_for(&b, 1).decided, 1);
    gx_coordinator_destroy(b.c);
}

static void a_record_comes_with_those_who_held_its_members(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 3, 1);
    say(&b, 7);
    for (uint32_t i = 0; i < 3; i++)
        offer(&b, i, 1, i + 1);
    hold(&b, 0, 1, 1, 2);
    hold(&b, 0, 1, 2, 3);
    hold(&b, 1, 1, 0, 1);
    hold(&b, 2, 1, 0, 9); /* other bytes than were recorded */
    say(&b, 7);
    written(&b, &sequence);
    gx_coordinator_journal_done(b.c, sequence, b.now);
    struct gx_status s = status_for(&b, 2);
    assert_int_equal(s.decided, 1);
    assert_int_equal(s.keepers, 7);
    assert_int_equal(s.kept[0], 7);
    assert_int_equal(s.kept[1], 3);
    assert_int_equal(s.kept[2], 4);

    /* Once it knows the record, its own word counts. */
    b.reports[0].decided = 1;
    b.reports[0].kept = 1;
    say(&b, 7);
    assert_int_equal(status_for(&b, 2).kept[0], 1);
    gx_coordinator_destroy(b.c);
}

static void an_offer_that_only_its_owner_holds_is_not_eligible(void **state)
{
    (void)state;
    struct bench b = {0};
    start(&b, 2, 1);
    offer(&b, 0, 1, 1);
    offer(&b, 1, 1, 2);
    say(&b, 3);
    assert_true(quiet(&b));
    hold(&b, 0, 1, 1, 2);
    say(&b, 3);
    assert_true(quiet(&b)); /* a's is still held by a alone */
    gx_coordinator_destroy(b.c);
}

static void held_under_another_digest_does_not_count(void **state)
{
    (void)state;
    struct bench b = {0};
    start(&b, 2, 1);
    offer(&b, 0, 1, 1);
    offer(&b, 1, 1, 2);
    hold(&b, 0, 1, 1, 2);
    hold(&b, 1, 1, 0, 99);
    say(&b, 3);
    assert_true(quiet(&b));
    gx_coordinator_destroy(b.c);
}

static void the_deadline_decides_with_what_is_eligible(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 3, 1);
    both_offer_and_hold(&b, 1);
    say(&b, 7); /* c trains on */
    assert_true(quiet(&b));
    pass(&b, 5 * S, 7);
    assert_int_equal(written(&b, &sequence).record.members, 3);
    gx_coordinator_destroy(b.c);
}

static void fewer_than_min_sites_is_void_at_the_deadline(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 2, 2);
    say(&b, 3);
    offer(&b, 0, 1, 1);
    say(&b, 3);
    pass(&b, 5 * S, 3);
    struct gx_journal_entry e = written(&b, &sequence);
    assert_int_equal(e.record.members, 0);
    assert_int_equal(e.record.divisor, 0);
    gx_coordinator_destroy(b.c);
}

static void a_site_that_fell_silent_is_not_waited_for(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 3, 1);
    say(&b, 7);
    both_offer_and_hold(&b, 1);
    assert_true(quiet(&b));
    pass(&b, 3 * S, 3);
    assert_int_equal(written(&b, &sequence).record.members, 3);
    gx_coordinator_destroy(b.c);
}

static void round_one_waits_for_all_sites(void **state)
{
    (void)state;
    struct bench b = {0};
    start(&b, 3, 1);
    both_offer_and_hold(&b, 1);
    pass(&b, 20 * S, 3);
    assert_true(quiet(&b));
    gx_coordinator_destroy(b.c);
}

static void the_first_recorded_offer_stands(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 2, 1);
    offer(&b, 0, 1, 1);
    say(&b, 3);
    offer(&b, 0, 1, 77); /* its trainer came back with other bytes */
    offer(&b, 1, 1, 2);
    hold(&b, 1, 1, 0, 77);
    hold(&b, 0, 1, 1, 2);
    say(&b, 3);
    assert_true(quiet(&b));
    pass(&b, 5 * S, 3);
    assert_int_equal(written(&b, &sequence).record.members, 2);
    gx_coordinator_destroy(b.c);
}

static void another_base_is_behind_and_not_a_member(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 3, 1);
    b.reports[2].state = digest_of(666);
    offer(&b, 2, 1, 3);
    hold(&b, 0, 1, 2, 3);
    hold(&b, 1, 1, 2, 3);
    both_offer_and_hold(&b, 1);
    say(&b, 7);
    assert_int_equal(written(&b, &sequence).record.members, 3);
    gx_coordinator_destroy(b.c);
}

static void on_a_tie_the_base_is_the_first_sites(void **state)
{
    (void)state;
    struct bench b = {0};
    start(&b, 2, 1);
    b.reports[1].state = digest_of(666);
    say(&b, 3);
    struct gx_status s = status_for(&b, 1);
    assert_true(s.flags & GX_STATUS_BASE);
    assert_true(gx_digest_equal(&s.base, &b.reports[0].state));
    gx_coordinator_destroy(b.c);
}

static void a_restarted_coordinator_waits_for_reports(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 3, 1);
    struct gx_journal_entry e = {.type = GX_JOURNAL_RECORD,
                                 .run = "run",
                                 .record = {.epoch = 1, .round = 1, .base = digest_of(100)}};
    gx_coordinator_replay(b.c, &e);
    for (int i = 0; i < 3; i++)
        b.reports[i].applied = b.reports[i].decided = 1;
    both_offer_and_hold(&b, 2);
    pass(&b, 2 * S, 3);
    assert_true(quiet(&b)); /* c may have been heard by a moment ago */
    pass(&b, 2 * S, 3);
    assert_int_equal(written(&b, &sequence).record.round, 2);
    gx_coordinator_destroy(b.c);
}

static void a_record_that_the_log_lacks_stops_decisions(void **state)
{
    (void)state;
    struct bench b = {0};
    start(&b, 2, 1);
    b.reports[1].decided = b.reports[1].applied = 4;
    b.reports[1].record_check = 1234;
    both_offer_and_hold(&b, 1);
    pass(&b, 10 * S, 3);
    assert_true(quiet(&b));
    assert_true(status_for(&b, 1).flags & GX_STATUS_HALTED);
    struct gx_note_line line;
    assert_true(gx_note_pop(&b.notes, &line));
    assert_non_null(strstr(line.text, "lacks"));
    gx_coordinator_destroy(b.c);
}

static void a_lost_last_state_starts_an_epoch_from_the_newest(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 2, 1);
    both_offer_and_hold(&b, 1);
    written(&b, &sequence);
    gx_coordinator_journal_done(b.c, sequence, b.now);
    for (int i = 0; i < 2;
         i++) { /* both gateways restarted: nothing is held, both are at round 0 */
        gx_coordinator_restarted(b.c, (uint32_t)i);
        b.reports[i].flags = GX_REPORT_TRAINER | GX_REPORT_STATE;
        b.reports[i].held = b.reports[i].kept = 0;
        b.reports[i].decided = 1;
    }
    pass(&b, 5 * S, 3);
    struct gx_journal_entry e = written(&b, &sequence);
    assert_int_equal(e.type, GX_JOURNAL_EPOCH);
    assert_int_equal(e.epoch, 2);
    assert_int_equal(e.starts[0].round, 0);
    gx_coordinator_journal_done(b.c, sequence, b.now);
    struct gx_status s = status_for(&b, 1);
    assert_int_equal(s.epoch, 2);
    assert_int_equal(s.decided, 0);
    gx_coordinator_destroy(b.c);
}

/* All trainers but one have done their rounds and are gone; that one came back from round 0. */
/* The site whose coming lets round 1 begin takes part in it, however long the others have been ready (R11). */
static void the_last_site_to_come_is_in_round_1(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 3, 1);
    both_offer_and_hold(&b, 1);
    pass(&b, S, 3);
    b.reports[2].epoch = 0; /* the first word of its gxd, which has heard nothing yet */
    say(&b, 7);
    say(&b, 7);
    assert_true(quiet(&b));
    b.reports[2].epoch = 1;
    offer(&b, 2, 1, 3);
    hold(&b, 0, 1, 2, 3);
    say(&b, 7);
    say(&b, 7);
    assert_int_equal(written(&b, &sequence).record.members, 7);
    gx_coordinator_destroy(b.c);
}

static void the_state_of_a_site_whose_trainer_has_gone_can_be_had(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 2, 1);
    both_offer_and_hold(&b, 1);
    written(&b, &sequence);
    gx_coordinator_journal_done(b.c, sequence, b.now);
    b.reports[0].flags = GX_REPORT_TRAINER | GX_REPORT_STATE | GX_REPORT_BEHIND;
    b.reports[1].flags = GX_REPORT_STATE;
    b.reports[1].applied = b.reports[1].reduced = 1;
    b.reports[1].state = digest_of(101);
    b.reports[0].decided = b.reports[1].decided = 1;
    pass(&b, 40 * S, 3);
    assert_true(quiet(&b)); /* no epoch: the last state lives */
    struct gx_status s = status_for(&b, 0);
    struct gx_digest last = digest_of(101);
    assert_int_equal(s.present, 1);
    assert_true(s.flags & GX_STATUS_STATE);
    assert_int_equal(s.state_sites, 2);
    assert_true(gx_digest_equal(&s.state, &last));

    b.reports[1].flags = 0;
    say(&b, 3);
    assert_int_equal(status_for(&b, 0).state_sites, 0);
    gx_coordinator_destroy(b.c);
}

static void no_epoch_while_somebody_can_rebuild_the_last_state(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 2, 1);
    both_offer_and_hold(&b, 1);
    written(&b, &sequence);
    gx_coordinator_journal_done(b.c, sequence, b.now);
    for (int i = 0; i < 2; i++)
        b.reports[i].decided = 1;
    b.reports[0].kept = 3;
    pass(&b, 40 * S, 3);
    assert_true(quiet(&b));
    gx_coordinator_destroy(b.c);
}

static void a_fetching_site_holds_the_next_decision_for_a_while(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 3, 1);
    say(&b, 7);
    for (uint64_t round = 1; round <= 2; round++) {
        b.reports[2].flags |= GX_REPORT_FETCHING; /* the state of round 0 */
        both_offer_and_hold(&b, round);
        say(&b, 7);
        assert_int_equal(written(&b, &sequence).record.round, round);
        gx_coordinator_journal_done(b.c, sequence, b.now);
        for (int i = 0; i < 2; i++) {
            b.reports[i].applied = b.reports[i].decided = b.reports[i].reduced = round;
            b.reports[i].state = digest_of(100 + (unsigned)round);
        }
    }
    both_offer_and_hold(&b, 3);
    say(&b, 7);
    pass(&b, 4 * S, 7);
    assert_true(quiet(&b));
    pass(&b, 2 * S, 7);
    assert_int_equal(written(&b, &sequence).record.round, 3);
    gx_coordinator_destroy(b.c);
}

static void what_has_fallen_out_for_a_fetching_site_holds_no_other_decision(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 3, 1);
    say(&b, 7);
    for (uint64_t round = 1; round <= 4; round++) {
        b.reports[2].flags |= GX_REPORT_FETCHING; /* the state of round 0 */
        both_offer_and_hold(&b, round);
        say(&b, 7);
        if (round == 3)
            pass(&b, 6 * S, 7);
        assert_int_equal(written(&b, &sequence).record.round, round);
        gx_coordinator_journal_done(b.c, sequence, b.now);
        for (int i = 0; i < 2; i++) {
            b.reports[i].applied = b.reports[i].decided = b.reports[i].reduced = round;
            b.reports[i].state = digest_of(100 + (unsigned)round);
        }
    }
    gx_coordinator_destroy(b.c);
}

static void a_site_that_is_heard_but_reports_the_run_no_more_is_not_waited_for(void **state)
{
    (void)state;
    struct bench b = {0};
    uint64_t sequence;
    start(&b, 3, 1);
    both_offer_and_hold(&b, 1);
    say(&b, 7); /* c trains on; then its trainer dies, and the one REPORT that says so is lost */
    assert_true(quiet(&b));
    for (int i = 0; i < 32; i++) {
        b.heard[2] = b.now + S / 10;
        pass(&b, S / 10, 3);
    }
    assert_int_equal(written(&b, &sequence).record.members, 3);
    gx_coordinator_destroy(b.c);
}

static void after_a_restart_the_base_is_not_that_of_who_reports_first(void **state)
{
    (void)state;
    struct bench b = {0};
    struct gx_journal_entry entry = {.type = GX_JOURNAL_RECORD,
                                     .run = "run",
                                     .record = {.epoch = 1, .round = 1, .base = digest_of(100)}};
    start(&b, 3, 1);
    gx_coordinator_replay(b.c, &entry);
    for (unsigned i = 0; i < 3; i++) {
        b.reports[i].applied = b.reports[i].decided = b.reports[i].reduced = 1;
        b.reports[i].state = digest_of(i == 2 ? 201 : 101);
    }
    offer(&b, 2, 2, 7);
    say(&b, 4);
    say(&b, 7);
    struct gx_status s = status_for(&b, 0);
    assert_true(s.flags & GX_STATUS_BASE);
    assert_true(gx_digest_equal(&s.base, &b.reports[0].state));
    gx_coordinator_destroy(b.c);
}

static void a_schema_that_differs_is_refused_by_name(void **state)
{
    (void)state;
    struct bench b = {0};
    start(&b, 2, 1);
    b.reports[1].schema.param_count = 101;
    b.reports[1].schema.digest = digest_of(5);
    say(&b, 3);
    struct gx_status s = status_for(&b, 1);
    assert_int_equal(s.reason, GX_REASON_SCHEMA);
    assert_int_equal(s.present, 1);
    assert_int_equal(s.schema.param_count, 100);
    struct gx_note_line line;
    assert_true(gx_note_pop(&b.notes, &line));
    assert_non_null(strstr(line.text, "parameter count"));
    gx_coordinator_destroy(b.c);
}

static void an_older_report_does_not_replace_a_newer_one(void **state)
{
    (void)state;
    struct bench b = {0};
    start(&b, 2, 1);
    both_offer_and_hold(&b, 1);
    struct gx_report old = b.reports[1];
    gx_coordinator_destroy(b.c);
    start(&b, 2, 1);
    say(&b, 3);
    gx_coordinator_report(b.c, 1, &old, 0, b.now);
    gx_coordinator_tick(b.c, b.heard, b.now);
    assert_int_equal(status_for(&b, 0).offers, 0);
    gx_coordinator_destroy(b.c);
}

/* Two sites, round 1 decided and applied by nobody, and the operator asks for a rewind. */
static void rewind_asked(struct bench *b)
{
    uint64_t sequence;

    start(b, 2, 1);
    say(b, 3);
    both_offer_and_hold(b, 1);
    written(b, &sequence);
    gx_coordinator_journal_done(b->c, sequence, b->now);
    for (int i = 0; i < 2; i++) {
        b->reports[i].decided = 1;
        b->reports[i].kept = 3;
    }
    say(b, 3);
    assert_int_equal(gx_coordinator_rewind(b->c, "run"), 0);
}

/* What is decided counts: a rewind of a run that is well waits until some site has applied it. */
static void an_asked_rewind_waits_for_the_decided_round(void **state)
{
    struct bench b = {0};
    uint64_t sequence;

    (void)state;
    rewind_asked(&b);
    say(&b, 3);
    assert_true(quiet(&b));
    b.reports[0].applied = b.reports[0].reduced = 1;
    b.reports[0].state = digest_of(101);
    say(&b, 3);
    struct gx_journal_entry entry = written(&b, &sequence);
    assert_int_equal(entry.type, GX_JOURNAL_EPOCH);
    assert_int_equal(entry.starts[0].round, 1);
    gx_coordinator_destroy(b.c);
}

static void an_asked_rewind_waits_3_s_at_most(void **state)
{
    struct bench b = {0};
    uint64_t sequence;

    (void)state;
    rewind_asked(&b);
    pass(&b, 29 * S / 10, 3);
    assert_true(quiet(&b));
    pass(&b, S / 5, 3);
    struct gx_journal_entry entry = written(&b, &sequence);
    assert_int_equal(entry.type, GX_JOURNAL_EPOCH);
    assert_int_equal(entry.starts[0].round, 0);
    gx_coordinator_destroy(b.c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides_when_all_present_are_eligible),
        cmocka_unit_test(nobody_sees_a_record_before_it_is_durable),
        cmocka_unit_test(a_record_comes_with_those_who_held_its_members),
        cmocka_unit_test(an_offer_that_only_its_owner_holds_is_not_eligible),
        cmocka_unit_test(held_under_another_digest_does_not_count),
        cmocka_unit_test(the_deadline_decides_with_what_is_eligible),
        cmocka_unit_test(fewer_than_min_sites_is_void_at_the_deadline),
        cmocka_unit_test(a_site_that_fell_silent_is_not_waited_for),
        cmocka_unit_test(round_one_waits_for_all_sites),
        cmocka_unit_test(the_first_recorded_offer_stands),
        cmocka_unit_test(another_base_is_behind_and_not_a_member),
        cmocka_unit_test(on_a_tie_the_base_is_the_first_sites),
        cmocka_unit_test(a_restarted_coordinator_waits_for_reports),
        cmocka_unit_test(a_record_that_the_log_lacks_stops_decisions),
        cmocka_unit_test(a_lost_last_state_starts_an_epoch_from_the_newest),
        cmocka_unit_test(the_last_site_to_come_is_in_round_1),
        cmocka_unit_test(the_state_of_a_site_whose_trainer_has_gone_can_be_had),
        cmocka_unit_test(no_epoch_while_somebody_can_rebuild_the_last_state),
        cmocka_unit_test(a_fetching_site_holds_the_next_decision_for_a_while),
        cmocka_unit_test(what_has_fallen_out_for_a_fetching_site_holds_no_other_decision),
        cmocka_unit_test(a_site_that_is_heard_but_reports_the_run_no_more_is_not_waited_for),
        cmocka_unit_test(after_a_restart_the_base_is_not_that_of_who_reports_first),
        cmocka_unit_test(a_schema_that_differs_is_refused_by_name),
        cmocka_unit_test(an_older_report_does_not_replace_a_newer_one),
        cmocka_unit_test(an_asked_rewind_waits_for_the_decided_round),
        cmocka_unit_test(an_asked_rewind_waits_3_s_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
