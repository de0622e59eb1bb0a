#include "sim/worker.h"

#include <stdlib.h>
#include <xxhash.h> /* XXH3_64bits */

#include "sim/guard.h"
#include "sim/heap.h"
#include "sim/net.h"
#include "sim/site.h"

#define BURST 32
#define BURSTS_PER_STEP 8
#define PORT_PACKETS 512 /* that a port takes before the site must wait */
#define SPIN_STEPS                                                                                 \
    20000 /* so many passes in a row that neither received nor sent: the loop never sleeps */
#define LOOP_NS 2000        /* a pass of the loop takes so long at least */
#define SLICE_NS 15000      /* and with a slice of hashing or reducing */
#define NEWS_LATE_NS 200000 /* a message from another worker is seen so much later, at most */

/* ---- the port ---- */

static void port_push(struct sim_world *world, struct sim_worker *worker,
                      const struct gx_packet *packet)
{
    struct sim_port *port = &worker->port;

    if (port->count == port->room) {
        uint32_t room = port->room ? 2 * port->room : 256;
        struct sim_port_packet *queue = sim_alloc(room * sizeof(*queue));
        for (uint32_t i = 0; i < port->count; i++)
            queue[i] = port->queue[(port->head + i) % port->room];
        free(port->queue);
        port->queue = queue;
        port->head = 0;
        port->room = room;
    }
    uint64_t at_ns = world->now_ns + sim_below(&world->random, world->params.port_ns_max + 1);
    if (at_ns < port->stalled_until_ns)
        at_ns = port->stalled_until_ns;
    struct sim_port_packet *new = &port->queue[(port->head + port->count++) % port->room];
    new->packet = *packet;
    new->at_ns = port->last_ns = at_ns > port->last_ns ? at_ns : port->last_ns;
    new->payload_hash =
        packet->payload_bytes > 0 ? XXH3_64bits(packet->payload, packet->payload_bytes) : 0;
    sim_schedule(world, new->at_ns, SIM_EVENT_PORT, worker->site->index, worker->index, 0,
                 worker->site->life, NULL);
}

/* The port reads a packet's bytes now, however long ago it was given them. */
void sim_worker_port(struct sim_world *world, struct sim_worker *worker, uint64_t life)
{
    struct sim_port *port = &worker->port;

    if (!worker->site->up || life != worker->site->life)
        return;
    struct sim_port_packet *first = &port->queue[port->head];
    const struct gx_packet *packet = &first->packet;
    if (packet->payload_bytes > 0 &&
        XXH3_64bits(packet->payload, packet->payload_bytes) != first->payload_hash)
        sim_fail(world, "PORT",
                 "site %u changed %u bytes of a packet that its port had not sent yet",
                 worker->site->index, packet->payload_bytes);
    sim_net_send(world, worker->site->index, worker->index, packet);
    if (port->sent_count == port->sent_room) {
        port->sent_room = port->sent_room ? 2 * port->sent_room : 256;
        port->sent = sim_grow(port->sent, port->sent_room, sizeof(*port->sent));
    }
    port->sent[port->sent_count++] = packet->owner;
    port->head = (port->head + 1) % port->room;
    port->count--;
    if (!worker->site->paused)
        sim_worker_wake(world, worker, world->now_ns);
}

bool sim_worker_transmit(struct sim_world *world, struct sim_worker *worker)
{
    struct gx_packet packets[BURST];
    uint32_t count = BURST;

    for (uint32_t burst = 0; count == BURST && burst < BURSTS_PER_STEP; burst++) {
        if (worker->port.count >= PORT_PACKETS)
            return false; /* it wakes the site when there is room */
        sim_guard_begin();
        count = gx_core_tx(worker->site->core, worker->index, sim_clock(world, worker->site),
                           packets, BURST);
        sim_guard_end(world, worker->site->index, "gx_core_tx");
        worker->idle_steps = count > 0 ? 0 : worker->idle_steps;
        for (uint32_t i = 0; i < count && i < BURST; i++) {
            if (world->params.port_ns_max > 0 || worker->port.count > 0 ||
                world->now_ns < worker->port.stalled_until_ns) {
                port_push(world, worker, &packets[i]);
                continue;
            }
            sim_net_send(world, worker->site->index, worker->index, &packets[i]);
            gx_core_release(worker->site->core, worker->index, packets[i].owner);
        }
    }
    return count == BURST;
}

/* The port has told which packets it has sent. */
void sim_worker_release(struct sim_worker *worker)
{
    for (uint32_t i = 0; i < worker->port.sent_count; i++)
        gx_core_release(worker->site->core, worker->index, worker->port.sent[i]);
    worker->port.sent_count = 0;
}

/* ---- the loop ---- */

void sim_worker_arrive(struct sim_world *world, struct sim_frame *frame)
{
    struct sim_site *site = &world->sites[frame->to];
    struct sim_worker *worker = &site->workers[frame->lane % GX_WORKERS_MAX];

    if (!site->up || frame->lane >= site->worker_count) {
        sim_frame_free(frame);
        return;
    }
    if (worker->inbox_tail)
        worker->inbox_tail->next = frame;
    else
        worker->inbox_head = frame;
    worker->inbox_tail = frame;
    worker->inbox_count++;
    if (!worker->site->paused)
        sim_worker_wake(world, worker, world->now_ns);
}

