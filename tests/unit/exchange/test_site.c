/* One site alone, its own coordinator: what an arena that changes at any time does to the site's jobs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "exchange/exchange.h"
#include "transfer/lanes_state.h"
#include "format/format.h"
#include "transfer/digest.h"
#include "transfer/send.h"

#define PARAMS 500000ull /* many slices of every job; in BF16 hashing ends long before reducing */
#define MS 1000000ull

struct bench {
    struct gx_counters counters;
    struct gx_core *core;
    struct gx_run *run;
    struct gx_fragment *f;
    uint8_t *arena;
    uint64_t now;
    uint32_t refused; /* reason of the last REFUSED event */
};

/* core.c keeps it to itself; a job is looked at in the middle here. */
struct gx_core {
    struct gx_exchange *exchange;
    struct gx_links *links;
};

static void start_among(struct bench *b, uint32_t site_count)
{
    static const uint64_t params[1] = {PARAMS};
    struct gx_schema schema = {
        .run = "run", .format = GX_BF16, .fragment_count = 1, .param_counts = params};
    struct gx_core_config config = {.links = {.site_count = site_count,
                                              .names = {"a", "b"},
                                              .rate_bps = 1000000000,
                                              .recv_rate_bps = 1000000000,
                                              .mtu = 1500,
                                              .shard_bytes = 1408,
                                              .incarnation = 1,
                                              .seed = 1},
                                    .deadline_ns = 1000 * MS,
                                    .fetch_wait_ns = 1000 * MS,
                                    .rewind_after_ns = 1000 * MS,
                                    .keep_rounds = 2};
    struct gx_arena_layout layout;
    enum gx_reason reason;
    memset(b, 0, sizeof(*b));
    b->now = 10000 * MS;
    config.counters = config.links.counters = &b->counters;
    assert_int_equal(gx_arena_layout(&layout, &schema), 0);
    b->arena = aligned_alloc(GX_ARENA_ALIGN, layout.bytes);
    memset(b->arena, 0, layout.bytes);
    b->core = gx_core_create(&config, b->now);
    b->run = gx_run_create(&schema, &config, b->arena, layout.bytes);
    assert_non_null(b->run);
    assert_int_equal(gx_core_attach(b->core, b->run, &reason, b->now), 0);
    b->f = gx_run_fragment(b->run, 0);
}

static void start(struct bench *b)
{
    start_among(b, 1);
}

static void stop(struct bench *b)
{
    gx_core_destroy(b->core);
    gx_run_destroy(b->run);
    free(b->arena);
}

static void turn(struct bench *b)
{
    uint8_t entry[GX_JOURNAL_ENTRY_MAX_BYTES];
    struct gx_event event;
    struct gx_run *run;
    uint64_t sequence;
    b->now += MS;
    gx_core_poll(b->core, 0, b->now);
    while (gx_core_journal(b->core, &sequence, entry))
        gx_core_journal_done(b->core, sequence, b->now);
    while (gx_core_event(b->core, &run, &event))
        if (event.type == GX_EVENT_REFUSED)
            b->refused = event.reason;
}

static void claim(struct bench *b, uint32_t type, uint64_t round, const struct gx_digest *digest)
{
    struct gx_command c = {.type = type,
                           .round = round,
                           .weight = 1,
                           .offset = b->run->layout.fragments[0].contribution[round & 1],
                           .bytes = b->f->wire_bytes};
    memcpy(c.claim, digest->b, sizeof(c.claim));
    gx_core_command(b->core, b->run, &c, b->now);
}

static void command(struct bench *b, uint32_t type, uint64_t round)
{
    claim(b, type, round, &(struct gx_digest){{0}});
}

static bool reports_offer(struct bench *b)
{
    struct gx_report report;
    gx_site_report(b->core->exchange, b->run, b->f, &report);
    return report.flags & GX_REPORT_OFFER;
}

