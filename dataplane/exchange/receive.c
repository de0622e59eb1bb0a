/* What this site takes from others: contributions, and a state when it is behind. */
#include "exchange/exchange.h"
#include "transfer/digest.h"

static struct gx_run *run_of(const struct gx_exchange *ex, uint64_t id)
{
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++)
        if (ex->runs[i] && ex->runs[i]->id == id)
            return ex->runs[i];
    return NULL;
}

bool gx_receive_slot_free(struct gx_exchange *ex, struct gx_run *run, struct gx_slot *slot)
{
    if (slot->sink.state == GX_SINK_FREE)
        return true;
    if (slot->sink.pins)
        return false;
    gx_serve_helpers_close(ex, run, slot);
    return !gx_source_busy(&slot->source) && gx_lanes_sink_free(ex->lanes, &slot->sink);
}

/* Rounds up to this one need nothing more at this site. */
static uint64_t finished(const struct gx_fragment *f)
{
    if (f->fetch.state != GX_FETCH_NONE && f->fetch.state != GX_FETCH_ASKING)
        return f->fetch.round;
    return f->behind && f->decided > f->reduced ? f->decided : f->reduced;
}

static bool schema_fits(const struct gx_run *run, const struct gx_fragment *f,
                        const struct gx_open *open)
{
    bool state = open->key.kind == GX_KIND_STATE;
    return open->shard_bytes == run->shard_bytes && open->digest_kind == run->digest_kind &&
           open->format == (state ? GX_FP32 : run->format) &&
           open->bytes == (state ? f->state_bytes : f->wire_bytes);
}

static enum gx_answer open_sink(struct gx_exchange *ex, struct gx_sink *sink, uint32_t peer,
                                const struct gx_open *open, struct gx_sink **out,
                                enum gx_reason *reason)
{
    if (!gx_sink_open(sink, open)) {
        *reason = GX_REASON_SCHEMA;
        return GX_ANSWER_REFUSED;
    }
    sink->feeder = peer;
    sink->feeder_incarnation = gx_links_incarnation(ex->links, peer);
    *out = sink;
    return GX_ANSWER_OPEN;
}

/* The bytes that are here are in other parts than those that come: is nobody left who goes on with them? */
static bool feeder_gone(const struct gx_exchange *ex, const struct gx_fragment *f,
                        const struct gx_sink *sink, uint32_t peer)
{
    return sink->feeder == peer || !(f->status.present >> sink->feeder & 1) ||
           gx_links_incarnation(ex->links, sink->feeder) != sink->feeder_incarnation;
}

/* Other bytes than those that are here: the owner's trainer came back with them, or trained anew from a fetched state.
 * What is held may be recorded already, so it stays until the coordinator has recorded the new ones (R2), or decided
 * for them: the caller has compared them with the record. OPEN: take them. */
static enum gx_answer may_replace(const struct gx_fragment *f, const struct gx_sink *held,
                                  const struct gx_open *open)
{
    uint32_t owner = open->key.owner;
    if (held->state != GX_SINK_HELD || open->key.round <= f->decided)
        return GX_ANSWER_OPEN;
    if (open->key.round != f->decided + 1 || !(f->status.offers >> owner & 1))
        return GX_ANSWER_NOT_READY;
    return f->status.offer_prefix[owner] == gx_digest_prefix(&open->digest) ? GX_ANSWER_OPEN
                                                                            : GX_ANSWER_REFUSED;
}

static enum gx_answer open_contribution(struct gx_exchange *ex, struct gx_run *run,
                                        struct gx_fragment *f, uint32_t peer,
                                        const struct gx_open *open, struct gx_sink **sink,
                                        enum gx_reason *reason, uint64_t now)
{
    uint64_t round = open->key.round, fin = finished(f);
    uint32_t owner = open->key.owner;
    if (owner == run->self || owner >= run->site_count || round <= fin ||
        (peer != owner && !gx_holder_asked(&f->slots[round & 1][owner], round, peer)))
        return GX_ANSWER_NOT_NEEDED;
    if (round > fin + 2 || round > f->decided + 2)
        return GX_ANSWER_NOT_READY;
    const struct gx_record *record = gx_fragment_record(f, round);
    if (round == f->decided && !record)
        return GX_ANSWER_NOT_READY; /* STATUS of many sites carries one record at a time */
    if (round <= f->decided && (!record || !(record->members >> owner & 1) ||
                                !gx_digest_equal(&record->digests[owner], &open->digest)))
        return GX_ANSWER_NOT_NEEDED;
    struct gx_slot *slot = &f->slots[round & 1][owner];
    struct gx_sink *s = &slot->sink;
    bool here = s->state == GX_SINK_OPEN || s->state == GX_SINK_HELD || s->state == GX_SINK_BAD;
    bool again =
        gx_key_equal(&s->open.key, &open->key) && gx_digest_equal(&s->open.digest, &open->digest);
    if (peer != owner && round > f->decided && !(here && again))
        return GX_ANSWER_NOT_NEEDED; /* before the decision only the owner says which bytes */
    if (here && gx_key_equal(&s->open.key, &open->key)) {
        enum gx_answer answer;
        if (again && s->state != GX_SINK_BAD) {
            *sink = s;
            if (s->state == GX_SINK_HELD)
                return GX_ANSWER_HELD;
            if (s->open.parts == open->parts) {
                gx_holder_joined(ex, run, f, slot, peer, now);
                return GX_ANSWER_OPEN;
            }
            if (!feeder_gone(ex, f, s, peer))
                return peer == owner ? GX_ANSWER_NOT_READY : GX_ANSWER_NOT_NEEDED;
        } else if ((answer = may_replace(f, s, open)) != GX_ANSWER_OPEN) {
            if (answer == GX_ANSWER_REFUSED)
                *reason = GX_REASON_OTHER_BYTES;
            return answer;
        }
    }
    if (!gx_receive_slot_free(ex, run, slot))
        return GX_ANSWER_NOT_READY;
    enum gx_answer answer = open_sink(ex, s, peer, open, sink, reason);
    if (answer == GX_ANSWER_OPEN) {
        gx_sink_check(s, f->param_count);
        gx_holder_opened(slot, again, now);
        gx_holder_joined(ex, run, f, slot, peer, now);
    }
    return answer;
}

