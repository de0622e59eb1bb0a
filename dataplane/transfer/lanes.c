/* Worker 0's side: transfers and sinks as wholes, and which lanes there are. */
#include "transfer/lanes.h"

#include <stdlib.h>
#include <string.h>

#include "gx_assert.h"
#include "transfer/lanes_state.h"
#include "transfer/peer.h"

#define SECOND_NS 1000000000ull
#define LANES_WAIT_NS SECOND_NS /* so long a new session's transfers wait for the other lanes */
#define LOOK_NS 100000000ull
#define STASH_PACKETS 256

/* ---- messages ---- */

struct gx_lane_message *gx_lanes_order(struct gx_lanes *lanes, uint32_t w,
                                       enum gx_lane_message_type type)
{
    return gx_lanes_claim(&lanes->workers[w].orders, type, false);
}

void gx_lanes_order_send(struct gx_lanes *lanes, uint32_t w)
{
    gx_lanes_commit(&lanes->workers[0], &lanes->workers[w].orders, w);
}

/* ---- sinks ---- */

static void sink_tell_done(struct gx_lanes *lanes, struct gx_sink *sink, enum gx_answer answer)
{
    for (uint32_t w = 1; w < lanes->worker_count; w++) {
        struct gx_lane_message *message;

        if (!((sink->away & ~sink->stopping) >> w & 1))
            continue;
        message = gx_lanes_order(lanes, w, GX_LANE_SINK_DONE);
        if (message == NULL)
            continue; /* it learns it from the next OPEN */
        message->sink = sink;
        message->answer = answer;
        sink->stopping |= 1u << w;
        gx_lanes_order_send(lanes, w);
    }
}

static void part_done(struct gx_lanes *lanes, struct gx_part *part, uint64_t now)
{
    struct gx_sink *sink = part->sink;
    enum gx_answer answer;

    if (!gx_sink_finish(sink, part, now))
        return;
    answer = sink->state == GX_SINK_HELD ? GX_ANSWER_HELD : GX_ANSWER_BAD;
    gx_links_sink_done(lanes->workers[0].links, sink, answer, now);
    sink_tell_done(lanes, sink, answer);
    lanes->ops.on_sink(lanes->ctx, sink, now);
}

bool gx_lanes_sink_free(struct gx_lanes *lanes, struct gx_sink *sink)
{
    if (sink->state == GX_SINK_FREE)
        return true;
    gx_links_sink_stop(lanes->workers[0].links, sink);
    sink->state = sink->away != 0 ? GX_SINK_CLOSING : GX_SINK_FREE;
    for (uint32_t w = 1; w < lanes->worker_count; w++) {
        struct gx_lane_message *message;

        if (!((sink->away & ~sink->stopping) >> w & 1))
            continue;
        message = gx_lanes_order(lanes, w, GX_LANE_SINK_STOP);
        if (message == NULL)
            continue; /* the next call tries again */
        message->sink = sink;
        sink->stopping |= 1u << w;
        gx_lanes_order_send(lanes, w);
    }
    return sink->state == GX_SINK_FREE;
}

static void sink_left(struct gx_lanes *lanes, struct gx_sink *sink, uint32_t w, uint64_t now)
{
    sink->away &= ~(1u << w);
    sink->stopping &= ~(1u << w);
    if (sink->state != GX_SINK_CLOSING || sink->away != 0)
        return;
    sink->state = GX_SINK_FREE;
    lanes->ops.on_change(lanes->ctx, now);
}

/* Its answer has room: the caller has looked. */
static void ask_answer(struct gx_lanes *lanes, uint32_t w, const struct gx_lane_message *ask,
                       struct gx_lane_message *message, uint64_t now)
{
    struct gx_links *first = lanes->workers[0].links;
    struct gx_sink *sink = NULL;

    message->peer = ask->peer;
    message->open = ask->open;
    message->answer = GX_ANSWER_NOT_READY;
    /* Lanes of two sessions of a peer that restarts do not mix. */
    if (gx_links_up(first, ask->peer) && gx_links_incarnation(first, ask->peer) == ask->value)
        message->answer = gx_links_ask(&first->ops, first->ctx, ask->peer, &ask->open, &sink,
                                       &message->reason, now);
    if (message->answer == GX_ANSWER_OPEN) {
        message->sink = sink;
        sink->away |= 1u << w;
    }
    gx_lanes_order_send(lanes, w);
}

/* ---- transfers ---- */

