/* What this site sends to others: its own contributions, held ones of others, pinned states. */
#include <string.h>

#include "exchange/exchange.h"
#include "transfer/digest.h"

#define PIN_SLICE_BYTES 65536u
#define EARLY_MAX                                                                                  \
    4u /* before the decision, to one site: a link's slots are first for own contributions */
#define PIN_ABSENT_NS 1000000000ull /* five repeats of what it wants */

static struct gx_open open_base(const struct gx_run *run, const struct gx_fragment *f)
{
    struct gx_open open = {
        .key = {.run = run->id,
                .epoch = f->epoch,
                .fragment = gx_fragment_index(run, f),
                .owner = (uint8_t)run->self},
        .format = (uint8_t)run->format,
        .digest_kind = (uint8_t)run->digest_kind,
    };
    return open;
}

static bool peer_wants_own(const struct gx_run *run, const struct gx_fragment *f,
                           const struct gx_own *own, uint32_t peer)
{
    const struct gx_status *s = &f->status;
    if (!own->based || peer == run->self || own->done >> peer & 1 || own->sends[peer] ||
        !(s->present >> peer & 1))
        return false;
    if (own->round == f->decided + 1)
        return true;
    const struct gx_record *record = gx_fragment_record(f, own->round);
    return own->round == f->decided && record && record->members >> run->self & 1 &&
           !(s->reduced >> peer & 1);
}

static void own_start(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                      struct gx_own *own, uint32_t peer, uint64_t now)
{
    struct gx_open open = open_base(run, f);
    open.key.round = own->round;
    open.key.kind = GX_KIND_CONTRIBUTION;
    open.bytes = own->bytes;
    open.weight = own->weight;
    open.base = own->base;
    open.digest = own->digest;
    open.offered_ns = own->offered_ns;
    own->sends[peer] = gx_lanes_send(ex->lanes, peer, &open, &own->source, false, 0, 1, now);
}

/* A living trainer's stays until its round is over here: then it got that round's event. A dead one's, as long as it may
 * become a member or somebody who is present needs it (R15), but no longer than a deadline: what waits for the next trainer may be
 * what that trainer is needed for. */
static bool own_over(const struct gx_exchange *ex, const struct gx_run *run,
                     const struct gx_fragment *f, const struct gx_own *own, uint64_t now)
{
    if (own->state != GX_OWN_READY || (run->trainer && own->round > f->reduced))
        return false;
    if (!run->trainer && now >= run->detached_ns + ex->config.deadline_ns)
        return true;
    if (!f->has_status || own->round > f->decided)
        return !run->trainer && !(f->has_status && f->status.flags & GX_STATUS_ARMED);
    const struct gx_record *record = gx_fragment_record(f, own->round);
    bool needed = own->round == f->decided && record && record->members >> run->self & 1 &&
                  gx_digest_equal(&record->digests[run->self], &own->digest);
    if (needed && run->trainer)
        return false;
    return !needed || (f->status.present & ~f->status.reduced & ~(1u << run->self)) == 0;
}

void gx_serve_own_close(struct gx_exchange *ex, struct gx_own *own)
{
    own->claimed = own->refuted = false;
    for (uint32_t p = 0; p < GX_SITES_MAX; p++)
        if (own->sends[p]) {
            gx_lanes_send_stop(ex->lanes, own->sends[p]);
            own->sends[p] = NULL;
        }
    own->hash.bytes = NULL;
    own->state =
        own->state == GX_OWN_FREE || !gx_source_busy(&own->source) ? GX_OWN_FREE : GX_OWN_CLOSING;
    own->done = 0;
    own->again = own->based = false;
}

/* Who is not present takes no state; its transfer must not keep the pin from others. Whoever has just asked is present, though
 * the coordinator's word of it may still be on its way. */
static void pin_drop_absent(struct gx_exchange *ex, struct gx_run *run, const struct gx_fragment *f,
                            uint64_t now)
{
    struct gx_pin *pin = &run->pin;
    if (!pin->used || pin->fragment != gx_fragment_index(run, f) || !f->has_status)
        return;
    for (uint32_t p = 0; p < run->site_count; p++)
        if (pin->sends[p] && !(f->status.present >> p & 1) &&
            now > pin->asked_ns[p] + PIN_ABSENT_NS) {
            gx_lanes_send_stop(ex->lanes, pin->sends[p]);
            pin->sends[p] = NULL;
        }
}

