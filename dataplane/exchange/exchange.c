#include "exchange/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gx_assert.h"
#include "transfer/digest.h"

#define TWIN_TOLD_NS 10000000000ull /* between two words on gxds that share a name */

struct gx_exchange *gx_exchange_create(const struct gx_core_config *config, uint64_t now)
{
    struct gx_exchange *ex = calloc(1, sizeof(*ex));
    if (!ex)
        return NULL;
    ex->config = *config;
    if (config->links.self == GX_COORDINATOR) {
        struct gx_coordinator_config c = {
            .site_count = config->links.site_count,
            .self = config->links.self,
            .names = (const char(*)[GX_NAME_MAX])ex->config.links.names,
            .deadline_ns = config->deadline_ns,
            .fetch_wait_ns = config->fetch_wait_ns,
            .rewind_after_ns = config->rewind_after_ns,
            .start_sites = config->start_sites ? config->start_sites : config->links.site_count,
            .min_sites = config->min_sites ? config->min_sites : 1,
            .keep_rounds = config->keep_rounds,
            .view = config->view,
        };
        ex->coordinator = gx_coordinator_create(&c, &ex->notes, now);
        if (!ex->coordinator) {
            free(ex);
            return NULL;
        }
    }
    return ex;
}

void gx_exchange_destroy(struct gx_exchange *ex)
{
    if (!ex)
        return;
    gx_coordinator_destroy(ex->coordinator);
    free(ex);
}

void gx_exchange_touch(struct gx_exchange *ex, struct gx_fragment *f)
{
    f->changed = true;
    f->report_due_ns = 0;
    ex->control_due_ns = 0;
}

/* ---- events ---- */

static void event_totals(const struct gx_exchange *ex, const struct gx_run *run,
                         struct gx_event *event)
{
    uint64_t sum[4];
    gx_exchange_totals(ex, sum);
    event->sent_bytes = sum[0] - run->baseline[0];
    event->redundant_bytes = sum[1] - run->baseline[1];
    event->expected_shards = sum[2] - run->baseline[2];
    event->lost_shards = sum[3] - run->baseline[3];
}

void gx_exchange_totals(const struct gx_exchange *ex, uint64_t sum[4])
{
    memset(sum, 0, 4 * sizeof(sum[0]));
    uint32_t workers = ex->config.links.workers ? ex->config.links.workers : 1;
    for (uint32_t i = 0; i < workers * ex->config.links.site_count; i++) {
        const uint64_t *link = ex->config.counters[i % workers].link[i / workers];
        sum[0] += GX_COUNTER_READ(link[GX_LINK_sent_bytes_total]);
        sum[1] += GX_COUNTER_READ(link[GX_LINK_sent_redundant_bytes_total]);
        sum[2] += GX_COUNTER_READ(link[GX_LINK_expected_packets_total]);
        sum[3] += GX_COUNTER_READ(link[GX_LINK_lost_packets_total]);
    }
}

void gx_exchange_event(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                       enum gx_event_type type, uint64_t round, enum gx_reason reason,
                       const struct gx_record *record, uint64_t now)
{
    bool over = type == GX_EVENT_MEMBER || type == GX_EVENT_LEFT_OUT || type == GX_EVENT_VOID;
    /* Refusals give way first: a trainer that sends nonsense without reading cannot push a round's event out. */
    if (!run->trainer ||
        (type == GX_EVENT_REFUSED && ex->event_head - ex->event_tail > GX_EVENTS_KEPT / 2))
        return;
    GX_ASSERT(ex->event_head - ex->event_tail < GX_EVENTS_KEPT);
    struct gx_queued_event *queued = &ex->events[ex->event_head++ % GX_EVENTS_KEPT];
    *queued = (struct gx_queued_event){
        .run = run,
        .event = {.type = type,
                  .fragment = gx_fragment_index(run, f),
                  .round = round,
                  .divisor = record ? record->divisor : 0,
                  .cohort = record ? record->members : 0,
                  .reason = reason,
                  .offered_last_ns = over ? f->offered_last_ns : 0,
                  .held_ns = over ? f->held_longest_ns : 0,
                  .completed_ns = now},
    };
    event_totals(ex, run, &queued->event);
}

