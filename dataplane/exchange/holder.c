/* Whom a site asks for what an owner does not deliver (R7): when the record is known and a member's contribution is not
 * here, another site that holds it helps, if the owner is gone, or stuck, or its path delivers under half of what the
 * helper's own path did.
 *
 * Before the decision holders send nothing (R5). But where a path is so slow that it will be waited for, its helper is
 * asked already: it opens the transfer, learns what lacks, and begins the moment it knows the record.
 *
 * One REPORT names one holder (`want`), so contributions that lack take turns. The helper works from the last block
 * backward and the owner goes on: what both send is what is on its way when they meet.
 */
#include "exchange/exchange.h"

/* So long nothing of it comes, or a site that was asked does not begin. */
#define STUCK_NS 1000000000ull
/* What a path delivers is measured over so long, four round trips at least. */
#define WINDOW_NS 200000000ull
/* What is here sooner needs no help: it takes two round trips to begin. */
#define WORTH_NS 200000000ull
#define WINDOW_ROUNDS 4

static uint64_t per_second(uint64_t bytes, uint64_t ns)
{
    return ns ? (uint64_t)((double)bytes * 8e9 / (double)ns) : 0;
}

static uint64_t window_ns(const struct gx_exchange *ex, uint32_t peer, uint64_t least_ns)
{
    uint64_t rounds_ns = WINDOW_ROUNDS * gx_links_rtt_ns(ex->links, peer);
    return rounds_ns > least_ns ? rounds_ns : least_ns;
}

/* ---- how fast they come ---- */

static void inflow_look(const struct gx_exchange *ex, struct gx_run *run, uint64_t now)
{
    uint32_t workers = ex->config.links.workers ? ex->config.links.workers : 1;
    uint64_t bytes = 0;
    if (now < run->inflow.looked_ns + WINDOW_NS)
        return;
    for (uint32_t i = 0; i < workers * run->site_count; i++)
        bytes += GX_COUNTER_READ(
            ex->config.counters[i % workers].link[i / workers][GX_LINK_received_bytes_total]);
    run->inflow.bps = per_second(bytes - run->inflow.bytes, now - run->inflow.looked_ns);
    run->inflow.looked_ns = now;
    run->inflow.bytes = bytes;
}

static void progress_look(const struct gx_exchange *ex, struct gx_slot *slot, uint32_t owner,
                          uint64_t now)
{
    struct gx_progress *p = &slot->progress;
    uint32_t all, here = gx_sink_shards_here(&slot->sink, &all);
    if (here != p->moved_here) {
        p->moved_here = here;
        p->moved_ns = now;
    }
    if (now < p->looked_ns + window_ns(ex, owner, WINDOW_NS))
        return;
    p->bps = per_second((uint64_t)(here - p->here) * slot->sink.shard_bytes, now - p->looked_ns);
    p->known = true;
    p->looked_ns = now;
    p->here = here;
}

void gx_holder_look(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f, uint64_t now)
{
    inflow_look(ex, run, now);
    for (uint32_t i = 0; i < 2 * run->site_count; i++) {
        struct gx_slot *slot = &f->slots[i & 1][i / 2];
        if (slot->sink.state == GX_SINK_OPEN)
            progress_look(ex, slot, i / 2, now);
    }
}

/* What the owner's path delivered of this round's contribution, bit/s; 0: not known. */
static uint64_t delivered_bps(const struct gx_slot *slot, uint64_t round)
{
    const struct gx_sink *sink = &slot->sink;
    if (sink->open.key.round != round)
        return 0;
    if (sink->state == GX_SINK_HELD && sink->held_ns > slot->progress.opened_ns)
        return per_second(sink->open.bytes, sink->held_ns - slot->progress.opened_ns);
    return sink->state == GX_SINK_OPEN ? slot->progress.bps : 0;
}

/* ---- who is asked ---- */

static bool holds(const struct gx_exchange *ex, const struct gx_run *run,
                  const struct gx_fragment *f, uint32_t holder, uint32_t owner)
{
    return holder != run->self && f->status.keepers >> holder & 1 &&
           f->status.kept[holder] >> owner & 1 && gx_links_up(ex->links, holder);
}

