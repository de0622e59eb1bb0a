#include "wan/network.h"

#include "wan/packetlog.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define LOG_BUFFER_BYTES (1024 * 1024)
#define UNLIMITED_BOUND_BYTES (64ull * 1024 * 1024) /* in flight, when no rate bounds it */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t gx_wan_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t gx_wan_realtime_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int gx_wan_complain(const char *what, const char *culprit, int error)
{
    fprintf(stderr, "gx-wan: cannot %s %s: %s\n", what, culprit, strerror(error));
    return -error;
}

/* ---- init ---- */

static int init_stages(struct gx_wan_network *network)
{
    const struct gx_wan_options *options = &network->options;

    for (uint32_t a = 0; a < options->port_count; a++) {
        const struct gx_wan_port_options *port = &options->ports[a];
        if (gx_impair_init(&network->ports[a].up, &port->up, network->start_ns) != 0 ||
            gx_impair_init(&network->ports[a].down, &port->down, network->start_ns) != 0)
            return -EINVAL;
        for (uint32_t b = 0; b < options->port_count; b++) {
            struct gx_impair_config path = options->paths[a][b];
            path.stream = a * GX_WAN_PORTS_MAX + b;
            if (gx_impair_init(&network->paths[a][b], &path, network->start_ns) != 0)
                return -EINVAL;
        }
    }
    return 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Half of the shortest delay, because an arrival's time may lie before now. */
static uint64_t lookahead_ns(const struct gx_wan_options *options)
{
    uint64_t shortest_ns = UINT64_MAX;

    for (uint32_t a = 0; a < options->port_count; a++) {
        for (uint32_t b = 0; b < options->port_count; b++) {
            uint64_t delay_ns = options->paths[a][b].delay_ns;
            if (delay_ns < shortest_ns)
                shortest_ns = delay_ns;
        }
    }
    for (uint32_t i = 0; i < options->trace.count; i++) {
        const struct gx_wan_trace_line *line = &options->trace.lines[i];
        if (line->has_delay && line->delay_ns < shortest_ns)
            shortest_ns = line->delay_ns;
    }
    return shortest_ns / 2;
}

/* The most bytes that can be under way from port a to b, twice if duplicated. */
static uint64_t path_bytes(const struct gx_wan_options *options, uint32_t a, uint32_t b,
                           uint64_t rate_bps, uint64_t trace_delay_ns)
{
    const struct gx_impair_config *path = &options->paths[a][b];
    uint64_t delay_ns = larger(path->delay_ns, trace_delay_ns);
    double path_s = 1e-9 * (double)(delay_ns + path->jitter_ns + path->reorder_ns);
    uint64_t queue_bytes = path->queue_bytes;

    if (path->rate_bps > 0 && queue_bytes == 0)
        queue_bytes = gx_impair_queue_bytes(path->rate_bps, path->delay_ns);
    return 2 * (uint64_t)(path_s * (double)rate_bps / 8) + (path->rate_bps ? queue_bytes : 0);
}

/* What can be in flight: in both queues and on the paths. Paths from one port share its uplink, so
 * the longest counts, except of what goes to many ports; that is not bulk. */
static uint64_t bound_bytes(const struct gx_wan_options *options)
{
    uint64_t trace_rate_bps = gx_wan_trace_rate_max(&options->trace);
    uint64_t trace_delay_ns = gx_wan_trace_delay_max(&options->trace);
    uint64_t sum = 0;

    for (uint32_t a = 0; a < options->port_count; a++) {
        const struct gx_wan_port_options *port = &options->ports[a];
        uint64_t longest = 0;

        if (port->up.rate_bps == 0)
            return UNLIMITED_BOUND_BYTES;
        for (uint32_t b = 0; b < options->port_count; b++)
            longest =
                larger(longest, path_bytes(options, a, b, larger(port->up.rate_bps, trace_rate_bps),
                                           trace_delay_ns));
        sum +=
            port->up.queue_bytes + longest + port->down.queue_bytes + 4 * GX_WAN_PACKET_BYTES_MAX;
    }
    return sum;
}

static int open_memory(struct gx_wan_network *network)
{
    uint64_t bytes = bound_bytes(&network->options);
    char text[64];

    snprintf(text, sizeof(text), "buffers for %llu bytes in flight", (unsigned long long)bytes);
    if (gx_wan_pool_init(&network->pool, bytes) != 0 ||
        gx_wan_heap_init(&network->arrivals, network->pool.packet_count) != 0 ||
        gx_wan_heap_init(&network->deliveries, network->pool.packet_count) != 0)
        return gx_wan_complain("map", text, ENOMEM);
    return 0;
}

int gx_wan_network_init(struct gx_wan_network *network, const struct gx_wan_options *options,
                        uint64_t now_ns)
{
    network->options = *options;
    network->start_ns = now_ns;
    network->nap_ns_max = UINT64_MAX;
    network->lookahead_ns = lookahead_ns(options);
    int rc = init_stages(network);
    if (rc == 0)
        rc = open_memory(network);
    if (rc == 0 && options->slots_path) {
        rc = gx_wan_slotlog_open(&network->slots, options->slots_path);
        if (rc != 0)
            gx_wan_complain("write", options->slots_path, -rc);
    }
    if (rc != 0 || !options->log_path)
        return rc;
    network->log = fopen(options->log_path, "we");
    if (!network->log)
        return gx_wan_complain("write", options->log_path, errno);
    setvbuf(network->log, NULL, _IOFBF, LOG_BUFFER_BYTES);
    return 0;
}

void gx_wan_network_fini(struct gx_wan_network *network)
{
    gx_wan_heap_fini(&network->arrivals);
    gx_wan_heap_fini(&network->deliveries);
    gx_wan_pool_fini(&network->pool);
    if (network->log && fclose(network->log) != 0)
        gx_wan_complain("write", network->options.log_path, errno);
    network->log = NULL;
    int rc = gx_wan_slotlog_close(&network->slots);
    if (rc != 0)
        gx_wan_complain("write", network->options.slots_path, -rc);
}

/* ---- the trace ---- */

static void apply(struct gx_wan_network *network, const struct gx_wan_trace_line *line,
                  uint64_t now_ns)
{
    const struct gx_wan_options *options = &network->options;

    for (uint32_t a = 0; a < options->port_count; a++) {
        struct gx_wan_network_port *port = &network->ports[a];
        if (line->has_rate && !options->ports[a].own_rate) {
            gx_impair_set_rate(&port->up, now_ns, line->rate_bps);
            gx_impair_set_rate(&port->down, now_ns, line->rate_bps);
        }
        for (uint32_t b = 0; b < options->port_count; b++) {
            struct gx_impair_config *path = &network->paths[a][b].config;
            const struct gx_wan_path_own *own = &options->own[a][b];
            if (line->has_delay && !own->delay)
                path->delay_ns = line->delay_ns;
            if (line->has_loss && !own->loss)
                path->loss = line->loss;
        }
    }
}

void gx_wan_network_trace(struct gx_wan_network *network, uint64_t now_ns)
{
    const struct gx_wan_trace *trace = &network->options.trace;

    while (network->trace_next < trace->count &&
           network->start_ns + trace->lines[network->trace_next].from_ns <= now_ns)
        apply(network, &trace->lines[network->trace_next++], now_ns);
}

/* ---- from a port to the path ---- */

static void log_arrival(const struct gx_wan_network *network, const struct gx_wan_arrival *arrival,
                        int to, const char *verdict)
{
    if (!network->log)
        return;
    if (network->options.udp)
        gx_wan_packetlog_write(network->log, arrival->realtime_ns, arrival->from, to, arrival->data,
                               arrival->bytes, verdict);
    else
        gx_wan_packetlog_write_frame(network->log, arrival->realtime_ns, arrival->from, to,
                                     arrival->data, arrival->bytes, verdict);
}

/* Puts one copy on the path; false when there is no buffer for it. */
static bool put_on_path(struct gx_wan_network *network, const struct gx_wan_arrival *arrival,
                        uint16_t to, uint16_t to_idx, uint64_t due_ns, int64_t corrupt_bit)
{
    struct gx_wan_packet *packet = gx_wan_pool_take(&network->pool, arrival->bytes);

    if (!packet) {
        network->counters.buffer_drops++;
        return false;
    }
    memcpy(packet->data, arrival->data, arrival->bytes);
    if (corrupt_bit >= 0) {
        uint64_t bit = (uint64_t)corrupt_bit + 8ull * network->options.spared_bytes;
        packet->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    packet->due_ns = due_ns;
    packet->frame_bytes = arrival->frame_bytes;
    packet->from = arrival->from;
    packet->to = to;
    packet->from_idx = arrival->from_idx;
    packet->to_idx = to_idx;
    gx_wan_heap_push(&network->arrivals, packet);
    return true;
}

static void enter_path(struct gx_wan_network *network, const struct gx_wan_arrival *arrival,
                       uint16_t to, uint16_t to_idx, uint64_t at_ns)
{
    struct gx_verdict verdict;
    const char *text = "pass";
    bool kept = true;

    gx_impair_packet(&network->paths[arrival->from][to], at_ns, arrival->frame_bytes, &verdict);
    if (verdict.cause != GX_IMPAIR_QUEUE)
        gx_wan_slotlog_count(&network->slots, arrival->from, to, verdict.left_ns,
                             arrival->frame_bytes, verdict.cause != GX_IMPAIR_NONE);
    for (uint32_t copy = 0; copy < verdict.copies; copy++)
        kept &= put_on_path(network, arrival, to, to_idx, verdict.deliver_ns[copy],
                            copy == 0 ? verdict.corrupt_bit : -1);
    if (verdict.cause != GX_IMPAIR_NONE)
        text = gx_impair_cause_text(verdict.cause);
    else if (!kept)
        text = "buffer";
    else if (verdict.corrupt_bit >= 0)
        text = "corrupt";
    else if (verdict.copies > 1)
        text = "dup";
    log_arrival(network, arrival, to, text);
}

void gx_wan_network_enter(struct gx_wan_network *network, const struct gx_wan_arrival *arrival)
{
    bool one = (arrival->to_mask & (arrival->to_mask - 1)) == 0;
    uint16_t first = (uint16_t)__builtin_ctz(arrival->to_mask);
    struct gx_verdict verdict;

    gx_impair_packet(&network->ports[arrival->from].up, arrival->at_ns, arrival->frame_bytes,
                     &verdict);
    if (verdict.cause != GX_IMPAIR_NONE) {
        log_arrival(network, arrival, one ? first : -1, gx_impair_cause_text(verdict.cause));
        return;
    }
    for (uint16_t to = first; to < network->options.port_count; to++) {
        if (arrival->to_mask >> to & 1)
            enter_path(network, arrival, to, one ? arrival->to_idx : to, verdict.deliver_ns[0]);
    }
}

/* ---- from the path to a port ---- */

static void log_down_queue(const struct gx_wan_network *network, const struct gx_wan_packet *packet)
{
    struct gx_wan_arrival again = {.data = packet->data,
                                   .bytes = packet->bytes,
                                   .from = packet->from,
                                   .realtime_ns = network->log ? gx_wan_realtime_ns() : 0};

    log_arrival(network, &again, packet->to, "down-queue");
}

void gx_wan_network_pass(struct gx_wan_network *network, uint64_t now_ns)
{
    struct gx_wan_packet *packet;
    struct gx_verdict verdict;

    while ((packet = gx_wan_heap_pop(&network->arrivals, now_ns + network->lookahead_ns))) {
        gx_impair_packet(&network->ports[packet->to].down, packet->due_ns, packet->frame_bytes,
                         &verdict);
        if (verdict.cause == GX_IMPAIR_NONE) {
            packet->due_ns = verdict.deliver_ns[0];
            gx_wan_heap_push(&network->deliveries, packet);
            continue;
        }
        log_down_queue(network, packet);
        gx_wan_pool_give(&network->pool, packet);
    }
}

struct gx_wan_packet *gx_wan_network_next(struct gx_wan_network *network, uint64_t now_ns)
{
    return gx_wan_heap_pop(&network->deliveries, now_ns);
}

void gx_wan_network_sent(struct gx_wan_network *network, const struct gx_wan_packet *packet,
                         uint64_t now_ns)
{
    struct gx_wan_network_counters *counters = &network->counters;
    uint64_t late_ns = now_ns > packet->due_ns ? now_ns - packet->due_ns : 0;

    counters->sent_packets++;
    counters->late_ns_sum += late_ns;
    if (late_ns > counters->late_ns_max)
        counters->late_ns_max = late_ns;
    if (late_ns > 1000000)
        counters->late_1ms_packets++;
}

uint64_t gx_wan_network_due_ns(const struct gx_wan_network *network)
{
    uint64_t arrival_ns = gx_wan_heap_due_ns(&network->arrivals);
    uint64_t delivery_ns = gx_wan_heap_due_ns(&network->deliveries);

    return arrival_ns < delivery_ns ? arrival_ns : delivery_ns;
}