/* ---- control messages ---- */

static size_t next_report(struct gx_exchange *ex, uint32_t peer, uint8_t *out, uint64_t now)
{
    struct gx_report report;
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++) {
        struct gx_run *run = ex->runs[i];
        for (uint32_t k = 0; run && k < run->fragment_count; k++) {
            struct gx_fragment *f = &run->fragments[k];
            bool coordinator = peer == GX_COORDINATOR && now >= f->report_due_ns;
            bool wanted = f->want && f->want_source == peer && now >= f->want_due_ns;
            if (!coordinator && !wanted)
                continue;
            if (coordinator)
                f->report_due_ns = now + GX_STATE_INTERVAL_NS;
            if (wanted)
                f->want_due_ns = now + GX_STATE_INTERVAL_NS;
            gx_site_report(ex, run, f, &report);
            return gx_report_build(&report, out);
        }
    }
    return 0;
}

static uint64_t control_due(const struct gx_exchange *ex)
{
    uint64_t due = ex->coordinator ? gx_coordinator_status_due(ex->coordinator) : UINT64_MAX;
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++) {
        const struct gx_run *run = ex->runs[i];
        for (uint32_t k = 0; run && k < run->fragment_count; k++) {
            const struct gx_fragment *f = &run->fragments[k];
            if (f->report_due_ns < due &&
                (ex->coordinator || gx_links_up(ex->links, GX_COORDINATOR)))
                due = f->report_due_ns;
            if (f->want && f->want_due_ns < due && gx_links_up(ex->links, f->want_source))
                due = f->want_due_ns;
        }
    }
    return due;
}

static size_t next_control(void *ctx, uint32_t peer, uint8_t *out, uint64_t now)
{
    struct gx_exchange *ex = ctx;
    struct gx_status status;
    if (now < ex->control_due_ns &&
        !(ex->coordinator && now >= gx_coordinator_status_due(ex->coordinator)))
        return 0;
    size_t bytes = next_report(ex, peer, out, now);
    if (bytes == 0 && ex->coordinator && gx_coordinator_status(ex->coordinator, peer, &status, now))
        bytes = gx_status_build(&status, ex->config.links.site_count,
                                (uint32_t)(now / GX_STATE_INTERVAL_NS), out);
    return bytes;
}

static void take_status(struct gx_exchange *ex, const struct gx_status *status, uint64_t order,
                        uint64_t now)
{
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++)
        if (ex->runs[i] && ex->runs[i]->id == status->run)
            gx_site_status(ex, ex->runs[i], status, order, now);
}

static void on_control(void *ctx, uint32_t peer, const uint8_t *message, size_t bytes,
                       uint64_t order, uint64_t now)
{
    struct gx_exchange *ex = ctx;
    struct gx_report report;
    struct gx_status status;
    if (bytes > 0 && message[0] == GX_CONTROL_REPORT && gx_report_parse(&report, message, bytes)) {
        if (report.want)
            gx_serve_want(ex, peer, &report, now);
        if (ex->coordinator)
            gx_coordinator_report(ex->coordinator, peer, &report, order, now);
    } else if (peer == GX_COORDINATOR && gx_status_parse(&status, message, bytes)) {
        take_status(ex, &status, order, now);
    } else {
        GX_COUNT_LINK(ex->config.counters, peer, drop_message_total, 1);
    }
}