/* The state of round 0 is digested, and round 1's contribution claimed: as it is, or otherwise. */
static struct gx_own *claimed(struct bench *b, uint8_t flip)
{
    struct gx_digest digest;
    start(b);
    command(b, GX_COMMAND_PUBLISH, 0);
    for (int i = 0; i < 5000 && !b->f->has_state; i++)
        turn(b);
    gx_digest_bytes(GX_XXH3, b->arena + b->run->layout.fragments[0].contribution[1],
                    b->f->wire_bytes, &digest);
    digest.b[3] ^= flip;
    claim(b, GX_COMMAND_OFFER, 1, &digest);
    turn(b);
    return &b->f->own[1];
}

static void a_claimed_contribution_goes_at_once_and_is_offered_once_digested(void **state)
{
    (void)state;
    struct bench b;
    struct gx_own *own = claimed(&b, 0);
    assert_int_equal(own->state, GX_OWN_HASHING);
    assert_true(gx_own_goes(own) && own->based);
    assert_false(reports_offer(&b));
    assert_null(gx_fragment_own(b.f, 1, &own->digest)); /* nor reduced */
    for (int i = 0; i < 5000 && own->state == GX_OWN_HASHING; i++)
        turn(&b);
    assert_int_equal(own->state, GX_OWN_READY);
    assert_true(reports_offer(&b));
    assert_int_equal(b.refused, GX_REASON_NONE);
    stop(&b);
}

static void a_wrong_claim_is_never_offered(void **state)
{
    (void)state;
    struct bench b;
    struct gx_own *own = claimed(&b, 1);
    int peers_send;
    assert_true(gx_own_goes(own));

    /* The first peer that has all of it finds other bytes: nobody else gets any. */
    own->sends[1] = (struct gx_transfer *)(void *)&peers_send;
    gx_serve_answer(b.core->exchange, 1, own->sends[1], GX_ANSWER_BAD, GX_REASON_NONE, b.now);
    assert_false(gx_own_goes(own));
    for (int i = 0; i < 5000 && !b.refused; i++) {
        assert_false(reports_offer(&b));
        turn(&b);
    }
    assert_int_equal(b.refused, GX_REASON_CHANGED);
    assert_int_equal(own->state, GX_OWN_FREE);
    assert_false(own->claimed || own->refuted);
    stop(&b);
}

static void a_contribution_that_changes_while_it_is_reduced_leaves_the_site_behind(void **state)
{
    (void)state;
    struct bench b;
    int peers_send;
    start(&b);
    command(&b, GX_COMMAND_PUBLISH, 0);
    command(&b, GX_COMMAND_OFFER, 1);
    for (int i = 0; i < 5000 && !b.f->reduction.active; i++)
        turn(&b);
    assert_true(b.f->reduction.active);

    /* A peer that got other bytes than those of the digest says so; the trainer has spoilt them. */
    b.f->own[1].sends[1] = (struct gx_transfer *)(void *)&peers_send;
    memset(b.arena + b.f->own[1].offset, 0xff, 64);
    gx_serve_answer(b.core->exchange, 1, b.f->own[1].sends[1], GX_ANSWER_BAD, GX_REASON_NONE,
                    b.now);
    for (int i = 0; i < 200; i++)
        turn(&b);
    assert_int_equal(b.refused, GX_REASON_CHANGED);
    assert_false(b.f->reduction.active);
    assert_int_equal(b.f->reduced, 0);
    stop(&b);
}

static void a_state_is_copied_to_its_end_even_if_the_site_is_not_behind_after_all(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    command(&b, GX_COMMAND_PUBLISH, 0);
    for (int i = 0; i < 500 && !b.f->has_state; i++)
        turn(&b);
    for (int i = 0; i < 5; i++)
        turn(&b); /* the state is the base: the site is not behind */

    b.run->state_fragment = 0;
    memset(b.run->state_sink.staging, 7, b.f->state_bytes);
    b.f->fetch = (struct gx_fetch){
        .state = GX_FETCH_COPYING, .told = true, .round = 0, .digest = b.f->state};
    for (int i = 0; i < 200; i++) {
        gx_exchange_touch(b.core->exchange, b.f);
        turn(&b);
    }
    assert_int_equal(b.f->states_fetched, 1);
    assert_memory_equal(gx_run_state(b.run, b.f), b.run->state_sink.staging, b.f->state_bytes);
    stop(&b);
}