static void ticket_stop(struct gx_lanes *lanes, uint32_t w, uint32_t t)
{
    struct gx_ticket *ticket = &lanes->workers[w].tickets[t];
    struct gx_lane_message *message = gx_lanes_order(lanes, w, GX_LANE_STOP);

    ticket->transfer = NULL;
    lanes->workers[w].stops_due += (message == NULL) - (uint32_t)ticket->stop_due;
    ticket->stop_due = message == NULL;
    if (message == NULL)
        return;
    message->ticket = t;
    gx_lanes_order_send(lanes, w);
}

static void parts_stop(struct gx_lanes *lanes, struct gx_transfer *transfer)
{
    if (transfer->first != NULL)
        gx_links_send_stop(lanes->workers[0].links, transfer->first);
    transfer->first = NULL;
    for (uint32_t w = 1; w < transfer->part_count; w++)
        ticket_stop(lanes, w, transfer->parts[w].ticket);
}

/* The last word about one part is about the whole: a peer says HELD only of all of it. */
static void transfer_end(struct gx_lanes *lanes, struct gx_transfer *transfer,
                         enum gx_answer answer, enum gx_reason reason, uint64_t now)
{
    if (transfer->closing)
        return;
    transfer->closing = true;
    parts_stop(lanes, transfer);
    lanes->ops.on_answer(lanes->ctx, transfer->peer, transfer, answer, reason, now);
    transfer->used = false;
}

void gx_lanes_send_stop(struct gx_lanes *lanes, struct gx_transfer *transfer)
{
    if (!transfer->used || transfer->closing)
        return;
    parts_stop(lanes, transfer);
    transfer->used = false;
}

void gx_lanes_send_retry(struct gx_lanes *lanes, struct gx_transfer *transfer, uint64_t now)
{
    if (!transfer->used || transfer->closing)
        return;
    if (transfer->first != NULL)
        gx_links_send_retry(lanes->workers[0].links, transfer->first, now);
    for (uint32_t w = 1; w < transfer->part_count; w++) {
        struct gx_lane_message *message;

        if (!transfer->parts[w].waits)
            continue;
        message = gx_lanes_claim(&lanes->workers[w].orders, GX_LANE_RETRY, true);
        if (message == NULL)
            continue; /* it tries again by itself */
        message->ticket = transfer->parts[w].ticket;
        transfer->parts[w].waits = false;
        gx_lanes_order_send(lanes, w);
    }
}

bool gx_lanes_send_go(struct gx_lanes *lanes, struct gx_transfer *transfer)
{
    bool all = true;

    for (uint32_t w = 1; w < transfer->part_count && transfer->used && !transfer->closing; w++) {
        struct gx_lane_message *message;

        if (!transfer->parts[w].closed)
            continue;
        message = gx_lanes_claim(&lanes->workers[w].orders, GX_LANE_GO, true);
        all &= message != NULL;
        if (message == NULL)
            continue;
        message->ticket = transfer->parts[w].ticket;
        transfer->parts[w].closed = false;
        gx_lanes_order_send(lanes, w);
    }
    return all;
}

static uint32_t ticket_find(const struct gx_lanes_worker *worker)
{
    uint32_t t = 0;

    while (t < GX_TICKETS_MAX && worker->tickets[t].used)
        t++;
    return t;
}

/* 0: not now. */
static uint32_t parts_choose(const struct gx_lanes *lanes, uint32_t peer, uint64_t bytes,
                             uint64_t now)
{
    uint32_t wanted = gx_lanes_wanted(lanes, peer), up;
    uint64_t part_bytes;

    if (lanes->worker_count == 1)
        return 1;
    gx_layout_part(bytes, lanes->config.shard_bytes, 0, wanted, &part_bytes);
    if (part_bytes == 0)
        return 1; /* fewer shards than lanes */
    up = gx_lanes_up(lanes, peer);
    if (up < wanted && now < lanes->up_ns[peer] + LANES_WAIT_NS)
        return 0;
    for (uint32_t w = 1; w < up; w++)
        if (gx_mailbox_used(&lanes->workers[w].orders) >= GX_BOX_OPTIONAL ||
            ticket_find(&lanes->workers[w]) == GX_TICKETS_MAX)
            return 0;
    return up < wanted ? up : wanted;
}