/* Only what the coordinator names is taken: a peer cannot hand over a state of its own making. */
static enum gx_answer open_state(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                                 uint32_t peer, const struct gx_open *open, struct gx_sink **sink,
                                 enum gx_reason *reason, uint64_t now)
{
    struct gx_fetch *fetch = &f->fetch;
    uint32_t index = gx_fragment_index(run, f);
    if (fetch->state == GX_FETCH_NONE || fetch->source != peer ||
        run->state_fragment != (int32_t)index)
        return GX_ANSWER_NOT_NEEDED;
    struct gx_sink *s = &run->state_sink;
    bool same =
        gx_digest_equal(&s->open.digest, &open->digest) && gx_key_equal(&s->open.key, &open->key);
    *sink = s;
    if (fetch->state != GX_FETCH_ASKING) {
        if (!same)
            return GX_ANSWER_NOT_NEEDED;
        if (s->state == GX_SINK_HELD)
            return GX_ANSWER_HELD;
        if (s->state == GX_SINK_OPEN && s->open.parts == open->parts)
            return GX_ANSWER_OPEN;
    } else {
        if (open->key.round > f->status.decided || !(f->status.flags & GX_STATUS_STATE))
            return GX_ANSWER_NOT_READY; /* the coordinator's word is on its way */
        if (open->key.round < f->status.decided ||
            !gx_digest_equal(&open->digest, &f->status.state))
            return GX_ANSWER_NOT_NEEDED;
    }
    /* In other parts than before, when its lanes have changed. */
    if (!gx_lanes_sink_free(ex->lanes, s))
        return GX_ANSWER_NOT_READY;
    enum gx_answer answer = open_sink(ex, s, peer, open, sink, reason);
    if (answer == GX_ANSWER_OPEN) {
        fetch->state = GX_FETCH_OPEN;
        fetch->round = open->key.round;
        fetch->digest = open->digest;
        fetch->moved_ns = now;
        fetch->blocks = 0;
    }
    return answer;
}

enum gx_answer gx_receive_open(struct gx_exchange *ex, uint32_t peer, const struct gx_open *open,
                               struct gx_sink **sink, enum gx_reason *reason, uint64_t now)
{
    struct gx_run *run = run_of(ex, open->key.run);
    *reason = GX_REASON_NONE;
    if (!run || !run->trainer || open->key.fragment >= run->fragment_count)
        return GX_ANSWER_NOT_READY;
    struct gx_fragment *f = &run->fragments[open->key.fragment];
    if (!f->has_status || !f->has_state || open->key.epoch > f->epoch)
        return GX_ANSWER_NOT_READY;
    if (open->key.epoch < f->epoch)
        return GX_ANSWER_NOT_NEEDED;
    if (!schema_fits(run, f, open)) {
        *reason = GX_REASON_SCHEMA;
        return GX_ANSWER_REFUSED;
    }
    gx_exchange_touch(ex, f);
    if (open->key.kind == GX_KIND_STATE)
        return open_state(ex, run, f, peer, open, sink, reason, now);
    return open_contribution(ex, run, f, peer, open, sink, reason, now);
}

void gx_receive_sink(struct gx_exchange *ex, struct gx_sink *sink, uint64_t now)
{
    struct gx_run *run = run_of(ex, sink->open.key.run);
    if (!run)
        return;
    struct gx_fragment *f = &run->fragments[sink->open.key.fragment];
    if (sink == &run->state_sink)
        f->fetch.state = sink->state == GX_SINK_HELD ? GX_FETCH_HELD : GX_FETCH_ASKING;
    else if (sink->state == GX_SINK_HELD)
        gx_trace_came(ex, run, f, sink->open.key.round, sink->open.key.owner, now);
    else if (sink->state == GX_SINK_BAD)
        gx_holder_spoiled(f, &f->slots[sink->open.key.round & 1][sink->open.key.owner]);
    gx_exchange_touch(ex, f);
}
