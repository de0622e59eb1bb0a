/* Writes a fragment's row for gxctl. */
#include <string.h>

#include "exchange/exchange.h"

static enum gx_round_phase phase(const struct gx_run *run, const struct gx_fragment *f)
{
    if (f->refused)
        return GX_PHASE_REFUSED;
    if (f->fetch.state >= GX_FETCH_OPEN)
        return GX_PHASE_FETCHING;
    if (f->behind)
        return GX_PHASE_BEHIND;
    if (f->awaited)
        return GX_PHASE_REDUCED;
    if (f->applied < f->decided)
        return GX_PHASE_DECIDED;
    const struct gx_own *own = &f->own[(f->decided + 1) & 1];
    bool offered = own->state != GX_OWN_FREE && own->round == f->decided + 1;
    return offered ? GX_PHASE_OFFERED : run->trainer ? GX_PHASE_IDLE : GX_PHASE_NONE;
}

void gx_view_update(struct gx_exchange *ex, const struct gx_run *run, const struct gx_fragment *f)
{
    if (!ex->config.view)
        return;
    struct gx_round_row *row =
        &ex->config.view->rows[run->index * GX_FRAGMENTS_MAX + gx_fragment_index(run, f)];
    const struct gx_own *own = &f->own[(f->decided + 1) & 1];
    const struct gx_record *last = gx_fragment_record(f, f->decided);
    struct gx_coordinator_view c = {0};
    if (ex->coordinator)
        gx_coordinator_view(ex->coordinator, run->id, gx_fragment_index(run, f), &c);
    uint32_t sequence = row->sequence;
    __atomic_store_n(&row->sequence, sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    struct gx_round_row next = {
        .sequence = sequence + 1,
        .used = 1,
        .fragment = gx_fragment_index(run, f),
        .phase = phase(run, f),
        .reason = f->refused,
        .epoch = f->epoch,
        .applied = f->applied,
        .decided = f->decided,
        .offered = own->state != GX_OWN_FREE && own->round == f->decided + 1 ? own->round : 0,
        .divisor = last ? last->divisor : 0,
        .cohort = last ? last->members : 0,
        .present = f->status.present,
        .offers = f->status.offers,
        .eligible = c.eligible,
        .trainer = run->trainer,
        .deadline_ns = c.deadline_ns,
        .bytes = f->wire_bytes,
        .rounds_member = f->rounds_member,
        .rounds_left_out = f->rounds_left_out,
        .rounds_void = f->rounds_void,
        .states_fetched = f->states_fetched,
        .arena_bytes = run->arena_bytes,
        .staging_bytes = run->memory_bytes,
        .state = f->state,
    };
    memcpy(next.run, run->name, sizeof(next.run));
    for (uint32_t i = 0; i < run->site_count; i++) {
        const struct gx_sink *sink = &f->slots[(f->decided + 1) & 1][i].sink;
        if (sink->state == GX_SINK_HELD && sink->open.key.round == f->decided + 1)
            next.held |= 1u << i;
    }
    *row = next;
    __atomic_store_n(&row->sequence, sequence + 2, __ATOMIC_RELEASE);
}

void gx_view_clear(struct gx_exchange *ex, const struct gx_run *run)
{
    struct gx_view *view = ex->config.view;
    if (!view)
        return;
    memset(&view->rows[run->index * GX_FRAGMENTS_MAX], 0, GX_FRAGMENTS_MAX * sizeof(view->rows[0]));
    memset(&view->traces[run->index * GX_FRAGMENTS_MAX], 0,
           GX_FRAGMENTS_MAX * sizeof(view->traces[0]));
}
