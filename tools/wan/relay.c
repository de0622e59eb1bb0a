#include "wan/relay.h"

#include "wan/packetlog.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RECEIVE_BUFFER_BYTES (16 * 1024 * 1024)
#define LOG_BUFFER_BYTES (1024 * 1024)
#define UNLIMITED_BOUND_BYTES (64ull * 1024 * 1024) /* in flight, when no rate bounds it */
#define BATCHES_MAX 4 /* from one socket, before the others and the deliveries get their turn */
#define STAMP_AGE_NS_MAX 100000000 /* a receive time older than this is a step of the clock */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t gx_wan_relay_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* ---- open and close ---- */

static int complain(const char *what, const char *culprit, int error)
{
    fprintf(stderr, "gx-wan: cannot %s %s: %s\n", what, culprit, strerror(error));
    return -error;
}

static int open_socket(struct gx_wan_relay *relay, const struct gx_wan_address *listen,
                       struct pollfd *out)
{
    const int on = 1, bytes = RECEIVE_BUFFER_BYTES;
    char text[GX_WAN_ADDRESS_TEXT_MAX];
    int family = listen->as.any.sa_family;

    gx_wan_address_format(listen, text);
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return complain("open a socket for", text, errno);
    out->fd = fd;
    out->events = POLLIN;
    relay->socket_count++;
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    /* FORCE needs a privilege; without it the kernel's rmem_max is what we get. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
    if (bind(fd, &listen->as.any, listen->bytes) != 0)
        return complain("bind", text, errno);
    return 0;
}

static int open_sockets(struct gx_wan_relay *relay)
{
    const struct gx_wan_options *options = &relay->options;

    for (uint32_t p = 0; p < options->port_count; p++) {
        for (uint32_t w = 0; w < options->worker_count; w++) {
            uint32_t idx = p * options->worker_count + w;
            struct gx_wan_address listen = gx_wan_address_worker(&options->ports[p].listen, w);
            relay->sockets[idx].target = gx_wan_address_worker(&options->ports[p].target, w);
            int rc = open_socket(relay, &listen, &relay->polls[idx]);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static int init_stages(struct gx_wan_relay *relay)
{
    const struct gx_wan_options *options = &relay->options;
    struct gx_impair_config path = options->path;

    for (uint32_t a = 0; a < options->port_count; a++) {
        if (gx_impair_init(&relay->ports[a].up, &options->up, relay->start_ns) != 0 ||
            gx_impair_init(&relay->ports[a].down, &options->down, relay->start_ns) != 0)
            return -EINVAL;
        for (uint32_t b = 0; b < options->port_count; b++) {
            path.stream = a * GX_WAN_PORTS_MAX + b;
            if (gx_impair_init(&relay->paths[a][b], &path, relay->start_ns) != 0)
                return -EINVAL;
        }
    }
    /* Half, because a receive time may lie before now. */
    relay->lookahead_ns = path.delay_ns / 2;
    return 0;
}

/* What can be in flight: in both queues and on the path, there twice if duplicated. */
static uint64_t bound_bytes(const struct gx_wan_options *options)
{
    const struct gx_impair_config *path = &options->path;
    uint64_t rate_bps = options->up.rate_bps;

    if (rate_bps == 0)
        return UNLIMITED_BOUND_BYTES;
    double path_s = 1e-9 * (double)(path->delay_ns + path->jitter_ns + path->reorder_ns);
    uint64_t path_bytes = (uint64_t)(path_s * (double)rate_bps / 8);
    uint64_t port_bytes = options->up.queue_bytes + 2 * path_bytes + options->down.queue_bytes;
    return options->port_count * (port_bytes + 4 * GX_WAN_PACKET_BYTES_MAX);
}

static int open_memory(struct gx_wan_relay *relay)
{
    uint64_t bytes = bound_bytes(&relay->options);
    char text[64];

    snprintf(text, sizeof(text), "buffers for %llu bytes in flight", (unsigned long long)bytes);
    if (gx_wan_pool_init(&relay->pool, bytes) != 0 ||
        gx_wan_heap_init(&relay->arrivals, relay->pool.packet_count) != 0 ||
        gx_wan_heap_init(&relay->deliveries, relay->pool.packet_count) != 0)
        return complain("map", text, ENOMEM);
    return 0;
}