/* The first site is its own coordinator's peer: the same messages, without a wire. */
static void talk_to_self(struct gx_exchange *ex, uint64_t now)
{
    struct gx_report report;
    struct gx_status status;
    uint64_t heard[GX_SITES_MAX];
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++) {
        struct gx_run *run = ex->runs[i];
        for (uint32_t k = 0; run && k < run->fragment_count; k++) {
            if (now < run->fragments[k].report_due_ns)
                continue;
            run->fragments[k].report_due_ns = now + GX_STATE_INTERVAL_NS;
            gx_site_report(ex, run, &run->fragments[k], &report);
            gx_coordinator_report(ex->coordinator, GX_COORDINATOR, &report, now, now);
        }
    }
    for (uint32_t p = 0; p < ex->config.links.site_count; p++)
        heard[p] = p == GX_COORDINATOR ? now : gx_links_heard_ns(ex->links, p);
    gx_coordinator_tick(ex->coordinator, heard, now);
    while (gx_coordinator_status(ex->coordinator, GX_COORDINATOR, &status, now))
        take_status(ex, &status, now, now);
}

/* ---- upcalls of links ---- */

static enum gx_answer on_open(void *ctx, uint32_t peer, const struct gx_open *open,
                              struct gx_sink **sink, enum gx_reason *reason, uint64_t now)
{
    return gx_receive_open(ctx, peer, open, sink, reason, now);
}

static void on_sink(void *ctx, struct gx_sink *sink, uint64_t now)
{
    gx_receive_sink(ctx, sink, now);
}

static void on_answer(void *ctx, uint32_t peer, struct gx_transfer *send, enum gx_answer answer,
                      enum gx_reason reason, uint64_t now)
{
    gx_serve_answer(ctx, peer, send, answer, reason, now);
}

/* What the peer said and what was sent to it counts no more: it is another gxd, or the link is refused. */
static void peer_void(struct gx_exchange *ex, uint32_t peer)
{
    if (ex->coordinator)
        gx_coordinator_restarted(ex->coordinator, peer);
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++) {
        struct gx_run *run = ex->runs[i];
        for (uint32_t k = 0; run && k < run->fragment_count; k++) {
            run->fragments[k].own[0].done &= ~(1u << peer);
            run->fragments[k].own[1].done &= ~(1u << peer);
            gx_exchange_touch(ex, &run->fragments[k]);
        }
    }
}

/* They take the link from each other again and again: said once in a while. */
static bool twin_due(struct gx_exchange *ex, uint64_t now)
{
    if (ex->twin_told_ns && now < ex->twin_told_ns + TWIN_TOLD_NS)
        return false;
    ex->twin_told_ns = now;
    return true;
}

static void on_own_name(void *ctx, uint32_t site, uint64_t now)
{
    struct gx_exchange *ex = ctx;
    const char *self = ex->config.links.names[ex->config.links.self];
    if (!twin_due(ex, now))
        return;
    if (site == ex->config.links.self)
        gx_note_warn(&ex->notes,
                     "the gxd at the address of %s calls itself %s, and so does this one: is "
                     "`site:` right in this one's config?",
                     self, self);
    else
        gx_note_warn(&ex->notes,
                     "the gxd at the address of %s calls itself %s, as this one does: correct its "
                     "`site:`",
                     site < GX_SITES_MAX ? ex->config.links.names[site] : "no site", self);
}

/* A gxd that restarts draws a new incarnation; an earlier one comes back only when both are alive. */
static void look_for_twin(struct gx_exchange *ex, uint32_t peer, uint64_t incarnation, uint64_t now)
{
    const char *name = ex->config.links.names[peer];
    if (incarnation != ex->incarnations_before[peer])
        return;
    GX_COUNT_LINK(ex->config.counters, peer, twins_total, 1);
    if (twin_due(ex, now))
        gx_note_warn(&ex->notes,
                     "link to %s: two gxd call themselves %s and take the link from each other: "
                     "stop one, or correct its `site:`",
                     name, name);
}