void gx_serve_own(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f, uint64_t now)
{
    pin_drop_absent(ex, run, f, now);
    for (uint32_t s = 0; s < 2; s++) {
        struct gx_own *own = &f->own[s];
        bool read = f->reduction.active && f->reduction.record.round == own->round;
        if (own->state == GX_OWN_CLOSING && !gx_source_busy(&own->source))
            own->state = GX_OWN_FREE;
        if (own_over(ex, run, f, own, now) && !read)
            gx_serve_own_close(ex, own);
        if (!gx_own_goes(own) || !f->has_status || f->refused)
            continue;
        for (uint32_t p = 0; p < run->site_count; p++) {
            if (peer_wants_own(run, f, own, p) && gx_links_up(ex->links, p))
                own_start(ex, run, f, own, p, now);
            else if (own->sends[p] && f->status.present >> p & 1)
                gx_lanes_send_retry(ex->lanes, own->sends[p], now);
            else if (own->sends[p]) { /* a link's slots are for who takes part */
                gx_lanes_send_stop(ex->lanes, own->sends[p]);
                own->sends[p] = NULL;
            }
        }
    }
}

/* ---- held contributions, for an owner that is gone or whose path is slow ---- */

/* It is held, and in the record (R5). */
static bool is_decided(struct gx_fragment *f, const struct gx_slot *slot)
{
    const struct gx_open *open = &slot->sink.open;
    const struct gx_record *r = gx_fragment_record(f, open->key.round);
    return slot->sink.state == GX_SINK_HELD && r && r->members >> open->key.owner & 1 &&
           gx_digest_equal(&r->digests[open->key.owner], &open->digest);
}

/* The decision went without it: nobody will want it. */
static bool is_left_out(const struct gx_fragment *f, const struct gx_slot *slot)
{
    const struct gx_open *open = &slot->sink.open;
    const struct gx_record *r = gx_fragment_record(f, open->key.round);
    if (!r)
        return open->key.round < f->decided;
    return !(r->members >> open->key.owner & 1) ||
           !gx_digest_equal(&r->digests[open->key.owner], &open->digest);
}

static void helper_go(struct gx_exchange *ex, const struct gx_run *run, struct gx_helper *h)
{
    if (!h->early)
        return;
    if (h->slot->source.closed)
        gx_source_open(&h->slot->source, run->shard_bytes);
    h->early = !gx_lanes_send_go(ex->lanes, h->send);
    if (!h->early)
        GX_COUNT_LINK(ex->config.counters, h->peer, helps_served_total, 1);
}

static void helper_stop(struct gx_exchange *ex, struct gx_helper *h)
{
    gx_lanes_send_stop(ex->lanes, h->send);
    h->send = NULL;
}

void gx_serve_helpers(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f)
{
    for (uint32_t i = 0; i < GX_HELPERS_MAX; i++) {
        struct gx_helper *h = &run->helpers[i];
        if (!h->send || !h->early || h->slot->sink.open.key.fragment != gx_fragment_index(run, f))
            continue;
        if (is_left_out(f, h->slot))
            helper_stop(ex, h);
        else if (is_decided(f, h->slot))
            helper_go(ex, run, h);
    }
}

/* Of all runs: a link's slots are theirs together. */
static uint32_t early_count(const struct gx_exchange *ex, uint32_t peer)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < GX_RUNS_MAX * GX_HELPERS_MAX; i++) {
        const struct gx_run *run = ex->runs[i / GX_HELPERS_MAX];
        const struct gx_helper *h = run ? &run->helpers[i % GX_HELPERS_MAX] : NULL;
        count += h && h->send && h->early && h->peer == peer;
    }
    return count;
}

/* What is asked for: held here, or, before the decision, at least on its way. */
static struct gx_slot *slot_wanted(struct gx_fragment *f, const struct gx_report *report)
{
    struct gx_slot *slot = &f->slots[report->want_round & 1][report->want_owner];
    const struct gx_sink *sink = &slot->sink;
    bool early = report->decided < report->want_round && sink->state == GX_SINK_OPEN;
    return (sink->state == GX_SINK_HELD || early) && sink->open.key.round == report->want_round &&
                   gx_digest_equal(&sink->open.digest, &report->want_digest)
               ? slot
               : NULL;
}