int gx_wan_relay_open(struct gx_wan_relay *relay, const struct gx_wan_options *options)
{
    relay->options = *options;
    relay->start_ns = gx_wan_relay_now_ns();
    int rc = init_stages(relay);
    if (rc == 0)
        rc = open_memory(relay);
    if (rc == 0)
        rc = open_sockets(relay);
    if (rc != 0 || !options->log_path)
        return rc;
    relay->log = fopen(options->log_path, "we");
    if (!relay->log)
        return complain("write", options->log_path, errno);
    setvbuf(relay->log, NULL, _IOFBF, LOG_BUFFER_BYTES);
    return 0;
}

void gx_wan_relay_close(struct gx_wan_relay *relay)
{
    for (uint32_t i = 0; i < relay->socket_count; i++)
        close(relay->polls[i].fd);
    relay->socket_count = 0;
    gx_wan_heap_fini(&relay->arrivals);
    gx_wan_heap_fini(&relay->deliveries);
    gx_wan_pool_fini(&relay->pool);
    if (relay->log && fclose(relay->log) != 0)
        complain("write", relay->options.log_path, errno);
    relay->log = NULL;
}

/* ---- from a socket to the path ---- */

struct arrival {
    const uint8_t *payload;
    uint32_t bytes;
    uint32_t from_idx; /* socket of the sender's site and worker, by its address */
    uint32_t to_idx;   /* socket that it arrived on */
    uint64_t at_ns;
    uint64_t realtime_ns;
};

static uint32_t port_of(const struct gx_wan_relay *relay, uint32_t socket_idx)
{
    return socket_idx / relay->options.worker_count;
}

/* The socket of the site and worker that sends from `source`; socket_count for a stranger. */
static uint32_t find_source(const struct gx_wan_relay *relay, const struct gx_wan_address *source)
{
    uint32_t idx = 0;

    while (idx < relay->socket_count &&
           (relay->sockets[idx].target.as.v4.sin_port != source->as.v4.sin_port ||
            !gx_wan_address_same_host(&relay->sockets[idx].target, source)))
        idx++;
    return idx;
}

static void log_arrival(const struct gx_wan_relay *relay, const struct arrival *arrival,
                        const char *verdict)
{
    gx_wan_packetlog_write(relay->log, arrival->realtime_ns, (int)port_of(relay, arrival->from_idx),
                           (int)port_of(relay, arrival->to_idx), arrival->payload, arrival->bytes,
                           verdict);
}

/* Puts one copy on the path; false when there is no buffer for it. */
static bool put_on_path(struct gx_wan_relay *relay, const struct arrival *arrival, uint64_t due_ns,
                        int64_t corrupt_bit)
{
    struct gx_wan_packet *packet = gx_wan_pool_take(&relay->pool, arrival->bytes);

    if (!packet) {
        relay->counters.buffer_drops++;
        return false;
    }
    memcpy(packet->data, arrival->payload, arrival->bytes);
    if (corrupt_bit >= 0)
        packet->data[corrupt_bit / 8] ^= (uint8_t)(1u << (corrupt_bit % 8));
    packet->due_ns = due_ns;
    packet->from_idx = (uint16_t)arrival->from_idx;
    packet->to_idx = (uint16_t)arrival->to_idx;
    gx_wan_heap_push(&relay->arrivals, packet);
    return true;
}