static void on_peer(void *ctx, uint32_t peer, uint64_t incarnation, enum gx_reason reason,
                    uint64_t now)
{
    struct gx_exchange *ex = ctx;
    const char *name = ex->config.links.names[peer];
    if (reason != ex->refused[peer] && reason)
        gx_note_warn(&ex->notes, "link to %s: refused: %s: %s", name, gx_reason_text(reason),
                     gx_links_difference(ex->links, peer));
    ex->refused[peer] = reason;
    if (reason) {
        if (!gx_links_up(ex->links, peer))
            peer_void(ex, peer);
        return;
    }
    if (incarnation == ex->incarnations[peer])
        return;
    gx_note(&ex->notes, "link to %s: up%s", name,
            ex->incarnations[peer] ? ", the peer restarted" : "");
    look_for_twin(ex, peer, incarnation, now);
    ex->incarnations_before[peer] = ex->incarnations[peer];
    ex->incarnations[peer] = incarnation;
    peer_void(ex, peer);
}

static void on_path(void *ctx, uint32_t peer, enum gx_path_state state, uint32_t bytes,
                    uint32_t full_bytes, uint64_t now)
{
    struct gx_exchange *ex = ctx;
    const char *name = ex->config.links.names[peer];
    uint32_t mtu = ex->config.links.mtu;
    (void)now;
    if (state == GX_PATH_WHOLE)
        gx_note(&ex->notes, "link to %s: the path carries full packets again", name);
    else if (state == GX_PATH_LOSING)
        gx_note_warn(
            &ex->notes,
            "link to %s: packets of %u bytes get lost, small ones do not: no shard is sent "
            "there; looking for the size that the path carries",
            name, full_bytes);
    else
        gx_note_warn(
            &ex->notes,
            "link to %s: the path carries %u bytes, config says %u (a full packet has %u): "
            "no shard is sent there; set `mtu: %u` at every site, or mend the path",
            name, bytes, mtu, full_bytes, bytes);
}

/* No word for the coordinator, only something that this site waited for. */
static void on_change(void *ctx, uint64_t now)
{
    struct gx_exchange *ex = ctx;
    (void)now;
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++)
        for (uint32_t k = 0; ex->runs[i] && k < ex->runs[i]->fragment_count; k++)
            ex->runs[i]->fragments[k].changed = true;
}

const struct gx_lanes_ops gx_exchange_ops = {on_open,    on_sink,     on_answer,
                                             on_control, on_peer,     next_control,
                                             on_path,    on_own_name, on_change};

/* ---- the turn ---- */

bool gx_exchange_poll(struct gx_exchange *ex, uint64_t now)
{
    bool more = false;
    ex->now_ns = now;
    if (ex->coordinator)
        talk_to_self(ex, now);
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++) {
        struct gx_run *run = ex->runs[i];
        if (!run)
            continue;
        more |= gx_jobs_step(ex, run, now);
        for (uint32_t k = 0; k < run->fragment_count; k++)
            if (run->fragments[k].changed || now >= run->fragments[k].look_ns) {
                gx_site_advance(ex, run, &run->fragments[k], now);
                gx_view_update(ex, run, &run->fragments[k]);
            }
    }
    ex->control_due_ns = control_due(ex);
    ex->jobs = more;
    return more;
}

uint64_t gx_exchange_wake(const struct gx_exchange *ex)
{
    uint64_t wake = control_due(ex);
    if (ex->jobs)
        return 0;
    if (ex->coordinator && gx_coordinator_wake(ex->coordinator) < wake)
        wake = gx_coordinator_wake(ex->coordinator);
    for (uint32_t i = 0; i < GX_RUNS_MAX; i++) {
        const struct gx_run *run = ex->runs[i];
        for (uint32_t k = 0; run && k < run->fragment_count; k++) {
            const struct gx_fragment *f = &run->fragments[k];
            uint64_t due = f->changed ? 0 : f->look_ns;
            if (due < wake)
                wake = due;
        }
    }
    return wake;
}
