/* A site's side of a fragment's rounds: IDLE → OFFERED → DECIDED → REDUCED → APPLIED, or BEHIND → FETCHED. */
#include <string.h>

#include "exchange/exchange.h"
#include "transfer/digest.h"

static void abort_reduction(struct gx_fragment *f)
{
    if (!f->reduction.active)
        return;
    f->reduction.active = false;
    for (uint32_t i = 0; i < GX_SITES_MAX; i++) {
        struct gx_sink *sink = &f->slots[f->reduction.record.round & 1][i].sink;
        sink->pins = 0;
    }
}

void gx_site_adopt(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                   uint64_t round, const struct gx_digest *digest, uint64_t now)
{
    f->has_state = true;
    f->applied = round;
    f->state = *digest;
    f->awaited = 0;
    if (f->reduced < round && (!f->has_status || round <= f->decided))
        f->reduced = round;
    gx_trace_stage(ex, run, f, round, GX_STAGE_APPLIED, now);
    gx_exchange_touch(ex, f);
}

/* The state that a trainer left is that of its last publish, unless it, or gxd, was about to write another. */
static bool state_whole(const struct gx_run *run, const struct gx_fragment *f)
{
    uint32_t sequence = __atomic_load_n(
        &gx_run_header(run)->state_sequence[gx_fragment_index(run, f)], __ATOMIC_ACQUIRE);
    return f->fetch.state != GX_FETCH_COPYING && !(sequence & 1) && (f->publishing || !f->awaited);
}

void gx_site_detach(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f)
{
    if (!state_whole(run, f))
        f->has_state = f->publishing = false;
    abort_reduction(f);
    f->fetch.told = false;
    gx_fetch_stop(ex, run, f);
    f->want = GX_WANT_NOTHING;
    f->behind = false;
    for (uint32_t s = 0; s < 2; s++)
        if (f->own[s].state == GX_OWN_HASHING ||
            (f->own[s].state == GX_OWN_READY && !f->own[s].based))
            gx_serve_own_close(ex, &f->own[s]);
}

/* ---- what the coordinator says ---- */

/* R10: in a new epoch rounds start anew from a state; what belongs to the old one goes. The trainer's next offer stays: it
 * is told of nothing unless it must fetch a state, which drops the offer. */
static void epoch_enter(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                        const struct gx_status *s)
{
    if (f->epoch)
        gx_note(&ex->notes, "run %s fragment %u: epoch %u starts from round %llu", run->name,
                gx_fragment_index(run, f), s->epoch, (unsigned long long)s->start_round);
    abort_reduction(f);
    for (uint32_t k = 0; k < 2 && f->epoch; k++) {
        struct gx_own *own = &f->own[k];
        bool stays = own->state == GX_OWN_HASHING || f->publishing ||
                     (own->state == GX_OWN_READY && f->has_state && own->round == f->applied + 1);
        for (uint32_t p = 0; p < GX_SITES_MAX && stays; p++)
            if (own->sends[p]) {
                gx_lanes_send_stop(ex->lanes, own->sends[p]);
                own->sends[p] = NULL;
            }
        own->done = 0;
        if (!stays)
            gx_serve_own_close(ex, own);
        for (uint32_t i = 0; i < run->site_count; i++) {
            gx_receive_slot_free(ex, run, &f->slots[k][i]);
            f->slots[k][i].asked_round = 0;
        }
    }
    f->lacking_round = 0;
    if (f->epoch)
        gx_serve_pin_close(ex, run);
    if (f->fetch.state == GX_FETCH_ASKING || f->fetch.state == GX_FETCH_OPEN ||
        f->fetch.state == GX_FETCH_HELD)
        gx_fetch_stop(ex, run, f);
    f->epoch = s->epoch;
    f->record_count = 0;
    f->reduced =
        f->has_state && !f->has_status && f->applied <= s->decided ? f->applied : s->start_round;
}

static void records_take(struct gx_exchange *ex, const struct gx_run *run, struct gx_fragment *f,
                         const struct gx_status *s, uint64_t now)
{
    f->decided = s->decided;
    for (uint32_t i = 0; i < s->record_count; i++) {
        const struct gx_record *record = &s->records[i];
        if (gx_fragment_record(f, record->round))
            continue;
        gx_trace_record(ex, run, f, record, now);
        if (f->record_count == 0 || record->round > f->records[0].round) {
            f->records[1] = f->records[0];
            f->records[0] = *record;
        } else {
            f->records[1] = *record;
        }
        f->record_count = f->record_count < 2 ? f->record_count + 1 : 2;
    }
}

