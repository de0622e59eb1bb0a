#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/exchange.h"

#define DETACH_HEARD_NS                                                                            \
    500000000ull /* as long a run waits for the word that its trainer is known to be gone */
#define LEAVE_SETTLE_NS 100000000ull /* so that the coordinator hears of it … */
#define LEAVE_HEARD_NS 1000000000ull /* … and its word that it has; it may be gone itself */

struct gx_core {
    struct gx_exchange *exchange;
    struct gx_lanes *lanes;
};

struct gx_core *gx_core_create(const struct gx_core_config *config, uint64_t now)
{
    struct gx_core *core = calloc(1, sizeof(*core));
    if (!core)
        return NULL;
    core->exchange = gx_exchange_create(config, now);
    if (core->exchange)
        core->lanes = gx_lanes_create(&config->links, config->lane_addrs, &gx_exchange_ops,
                                      core->exchange, now);
    if (!core->lanes) {
        gx_core_destroy(core);
        return NULL;
    }
    core->exchange->lanes = core->lanes;
    core->exchange->links = gx_lanes_links(core->lanes, 0);
    return core;
}

void gx_core_destroy(struct gx_core *core)
{
    if (!core)
        return;
    gx_lanes_destroy(core->lanes);
    gx_exchange_destroy(core->exchange);
    free(core);
}

int gx_core_replay(struct gx_core *core, const uint8_t *bytes, size_t n)
{
    struct gx_journal_entry entry;
    int error = gx_journal_parse(bytes, n, &entry);
    if (!error && core->exchange->coordinator)
        gx_coordinator_replay(core->exchange->coordinator, &entry);
    return error;
}

void gx_core_rx(struct gx_core *core, uint32_t worker, uint64_t now, const struct gx_addr *from,
                const uint8_t *packet, size_t bytes)
{
    gx_links_rx(gx_lanes_links(core->lanes, worker), now, from, packet, bytes);
}

uint32_t gx_core_tx(struct gx_core *core, uint32_t worker, uint64_t now, struct gx_packet *packets,
                    uint32_t max)
{
    return gx_links_tx(gx_lanes_links(core->lanes, worker), now, packets, max);
}

void gx_core_release(struct gx_core *core, uint32_t worker, uint32_t owner)
{
    gx_links_release(gx_lanes_links(core->lanes, worker), owner);
}

bool gx_core_poll(struct gx_core *core, uint32_t worker, uint64_t now)
{
    bool more = gx_lanes_poll(core->lanes, worker, now);
    return worker == 0 ? gx_exchange_poll(core->exchange, now) || more : more;
}

uint64_t gx_core_wake(const struct gx_core *core, uint32_t worker, uint64_t now)
{
    uint64_t lanes = gx_lanes_wake(core->lanes, worker, now);
    uint64_t exchange = worker == 0 ? gx_exchange_wake(core->exchange) : UINT64_MAX;
    return lanes < exchange ? lanes : exchange;
}

uint64_t gx_core_patience_ns(const struct gx_core *core, uint32_t worker)
{
    return gx_links_patience_ns(gx_lanes_links(core->lanes, worker));
}

uint32_t gx_core_wakes(struct gx_core *core, uint32_t worker)
{
    return gx_lanes_wakes(core->lanes, worker);
}

size_t gx_core_journal(struct gx_core *core, uint64_t *sequence, uint8_t *out)
{
    return core->exchange->coordinator
               ? gx_coordinator_journal(core->exchange->coordinator, sequence, out)
               : 0;
}

void gx_core_journal_done(struct gx_core *core, uint64_t sequence, uint64_t now)
{
    GX_COUNT(core->exchange->config.counters, journal_records_total, 1);
    gx_coordinator_journal_done(core->exchange->coordinator, sequence, now);
}

/* ---- trainers ---- */

int gx_core_attach(struct gx_core *core, struct gx_run *run, enum gx_reason *reason, uint64_t now)
{
    struct gx_exchange *ex = core->exchange;
    uint32_t free_index = GX_RUNS_MAX;
    (void)now;
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++) {
        if (ex->runs[i] && ex->runs[i]->id == run->id) {
            *reason = GX_REASON_BUSY;
            return -EBUSY;
        }
        if (!ex->runs[i] && free_index == GX_RUNS_MAX)
            free_index = i;
    }
    if (free_index == GX_RUNS_MAX) {
        *reason = GX_REASON_RUNS;
        return -ENOSPC;
    }
    run->index = free_index;
    run->trainer = run->attached = true;
    gx_exchange_totals(ex, run->baseline);
    ex->runs[free_index] = run;
    for (uint32_t k = 0; k < run->fragment_count; k++)
        gx_exchange_touch(ex, &run->fragments[k]);
    *reason = GX_REASON_NONE;
    return 0;
}

