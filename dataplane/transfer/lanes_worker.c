/* The side of the workers but the first: what worker 0 orders, and what it must hear of. */
#include <string.h>

#include "gx_assert.h"
#include "transfer/lanes_state.h"
#include "transfer/peer.h"

#define UP_NS 3000000000ull

struct gx_lane_message *gx_lanes_claim(struct gx_mailbox *box, enum gx_lane_message_type type,
                                       bool optional)
{
    struct gx_lane_message *message;

    if (optional && gx_mailbox_used(box) >= GX_BOX_OPTIONAL)
        return NULL;
    message = gx_mailbox_claim(box);
    if (message != NULL) {
        memset(message, 0, sizeof *message);
        message->type = type;
    }
    return message;
}

void gx_lanes_commit(struct gx_lanes_worker *from, struct gx_mailbox *box, uint32_t to)
{
    gx_mailbox_commit(box);
    from->wakes |= 1u << to;
}

/* There is room: see GX_BOX_ENTRIES. */
static struct gx_lane_message *report(struct gx_lanes_worker *worker,
                                      enum gx_lane_message_type type)
{
    struct gx_lane_message *message = gx_lanes_claim(&worker->reports, type, false);

    GX_ASSERT(message != NULL);
    return message;
}

static void report_send(struct gx_lanes_worker *worker)
{
    gx_lanes_commit(worker, &worker->reports, 0);
}

/* ---- upcalls of this worker's links ---- */

static enum gx_answer on_open(void *ctx, uint32_t peer, const struct gx_open *open,
                              struct gx_sink **sink, enum gx_reason *reason, uint64_t now)
{
    struct gx_lanes_worker *worker = ctx;
    struct gx_lane_message *message = gx_lanes_claim(&worker->reports, GX_LANE_ASK, true);

    (void)sink;
    (void)now;
    *reason = GX_REASON_NONE;
    if (message == NULL)
        return GX_ANSWER_NOT_READY;
    message->peer = peer;
    message->value = gx_links_incarnation(worker->links, peer);
    message->open = *open;
    report_send(worker);
    return GX_ANSWER_ASKED;
}

static void on_part(void *ctx, struct gx_part *part, uint64_t now)
{
    struct gx_lanes_worker *worker = ctx;

    (void)now;
    report(worker, GX_LANE_PART)->part = part;
    report_send(worker);
}

static void answer_report(struct gx_lanes_worker *worker, const struct gx_carried *carried,
                          struct gx_lane_message *message, enum gx_answer answer,
                          enum gx_reason reason)
{
    message->ticket = (uint32_t)(carried - worker->carried);
    message->answer = answer;
    message->reason = reason;
    report_send(worker);
}

static void on_answer(void *ctx, uint32_t peer, struct gx_send *send, enum gx_answer answer,
                      enum gx_reason reason, uint64_t now)
{
    struct gx_lanes_worker *worker = ctx;
    struct gx_carried *carried = send->user;
    struct gx_lane_message *message;

    (void)peer;
    (void)now;
    if (gx_send_finished((uint8_t)answer)) {
        carried->over = true;
        carried->send = NULL;
        answer_report(worker, carried, report(worker, GX_LANE_ANSWER), answer, reason);
        return;
    }
    /* Without this word it is asked again a little later all the same. */
    message = answer == GX_ANSWER_NOT_READY ? gx_lanes_claim(&worker->reports, GX_LANE_ANSWER, true)
                                            : NULL;
    if (message != NULL)
        answer_report(worker, carried, message, answer, reason);
}

/* REPORT and STATUS travel on lane 0. */
static void on_control(void *ctx, uint32_t peer, const uint8_t *message, size_t bytes,
                       uint64_t order, uint64_t now)
{
    struct gx_lanes_worker *worker = ctx;

    (void)message;
    (void)bytes;
    (void)order;
    (void)now;
    GX_COUNT_LINK(worker->links->config.counters, peer, drop_message_total, 1);
}

static size_t next_control(void *ctx, uint32_t peer, uint8_t *out, uint64_t now)
{
    (void)ctx;
    (void)peer;
    (void)out;
    (void)now;
    return 0;
}

/* The state of its session is looked at in each poll. */
static void on_peer(void *ctx, uint32_t peer, uint64_t incarnation, enum gx_reason reason,
                    uint64_t now)
{
    (void)ctx;
    (void)peer;
    (void)incarnation;
    (void)reason;
    (void)now;
}

/* Worker 0's lane takes the same path, and tells. */
static void on_path(void *ctx, uint32_t peer, enum gx_path_state state, uint32_t bytes,
                    uint32_t full_bytes, uint64_t now)
{
    (void)ctx;
    (void)peer;
    (void)state;
    (void)bytes;
    (void)full_bytes;
    (void)now;
}

static void on_own_name(void *ctx, uint32_t site, uint64_t now)
{
    (void)ctx;
    (void)site;
    (void)now;
}