/* The holder whose path to here is the best; -1: none. */
static int32_t holder_fastest(const struct gx_exchange *ex, const struct gx_run *run,
                              const struct gx_fragment *f, const struct gx_record *r,
                              uint32_t owner, uint32_t but, uint64_t *best_bps)
{
    int32_t best = -1;
    *best_bps = 0;
    for (uint32_t i = 0; i < run->site_count; i++) {
        uint64_t bps = delivered_bps(&f->slots[r->round & 1][i], r->round);
        if (i == owner || i == but || bps <= *best_bps || !holds(ex, run, f, i, owner))
            continue;
        best = (int32_t)i;
        *best_bps = bps;
    }
    return best;
}

/* The next one from `from` on; -1: none. */
static int32_t holder_next(const struct gx_exchange *ex, const struct gx_run *run,
                           const struct gx_fragment *f, uint32_t owner, uint32_t from)
{
    for (uint32_t n = 0; n < run->site_count; n++)
        if (holds(ex, run, f, (from + n) % run->site_count, owner))
            return (int32_t)((from + n) % run->site_count);
    return -1;
}

/* What a good path would bring now: what the helper's own did, or more, since there it shared the way in with others. */
static uint64_t good_bps(const struct gx_exchange *ex, const struct gx_run *run,
                         const struct gx_fragment *f, const struct gx_record *r,
                         uint64_t helper_bps)
{
    uint64_t lacking = 0, share_bps, alone_bps = helper_bps + helper_bps / 2;
    for (uint32_t i = 0; i < run->site_count; i++)
        lacking += r->members >> i & 1 && f->slots[r->round & 1][i].sink.state == GX_SINK_OPEN;
    share_bps = ex->config.links.recv_rate_bps / (lacking ? lacking : 1);
    if (alone_bps > share_bps)
        alone_bps = share_bps;
    return alone_bps > helper_bps ? alone_bps : helper_bps;
}

/* A second path would bring it sooner: the owner's is slow, the helper's is not, and there is room on the way in. */
static bool helps(const struct gx_exchange *ex, const struct gx_run *run,
                  const struct gx_fragment *f, const struct gx_record *r,
                  const struct gx_slot *slot, uint32_t helper, uint64_t helper_bps)
{
    const struct gx_progress *p = &slot->progress;
    uint64_t room_bps = ex->config.links.recv_rate_bps;
    uint32_t all, here = gx_sink_shards_here(&slot->sink, &all);
    double left_bits = 8.0 * (double)(all - here) * slot->sink.shard_bytes;
    double worth_s = (double)window_ns(ex, helper, WORTH_NS) / 1e9;
    if (ex->config.owners_only || slot->sink.state != GX_SINK_OPEN || slot->spoiled || !p->known ||
        2 * p->bps >= good_bps(ex, run, f, r, helper_bps))
        return false;
    if (room_bps && run->inflow.bps >= room_bps / 4 * 3)
        return false;
    return left_bits > worth_s * (double)p->bps;
}

static bool is_asked(const struct gx_slot *slot, uint64_t round)
{
    return slot->asked_round == round && slot->asked_ns > 0;
}

bool gx_holder_asked(const struct gx_slot *slot, uint64_t round, uint32_t peer)
{
    return is_asked(slot, round) && slot->asked == peer;
}

/* Has nothing of it come for a while, nor a helper begun that was asked? */
static bool is_stuck(const struct gx_fragment *f, const struct gx_slot *slot, uint64_t round,
                     uint64_t now)
{
    bool open = slot->sink.state == GX_SINK_OPEN && slot->sink.open.key.round == round;
    uint64_t since_ns = f->lacking_ns;
    if (open && slot->progress.moved_ns > since_ns)
        since_ns = slot->progress.moved_ns;
    if (is_asked(slot, round) && slot->asked_ns > since_ns)
        since_ns = slot->asked_ns;
    return now >= since_ns + STUCK_NS;
}

/* It was asked, and is about to begin or has begun. */
static bool is_helping(const struct gx_exchange *ex, const struct gx_run *run,
                       const struct gx_fragment *f, const struct gx_slot *slot, uint64_t round,
                       uint32_t owner, uint64_t now)
{
    return is_asked(slot, round) && holds(ex, run, f, slot->asked, owner) &&
           (slot->joined || now < slot->asked_ns + STUCK_NS);
}

static void ask(struct gx_exchange *ex, struct gx_slot *slot, uint64_t round, uint32_t owner,
                uint32_t holder, uint64_t now)
{
    slot->asked_round = round;
    slot->asked = (uint8_t)holder;
    slot->asked_ns = now;
    slot->voiced_ns = 0;
    slot->joined = false;
    if (holder != owner)
        GX_COUNT_LINK(ex->config.counters, holder, helps_asked_total, 1);
}

