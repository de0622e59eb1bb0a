/* A coordinator with REPORTs written by hand, for the tests of its files. */
#ifndef GX_TEST_COORDINATOR_BENCH_H
#define GX_TEST_COORDINATOR_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "exchange/coordinator.h"
#include "transfer/digest.h"

#define S 1000000000ull

static char names[GX_SITES_MAX][GX_NAME_MAX] = {"a", "b", "c"};

struct bench {
    struct gx_coordinator *c;
    struct gx_notes notes;
    uint64_t now, order;
    uint64_t heard[GX_SITES_MAX];
    struct gx_report reports[GX_SITES_MAX];
    uint32_t site_count;
    struct gx_view *view; /* set before start(); NULL: none */
};

static inline struct gx_digest digest_of(unsigned value)
{
    struct gx_digest d;
    memset(&d, 0, sizeof(d));
    memcpy(d.b, &value, sizeof(value));
    return d;
}

static inline void start(struct bench *b, uint32_t sites, uint32_t min_sites)
{
    struct gx_coordinator_config config = {.site_count = sites,
                                           .names = (const char(*)[GX_NAME_MAX])names,
                                           .deadline_ns = 5 * S,
                                           .fetch_wait_ns = 5 * S,
                                           .rewind_after_ns = 30 * S,
                                           .start_sites = sites,
                                           .min_sites = min_sites,
                                           .keep_rounds = 2,
                                           .view = b->view};
    struct gx_view *view = b->view;
    memset(b, 0, sizeof(*b));
    b->view = view;
    b->now = 10 * S;
    b->site_count = sites;
    b->c = gx_coordinator_create(&config, &b->notes, b->now);
    for (uint32_t i = 0; i < sites; i++) {
        struct gx_report *r = &b->reports[i];
        strcpy(r->run, "run");
        r->schema = (struct gx_schema_summary){
            .fragment_count = 1, .shard_bytes = 1408, .param_count = 100};
        r->epoch = 1;
        r->flags = GX_REPORT_TRAINER | GX_REPORT_STATE;
        r->state = digest_of(100);
    }
}

/* Says what every site in `who` reports, and evaluates. */
static inline void say(struct bench *b, uint32_t who)
{
    for (uint32_t i = 0; i < b->site_count; i++)
        if (who >> i & 1) {
            b->heard[i] = b->now;
            gx_coordinator_report(b->c, i, &b->reports[i], ++b->order, b->now);
        }
    gx_coordinator_tick(b->c, b->heard, b->now);
}

static inline void pass(struct bench *b, uint64_t ns, uint32_t alive)
{
    for (uint64_t step = 0; step < ns; step += S / 10) {
        b->now += S / 10;
        say(b, alive);
    }
}

static inline void offer(struct bench *b, uint32_t site, uint64_t round, unsigned bytes)
{
    struct gx_report *r = &b->reports[site];
    r->flags |= GX_REPORT_OFFER;
    r->offer_round = round;
    r->offer_weight = 10 + site;
    r->offer_digest = digest_of(bytes);
    r->offer_base = r->state;
}

static inline void hold(struct bench *b, uint32_t site, uint64_t round, uint32_t owner,
                        unsigned bytes)
{
    struct gx_report *r = &b->reports[site];
    if (r->held_round != round)
        r->held = 0;
    r->held_round = round;
    r->held |= 1u << owner;
    r->held_digests[owner] = digest_of(bytes);
}

/* The entry that waits to be written; asserts that there is one. */
static inline struct gx_journal_entry written(struct bench *b, uint64_t *sequence)
{
    uint8_t bytes[GX_JOURNAL_ENTRY_MAX_BYTES];
    struct gx_journal_entry entry;
    size_t size = gx_coordinator_journal(b->c, sequence, bytes);
    assert_true(size > 0);
    assert_int_equal(gx_journal_parse(bytes, size, &entry), 0);
    return entry;
}

static inline bool quiet(struct bench *b)
{
    uint8_t bytes[GX_JOURNAL_ENTRY_MAX_BYTES];
    uint64_t sequence;
    return gx_coordinator_journal(b->c, &sequence, bytes) == 0;
}

static inline struct gx_status status_for(struct bench *b, uint32_t site)
{
    struct gx_status s, last;
    bool any = false;
    b->now += GX_STATE_INTERVAL_NS;
    while (gx_coordinator_status(b->c, site, &s, b->now)) {
        last = s;
        any = true;
    }
    assert_true(any);
    return last;
}

static inline void both_offer_and_hold(struct bench *b, uint64_t round)
{
    offer(b, 0, round, 1);
    offer(b, 1, round, 2);
    hold(b, 0, round, 1, 2);
    hold(b, 1, round, 0, 1);
    say(b, 3);
}

#endif