static void refusal_note(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                         const struct gx_status *s)
{
    if (f->refused == s->reason)
        return;
    f->refused = s->reason;
    if (s->reason)
        gx_note_warn(
            &ex->notes,
            "run %s fragment %u: refused by the coordinator: %s (ours: %u fragments, format "
            "%s, %llu "
            "parameters; its: %u, %s, %llu)",
            run->name, gx_fragment_index(run, f), gx_reason_text((enum gx_reason)s->reason),
            run->summary.fragment_count, gx_format_name(run->format),
            (unsigned long long)run->summary.param_count, s->schema.fragment_count,
            s->schema.format < GX_FORMAT_COUNT ? gx_format_name((enum gx_format)s->schema.format)
                                               : "?",
            (unsigned long long)s->schema.param_count);
}

void gx_site_status(struct gx_exchange *ex, struct gx_run *run, const struct gx_status *s,
                    uint64_t order, uint64_t now)
{
    struct gx_fragment *f = gx_run_fragment(run, s->fragment);
    if (!f || s->epoch < f->epoch || (f->has_status && order < f->status_order))
        return;
    refusal_note(ex, run, f, s);
    if (s->reason == GX_REASON_SCHEMA)
        return; /* its rounds are not ours */
    if (s->epoch > f->epoch)
        epoch_enter(ex, run, f, s);
    if (s->decided < f->decided && f->has_status && s->epoch == f->status.epoch)
        return; /* a coordinator that lost its log: it will halt (R12) */
    uint32_t came = s->present & ~f->status.present; /* with a new trainer, and nothing held */
    f->own[0].done &= ~came;
    f->own[1].done &= ~came;
    f->seen |= s->present;
    f->finished = (s->decided == f->decided ? f->finished & ~came : 0) | s->state_sites;
    f->has_status = true;
    f->status_order = order;
    f->status = *s;
    records_take(ex, run, f, s, now);
    gx_exchange_touch(ex, f);
}

/* ---- what the trainer says ---- */

static void refuse(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                   uint64_t round, enum gx_reason reason, uint64_t now)
{
    gx_exchange_event(ex, run, f, GX_EVENT_REFUSED, round, reason, NULL, now);
}

static void publish(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                    const struct gx_command *c, uint64_t now)
{
    bool first = !f->has_state;
    if (c->round >= GX_ROUND_MAX || f->publishing || gx_fetch_accepted(f) ||
        (!first && (!f->awaited || c->round != f->awaited))) {
        refuse(ex, run, f, c->round, gx_fetch_accepted(f) ? GX_REASON_BEHIND : GX_REASON_ROUND,
               now);
        return;
    }
    f->publishing = true;
    f->publish_round = c->round;
    gx_hash_start(&f->state_hash, gx_run_state(run, f), f->state_bytes);
}

/* The digest of what is offered as libgx claims it. A wrong claim is a changed contribution: see gx_site_hashed(). */
static void claim(struct gx_run *run, struct gx_own *own, const struct gx_command *c)
{
    static const uint8_t none[GX_CLAIM_BYTES];
    own->claimed = run->digest_kind == GX_XXH3 && memcmp(c->claim, none, sizeof(none)) != 0;
    if (!own->claimed)
        return;
    own->digest = (struct gx_digest){{0}};
    memcpy(own->digest.b, c->claim, sizeof(c->claim));
    gx_source_init(&own->source, run->arena + own->offset, own->bytes, run->shard_bytes, own->tail);
}