/* The site was behind for a moment: BEHIND and STATE are on their way, and void what was offered before they are read. */
static void an_offer_from_before_behind_was_read_is_void(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    command(&b, GX_COMMAND_PUBLISH, 0);
    for (int i = 0; i < 500 && !b.f->has_state; i++)
        turn(&b);
    b.f->fetch.told = true;
    b.f->behinds++;
    gx_fetch_spare(b.core->exchange, b.run, b.f, b.now);
    command(&b, GX_COMMAND_OFFER, 1);
    assert_int_equal(b.f->own[1].state, GX_OWN_FREE);
    command(&b, GX_COMMAND_ACCEPT, 0);
    command(&b, GX_COMMAND_OFFER, 1);
    assert_int_equal(b.f->own[1].state, GX_OWN_HASHING);
    stop(&b);
}

static enum gx_answer answer_to(struct bench *b, const struct gx_open *open)
{
    struct gx_sink *sink = NULL;
    enum gx_reason reason;
    return gx_receive_open(b->core->exchange, 1, open, &sink, &reason, b->now);
}

/* The peer offered, fetched a state, and offered anew; the first bytes are held here. */
static void other_bytes_are_taken_once_they_are_recorded(void **state)
{
    (void)state;
    struct bench b;
    start_among(&b, 2);
    struct gx_open open = {.transfer = 1,
                           .key = {.run = b.run->id, .epoch = 1, .round = 1, .owner = 1},
                           .bytes = b.f->wire_bytes,
                           .weight = 1,
                           .format = GX_BF16,
                           .k_max = GX_K_SMALL,
                           .shard_bytes = 1408,
                           .digest = {{1}}};
    struct gx_digest first = open.digest;
    b.f->has_status = b.f->has_state = true;
    b.f->epoch = 1;
    assert_int_equal(answer_to(&b, &open), GX_ANSWER_OPEN);
    b.f->slots[1][1].sink.state = GX_SINK_HELD;

    open.digest.b[0] = 2;
    assert_int_equal(answer_to(&b, &open), GX_ANSWER_NOT_READY); /* nothing is recorded yet */
    b.f->status.offers = 2;
    b.f->status.offer_prefix[1] = gx_digest_prefix(&first);
    assert_int_equal(answer_to(&b, &open), GX_ANSWER_REFUSED);
    b.f->decided = b.f->record_count = 1;
    b.f->records[0] = (struct gx_record){.epoch = 1, .round = 1, .members = 2};
    b.f->records[0].digests[1] = open.digest;
    assert_int_equal(answer_to(&b, &open), GX_ANSWER_OPEN); /* the record names them */
    stop(&b);
}

/* A trainer that has done the last round of two sites, and the other site, which still lacks it. */
static void start_last(struct bench *b)
{
    start_among(b, 2);
    command(b, GX_COMMAND_PUBLISH, 0);
    for (int i = 0; i < 500 && !b->f->has_state; i++)
        turn(b);
    b->f->has_status = true;
    b->f->applied = b->f->decided = b->f->reduced = 9;
    b->f->status.present = 2;
    b->f->status.state_sites = 0;
    b->f->seen = 3;
    b->f->finished = 0;
}

static void the_state_that_a_trainer_left_is_kept_while_somebody_lacks_it(void **state)
{
    (void)state;
    struct bench b;
    start_last(&b);
    gx_core_detach(b.core, b.run, b.now);
    assert_null(gx_core_detached(b.core));
    b.f->finished = 1; /* the other site's trainer has gone too, perhaps to come back */
    b.f->status.present = 0;
    assert_null(gx_core_detached(b.core));
    b.f->finished = 3;
    assert_ptr_equal(gx_core_detached(b.core), b.run);
    stop(&b);
}

/* Its trainer may be in the middle of a long step, and takes a state only after it. */
static void the_state_that_a_trainer_left_waits_for_whoever_is_present(void **state)
{
    (void)state;
    struct bench b;
    start_last(&b);
    gx_core_detach(b.core, b.run, b.now);
    b.core->exchange->now_ns = b.now + 600000 * MS;
    assert_null(gx_core_detached(b.core));
    b.f->status.state_sites = 2;
    b.f->finished = 3;
    assert_ptr_equal(gx_core_detached(b.core), b.run);
    stop(&b);
}

