#include "wan/relay.h"

#include "wan/packetlog.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define CONTROL_BYTES 128
#define RECEIVE_BUFFER_BYTES (16 * 1024 * 1024)
#define BATCHES_MAX 4 /* from one socket, before the others and the deliveries get their turn */
#define STAMP_AGE_NS_MAX 100000000 /* a receive time older than this is a step of the clock */
#define BREATH_NS 100000

struct relay_socket {
    struct gx_wan_address target; /* of the site and worker for which this socket listens */
    struct gx_wan_packet *out[BATCH];
    uint32_t out_count;
    uint32_t kernel_drops; /* the kernel's count of what found this socket's buffer full */
};

/* One relay a process: [port * worker_count + worker], as network->polls. */
static struct {
    struct relay_socket sockets[GX_WAN_POLLS_MAX];
    uint8_t received[BATCH][GX_WAN_PACKET_BYTES_MAX];
    uint8_t control[BATCH][CONTROL_BYTES];
} relay;

/* ---- open and close ---- */

static int open_socket(struct gx_wan_network *network, const struct gx_wan_address *listen,
                       struct pollfd *out)
{
    const int on = 1, bytes = RECEIVE_BUFFER_BYTES;
    char text[GX_WAN_ADDRESS_TEXT_MAX];
    int family = listen->as.any.sa_family;

    gx_wan_address_format(listen, text);
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return gx_wan_complain("open a socket for", text, errno);
    out->fd = fd;
    out->events = POLLIN;
    network->poll_count++;
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
        return gx_wan_complain("bind", text, errno);
    return 0;
}