static void offer(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                  const struct gx_command *c, uint64_t now)
{
    uint64_t applied = f->publishing ? f->publish_round : f->applied;
    struct gx_own *own = &f->own[c->round & 1];
    if (gx_fetch_accepted(f))
        return refuse(ex, run, f, c->round, GX_REASON_BEHIND, now);
    /* An event that voids the offer is on its way: BEHIND, perhaps followed by a STATE already, or the round's. */
    if (f->fetch.told || f->accepts != f->behinds || (c->round > applied && c->round <= f->reduced))
        return;
    if ((!f->has_state && !f->publishing) || c->round != applied + 1)
        return refuse(ex, run, f, c->round, GX_REASON_ROUND, now);
    if (c->weight == 0 || c->weight > GX_WEIGHT_MAX)
        return refuse(ex, run, f, c->round, GX_REASON_WEIGHT, now);
    if (c->bytes != f->wire_bytes || c->offset > run->arena_bytes ||
        c->bytes > run->arena_bytes - c->offset || c->offset % 64 != 0)
        return refuse(ex, run, f, c->round, GX_REASON_OFFSET, now);
    if (own->state != GX_OWN_FREE)
        return refuse(ex, run, f, c->round,
                      own->round == c->round ? GX_REASON_OTHER_BYTES : GX_REASON_ROUND, now);
    own->state = GX_OWN_HASHING;
    own->round = c->round;
    own->weight = c->weight;
    own->offset = c->offset;
    own->bytes = c->bytes;
    own->offered_ns = c->time_ns;
    own->done = 0;
    own->again = own->based = own->refuted = false;
    claim(run, own, c);
    gx_hash_start(&own->hash, run->arena + c->offset, c->bytes);
    gx_trace_stage(ex, run, f, c->round, GX_STAGE_OFFERED, now);
}

void gx_site_command(struct gx_exchange *ex, struct gx_run *run, const struct gx_command *c,
                     uint64_t now)
{
    struct gx_fragment *f = gx_run_fragment(run, c->fragment);
    if (!run->trainer)
        return;
    if (!f)
        return refuse(ex, run, &run->fragments[0], c->round, GX_REASON_FRAGMENT, now);
    if (c->type == GX_COMMAND_PUBLISH)
        publish(ex, run, f, c, now);
    else if (c->type == GX_COMMAND_OFFER)
        offer(ex, run, f, c, now);
    else if (c->type == GX_COMMAND_ACCEPT)
        f->accepts++;
    else
        refuse(ex, run, f, c->round, GX_REASON_COMMAND, now);
    gx_exchange_touch(ex, f);
}

void gx_site_hashed(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                    struct gx_own *own, const struct gx_digest *digest, bool finite, uint64_t now)
{
    bool again = own->again, known = again || own->claimed;
    own->again = false;
    if (!finite || (known && !gx_digest_equal(digest, &own->digest))) {
        enum gx_reason reason = again || finite ? GX_REASON_CHANGED : GX_REASON_NOT_FINITE;
        gx_note_warn(&ex->notes, "run %s round %llu: the trainer's contribution is refused: %s",
                     run->name, (unsigned long long)own->round, gx_reason_text(reason));
        if (f->reduction.active && f->reduction.record.round == own->round)
            abort_reduction(f); /* it reads these bytes: the site is behind now */
        gx_serve_own_close(ex, own);
        refuse(ex, run, f, own->round, reason, now);
    } else if (!again) {
        own->digest = *digest;
        own->state = GX_OWN_READY;
        gx_trace_stage(ex, run, f, own->round, GX_STAGE_HASHED, now);
        if (!own->claimed)
            gx_source_init(&own->source, run->arena + own->offset, own->bytes, run->shard_bytes,
                           own->tail);
    }
    gx_exchange_touch(ex, f);
}

/* ---- where the site stands ---- */

enum standing {
    STANDS_WAITING,  /* for a STATUS, the trainer, or a decision */
    STANDS_CURRENT,  /* has the state that the next round starts from */
    STANDS_BEHIND,   /* cannot go on without a state */
    STANDS_REDUCING, /* the next record's contributions are being reduced */
    STANDS_READY,    /* … are all here */
    STANDS_LACKING,  /* … are not all here yet */
};

bool gx_site_member_here(struct gx_run *run, struct gx_fragment *f, const struct gx_record *r,
                         uint32_t i)
{
    return i == run->self ? gx_fragment_own(f, r->round, &r->digests[i]) != NULL
                          : gx_fragment_held(f, r->round, i, &r->digests[i]) != NULL;
}

static bool all_here(struct gx_run *run, struct gx_fragment *f, const struct gx_record *r)
{
    for (uint32_t i = 0; i < run->site_count; i++)
        if (r->members >> i & 1 && !gx_site_member_here(run, f, r, i))
            return false;
    return true;
}