static void forward(struct gx_wan_relay *relay, const struct arrival *arrival)
{
    uint32_t from = port_of(relay, arrival->from_idx), to = port_of(relay, arrival->to_idx);
    uint32_t frame_bytes = arrival->bytes + GX_WAN_HEADER_BYTES;
    struct gx_verdict verdict;
    bool kept = true;

    gx_impair_packet(&relay->ports[from].up, arrival->at_ns, frame_bytes, &verdict);
    if (verdict.cause == GX_IMPAIR_NONE)
        gx_impair_packet(&relay->paths[from][to], verdict.deliver_ns[0], frame_bytes, &verdict);
    for (uint32_t copy = 0; copy < verdict.copies; copy++)
        kept &= put_on_path(relay, arrival, verdict.deliver_ns[copy],
                            copy == 0 ? verdict.corrupt_bit : -1);
    if (!relay->log)
        return;
    if (verdict.cause != GX_IMPAIR_NONE)
        log_arrival(relay, arrival, gx_impair_cause_text(verdict.cause));
    else if (!kept)
        log_arrival(relay, arrival, "buffer");
    else
        log_arrival(relay, arrival,
                    verdict.corrupt_bit >= 0 ? "corrupt"
                    : verdict.copies > 1     ? "dup"
                                             : "pass");
}

/* The kernel's receive time, or realtime_now_ns where it gave none; notes its count of drops on the
 * way. */
static uint64_t read_control(struct msghdr *header, uint64_t realtime_now_ns, uint32_t *drops)
{
    uint64_t realtime_ns = realtime_now_ns;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET)
            continue;
        if (c->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
            realtime_ns = (uint64_t)stamp.tv_sec * 1000000000u + (uint64_t)stamp.tv_nsec;
        } else if (c->cmsg_type == SO_RXQ_OVFL) {
            memcpy(drops, CMSG_DATA(c), sizeof(*drops));
        }
    }
    return realtime_ns;
}

/* One batch from a socket; returns how many packets it had. */
static int receive_batch(struct gx_wan_relay *relay, uint32_t socket_idx)
{
    struct mmsghdr messages[GX_WAN_RELAY_BATCH];
    struct iovec iovecs[GX_WAN_RELAY_BATCH];
    struct gx_wan_address sources[GX_WAN_RELAY_BATCH];

    for (int i = 0; i < GX_WAN_RELAY_BATCH; i++) {
        iovecs[i] = (struct iovec){relay->received[i], GX_WAN_PACKET_BYTES_MAX};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &sources[i].as,
                                              .msg_namelen = sizeof(sources[i].as),
                                              .msg_iov = &iovecs[i],
                                              .msg_iovlen = 1,
                                              .msg_control = relay->control[i],
                                              .msg_controllen = GX_WAN_RELAY_CONTROL_BYTES};
    }
    int count = recvmmsg(relay->polls[socket_idx].fd, messages, GX_WAN_RELAY_BATCH, 0, NULL);
    uint64_t now_ns = gx_wan_relay_now_ns(), realtime_now_ns = clock_ns(CLOCK_REALTIME);
    for (int i = 0; i < count; i++) {
        struct arrival arrival = {.payload = relay->received[i],
                                  .bytes = messages[i].msg_len,
                                  .from_idx = find_source(relay, &sources[i]),
                                  .to_idx = socket_idx};
        arrival.realtime_ns = read_control(&messages[i].msg_hdr, realtime_now_ns,
                                           &relay->sockets[socket_idx].kernel_drops);
        uint64_t age_ns = realtime_now_ns - arrival.realtime_ns; /* wraps if in the future */
        arrival.at_ns = age_ns <= STAMP_AGE_NS_MAX ? now_ns - age_ns : now_ns;
        if (arrival.from_idx < relay->socket_count) {
            forward(relay, &arrival);
            continue;
        }
        relay->counters.stranger_packets++;
        gx_wan_packetlog_write(relay->log, arrival.realtime_ns, -1, (int)port_of(relay, socket_idx),
                               arrival.payload, arrival.bytes, "stranger");
    }
    return count;
}

void gx_wan_relay_receive(struct gx_wan_relay *relay)
{
    for (uint32_t i = 0; i < relay->socket_count; i++) {
        if (!relay->polls[i].revents)
            continue;
        for (int batch = 0; batch < BATCHES_MAX; batch++) {
            if (receive_batch(relay, i) < GX_WAN_RELAY_BATCH)
                break;
        }
    }
}

/* ---- from the path to a site ---- */