static void the_state_that_a_trainer_left_waits_a_deadline_for_who_is_gone(void **state)
{
    (void)state;
    struct bench b;
    start_last(&b);
    b.f->status.present = 0;
    gx_core_detach(b.core, b.run, b.now);
    b.core->exchange->now_ns = b.now + 999 * MS;
    assert_null(gx_core_detached(b.core));
    b.core->exchange->now_ns = b.now + 1000 * MS;
    assert_ptr_equal(gx_core_detached(b.core), b.run);
    stop(&b);
}

static void the_state_that_a_trainer_left_gives_way_to_a_new_trainer(void **state)
{
    (void)state;
    struct bench b;
    start_last(&b);
    gx_core_detach(b.core, b.run, b.now);
    gx_run_yield(b.run);
    assert_ptr_equal(gx_core_detached(b.core), b.run);
    stop(&b);
}

static void a_state_that_was_being_written_is_not_kept(void **state)
{
    (void)state;
    struct bench b;
    start_last(&b);
    gx_run_header(b.run)->state_sequence[0] = 1;
    gx_core_detach(b.core, b.run, b.now);
    assert_false(b.f->has_state);
    assert_ptr_equal(gx_core_detached(b.core), b.run);
    stop(&b);
}

static void a_state_is_digested_after_its_trainer_has_gone(void **state)
{
    (void)state;
    struct bench b;
    start_last(&b);
    b.f->has_state = false;
    command(&b, GX_COMMAND_PUBLISH, 9);
    gx_core_detach(b.core, b.run, b.now);
    assert_null(gx_core_detached(b.core));
    for (int i = 0; i < 500 && !b.f->has_state; i++)
        gx_jobs_step(b.core->exchange, b.run, b.now);
    assert_true(b.f->has_state);
    assert_null(gx_core_detached(b.core));
    stop(&b);
}

static void a_buffer_is_not_free_before_the_port_has_let_go_of_it(void **state)
{
    (void)state;
    struct bench b;
    start_among(&b, 2);
    command(&b, GX_COMMAND_PUBLISH, 0);
    for (int i = 0; i < 500 && !b.f->has_state; i++)
        turn(&b);
    command(&b, GX_COMMAND_OFFER, 1);
    struct gx_own *own = &b.f->own[1];
    for (int i = 0; i < 500 && own->state != GX_OWN_READY; i++)
        turn(&b);
    assert_int_equal(own->state, GX_OWN_READY);
    own->source.packets = 1;
    gx_serve_own_close(b.core->exchange, own);
    assert_true(gx_run_busy(b.run, 0, 1));
    gx_serve_own(b.core->exchange, b.run, b.f, b.now);
    assert_true(gx_run_busy(b.run, 0, 1));
    own->source.packets = 0;
    gx_serve_own(b.core->exchange, b.run, b.f, b.now);
    assert_false(gx_run_busy(b.run, 0, 1));
    stop(&b);
}

static void look(struct bench *b)
{
    gx_exchange_touch(b->core->exchange, b->f);
    turn(b);
}

/* It asks this site before the coordinator's word that it is present has come here. */
static void a_site_that_has_just_asked_keeps_its_state(void **state)
{
    (void)state;
    struct bench b;
    struct gx_transfer send = {0};
    start_among(&b, 2);
    command(&b, GX_COMMAND_PUBLISH, 0);
    for (int i = 0; i < 500 && !(b.f->has_state && b.f->has_status); i++)
        turn(&b);
    struct gx_report want = {.run = "run", .epoch = b.f->epoch, .want = GX_WANT_STATE};
    gx_serve_want(b.core->exchange, 1, &want, b.now);
    for (int i = 0; i < 500 && !b.run->pin.ready; i++)
        turn(&b);
    assert_true(b.run->pin.ready);
    assert_int_equal(b.run->pin.asked, 1u << 1);

    b.run->pin.sends[1] = &send;
    look(&b);
    assert_int_equal(b.f->status.present >> 1 & 1, 0);
    assert_ptr_equal(b.run->pin.sends[1], &send);
    b.now += 900 * MS;
    gx_serve_want(b.core->exchange, 1, &want, b.now);
    b.now += 900 * MS;
    look(&b);
    assert_ptr_equal(b.run->pin.sends[1], &send);
    b.now += 900 * MS;
    look(&b);
    assert_null(b.run->pin.sends[1]);
    stop(&b);
}