/* The own contribution is in the record, but its bytes are no longer here: the trainer came back with others. */
static bool own_lost(struct gx_run *run, struct gx_fragment *f, const struct gx_record *r)
{
    const struct gx_own *own = &f->own[r->round & 1];
    bool hashing = own->state == GX_OWN_HASHING && own->round == r->round;
    return r->members >> run->self & 1 && !hashing && !gx_site_member_here(run, f, r, run->self);
}

static enum standing stands(struct gx_run *run, struct gx_fragment *f)
{
    const struct gx_status *s = &f->status;
    if (!f->has_status || !f->has_state || f->publishing || f->awaited ||
        f->refused == GX_REASON_SCHEMA)
        return STANDS_WAITING;
    if (f->reduction.active)
        return STANDS_REDUCING;
    if (f->applied == f->decided)
        return !(s->flags & GX_STATUS_BASE)           ? STANDS_WAITING
               : gx_digest_equal(&s->base, &f->state) ? STANDS_CURRENT
                                                      : STANDS_BEHIND;
    const struct gx_record *r = gx_fragment_record(f, f->applied + 1);
    if (f->applied > f->decided || f->applied + 2 < f->decided)
        return STANDS_BEHIND;
    if (!r)
        return f->applied + 1 == f->decided && f->record_count == 0 ? STANDS_BEHIND
                                                                    : STANDS_WAITING;
    if (!gx_digest_equal(&r->base, &f->state) || own_lost(run, f, r))
        return STANDS_BEHIND;
    if (all_here(run, f, r))
        return STANDS_READY;
    return r->round == f->decided ? STANDS_LACKING : STANDS_BEHIND; /* nobody keeps older ones */
}

void gx_site_complete(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                      const struct gx_record *r, uint64_t now)
{
    bool member = r->members >> run->self & 1;
    f->offered_last_ns = f->held_longest_ns = 0;
    for (uint32_t i = 0; i < run->site_count; i++) {
        if (!(r->members >> i & 1))
            continue;
        struct gx_slot *slot = &f->slots[r->round & 1][i];
        uint64_t offered =
            i == run->self ? f->own[r->round & 1].offered_ns : slot->sink.open.offered_ns;
        if (offered > f->offered_last_ns)
            f->offered_last_ns = offered;
        if (i == run->self)
            continue;
        slot->sink.pins = 0;
        if (slot->sink.held_ns > offered && slot->sink.held_ns - offered > f->held_longest_ns)
            f->held_longest_ns = slot->sink.held_ns - offered;
    }
    f->reduced = f->awaited = r->round;
    gx_trace_stage(ex, run, f, r->round, GX_STAGE_REDUCED, now);
    enum gx_event_type type = !r->members ? GX_EVENT_VOID
                              : member    ? GX_EVENT_MEMBER
                                          : GX_EVENT_LEFT_OUT;
    *(type == GX_EVENT_VOID ? &f->rounds_void
      : member              ? &f->rounds_member
                            : &f->rounds_left_out) += 1;
    gx_exchange_event(ex, run, f, type, r->round, GX_REASON_NONE, r, now);
    gx_exchange_touch(ex, f);
}

static void reduce_start(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                         const struct gx_record *r, uint64_t now)
{
    if (r->members == 0) {
        gx_site_complete(ex, run, f, r, now);
        return;
    }
    f->reduction = (struct gx_reduction){.active = true, .record = *r};
    for (uint32_t i = 0; i < run->site_count; i++)
        if (i != run->self && r->members >> i & 1)
            f->slots[r->round & 1][i].sink.pins = 1;
    ex->jobs = 1;
}

/* R2: the coordinator recorded other bytes of ours for this round. */
static void other_bytes(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                        uint64_t now)
{
    struct gx_own *own = &f->own[(f->decided + 1) & 1];
    bool recorded = f->has_status && f->status.offers >> run->self & 1;
    if (!recorded || own->state != GX_OWN_READY || own->round != f->decided + 1 ||
        f->status.offer_prefix[run->self] == gx_digest_prefix(&own->digest))
        return;
    uint64_t round = own->round;
    gx_serve_own_close(ex, own);
    refuse(ex, run, f, round, GX_REASON_OTHER_BYTES, now);
}