static void part_send(struct gx_lanes *lanes, struct gx_transfer *transfer, uint32_t w,
                      const struct gx_open *open, struct gx_source *source,
                      const struct gx_lane_message *how)
{
    struct gx_lane_message *message = gx_lanes_order(lanes, w, GX_LANE_SEND);
    uint32_t t = ticket_find(&lanes->workers[w]);

    GX_ASSERT(message != NULL && t < GX_TICKETS_MAX); /* parts_choose() has looked */
    lanes->workers[w].tickets[t] =
        (struct gx_ticket){.used = true, .source = source, .transfer = transfer};
    transfer->parts[w].ticket = t;
    transfer->parts[w].waits = false;
    transfer->parts[w].closed = source->closed;
    source->away++;
    *message = *how;
    message->type = GX_LANE_SEND;
    message->ticket = t;
    message->peer = transfer->peer;
    message->bytes = source->bytes;
    message->byte_count = source->byte_count;
    message->tail = source->tail;
    message->closed = source->closed;
    message->open = *open;
    message->open.part = (uint8_t)w;
    gx_lanes_order_send(lanes, w);
}

struct gx_transfer *gx_lanes_send(struct gx_lanes *lanes, uint32_t peer, const struct gx_open *what,
                                  struct gx_source *source, bool helper, uint32_t holder,
                                  uint32_t holders, uint64_t now)
{
    struct gx_lane_message how = {.helper = helper, .holder = holder, .holders = holders};
    uint32_t parts = parts_choose(lanes, peer, what->bytes, now);
    struct gx_transfer *transfer = lanes->transfers;
    struct gx_open open = *what;

    while (transfer < lanes->transfers + lanes->transfer_count && transfer->used)
        transfer++;
    if (parts == 0 || transfer == lanes->transfers + lanes->transfer_count)
        return NULL;
    open.part = 0;
    open.parts = (uint8_t)parts;
    *transfer = (struct gx_transfer){.peer = peer, .part_count = parts};
    transfer->first =
        gx_links_send(lanes->workers[0].links, peer, &open, source, helper, holder, holders, now);
    if (transfer->first == NULL)
        return NULL;
    transfer->used = true;
    transfer->first->user = transfer;
    for (uint32_t w = 1; w < parts; w++)
        part_send(lanes, transfer, w, &open, source, &how);
    return transfer;
}

/* ---- upcalls of worker 0's links ---- */

static enum gx_answer on_open(void *ctx, uint32_t peer, const struct gx_open *open,
                              struct gx_sink **sink, enum gx_reason *reason, uint64_t now)
{
    struct gx_lanes *lanes = ctx;

    return lanes->ops.on_open(lanes->ctx, peer, open, sink, reason, now);
}

static void on_part(void *ctx, struct gx_part *part, uint64_t now)
{
    part_done(ctx, part, now);
}

static void on_answer(void *ctx, uint32_t peer, struct gx_send *send, enum gx_answer answer,
                      enum gx_reason reason, uint64_t now)
{
    struct gx_transfer *transfer = send->user;

    (void)peer;
    if (gx_send_finished((uint8_t)answer))
        transfer_end(ctx, transfer, answer, reason, now);
}

static void on_control(void *ctx, uint32_t peer, const uint8_t *message, size_t bytes,
                       uint64_t control_order, uint64_t now)
{
    struct gx_lanes *lanes = ctx;

    lanes->ops.on_control(lanes->ctx, peer, message, bytes, control_order, now);
}

static size_t next_control(void *ctx, uint32_t peer, uint8_t *out, uint64_t now)
{
    struct gx_lanes *lanes = ctx;

    return lanes->ops.next_control(lanes->ctx, peer, out, now);
}

static void on_peer(void *ctx, uint32_t peer, uint64_t incarnation, enum gx_reason reason,
                    uint64_t now)
{
    struct gx_lanes *lanes = ctx;

    if (incarnation != lanes->incarnations[peer])
        lanes->up_ns[peer] = now;
    lanes->incarnations[peer] = incarnation;
    gx_lanes_dial(lanes, peer, reason == GX_REASON_NONE ? incarnation : 0);
    gx_lanes_rates_share(lanes, now);
    lanes->ops.on_peer(lanes->ctx, peer, incarnation, reason, now);
}

static void on_path(void *ctx, uint32_t peer, enum gx_path_state state, uint32_t bytes,
                    uint32_t full_bytes, uint64_t now)
{
    struct gx_lanes *lanes = ctx;

    lanes->ops.on_path(lanes->ctx, peer, state, bytes, full_bytes, now);
}

static void on_own_name(void *ctx, uint32_t site, uint64_t now)
{
    struct gx_lanes *lanes = ctx;

    lanes->ops.on_own_name(lanes->ctx, site, now);
}

static const struct gx_links_ops first_ops = {
    .on_open = on_open,
    .on_part = on_part,
    .on_answer = on_answer,
    .on_control = on_control,
    .on_peer = on_peer,
    .next_control = next_control,
    .on_path = on_path,
    .on_own_name = on_own_name,
};