static void who_asks_for_what_is_not_held_here_is_refused_and_counted(void **state)
{
    (void)state;
    struct bench b;
    start_among(&b, 2);
    command(&b, GX_COMMAND_PUBLISH, 0);
    for (int i = 0; i < 500 && !(b.f->has_state && b.f->has_status); i++)
        turn(&b);
    struct gx_report want = {.run = "run",
                             .epoch = b.f->epoch,
                             .want = GX_WANT_CONTRIBUTION,
                             .want_owner = 1,
                             .want_round = 1};
    gx_serve_want(b.core->exchange, 1, &want, b.now);
    assert_int_equal(b.counters.link[1][GX_LINK_helps_refused_total], 1);
    assert_int_equal(b.counters.link[1][GX_LINK_helps_served_total], 0);
    stop(&b);
}

static void only_the_site_that_was_asked_for_this_round_may_join(void **state)
{
    (void)state;
    struct gx_slot slot = {.asked_round = 7, .asked = 2, .asked_ns = 5};
    assert_true(gx_holder_asked(&slot, 7, 2));
    assert_false(gx_holder_asked(&slot, 7, 1));
    assert_false(gx_holder_asked(&slot, 9, 2));
}

/* Three sites, and site 1's contribution to round 1. */
static struct gx_open start_with_open(struct bench *b)
{
    start_among(b, 3);
    command(b, GX_COMMAND_PUBLISH, 0);
    for (int i = 0; i < 500 && !(b->f->has_state && b->f->has_status); i++)
        turn(b);
    return (struct gx_open){.transfer = 1,
                            .key = {.run = b->run->id,
                                    .epoch = b->f->epoch,
                                    .round = 1,
                                    .owner = 1,
                                    .kind = GX_KIND_CONTRIBUTION},
                            .bytes = b->f->wire_bytes,
                            .weight = 1,
                            .format = (uint8_t)b->run->format,
                            .digest_kind = (uint8_t)b->run->digest_kind,
                            .digest = {{1}},
                            .shard_bytes = 1408,
                            .k_max = (uint8_t)gx_layout_k_max(b->f->wire_bytes, 1408),
                            .parts = 1};
}

/* Before the decision the owner alone says which bytes are its own; whoever was asked may then open the same ones. */
static void before_the_decision_a_helper_opens_what_the_owner_has_opened(void **state)
{
    (void)state;
    struct bench b;
    struct gx_sink *sink = NULL;
    enum gx_reason reason;
    struct gx_open open = start_with_open(&b), other = open;
    struct gx_slot *slot = &b.f->slots[1][1];
    other.digest.b[0] = 2;
    slot->asked_round = 1;
    slot->asked = 2;
    slot->asked_ns = b.now;
    struct gx_exchange *ex = b.core->exchange;
    assert_int_equal(gx_receive_open(ex, 2, &open, &sink, &reason, b.now), GX_ANSWER_NOT_NEEDED);
    assert_int_equal(gx_receive_open(ex, 1, &open, &sink, &reason, b.now), GX_ANSWER_OPEN);
    assert_int_equal(gx_receive_open(ex, 2, &other, &sink, &reason, b.now), GX_ANSWER_NOT_NEEDED);
    assert_false(slot->joined);
    assert_int_equal(gx_receive_open(ex, 2, &open, &sink, &reason, b.now), GX_ANSWER_OPEN);
    assert_true(slot->joined);
    assert_ptr_equal(sink, &slot->sink);
    stop(&b);
}

