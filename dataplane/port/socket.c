/* Kernel UDP through plain sendmsg and recvmsg, for systems that do not permit io_uring. Same GSO and GRO, one system
 * call per message and direction more. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "gx_assert.h"
#include "port/clock.h"
#include "port/port.h"
#include "port/udp.h"

#define SENDS 64u
#define BUFFERS 8u /* trains received in one burst */
#define RETRY_NS (500 * GX_NS_PER_US)

struct receive {
    struct sockaddr_in6 name;
    _Alignas(16) uint8_t control[GX_UDP_CONTROL_BYTES];
    uint8_t bytes[GX_UDP_RECEIVE_BYTES];
};

struct plain {
    struct gx_port base;
    struct gx_udp udp;
    int epoll_fd;
    struct receive *buffers;
    struct gx_udp_train train;
    bool train_open;
    uint32_t train_buffer;        /* the buffer that `train` lies in */
    bool arrived;                 /* the socket may hold packets */
    struct gx_udp_message *sends; /* ring: [tail, head) wait for room in the socket */
    uint32_t send_head, send_tail;
    uint32_t watch_count;
};

static struct plain *plain_of(struct gx_port *port)
{
    return (struct plain *)(void *)port;
}

static void message_release(struct plain *p, const struct gx_udp_message *message)
{
    for (uint32_t i = 0; i < message->count; i++)
        p->base.release(p->base.ctx, message->owners[i]);
}

/* Sends what waits, oldest first, until the socket is full. */
static void sends_flush(struct plain *p)
{
    while (p->send_tail != p->send_head) {
        struct gx_udp_message *message = &p->sends[p->send_tail % SENDS];
        ssize_t sent = sendmsg(p->udp.fd, &message->header, MSG_DONTWAIT | MSG_NOSIGNAL);
        int result = sent < 0 ? -errno : 0;

        if (gx_udp_message_done(message, &p->udp, &p->base.stats, result)) {
            message_release(p, message);
            p->send_tail++;
        } else if (gx_udp_is_pressure(result)) {
            return;
        }
    }
}

/* Receives one train into buffer `index`. False: nothing there. */
static bool receive_one(struct plain *p, uint32_t index)
{
    struct receive *buffer = &p->buffers[index];
    struct iovec iov = {buffer->bytes, sizeof(buffer->bytes)};
    struct msghdr header = {.msg_name = &buffer->name,
                            .msg_namelen = sizeof(buffer->name),
                            .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = buffer->control,
                            .msg_controllen = sizeof(buffer->control)};
    ssize_t bytes = recvmsg(p->udp.fd, &header, MSG_DONTWAIT);

    if (bytes < 0) {
        /* An ICMP error says nothing that the lanes do not notice themselves. */
        p->arrived = errno != EAGAIN;
        return false;
    }
    if (!gx_udp_train_init(&p->train, &buffer->name, &header, buffer->bytes, (uint32_t)bytes) ||
        bytes == 0) {
        p->base.stats.rx_dropped++;
        p->train.byte_count = 0;
    }
    p->base.stats.rx_bursts++;
    p->train_open = p->train.byte_count > 0;
    p->train_buffer = index;
    return true;
}

static uint32_t plain_rx(struct gx_port *port, struct gx_rx *out, uint32_t max)
{
    struct plain *p = plain_of(port);
    /* A train that is half taken keeps its buffer; the others are free again. */
    uint32_t next = p->train_open ? p->train_buffer + 1 : 0;
    uint32_t used = p->train_open ? 1 : 0;
    uint32_t n = 0;

    sends_flush(p);
    while (n < max) {
        if (!p->train_open) {
            if (used == BUFFERS || !receive_one(p, next++ % BUFFERS))
                break;
            used++;
            continue;
        }
        n += gx_udp_train_take(&p->train, out + n, max - n);
        p->train_open = p->train.byte_count > 0;
    }
    p->base.stats.rx_packets += n;
    return n;
}

static uint32_t plain_room(struct gx_port *port)
{
    struct plain *p = plain_of(port);

    return p->send_head == p->send_tail ? SENDS : 0;
}