static uint64_t taken_count(const struct sim_worker *worker, bool hello)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < GX_SITES_MAX; i++)
        count += worker->site->counters[worker->index]
                     .link[i][hello ? GX_LINK_sessions_total : GX_LINK_received_packets_total];
    return count;
}

void sim_worker_receive(struct sim_world *world, struct sim_worker *worker)
{
    while (worker->inbox_head && !world->failed) {
        struct sim_frame *frame = worker->inbox_head;
        const struct sim_content *content = frame->content;
        worker->inbox_head = frame->next;
        if (!worker->inbox_head)
            worker->inbox_tail = NULL;
        worker->inbox_count--;
        bool hello = content->bytes > 0 && (content->data[0] & 15) == 0;
        uint64_t before = taken_count(worker, hello);
        sim_guard_begin();
        gx_core_rx(worker->site->core, worker->index, sim_clock(world, worker->site),
                   &frame->source, content->data, content->bytes);
        sim_guard_end(world, worker->site->index, "gx_core_rx");
        sim_net_judge(world, worker, frame, taken_count(worker, hello) != before);
        sim_frame_free(frame);
    }
}

void sim_worker_wake(struct sim_world *world, struct sim_worker *worker, uint64_t at_ns)
{
    if (at_ns >= worker->step_at_ns)
        return;
    worker->step_at_ns = at_ns;
    sim_schedule(world, at_ns, SIM_EVENT_STEP, worker->site->index, worker->index, 0,
                 worker->site->life, NULL);
}

void sim_worker_sleep(struct sim_world *world, struct sim_worker *worker, bool more)
{
    uint64_t at_ns = world->now_ns + SLICE_NS, wake;

    if (!more) {
        wake = gx_core_wake(worker->site->core, worker->index, sim_clock(world, worker->site));
        if (wake == UINT64_MAX)
            return;
        at_ns = wake > worker->site->clock_offset_ns + world->now_ns
                    ? wake - worker->site->clock_offset_ns
                    : world->now_ns;
        if (at_ns > world->now_ns)
            at_ns += sim_below(&world->random, world->params.wake_late_ns_max + 1);
        if (at_ns < world->now_ns + LOOP_NS)
            at_ns = world->now_ns + LOOP_NS;
    }
    if (worker->port.count >= PORT_PACKETS && at_ns < world->now_ns + SIM_MS)
        at_ns = world->now_ns + SIM_MS;
    if (worker->index == 0 && worker->site->leaving && at_ns > worker->site->leave_until_ns)
        at_ns = worker->site->leave_until_ns;
    sim_worker_wake(world, worker, at_ns);
}

/* Those to whom it has left messages see them a little later. */
void sim_worker_news(struct sim_world *world, struct sim_worker *worker)
{
    struct sim_site *site = worker->site;
    uint32_t wakes = gx_core_wakes(site->core, worker->index);

    for (uint32_t i = 0; i < site->worker_count; i++)
        if (wakes >> i & 1)
            sim_worker_wake(world, &site->workers[i],
                            world->now_ns + sim_below(&world->random, NEWS_LATE_NS));
}

void sim_worker_spins(struct sim_world *world, struct sim_worker *worker)
{
    worker->idle_steps = worker->inbox_head ? 0 : worker->idle_steps + 1;
    if (worker->idle_steps > SPIN_STEPS)
        sim_fail(world, "SPIN",
                 "site %u worker %u: %u passes of the loop in a row without a packet",
                 worker->site->index, worker->index, SPIN_STEPS);
}

/* The loop of the workers but the first. Now and then it comes to its messages late: the others are far ahead then. */
void sim_worker_step(struct sim_world *world, struct sim_worker *worker)
{
    struct sim_site *site = worker->site;
    bool more = false;

    worker->step_at_ns = SIM_NEVER;
    if (!site->up || site->paused)
        return;
    sim_worker_spins(world, worker);
    sim_worker_receive(world, worker);
    if (!sim_chance(&world->random, 0.2)) {
        sim_guard_begin();
        more = gx_core_poll(site->core, worker->index, sim_clock(world, site));
        sim_guard_end(world, site->index, "gx_core_poll");
    }
    sim_worker_release(worker);
    more |= sim_worker_transmit(world, worker);
    sim_worker_news(world, worker);
    sim_worker_sleep(world, worker, more);
}

void sim_worker_clear(struct sim_worker *worker)
{
    worker->step_at_ns = SIM_NEVER;
    while (worker->inbox_head) {
        struct sim_frame *frame = worker->inbox_head;
        worker->inbox_head = frame->next;
        sim_frame_free(frame);
    }
    worker->inbox_tail = NULL;
    worker->inbox_count = 0;
    worker->port.head = worker->port.count = worker->port.sent_count = 0;
}