static void holder_choose(struct gx_exchange *ex, const struct gx_run *run, struct gx_fragment *f,
                          const struct gx_record *r, uint32_t owner, uint64_t now)
{
    struct gx_slot *slot = &f->slots[r->round & 1][owner];
    bool before = slot->asked_round == r->round, gone = !gx_links_up(ex->links, owner);
    bool stuck = is_stuck(f, slot, r->round, now);
    uint64_t best_bps;
    int32_t holder;
    if (is_helping(ex, run, f, slot, r->round, owner, now) && !stuck)
        return;
    if (gone || stuck) {
        /* An owner that came back without its sends, or to whom we did, is the first to be asked. */
        uint32_t first = gone ? owner + 1 + run->self : owner;
        holder = holder_next(ex, run, f, owner, before ? slot->asked + 1u : first);
    } else {
        holder =
            holder_fastest(ex, run, f, r, owner, before ? slot->asked : GX_SITES_MAX, &best_bps);
        if (holder >= 0 && !helps(ex, run, f, r, slot, (uint32_t)holder, best_bps))
            return;
    }
    if (holder >= 0)
        ask(ex, slot, r->round, owner, (uint32_t)holder, now);
}

/* ---- before the decision ---- */

/* Seconds until all of it is here, as it comes now. */
static double rest_s(const struct gx_slot *slot)
{
    uint32_t all, here = gx_sink_shards_here(&slot->sink, &all);
    double bits = 8.0 * (double)(all - here) * slot->sink.shard_bytes;
    if (slot->sink.state == GX_SINK_HELD)
        return 0;
    return slot->progress.bps ? bits / (double)slot->progress.bps : 1e9;
}

/* The site whose own contribution comes the fastest: it will have the owner's, too, and send it as fast. -1: none. */
static int32_t holder_likely(const struct gx_exchange *ex, const struct gx_run *run,
                             const struct gx_fragment *f, uint64_t round, uint32_t owner)
{
    int32_t best = -1;
    uint64_t best_bps = 0;
    for (uint32_t i = 0; i < run->site_count; i++) {
        uint64_t bps = delivered_bps(&f->slots[round & 1][i], round);
        if (i == owner || i == run->self || bps <= best_bps || !(f->status.present >> i & 1) ||
            !gx_links_up(ex->links, i))
            continue;
        best = (int32_t)i;
        best_bps = bps;
    }
    return best;
}

/* Long after the helper's own is here, it would still be on its way, and that is the path's doing. */
static bool will_lack(const struct gx_exchange *ex, const struct gx_slot *slot,
                      const struct gx_slot *helpers, uint32_t helper, uint64_t round)
{
    uint64_t helper_bps = delivered_bps(helpers, round);
    double worth_s = (double)window_ns(ex, helper, WORTH_NS) / 1e9;
    return !ex->config.owners_only && !slot->spoiled && slot->progress.known &&
           2 * slot->progress.bps < helper_bps + helper_bps / 2 &&
           rest_s(slot) > 2 * rest_s(helpers) + worth_s;
}

static void choose_early(struct gx_exchange *ex, const struct gx_run *run, struct gx_fragment *f,
                         uint64_t round, uint32_t owner, uint64_t now)
{
    struct gx_slot *slots = f->slots[round & 1], *slot = &slots[owner];
    int32_t holder;
    if (slot->sink.state != GX_SINK_OPEN || slot->sink.open.key.round != round ||
        (is_asked(slot, round) && gx_links_up(ex->links, slot->asked)))
        return;
    holder = holder_likely(ex, run, f, round, owner);
    if (holder >= 0 && will_lack(ex, slot, &slots[holder], (uint32_t)holder, round))
        ask(ex, slot, round, owner, (uint32_t)holder, now);
}

/* ---- the asking ---- */

/* It is still lacking; *digest: of what. `r`: NULL before the decision. */
static bool is_lacking(struct gx_run *run, struct gx_fragment *f, const struct gx_record *r,
                       uint64_t round, uint32_t owner, struct gx_digest *digest)
{
    const struct gx_sink *sink = &f->slots[round & 1][owner].sink;
    if (r) {
        *digest = r->digests[owner];
        return r->members >> owner & 1 && !gx_site_member_here(run, f, r, owner);
    }
    *digest = sink->open.digest;
    return sink->state == GX_SINK_OPEN && sink->open.key.round == round;
}