/* ---- reports ---- */

static void lane_report(struct gx_lanes *lanes, uint32_t w, const struct gx_lane_message *report,
                        uint64_t now)
{
    lanes->workers[w].views[report->peer] = (struct gx_lane_view){.incarnation = report->value};
    gx_lanes_rates_share(lanes, now);
    lanes->ops.on_change(lanes->ctx, now);
}

static void answer_report(struct gx_lanes *lanes, uint32_t w, const struct gx_lane_message *report,
                          uint64_t now)
{
    struct gx_transfer *transfer = lanes->workers[w].tickets[report->ticket].transfer;

    if (transfer == NULL)
        return;
    if (report->answer == GX_ANSWER_NOT_READY)
        transfer->parts[w].waits = true;
    else
        transfer_end(lanes, transfer, report->answer, report->reason, now);
}

static void released(struct gx_lanes *lanes, uint32_t w, uint32_t t, uint64_t now)
{
    struct gx_ticket *ticket = &lanes->workers[w].tickets[t];
    struct gx_source *source = ticket->source;

    GX_ASSERT(ticket->used && ticket->transfer == NULL && source->away > 0);
    lanes->workers[w].stops_due -= ticket->stop_due;
    *ticket = (struct gx_ticket){0};
    if (--source->away == 0)
        lanes->ops.on_change(lanes->ctx, now);
}

/* False: it must wait, as its answer finds no room. */
static bool report_take(struct gx_lanes *lanes, uint32_t w, const struct gx_lane_message *report,
                        uint64_t now)
{
    struct gx_lane_message *message;

    switch (report->type) {
    case GX_LANE_STATE:
        lane_report(lanes, w, report, now);
        break;
    case GX_LANE_ASK:
        message = gx_lanes_order(lanes, w, GX_LANE_OPENED);
        if (message == NULL)
            return false;
        ask_answer(lanes, w, report, message, now);
        break;
    case GX_LANE_PART:
        part_done(lanes, report->part, now);
        break;
    case GX_LANE_ANSWER:
        answer_report(lanes, w, report, now);
        break;
    case GX_LANE_RELEASED:
        released(lanes, w, report->ticket, now);
        break;
    case GX_LANE_SINK_LEFT:
        sink_left(lanes, report->sink, w, now);
        break;
    default:
        break;
    }
    return true;
}

static bool reports_take(struct gx_lanes *lanes, uint32_t w, uint64_t now)
{
    struct gx_mailbox *box = &lanes->workers[w].reports;
    const struct gx_lane_message *report;
    bool busy = false;

    while ((report = gx_mailbox_peek(box, 0)) != NULL && report_take(lanes, w, report, now)) {
        gx_mailbox_done(box, 1);
        busy = true;
    }
    return busy;
}

/* ---- what is due without a report ---- */

static void stops_retry(struct gx_lanes *lanes, uint32_t w)
{
    struct gx_lanes_worker *worker = &lanes->workers[w];

    for (uint32_t t = 0; t < GX_TICKETS_MAX && worker->stops_due > 0; t++)
        if (worker->tickets[t].stop_due)
            ticket_stop(lanes, w, t);
}

/* What relies on a lane that is gone begins anew with those there are. */
static void transfers_look(struct gx_lanes *lanes, uint64_t now)
{
    uint32_t lacking[GX_SITES_MAX] = {0};

    for (uint32_t w = 1; w < lanes->worker_count; w++)
        for (uint32_t i = 0; i < lanes->config.site_count; i++)
            if (gx_peer_is(lanes->workers[0].links, i))
                lacking[i] |= (uint32_t)gx_lanes_lack(lanes, w, i, now) << w;
    for (uint32_t i = 0; i < lanes->transfer_count; i++) {
        struct gx_transfer *transfer = &lanes->transfers[i];
        uint32_t lanes_used = (1u << transfer->part_count) - 1;

        if (transfer->used && (lacking[transfer->peer] & lanes_used) != 0)
            transfer_end(lanes, transfer, GX_ANSWER_AGAIN, GX_REASON_NONE, now);
    }
}

static bool first_poll(struct gx_lanes *lanes, uint64_t now)
{
    bool busy = false;

    for (uint32_t w = 1; w < lanes->worker_count; w++) {
        busy |= reports_take(lanes, w, now);
        stops_retry(lanes, w);
    }
    if (lanes->worker_count > 1 && now >= lanes->look_ns) {
        lanes->look_ns = now + LOOK_NS;
        transfers_look(lanes, now);
        gx_lanes_rates_share(lanes, now);
    }
    return busy;
}