const struct gx_links_ops gx_lanes_worker_ops = {
    .on_open = on_open,
    .on_part = on_part,
    .on_answer = on_answer,
    .on_control = on_control,
    .on_peer = on_peer,
    .next_control = next_control,
    .on_path = on_path,
    .on_own_name = on_own_name,
};

/* ---- orders ---- */

static void carry(struct gx_lanes_worker *worker, struct gx_carried *carried, uint64_t now)
{
    if (!gx_links_up(worker->links, carried->peer))
        return;
    carried->send = gx_links_send(worker->links, carried->peer, &carried->open, &carried->source,
                                  carried->helper, carried->holder, carried->holders, now);
    if (carried->send != NULL)
        carried->send->user = carried;
}

static void send_obey(struct gx_lanes_worker *worker, const struct gx_lane_message *order,
                      uint64_t now)
{
    struct gx_carried *carried = &worker->carried[order->ticket];

    GX_ASSERT(!carried->used);
    *carried = (struct gx_carried){
        .used = true,
        .peer = order->peer,
        .helper = order->helper,
        .holder = order->holder,
        .holders = order->holders,
        .open = order->open,
        .source = {.bytes = order->bytes,
                   .byte_count = order->byte_count,
                   .closed = order->closed,
                   .tail = order->tail},
    };
    worker->carried_count++;
    carry(worker, carried, now);
}

static void stop_obey(struct gx_lanes_worker *worker, uint32_t ticket)
{
    struct gx_carried *carried = &worker->carried[ticket];

    if (!carried->used || carried->over)
        return;
    if (carried->send != NULL)
        gx_links_send_stop(worker->links, carried->send);
    carried->send = NULL;
    carried->over = true;
}

static void sink_leave(struct gx_lanes_worker *worker, struct gx_sink *sink)
{
    gx_links_sink_stop(worker->links, sink);
    report(worker, GX_LANE_SINK_LEFT)->sink = sink;
    report_send(worker);
}

static void obey(struct gx_lanes_worker *worker, const struct gx_lane_message *order, uint64_t now)
{
    switch (order->type) {
    case GX_LANE_DIAL:
        gx_links_dial(worker->links, order->peer, order->value, now);
        break;
    case GX_LANE_RATE:
        gx_links_set_rate(worker->links, order->value, order->recv_rate_bps, now);
        break;
    case GX_LANE_SEND:
        send_obey(worker, order, now);
        break;
    case GX_LANE_GO:
        worker->carried[order->ticket].source.closed = false;
        break;
    case GX_LANE_RETRY:
        if (worker->carried[order->ticket].used && worker->carried[order->ticket].send != NULL)
            gx_links_send_retry(worker->links, worker->carried[order->ticket].send, now);
        break;
    case GX_LANE_STOP:
        stop_obey(worker, order->ticket);
        break;
    case GX_LANE_OPENED:
        gx_links_opened(worker->links, order->peer, &order->open, order->answer, order->sink,
                        order->reason, now);
        break;
    case GX_LANE_SINK_DONE:
        gx_links_sink_done(worker->links, order->sink, order->answer, now);
        sink_leave(worker, order->sink);
        break;
    case GX_LANE_SINK_STOP:
        sink_leave(worker, order->sink);
        break;
    default:
        break;
    }
}

/* ---- what is due without an order ---- */

static void carried_serve(struct gx_lanes_worker *worker, uint64_t now)
{
    uint32_t left = worker->carried_count;

    for (uint32_t i = 0; left > 0; i++) {
        struct gx_carried *carried = &worker->carried[i];

        if (!carried->used)
            continue;
        left--;
        if (!carried->over && carried->send == NULL)
            carry(worker, carried, now);
        if (!carried->over || gx_source_busy(&carried->source))
            continue;
        carried->used = false;
        worker->carried_count--;
        report(worker, GX_LANE_RELEASED)->ticket = i;
        report_send(worker);
    }
}

static void states_tell(struct gx_lanes_worker *worker, uint64_t now)
{
    for (uint32_t i = 0; i < worker->lanes->config.site_count; i++) {
        bool up =
            gx_links_up(worker->links, i) && now < gx_links_heard_ns(worker->links, i) + UP_NS;
        uint64_t incarnation = up ? gx_links_incarnation(worker->links, i) : 0;
        struct gx_lane_message *message;

        if (worker->told[i] == incarnation)
            continue;
        message = gx_lanes_claim(&worker->reports, GX_LANE_STATE, true);
        if (message == NULL)
            return;
        message->peer = i;
        message->value = worker->told[i] = incarnation;
        report_send(worker);
    }
}

bool gx_lanes_worker_poll(struct gx_lanes_worker *worker, uint64_t now)
{
    const struct gx_lane_message *order;
    bool busy = false;

    while (gx_mailbox_used(&worker->reports) < GX_BOX_OPTIONAL &&
           (order = gx_mailbox_peek(&worker->orders, 0)) != NULL) {
        obey(worker, order, now);
        gx_mailbox_done(&worker->orders, 1);
        busy = true;
    }
    carried_serve(worker, now);
    states_tell(worker, now);
    return busy;
}