void gx_site_advance(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                     uint64_t now)
{
    f->changed = false;
    f->look_ns = now + GX_LOOK_NS;
    for (uint32_t s = 0; s < 2; s++)
        if (gx_own_goes(&f->own[s]) && f->own[s].round == f->applied + 1 && f->has_state &&
            !f->publishing) {
            f->own[s].base = f->state;
            f->own[s].based = true;
        }
    gx_holder_look(ex, run, f, now);
    if (run->trainer) {
        enum standing at = stands(run, f);
        /* Half-way through copying, what was there is gone: the copy has to be finished. */
        bool fine = f->fetch.state != GX_FETCH_COPYING &&
                    (at == STANDS_CURRENT || at == STANDS_READY || at == STANDS_LACKING);
        bool behind = at == STANDS_BEHIND || (f->fetch.told && !fine);
        if (behind != f->behind)
            f->report_due_ns = ex->control_due_ns = 0;
        f->behind = behind;
        if (f->want == GX_WANT_CONTRIBUTION && at != STANDS_LACKING && at != STANDS_CURRENT)
            f->want = GX_WANT_NOTHING;
        if (behind)
            gx_fetch_advance(ex, run, f, now);
        else if (f->fetch.state != GX_FETCH_NONE || f->fetch.told)
            gx_fetch_spare(ex, run, f, now);
        else if (at == STANDS_READY)
            reduce_start(ex, run, f, gx_fragment_record(f, f->applied + 1), now);
        else if (at == STANDS_LACKING)
            gx_holder_ask(ex, run, f, now);
        else if (at == STANDS_CURRENT)
            gx_holder_ask_early(ex, run, f, now);
        other_bytes(ex, run, f, now);
    }
    gx_serve_helpers(ex, run, f);
    gx_serve_own(ex, run, f, now);
}

/* ---- what the site says ---- */

static void report_held(const struct gx_run *run, const struct gx_fragment *f, struct gx_report *p)
{
    const struct gx_record *last = gx_fragment_record(f, f->decided);
    p->held_round = f->decided + 1;
    for (uint32_t i = 0; i < run->site_count; i++) {
        const struct gx_sink *next = &f->slots[p->held_round & 1][i].sink;
        if (next->state == GX_SINK_HELD && next->open.key.round == p->held_round &&
            next->open.key.epoch == f->epoch) {
            p->held |= 1u << i;
            p->held_digests[i] = next->open.digest;
        }
        if (last && last->members >> i & 1 &&
            gx_site_member_here((struct gx_run *)run, (struct gx_fragment *)f, last, i))
            p->kept |= 1u << i;
    }
}

void gx_site_report(const struct gx_exchange *ex, const struct gx_run *run,
                    const struct gx_fragment *f, struct gx_report *p)
{
    memset(p, 0, sizeof(*p));
    memcpy(p->run, run->name, sizeof(p->run));
    p->schema = run->summary;
    p->epoch = f->epoch;
    p->fragment = gx_fragment_index(run, f);
    bool fetching = f->fetch.state >= GX_FETCH_OPEN;
    p->flags =
        (uint8_t)((run->trainer ? GX_REPORT_TRAINER : 0) | (ex->leaving ? GX_REPORT_LEAVING : 0) |
                  (f->behind ? GX_REPORT_BEHIND : 0) | (f->has_state ? GX_REPORT_STATE : 0) |
                  (fetching ? GX_REPORT_FETCHING : 0));
    p->applied = f->applied;
    p->state = f->state;
    p->reduced = f->reduced;
    p->decided = f->decided;
    p->record_check =
        f->record_count && f->records[0].round == f->decided ? gx_record_check(&f->records[0]) : 0;
    p->fetch_round = fetching ? f->fetch.round : 0;
    for (uint32_t s = 0; s < 2; s++) {
        const struct gx_own *own = &f->own[s];
        if (own->state != GX_OWN_READY || !own->based || own->round < f->decided ||
            own->round < p->offer_round)
            continue;
        p->flags |= GX_REPORT_OFFER;
        p->offer_round = own->round;
        p->offer_weight = own->weight;
        p->offer_digest = own->digest;
        p->offer_base = own->base;
    }
    p->want = f->want;
    p->want_source = f->want_source;
    p->want_owner = f->want_owner;
    p->want_round = f->want_round;
    p->want_digest = f->want_digest;
    report_held(run, f, p);
}