/* Passes what is sure to be next through the downlinks. */
static void pass_downlinks(struct gx_wan_relay *relay, uint64_t now_ns)
{
    struct gx_wan_packet *packet;
    struct gx_verdict verdict;

    while ((packet = gx_wan_heap_pop(&relay->arrivals, now_ns + relay->lookahead_ns))) {
        uint32_t to = port_of(relay, packet->to_idx);
        gx_impair_packet(&relay->ports[to].down, packet->due_ns,
                         packet->bytes + GX_WAN_HEADER_BYTES, &verdict);
        if (verdict.cause == GX_IMPAIR_NONE) {
            packet->due_ns = verdict.deliver_ns[0];
            gx_wan_heap_push(&relay->deliveries, packet);
            continue;
        }
        gx_wan_packetlog_write(relay->log, clock_ns(CLOCK_REALTIME),
                               (int)port_of(relay, packet->from_idx), (int)to, packet->data,
                               packet->bytes, "down-queue");
        gx_wan_pool_give(&relay->pool, packet);
    }
}

static void count_lateness(struct gx_wan_relay *relay, const struct gx_wan_packet *packet,
                           uint64_t now_ns)
{
    struct gx_wan_relay_counters *counters = &relay->counters;
    uint64_t late_ns = now_ns > packet->due_ns ? now_ns - packet->due_ns : 0;

    counters->sent_packets++;
    counters->late_ns_sum += late_ns;
    if (late_ns > counters->late_ns_max)
        counters->late_ns_max = late_ns;
    if (late_ns > 1000000)
        counters->late_1ms_packets++;
}

static void send_batch(struct gx_wan_relay *relay, uint32_t socket_idx)
{
    struct gx_wan_relay_socket *from = &relay->sockets[socket_idx];
    struct mmsghdr messages[GX_WAN_RELAY_BATCH];
    struct iovec iovecs[GX_WAN_RELAY_BATCH];
    uint32_t done = 0, count = from->out_count;

    for (uint32_t i = 0; i < count; i++) {
        struct gx_wan_address *target = &relay->sockets[from->out[i]->to_idx].target;
        iovecs[i] = (struct iovec){from->out[i]->data, from->out[i]->bytes};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &target->as,
                                              .msg_namelen = target->bytes,
                                              .msg_iov = &iovecs[i],
                                              .msg_iovlen = 1};
    }
    while (done < count) {
        int sent = sendmmsg(relay->polls[socket_idx].fd, messages + done, count - done, 0);
        uint64_t now_ns = gx_wan_relay_now_ns();
        for (int i = 0; i < sent; i++)
            count_lateness(relay, from->out[done + (uint32_t)i], now_ns);
        if (sent <= 0)
            relay->counters.send_drops++;
        done += sent > 0 ? (uint32_t)sent : 1;
    }
    for (uint32_t i = 0; i < count; i++)
        gx_wan_pool_give(&relay->pool, from->out[i]);
    from->out_count = 0;
}

void gx_wan_relay_deliver(struct gx_wan_relay *relay, uint64_t now_ns)
{
    struct gx_wan_packet *packet;

    pass_downlinks(relay, now_ns);
    while ((packet = gx_wan_heap_pop(&relay->deliveries, now_ns))) {
        struct gx_wan_relay_socket *from = &relay->sockets[packet->from_idx];
        from->out[from->out_count++] = packet;
        if (from->out_count == GX_WAN_RELAY_BATCH)
            send_batch(relay, packet->from_idx);
    }
    for (uint32_t i = 0; i < relay->socket_count; i++) {
        if (relay->sockets[i].out_count > 0)
            send_batch(relay, i);
    }
}

uint64_t gx_wan_relay_due_ns(const struct gx_wan_relay *relay)
{
    uint64_t arrival_ns = gx_wan_heap_due_ns(&relay->arrivals);
    uint64_t delivery_ns = gx_wan_heap_due_ns(&relay->deliveries);

    return arrival_ns < delivery_ns ? arrival_ns : delivery_ns;
}

uint64_t gx_wan_relay_kernel_drops(const struct gx_wan_relay *relay)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < relay->socket_count; i++)
        sum += relay->sockets[i].kernel_drops;
    return sum;
}