/* ---- life and loop ---- */

static bool worker_create(struct gx_lanes *lanes, uint32_t w,
                          const struct gx_addr (*lane_addrs)[GX_SITES_MAX], uint64_t now)
{
    struct gx_lanes_worker *worker = &lanes->workers[w];
    struct gx_links_config config = lanes->config;

    worker->lanes = lanes;
    worker->idx = w;
    config.lane = w;
    config.counters = lanes->config.counters + w;
    for (uint32_t i = 0; i < config.site_count; i++)
        config.known[i].rate_bps /= lanes->worker_count;
    if (w > 0) {
        config.seed ^= w * 0x9e3779b97f4a7c15ull;
        config.stash_packets = STASH_PACKETS;
        memcpy(config.addrs, lane_addrs[w - 1], sizeof config.addrs);
        worker->carried = calloc(GX_TICKETS_MAX, sizeof *worker->carried);
        worker->tickets = calloc(GX_TICKETS_MAX, sizeof *worker->tickets);
        if (worker->carried == NULL || worker->tickets == NULL ||
            gx_mailbox_init(&worker->orders, sizeof(struct gx_lane_message), GX_BOX_ENTRIES) ||
            gx_mailbox_init(&worker->reports, sizeof(struct gx_lane_message), GX_BOX_ENTRIES))
            return false;
    }
    worker->links = w == 0 ? gx_links_create(&config, &first_ops, lanes, now)
                           : gx_links_create(&config, &gx_lanes_worker_ops, worker, now);
    return worker->links != NULL;
}

struct gx_lanes *gx_lanes_create(const struct gx_links_config *config,
                                 const struct gx_addr (*lane_addrs)[GX_SITES_MAX],
                                 const struct gx_lanes_ops *ops, void *ctx, uint64_t now)
{
    struct gx_lanes *lanes = calloc(1, sizeof *lanes);

    if (lanes == NULL)
        return NULL;
    lanes->config = *config;
    lanes->ops = *ops;
    lanes->ctx = ctx;
    lanes->worker_count = config->workers != 0 ? config->workers : 1;
    GX_ASSERT(lanes->worker_count <= GX_WORKERS_MAX);
    lanes->transfer_count = config->site_count * GX_SENDS_MAX;
    lanes->transfers = calloc(lanes->transfer_count, sizeof *lanes->transfers);
    lanes->workers = aligned_alloc(64, lanes->worker_count * sizeof *lanes->workers);
    if (lanes->workers != NULL)
        memset(lanes->workers, 0, lanes->worker_count * sizeof *lanes->workers);
    for (uint32_t w = 0; lanes->transfers != NULL && lanes->workers != NULL; w++) {
        if (w == lanes->worker_count)
            return lanes;
        if (!worker_create(lanes, w, lane_addrs, now))
            break;
    }
    gx_lanes_destroy(lanes);
    return NULL;
}

void gx_lanes_destroy(struct gx_lanes *lanes)
{
    if (lanes == NULL)
        return;
    for (uint32_t w = 0; lanes->workers != NULL && w < lanes->worker_count; w++) {
        struct gx_lanes_worker *worker = &lanes->workers[w];

        gx_links_destroy(worker->links);
        gx_mailbox_fini(&worker->orders);
        gx_mailbox_fini(&worker->reports);
        free(worker->carried);
        free(worker->tickets);
    }
    free(lanes->workers);
    free(lanes->transfers);
    free(lanes);
}

struct gx_links *gx_lanes_links(const struct gx_lanes *lanes, uint32_t w)
{
    return lanes->workers[w].links;
}

bool gx_lanes_poll(struct gx_lanes *lanes, uint32_t w, uint64_t now)
{
    return w == 0 ? first_poll(lanes, now) : gx_lanes_worker_poll(&lanes->workers[w], now);
}

uint64_t gx_lanes_wake(const struct gx_lanes *lanes, uint32_t w, uint64_t now)
{
    if (w > 0 && gx_mailbox_peek(&lanes->workers[w].orders, 0) != NULL)
        return 0;
    for (uint32_t i = 1; w == 0 && i < lanes->worker_count; i++)
        if (gx_mailbox_peek(&lanes->workers[i].reports, 0) != NULL)
            return 0;
    return gx_links_wake(lanes->workers[w].links, now);
}

uint32_t gx_lanes_wakes(struct gx_lanes *lanes, uint32_t w)
{
    uint32_t wakes = lanes->workers[w].wakes;

    lanes->workers[w].wakes = 0;
    return wakes;
}
