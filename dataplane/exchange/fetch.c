/* A site that is BEHIND (R9): ask a site that has the newest state, take it, hand it to the trainer. */
#include <string.h>

#include "exchange/exchange.h"
#include "transfer/digest.h"

#define COPY_SLICE_BYTES 65536u
#define ASK_AGAIN_NS 1000000000ull /* another source after so long without a transfer */
#define STALL_NS 5000000000ull     /* a source that opened and went quiet */

void gx_fetch_stop(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f)
{
    if (run->state_fragment == (int32_t)gx_fragment_index(run, f)) {
        gx_lanes_sink_free(ex->lanes, &run->state_sink);
        run->state_fragment = -1;
    }
    f->fetch = (struct gx_fetch){.told = f->fetch.told, .source = f->fetch.source};
    if (f->want == GX_WANT_STATE)
        f->want = GX_WANT_NOTHING;
}

/* The next site after the last one asked that has the state. False: nobody has it. */
static bool source_next(const struct gx_exchange *ex, const struct gx_run *run,
                        const struct gx_fragment *f, uint32_t *source)
{
    for (uint32_t n = 1; n <= run->site_count; n++) {
        uint32_t i = (*source + n) % run->site_count;
        if (i != run->self && f->status.state_sites >> i & 1 && gx_links_up(ex->links, i)) {
            *source = i;
            return true;
        }
    }
    return false;
}

static void ask(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f, uint64_t now)
{
    uint32_t source = f->fetch.source;
    if (!(f->status.flags & GX_STATUS_STATE) || !source_next(ex, run, f, &source))
        return;
    bool first = f->fetch.state == GX_FETCH_NONE;
    f->fetch.state = GX_FETCH_ASKING;
    f->fetch.source = source;
    f->fetch.round = f->status.decided;
    f->fetch.asked_ns = now;
    f->want = GX_WANT_STATE;
    f->want_source = (uint8_t)source;
    f->want_round = f->status.decided;
    f->want_digest = f->status.state;
    f->want_due_ns = 0;
    gx_exchange_touch(ex, f);
    if (first)
        gx_note(
            &ex->notes,
            "run %s fragment %u: behind (has round %llu): fetching the state of round %llu from %s",
            run->name, gx_fragment_index(run, f), (unsigned long long)f->applied,
            (unsigned long long)f->fetch.round, ex->config.links.names[source]);
}

/* Has it died, or does it live and send nothing? The latter may only be states giving way to the contributions of a
 * round, which are over by its deadline. */
static bool source_lost(const struct gx_exchange *ex, const struct gx_run *run,
                        struct gx_fragment *f, uint64_t now)
{
    struct gx_fetch *fetch = &f->fetch;
    uint64_t heard = gx_links_heard_ns(ex->links, fetch->source);
    uint32_t done = gx_sink_blocks_done(&run->state_sink);
    if (done != fetch->blocks) {
        fetch->blocks = done;
        fetch->moved_ns = now;
    }
    return !gx_links_up(ex->links, fetch->source) || now > heard + STALL_NS ||
           now > fetch->moved_ns + ex->config.deadline_ns + STALL_NS ||
           !((f->status.present | f->status.state_sites) >> fetch->source & 1);
}

void gx_fetch_advance(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                      uint64_t now)
{
    int32_t index = (int32_t)gx_fragment_index(run, f);
    struct gx_fetch *fetch = &f->fetch;
    if (run->state_fragment != -1 && run->state_fragment != index)
        return; /* one fragment after another */
    if (fetch->state == GX_FETCH_OPEN && source_lost(ex, run, f, now)) {
        gx_lanes_sink_free(ex->lanes, &run->state_sink);
        fetch->state = GX_FETCH_ASKING;
        fetch->asked_ns = 0;
    }
    bool again = fetch->state == GX_FETCH_ASKING &&
                 (now > fetch->asked_ns + ASK_AGAIN_NS || f->want_round != f->status.decided);
    if (fetch->state == GX_FETCH_NONE || again)
        ask(ex, run, f, now);
    if (fetch->state != GX_FETCH_NONE)
        run->state_fragment = index;
    if (fetch->state != GX_FETCH_NONE && !fetch->told) {
        fetch->told = true;
        f->behinds++;
        gx_exchange_event(ex, run, f, GX_EVENT_BEHIND, f->applied, GX_REASON_BEHIND, NULL, now);
    }
    if (fetch->state == GX_FETCH_HELD && gx_fetch_accepted(f)) {
        fetch->state = GX_FETCH_COPYING;
        fetch->cursor = 0;
    }
}

/* After STATE the trainer trains anew and offers other bytes. */
static void own_drop(struct gx_exchange *ex, struct gx_fragment *f, uint64_t round)
{
    for (uint32_t s = 0; s < 2; s++)
        if (f->own[s].state != GX_OWN_FREE && f->own[s].round > round)
            gx_serve_own_close(ex, &f->own[s]);
}

bool gx_fetch_accepted(const struct gx_fragment *f)
{
    return f->fetch.told && f->accepts == f->behinds;
}

void gx_fetch_spare(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f, uint64_t now)
{
    gx_fetch_stop(ex, run, f);
    if (!f->fetch.told)
        return;
    f->fetch.told = false;
    own_drop(ex, f, f->applied);
    gx_exchange_event(ex, run, f, GX_EVENT_STATE, f->applied, GX_REASON_NONE, NULL, now);
}

bool gx_fetch_copy_step(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                        uint64_t now)
{
    struct gx_fetch *fetch = &f->fetch;
    if (fetch->state != GX_FETCH_COPYING)
        return false;
    uint64_t left = f->state_bytes - fetch->cursor;
    uint64_t n = left < COPY_SLICE_BYTES ? left : COPY_SLICE_BYTES;
    memcpy(gx_run_state(run, f) + fetch->cursor, run->state_sink.staging + fetch->cursor, n);
    fetch->cursor += n;
    if (fetch->cursor < f->state_bytes)
        return true;
    uint64_t round = fetch->round;
    struct gx_digest digest = fetch->digest;
    gx_note(&ex->notes, "run %s fragment %u: adopted the state of round %llu from %s", run->name,
            gx_fragment_index(run, f), (unsigned long long)round,
            ex->config.links.names[fetch->source]);
    fetch->told = false;
    gx_fetch_stop(ex, run, f);
    f->behind = false;
    f->awaited = 0;
    f->reduced = round;
    f->states_fetched++;
    own_drop(ex, f, round);
    gx_site_adopt(ex, run, f, round, &digest, now);
    gx_exchange_event(ex, run, f, GX_EVENT_STATE, round, GX_REASON_NONE, NULL, now);
    return true;
}