static void plain_tx(struct gx_port *port, const struct gx_packet *packets, uint32_t count)
{
    struct plain *p = plain_of(port);

    GX_ASSERT(count <= SENDS - (p->send_head - p->send_tail));
    while (count) {
        uint32_t n = gx_udp_group(&p->udp, packets, count);

        gx_udp_message_fill(&p->sends[p->send_head++ % SENDS], &p->udp, packets, n);
        packets += n;
        count -= n;
    }
    sends_flush(p);
}

static void plain_sleep(struct gx_port *port, uint64_t until_ns)
{
    struct plain *p = plain_of(port);
    uint64_t now = gx_clock_ns();
    struct epoll_event events[8];
    struct timespec left;
    int count;

    if (p->send_head != p->send_tail && until_ns > now + RETRY_NS)
        until_ns = now + RETRY_NS;
    if (p->train_open || p->arrived || until_ns <= now)
        return;
    left.tv_sec = (time_t)((until_ns - now) / GX_NS_PER_S);
    left.tv_nsec = (long)((until_ns - now) % GX_NS_PER_S);
    count = epoll_pwait2(p->epoll_fd, events, 8, &left, NULL);
    for (int i = 0; i < count; i++)
        p->arrived |= events[i].data.fd == p->udp.fd;
}

/* Edge-triggered: an eventfd need not be read to make the next sleep a sleep again. */
static int epoll_watch(struct plain *p, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.fd = fd}};

    return epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int plain_watch(struct gx_port *port, int fd)
{
    struct plain *p = plain_of(port);
    int ret;

    if (p->watch_count == GX_PORT_WATCH_MAX)
        return -ENOSPC;
    ret = epoll_watch(p, fd);
    p->watch_count += ret == 0;
    return ret;
}

static void plain_unwatch(struct gx_port *port, int fd)
{
    struct plain *p = plain_of(port);

    if (!epoll_ctl(p->epoll_fd, EPOLL_CTL_DEL, fd, NULL))
        p->watch_count--;
}

static int plain_start(struct gx_port *port)
{
    plain_of(port)->arrived = true;
    return 0;
}

static void plain_close(struct gx_port *port)
{
    struct plain *p = plain_of(port);

    if (p->udp.fd >= 0)
        gx_udp_close(&p->udp);
    if (p->epoll_fd >= 0)
        close(p->epoll_fd);
    free(p->buffers);
    free(p->sends);
    free(p);
}

static int plain_open(const struct gx_port_config *config, struct gx_port **port, char *error,
                      size_t error_bytes)
{
    struct plain *p = calloc(1, sizeof(*p));
    int ret = -ENOMEM;

    if (!p)
        return ret;
    p->base.ops = &gx_port_socket;
    p->udp.fd = p->epoll_fd = -1;
    p->buffers = malloc(BUFFERS * sizeof(*p->buffers));
    p->sends = calloc(SENDS, sizeof(*p->sends));
    snprintf(error, error_bytes, "out of memory for the port");
    if (!p->buffers || !p->sends)
        goto fail;
    ret = gx_udp_open(&p->udp, config, error, error_bytes);
    if (ret)
        goto fail;
    p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ret = p->epoll_fd < 0 ? -errno : epoll_watch(p, p->udp.fd);
    if (ret) {
        snprintf(error, error_bytes, "cannot poll the UDP socket: %s", strerror(-ret));
        goto fail;
    }
    *port = &p->base;
    return 0;
fail:
    plain_close(&p->base);
    return ret;
}

static void plain_describe(const struct gx_port *port, char *out)
{
    gx_udp_describe(&((const struct plain *)(const void *)port)->udp, "sockets", out);
}

static struct gx_addr plain_local(const struct gx_port *port)
{
    return gx_udp_local(&((const struct plain *)(const void *)port)->udp);
}

static bool plain_reaches(const struct gx_port *port, const struct gx_addr *to)
{
    return gx_udp_reaches(&((const struct plain *)(const void *)port)->udp, to);
}

const struct gx_port_ops gx_port_socket = {
    .name = "sockets",
    .open = plain_open,
    .close = plain_close,
    .describe = plain_describe,
    .local = plain_local,
    .reaches = plain_reaches,
    .start = plain_start,
    .rx = plain_rx,
    .room = plain_room,
    .tx = plain_tx,
    .sleep = plain_sleep,
    .watch = plain_watch,
    .unwatch = plain_unwatch,
};