/* The one that was silent the longest. */
static void voice(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                  const struct gx_record *r, uint64_t round, uint64_t now)
{
    struct gx_slot *next = NULL;
    struct gx_digest digest, next_digest;
    uint32_t next_owner = 0;
    bool unsaid = f->want == GX_WANT_CONTRIBUTION && f->want_due_ns == 0;
    if (unsaid && gx_links_up(ex->links, f->want_source))
        return;
    for (uint32_t owner = 0; owner < run->site_count; owner++) {
        struct gx_slot *slot = &f->slots[round & 1][owner];
        if (owner == run->self || !is_asked(slot, round) ||
            !is_lacking(run, f, r, round, owner, &digest) ||
            now < slot->voiced_ns + GX_STATE_INTERVAL_NS ||
            (next && next->voiced_ns <= slot->voiced_ns))
            continue;
        next = slot;
        next_owner = owner;
        next_digest = digest;
    }
    if (!next)
        return;
    next->voiced_ns = now;
    f->want = GX_WANT_CONTRIBUTION;
    f->want_source = next->asked;
    f->want_owner = (uint8_t)next_owner;
    f->want_round = round;
    f->want_digest = next_digest;
    f->want_due_ns = 0;
    gx_exchange_touch(ex, f);
}

/* Whoever was asked early and has not begun is chosen anew, by what is known now. */
static void lacking_begin(const struct gx_run *run, struct gx_fragment *f, uint64_t round,
                          uint64_t now)
{
    if (f->lacking_round == round && f->lacking_ns)
        return;
    f->lacking_round = round;
    f->lacking_ns = now;
    for (uint32_t owner = 0; owner < run->site_count; owner++) {
        struct gx_slot *slot = &f->slots[round & 1][owner];
        if (is_asked(slot, round) && !slot->joined)
            slot->asked_round = 0;
    }
}

/* What was asked for before is not wanted any more. */
static void want_end(struct gx_run *run, struct gx_fragment *f, const struct gx_record *r,
                     uint64_t round)
{
    struct gx_digest digest;
    if (f->want == GX_WANT_CONTRIBUTION &&
        (f->want_round != round || !is_lacking(run, f, r, round, f->want_owner, &digest)))
        f->want = GX_WANT_NOTHING;
}

void gx_holder_ask(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f, uint64_t now)
{
    const struct gx_record *r = gx_fragment_record(f, f->applied + 1);
    want_end(run, f, r, r->round);
    lacking_begin(run, f, r->round, now);
    for (uint32_t owner = 0; owner < run->site_count; owner++)
        if (owner != run->self && r->members >> owner & 1 && !gx_site_member_here(run, f, r, owner))
            holder_choose(ex, run, f, r, owner, now);
    voice(ex, run, f, r, r->round, now);
}

void gx_holder_ask_early(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                         uint64_t now)
{
    uint64_t round = f->decided + 1;
    want_end(run, f, NULL, round);
    for (uint32_t owner = 0; owner < run->site_count; owner++)
        if (owner != run->self)
            choose_early(ex, run, f, round, owner, now);
    voice(ex, run, f, NULL, round, now);
}

/* ---- the answer ---- */

void gx_holder_opened(struct gx_slot *slot, bool again, uint64_t now)
{
    slot->progress = (struct gx_progress){.opened_ns = now, .looked_ns = now, .moved_ns = now};
    slot->spoiled &= again;
}

void gx_holder_joined(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                      struct gx_slot *slot, uint32_t peer, uint64_t now)
{
    uint64_t round = slot->sink.open.key.round;
    uint32_t owner = slot->sink.open.key.owner;
    if (peer == owner || slot->joined || !gx_holder_asked(slot, round, peer))
        return;
    slot->joined = true;
    GX_COUNT_LINK(ex->config.counters, peer, helps_joined_total, 1);
    gx_trace_helped(ex, run, f, round, owner, peer, now);
}

/* Nobody is asked any more; if it comes to that again, not this one, if there is another. */
void gx_holder_spoiled(struct gx_fragment *f, struct gx_slot *slot)
{
    if (f->want == GX_WANT_CONTRIBUTION && f->want_owner == slot->sink.open.key.owner)
        f->want = GX_WANT_NOTHING;
    slot->spoiled |= slot->joined;
    slot->joined = false;
    slot->asked_ns = 0;
}