/* Its owner died in the middle, and was left out: no slot of a link is kept for what nobody wants. */
static void a_helper_that_waits_ends_with_a_decision_that_goes_without_its_owner(void **state)
{
    (void)state;
    struct bench b;
    struct gx_sink *sink = NULL;
    enum gx_reason reason;
    struct gx_open open = start_with_open(&b);
    struct gx_exchange *ex = b.core->exchange;
    struct gx_report want = {.run = "run",
                             .epoch = b.f->epoch,
                             .want = GX_WANT_CONTRIBUTION,
                             .want_owner = 1,
                             .want_round = 1,
                             .want_digest = open.digest};
    struct gx_transfer send = {0};
    struct gx_helper *h = &b.run->helpers[0];
    assert_int_equal(gx_receive_open(ex, 1, &open, &sink, &reason, b.now), GX_ANSWER_OPEN);
    *h = (struct gx_helper){.send = &send, .early = true, .slot = &b.f->slots[1][1], .peer = 2};
    gx_serve_helpers(ex, b.run, b.f);
    assert_non_null(h->send); /* nothing is decided */
    b.f->decided = 1;
    b.f->record_count = 1;
    b.f->records[0] = (struct gx_record){.epoch = b.f->epoch, .round = 1, .members = 6};
    b.f->records[0].digests[1] = open.digest;
    gx_serve_helpers(ex, b.run, b.f);
    assert_non_null(h->send); /* it is a member, and not here yet */
    b.f->records[0].members = 4;
    gx_serve_helpers(ex, b.run, b.f);
    assert_null(h->send);
    assert_int_equal(b.counters.link[2][GX_LINK_helps_served_total], 0);
    gx_serve_want(ex, 2, &want, b.now);
    assert_int_equal(b.counters.link[2][GX_LINK_helps_refused_total], 1);
    stop(&b);
}

/* With a second holder's shards came other bytes: the owner alone brings the same contribution again, but another one
 * may be helped. */
static void a_spoilt_contribution_is_not_helped_again(void **state)
{
    (void)state;
    struct gx_slot slot = {.asked_round = 7, .asked = 2, .asked_ns = 5, .joined = true};
    struct gx_fragment f = {.want = GX_WANT_CONTRIBUTION, .want_owner = 0, .want_source = 2};
    gx_holder_spoiled(&f, &slot);
    assert_true(slot.spoiled);
    assert_false(slot.joined);
    assert_int_equal(f.want, GX_WANT_NOTHING);
    assert_false(gx_holder_asked(&slot, 7, 2));
    gx_holder_opened(&slot, true, 10);
    assert_true(slot.spoiled);
    gx_holder_opened(&slot, false, 20);
    assert_false(slot.spoiled);
    gx_holder_spoiled(&f, &slot);
    assert_false(slot.spoiled); /* nobody had joined */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_contribution_that_changes_while_it_is_reduced_leaves_the_site_behind),
        cmocka_unit_test(a_claimed_contribution_goes_at_once_and_is_offered_once_digested),
        cmocka_unit_test(a_wrong_claim_is_never_offered),
        cmocka_unit_test(an_offer_from_before_behind_was_read_is_void),
        cmocka_unit_test(other_bytes_are_taken_once_they_are_recorded),
        cmocka_unit_test(the_state_that_a_trainer_left_is_kept_while_somebody_lacks_it),
        cmocka_unit_test(the_state_that_a_trainer_left_waits_for_whoever_is_present),
        cmocka_unit_test(the_state_that_a_trainer_left_waits_a_deadline_for_who_is_gone),
        cmocka_unit_test(the_state_that_a_trainer_left_gives_way_to_a_new_trainer),
        cmocka_unit_test(a_state_that_was_being_written_is_not_kept),
        cmocka_unit_test(a_state_is_digested_after_its_trainer_has_gone),
        cmocka_unit_test(a_buffer_is_not_free_before_the_port_has_let_go_of_it),
        cmocka_unit_test(a_site_that_has_just_asked_keeps_its_state),
        cmocka_unit_test(who_asks_for_what_is_not_held_here_is_refused_and_counted),
        cmocka_unit_test(only_the_site_that_was_asked_for_this_round_may_join),
        cmocka_unit_test(before_the_decision_a_helper_opens_what_the_owner_has_opened),
        cmocka_unit_test(a_helper_that_waits_ends_with_a_decision_that_goes_without_its_owner),
        cmocka_unit_test(a_spoilt_contribution_is_not_helped_again),
        cmocka_unit_test(a_state_is_copied_to_its_end_even_if_the_site_is_not_behind_after_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