static void help(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f, uint32_t peer,
                 const struct gx_report *report, uint64_t now)
{
    struct gx_own *own = gx_fragment_own(f, report->want_round, &report->want_digest);
    if (report->want_owner == run->self && own) {
        own->done &= ~(1u << peer); /* it had it, and lost it */
        gx_exchange_touch(ex, f);
        return;
    }
    struct gx_slot *slot = slot_wanted(f, report);
    struct gx_helper *free_helper = NULL;
    if (slot && is_left_out(f, slot))
        slot = NULL;
    /* Who asks may know of the decision before we do. */
    bool decided = slot && (is_decided(f, slot) || report->decided >= report->want_round);
    for (uint32_t i = 0; slot && i < GX_HELPERS_MAX; i++) {
        struct gx_helper *h = &run->helpers[i];
        if (h->send && h->slot == slot && h->peer == peer) {
            if (decided)
                helper_go(ex, run, h);
            return;
        }
        if (!h->send)
            free_helper = h;
    }
    if (!free_helper || (!decided && early_count(ex, peer) >= EARLY_MAX)) {
        GX_COUNT_LINK(ex->config.counters, peer, helps_refused_total, 1);
        return;
    }
    struct gx_open open = slot->sink.open;
    if (!gx_source_busy(&slot->source) && slot->source.sends == 0) {
        gx_source_init(&slot->source, slot->sink.staging, open.bytes, run->shard_bytes, slot->tail);
        slot->source.closed = true;
    }
    /* Every site has its own range of rows, the owner the first. */
    uint32_t holder = 1 + (run->self > report->want_owner ? run->self - 1 : run->self);
    free_helper->send =
        gx_lanes_send(ex->lanes, peer, &open, &slot->source, true, holder, run->site_count, now);
    if (!free_helper->send)
        return;
    free_helper->slot = slot;
    free_helper->peer = peer;
    free_helper->early = true;
    if (decided)
        helper_go(ex, run, free_helper);
}

void gx_serve_helpers_close(struct gx_exchange *ex, struct gx_run *run, const struct gx_slot *slot)
{
    for (uint32_t i = 0; i < GX_HELPERS_MAX; i++) {
        struct gx_helper *h = &run->helpers[i];
        if (h->send && (!slot || h->slot == slot))
            helper_stop(ex, h);
    }
}

/* ---- states ---- */

void gx_serve_pin_close(struct gx_exchange *ex, struct gx_run *run)
{
    struct gx_pin *pin = &run->pin;
    for (uint32_t p = 0; p < GX_SITES_MAX; p++)
        if (pin->sends[p]) {
            gx_lanes_send_stop(ex->lanes, pin->sends[p]);
            pin->sends[p] = NULL;
        }
    pin->used = gx_source_busy(&pin->source); /* until the port is done with it */
    pin->ready = pin->used;
}

static bool pin_idle(const struct gx_pin *pin)
{
    for (uint32_t p = 0; p < GX_SITES_MAX; p++)
        if (pin->sends[p])
            return false;
    return !gx_source_busy(&pin->source);
}

static void pin_send(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                     uint32_t peer, uint64_t now)
{
    struct gx_pin *pin = &run->pin;
    struct gx_open open = open_base(run, f);
    open.key.round = pin->round;
    open.key.kind = GX_KIND_STATE;
    open.bytes = f->state_bytes;
    open.weight = 1;
    open.format = GX_FP32;
    open.digest = pin->digest;
    open.offered_ns = now;
    pin->sends[peer] = gx_lanes_send(ex->lanes, peer, &open, &pin->source, false, 0, 1, now);
}

static uint32_t state_sequence(const struct gx_run *run, const struct gx_fragment *f)
{
    return __atomic_load_n(&gx_run_header(run)->state_sequence[gx_fragment_index(run, f)],
                           __ATOMIC_ACQUIRE);
}

/* Pins the current state, whatever exact round was asked for: the asker checks it against the coordinator's word. */
static void pin_state(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                      uint32_t peer, uint64_t now)
{
    struct gx_pin *pin = &run->pin;
    uint32_t index = gx_fragment_index(run, f);
    pin->asked_ns[peer] = now;
    uint32_t sequence = state_sequence(run, f);
    bool current = pin->used && pin->fragment == index && pin->round == f->applied &&
                   gx_digest_equal(&pin->digest, &f->state);
    if (current && pin->ready && !pin->sends[peer]) {
        pin_send(ex, run, f, peer, now);
    } else if (current && !pin->ready) {
        pin->asked |= 1u << peer;
    } else if (!current && !(pin->used && !pin_idle(pin)) && !(sequence & 1)) {
        *pin = (struct gx_pin){.used = true,
                               .fragment = index,
                               .sequence = sequence,
                               .asked = 1u << peer,
                               .round = f->applied,
                               .digest = f->state,
                               .bytes = pin->bytes,
                               .tail = pin->tail};
        pin->asked_ns[peer] = now;
    }
}

/* A trainer's last state outlives it: as long as a present site lacks it, whose trainer may take longer than a deadline until it
 * stops for a state; for a site that took part and is gone, no longer than a deadline unless it is on its way. `finished`
 * has this site once the coordinator knows what the others can get here. */