void gx_core_detach(struct gx_core *core, struct gx_run *run, uint64_t now)
{
    struct gx_exchange *ex = core->exchange;
    if (!run->trainer)
        return;
    run->trainer = false;
    run->detached_ns = now;
    for (uint32_t k = 0; k < run->fragment_count; k++) {
        struct gx_fragment *f = &run->fragments[k];
        gx_site_detach(ex, run, f);
        gx_exchange_touch(ex, f);
    }
    for (uint64_t at = ex->event_tail; at != ex->event_head; at++)
        if (ex->events[at % GX_EVENTS_KEPT].run == run)
            ex->events[at % GX_EVENTS_KEPT].run = NULL;
}

static bool needed(struct gx_exchange *ex, struct gx_run *run)
{
    for (uint32_t k = 0; k < run->fragment_count; k++) {
        struct gx_fragment *f = &run->fragments[k];
        if (f->own[0].state != GX_OWN_FREE || f->own[1].state != GX_OWN_FREE ||
            gx_serve_state_needed(ex, run, f))
            return true;
        /* Else a trainer that is back at once would not get again what this one held. */
        if (f->status.present >> run->self & 1 && ex->now_ns < run->detached_ns + DETACH_HEARD_NS)
            return true;
    }
    gx_serve_helpers_close(ex, run, NULL);
    gx_serve_pin_close(ex, run);
    for (uint32_t k = 0; k < run->fragment_count; k++)
        for (uint32_t i = 0; i < 2 * GX_SITES_MAX; i++)
            if (gx_source_busy(&run->fragments[k].slots[i & 1][i / 2].source))
                return true;
    return gx_source_busy(&run->pin.source);
}

/* Has every worker let go of what it received into? */
static bool sinks_free(struct gx_exchange *ex, struct gx_run *run)
{
    bool free = gx_lanes_sink_free(ex->lanes, &run->state_sink);
    for (uint32_t k = 0; k < run->fragment_count; k++)
        for (uint32_t s = 0; s < 2 * GX_SITES_MAX; s++)
            if (s / 2 < run->site_count && s / 2 != run->self)
                free &= gx_receive_slot_free(ex, run, &run->fragments[k].slots[s & 1][s / 2]);
    return free;
}

struct gx_run *gx_core_detached(struct gx_core *core)
{
    struct gx_exchange *ex = core->exchange;
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++) {
        struct gx_run *run = ex->runs[i];
        if (!run || run->trainer || needed(ex, run) || !sinks_free(ex, run))
            continue;
        gx_view_clear(ex, run);
        ex->runs[i] = NULL;
        run->attached = false;
        return run;
    }
    return NULL;
}

void gx_core_command(struct gx_core *core, struct gx_run *run, const struct gx_command *command,
                     uint64_t now)
{
    gx_site_command(core->exchange, run, command, now);
}

bool gx_core_event(struct gx_core *core, struct gx_run **run, struct gx_event *event)
{
    struct gx_exchange *ex = core->exchange;
    while (ex->event_tail != ex->event_head) {
        struct gx_queued_event *queued = &ex->events[ex->event_tail++ % GX_EVENTS_KEPT];
        if (!queued->run)
            continue; /* its trainer has gone */
        *run = queued->run;
        *event = queued->event;
        return true;
    }
    return false;
}

/* ---- site ---- */

void gx_core_leave(struct gx_core *core, uint64_t now)
{
    struct gx_exchange *ex = core->exchange;
    ex->leaving = true;
    ex->leave_ns = now;
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++)
        for (uint32_t k = 0; ex->runs[i] && k < ex->runs[i]->fragment_count; k++)
            gx_exchange_touch(ex, &ex->runs[i]->fragments[k]);
}

bool gx_core_left(const struct gx_core *core, uint64_t now)
{
    const struct gx_exchange *ex = core->exchange;
    bool left = ex->leaving && now >= ex->leave_ns + LEAVE_SETTLE_NS;
    bool patient = now < ex->leave_ns + LEAVE_HEARD_NS;
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++)
        for (uint32_t k = 0; ex->runs[i] && k < ex->runs[i]->fragment_count; k++) {
            const struct gx_status *s = &ex->runs[i]->fragments[k].status;
            uint32_t self = 1u << ex->config.links.self;
            left &= (s->present & ~s->reduced & ~self) == 0 && !(patient && s->present & self);
        }
    return left;
}

int gx_core_rewind(struct gx_core *core, const char *run, uint64_t now)
{
    (void)now;
    return core->exchange->coordinator ? gx_coordinator_rewind(core->exchange->coordinator, run)
                                       : -EPERM;
}

void gx_core_set_rate(struct gx_core *core, uint64_t rate_bps, uint64_t recv_rate_bps, uint64_t now)
{
    core->exchange->config.links.recv_rate_bps = recv_rate_bps;
    gx_lanes_set_rate(core->lanes, rate_bps, recv_rate_bps, now);
}

int gx_core_set_deadline(struct gx_core *core, uint64_t deadline_ns)
{
    struct gx_exchange *ex = core->exchange;
    if (!ex->coordinator)
        return -EPERM;
    ex->config.deadline_ns = deadline_ns;
    gx_coordinator_deadline(ex->coordinator, deadline_ns);
    return 0;
}

bool gx_core_note(struct gx_core *core, struct gx_note_line *line)
{
    return gx_note_pop(&core->exchange->notes, line);
}