static int relay_open(struct gx_wan_network *network)
{
    const struct gx_wan_options *options = &network->options;

    for (uint32_t p = 0; p < options->port_count; p++) {
        for (uint32_t w = 0; w < options->worker_count; w++) {
            uint32_t idx = p * options->worker_count + w;
            struct gx_wan_address listen = gx_wan_address_worker(&options->ports[p].listen, w);
            relay.sockets[idx].target = gx_wan_address_worker(&options->ports[p].target, w);
            int rc = open_socket(network, &listen, &network->polls[idx]);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static void relay_close(struct gx_wan_network *network)
{
    for (uint32_t i = 0; i < network->poll_count; i++)
        close(network->polls[i].fd);
    network->poll_count = 0;
}

/* ---- from a socket to the network ---- */

static uint16_t port_of(const struct gx_wan_network *network, uint32_t socket_idx)
{
    return (uint16_t)(socket_idx / network->options.worker_count);
}

/* The socket of the site and worker that sends from `source`; socket_count for a stranger. */
static uint32_t find_source(const struct gx_wan_network *network,
                            const struct gx_wan_address *source)
{
    uint32_t idx = 0;

    while (idx < network->poll_count &&
           (relay.sockets[idx].target.as.v4.sin_port != source->as.v4.sin_port ||
            !gx_wan_address_same_host(&relay.sockets[idx].target, source)))
        idx++;
    return idx;
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

static void enter(struct gx_wan_network *network, uint32_t from_idx, uint32_t to_idx,
                  struct gx_wan_arrival *arrival)
{
    if (from_idx == network->poll_count) {
        network->counters.stranger_packets++;
        gx_wan_packetlog_write(network->log, arrival->realtime_ns, -1, port_of(network, to_idx),
                               arrival->data, arrival->bytes, "stranger");
        return;
    }
    arrival->frame_bytes = arrival->bytes + GX_WAN_HEADER_BYTES;
    arrival->from = port_of(network, from_idx);
    arrival->from_idx = (uint16_t)from_idx;
    arrival->to_idx = (uint16_t)to_idx;
    arrival->to_mask = 1u << port_of(network, to_idx);
    gx_wan_network_enter(network, arrival);
}

/* One batch from a socket; returns how many packets it had. */
static int receive_batch(struct gx_wan_network *network, uint32_t socket_idx)
{
    struct mmsghdr messages[BATCH];
    struct iovec iovecs[BATCH];
    struct gx_wan_address sources[BATCH];

    for (int i = 0; i < BATCH; i++) {
        iovecs[i] = (struct iovec){relay.received[i], GX_WAN_PACKET_BYTES_MAX};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &sources[i].as,
                                              .msg_namelen = sizeof(sources[i].as),
                                              .msg_iov = &iovecs[i],
                                              .msg_iovlen = 1,
                                              .msg_control = relay.control[i],
                                              .msg_controllen = CONTROL_BYTES};
    }
    int count = recvmmsg(network->polls[socket_idx].fd, messages, BATCH, 0, NULL);
    uint64_t now_ns = gx_wan_now_ns(), realtime_now_ns = gx_wan_realtime_ns();
    for (int i = 0; i < count; i++) {
        struct gx_wan_arrival arrival = {.data = relay.received[i], .bytes = messages[i].msg_len};
        arrival.realtime_ns = read_control(&messages[i].msg_hdr, realtime_now_ns,
                                           &relay.sockets[socket_idx].kernel_drops);
        uint64_t age_ns = realtime_now_ns - arrival.realtime_ns; /* wraps if in the future */
        arrival.at_ns = age_ns <= STAMP_AGE_NS_MAX ? now_ns - age_ns : now_ns;
        enter(network, find_source(network, &sources[i]), socket_idx, &arrival);
    }
    return count;
}

static void relay_receive(struct gx_wan_network *network)
{
    for (uint32_t i = 0; i < network->poll_count; i++) {
        if (!network->polls[i].revents)
            continue;
        for (int batch = 0; batch < BATCHES_MAX; batch++) {
            if (receive_batch(network, i) < BATCH)
                break;
        }
    }
}

/* ---- from the network to a site ---- */

static void send_batch(struct gx_wan_network *network, uint32_t socket_idx)
{
    struct relay_socket *from = &relay.sockets[socket_idx];
    struct mmsghdr messages[BATCH];
    struct iovec iovecs[BATCH];
    uint32_t done = 0, count = from->out_count;

    for (uint32_t i = 0; i < count; i++) {
        struct gx_wan_address *target = &relay.sockets[from->out[i]->to_idx].target;
        iovecs[i] = (struct iovec){from->out[i]->data, from->out[i]->bytes};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &target->as,
                                              .msg_namelen = target->bytes,
                                              .msg_iov = &iovecs[i],
                                              .msg_iovlen = 1};
    }
    while (done < count) {
        int sent = sendmmsg(network->polls[socket_idx].fd, messages + done, count - done, 0);
        uint64_t now_ns = gx_wan_now_ns();
        for (int i = 0; i < sent; i++)
            gx_wan_network_sent(network, from->out[done + (uint32_t)i], now_ns);
        if (sent <= 0)
            network->counters.send_drops++;
        done += sent > 0 ? (uint32_t)sent : 1;
    }
    for (uint32_t i = 0; i < count; i++)
        gx_wan_pool_give(&network->pool, from->out[i]);
    from->out_count = 0;
}

static void relay_send(struct gx_wan_network *network, uint64_t now_ns)
{
    struct gx_wan_packet *packet;

    while ((packet = gx_wan_network_next(network, now_ns))) {
        struct relay_socket *from = &relay.sockets[packet->from_idx];
        from->out[from->out_count++] = packet;
        if (from->out_count == BATCH)
            send_batch(network, packet->from_idx);
    }
    for (uint32_t i = 0; i < network->poll_count; i++) {
        if (relay.sockets[i].out_count > 0)
            send_batch(network, i);
    }
}

/* ---- what it says of itself ---- */

static void relay_describe(const struct gx_wan_network *network, uint32_t port, FILE *out)
{
    const struct gx_wan_port_options *options = &network->options.ports[port];
    char listen[GX_WAN_ADDRESS_TEXT_MAX], target[GX_WAN_ADDRESS_TEXT_MAX];

    fprintf(out, "\"listen\":\"%s\",\"target\":\"%s\",",
            gx_wan_address_format(&options->listen, listen),
            gx_wan_address_format(&options->target, target));
}

static uint64_t relay_kernel_drops(const struct gx_wan_network *network)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < network->poll_count; i++)
        sum += relay.sockets[i].kernel_drops;
    return sum;
}

const struct gx_wan_front gx_wan_relay_front = {
    .open = relay_open,
    .close = relay_close,
    .receive = relay_receive,
    .send = relay_send,
    .describe = relay_describe,
    .kernel_drops = relay_kernel_drops,
    .breath_ns = BREATH_NS,
};