bool gx_serve_state_needed(const struct gx_exchange *ex, const struct gx_run *run,
                           const struct gx_fragment *f)
{
    const struct gx_status *s = &f->status;
    uint64_t round = f->publishing ? f->publish_round : f->applied;
    if (run->yields || !(f->has_state || f->publishing) || !f->has_status || f->refused ||
        f->decided == 0 || round < f->decided)
        return false;
    bool sending = false;
    for (uint32_t p = 0; p < run->site_count; p++)
        sending |= run->pin.sends[p] != NULL;
    bool told = ex->coordinator || gx_links_up(ex->links, GX_COORDINATOR);
    if (told && s->present & ~s->state_sites)
        return true;
    return f->seen & ~f->finished &&
           (sending || ex->now_ns < run->detached_ns + ex->config.deadline_ns);
}

void gx_serve_pin_step(struct gx_exchange *ex, struct gx_run *run, uint64_t now)
{
    struct gx_pin *pin = &run->pin;
    struct gx_fragment *f = &run->fragments[pin->fragment];
    uint64_t left = f->state_bytes - pin->cursor;
    uint64_t n = left < PIN_SLICE_BYTES ? left : PIN_SLICE_BYTES;
    memcpy(pin->bytes + pin->cursor, gx_run_state(run, f) + pin->cursor, n);
    pin->cursor += n;
    if (f->applied != pin->round || state_sequence(run, f) != pin->sequence) {
        pin->used = false; /* the trainer went on; the asker asks again */
    } else if (pin->cursor == f->state_bytes) {
        gx_source_init(&pin->source, pin->bytes, f->state_bytes, run->shard_bytes, pin->tail);
        pin->ready = true;
        for (uint32_t peer = 0; peer < GX_SITES_MAX; peer++)
            if (pin->asked >> peer & 1)
                pin_send(ex, run, f, peer, now);
    }
}

void gx_serve_want(struct gx_exchange *ex, uint32_t peer, const struct gx_report *report,
                   uint64_t now)
{
    uint64_t id = gx_run_id(report->run);
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++) {
        struct gx_run *run = ex->runs[i];
        if (!run || run->id != id || report->fragment >= run->fragment_count ||
            report->want_source != run->self)
            continue;
        struct gx_fragment *f = &run->fragments[report->fragment];
        if (!f->has_status || report->epoch != f->epoch)
            return;
        if (report->want == GX_WANT_CONTRIBUTION)
            help(ex, run, f, peer, report, now);
        else if (report->want == GX_WANT_STATE && f->has_state && !f->publishing &&
                 f->fetch.state == GX_FETCH_NONE && f->applied >= report->want_round)
            pin_state(ex, run, f, peer, now);
    }
}

/* ---- answers ---- */

static void own_answered(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                         struct gx_own *own, uint32_t peer, enum gx_answer answer,
                         enum gx_reason reason, uint64_t now)
{
    own->sends[peer] = NULL;
    if (answer == GX_ANSWER_HELD)
        gx_trace_went(ex, run, f, own->round, peer, now);
    if (answer == GX_ANSWER_AGAIN) {
        gx_exchange_touch(ex, f);
        return;
    }
    if (answer == GX_ANSWER_BAD) {
        /* Either the trainer changed the bytes, or a corruption passed the checks: the digest tells. */
        if (own->state == GX_OWN_READY && !own->again) {
            own->again = true;
            gx_hash_start(&own->hash, run->arena + own->offset, own->bytes);
        }
        own->refuted |= own->state == GX_OWN_HASHING;
    } else {
        own->done |= 1u << peer;
    }
    if (answer == GX_ANSWER_REFUSED)
        gx_note_warn(&ex->notes, "run %s round %llu: site %s refuses our contribution: %s",
                     run->name, (unsigned long long)own->round, ex->config.links.names[peer],
                     gx_reason_text(reason));
    gx_exchange_touch(ex, f);
}

void gx_serve_answer(struct gx_exchange *ex, uint32_t peer, struct gx_transfer *send,
                     enum gx_answer answer, enum gx_reason reason, uint64_t now)
{
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++) {
        struct gx_run *run = ex->runs[i];
        for (uint32_t k = 0; run && k < run->fragment_count; k++)
            for (uint32_t s = 0; s < 2; s++)
                if (run->fragments[k].own[s].sends[peer] == send)
                    own_answered(ex, run, &run->fragments[k], &run->fragments[k].own[s], peer,
                                 answer, reason, now);
        for (uint32_t h = 0; run && h < GX_HELPERS_MAX; h++)
            if (run->helpers[h].send == send)
                run->helpers[h].send = NULL;
        if (run && run->pin.sends[peer] == send)
            run->pin.sends[peer] = NULL;
    }
}
