/* Kernel UDP through io_uring: one multishot recvmsg that fills buffers from a ring of them, one sendmsg per group of
 * packets, one multishot poll per watched eventfd. A pass of the worker costs one system call, an empty one none.
 *
 * One multishot receive, not many single ones: every single one would be woken for every packet.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gx_assert.h"
#include "port/clock.h"
#include "port/port.h"
#include "port/udp.h"

#define SQ_ENTRIES 256u
#define CQ_ENTRIES 1024u
#define SENDS 64u /* messages in flight */
#define BUFFERS 64u
#define BUFFER_GROUP 0
#define NAME_BYTES                                                                                 \
    32u /* a sockaddr_in6, rounded up so that the control messages after it are aligned */
#define BUFFER_BYTES                                                                               \
    (sizeof(struct io_uring_recvmsg_out) + NAME_BYTES + GX_UDP_CONTROL_BYTES + GX_UDP_RECEIVE_BYTES)
#define NAP_COMPLETIONS 32u /* half of the buffers */
#define RETRY_NS (500 * GX_NS_PER_US)

enum completion { RECEIVED, SENT, WATCHED, CANCELLED };

#define TAG(kind, index) ((uint64_t)(kind) << 56 | (index))

struct watch {
    int fd; /* -1: free */
    uint32_t generation;
};

struct uring {
    struct gx_port base;
    struct gx_udp udp;
    struct io_uring ring;
    /* Receiving. Buffers are in the kernel's ring, in `ready` (filled), or lent out since the last rx. */
    struct io_uring_buf_ring *buffers;
    uint8_t *buffer_memory;
    struct msghdr receive_shape;
    bool receiving;
    struct {
        uint32_t bytes;
        uint16_t buffer;
    } ready[BUFFERS];
    uint32_t ready_head, ready_tail;
    uint16_t lent[BUFFERS];
    uint32_t lent_count;
    struct gx_udp_train train; /* being cut, lies in train_buffer */
    uint16_t train_buffer;
    bool train_open;
    /* Sending. */
    struct gx_udp_message *sends;
    uint32_t free_sends[SENDS];
    uint32_t free_count;
    uint32_t retries[SENDS]; /* refused for want of room; sent again at retry_ns */
    uint32_t retry_count;
    uint64_t retry_ns;
    struct watch watches[GX_PORT_WATCH_MAX];
};

static struct uring *uring_of(struct gx_port *port)
{
    return (struct uring *)(void *)port;
}

static struct io_uring_sqe *sqe_get(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

    if (!sqe) {
        io_uring_submit(&u->ring);
        sqe = io_uring_get_sqe(&u->ring);
    }
    GX_ASSERT(sqe); /* the kernel takes every entry on submit */
    return sqe;
}

static uint8_t *buffer_at(const struct uring *u, uint16_t buffer)
{
    return u->buffer_memory + (size_t)buffer * BUFFER_BYTES;
}

static void buffers_return(struct uring *u, const uint16_t *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        io_uring_buf_ring_add(u->buffers, buffer_at(u, list[i]), (unsigned)BUFFER_BYTES, list[i],
                              io_uring_buf_ring_mask(BUFFERS), (int)i);
    if (count)
        io_uring_buf_ring_advance(u->buffers, (int)count);
}

static void receive_arm(struct uring *u)
{
    struct io_uring_sqe *sqe = sqe_get(u);

    io_uring_prep_recvmsg_multishot(sqe, u->udp.fd, &u->receive_shape, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    sqe->user_data = TAG(RECEIVED, 0);
    u->receiving = true;
}

static void watch_arm(struct uring *u, uint32_t index)
{
    const struct watch *watch = &u->watches[index];
    struct io_uring_sqe *sqe = sqe_get(u);

    io_uring_prep_poll_multishot(sqe, watch->fd, POLLIN);
    sqe->user_data = TAG(WATCHED, (uint64_t)watch->generation << 16 | index);
}

static void send_submit(struct uring *u, uint32_t index)
{
    struct io_uring_sqe *sqe = sqe_get(u);

    io_uring_prep_sendmsg(sqe, u->udp.fd, &u->sends[index].header, 0);
    sqe->user_data = TAG(SENT, index);
}

static void on_received(struct uring *u, const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE))
        u->receiving = false;
    if (!(cqe->flags & IORING_CQE_F_BUFFER))
        return; /* out of buffers, or an ICMP error: armed again at the next rx */
    uint16_t buffer = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

    if (cqe->res < 0) {
        buffers_return(u, &buffer, 1);
        return;
    }
    u->ready[u->ready_head % BUFFERS].buffer = buffer;
    u->ready[u->ready_head % BUFFERS].bytes = (uint32_t)cqe->res;
    u->ready_head++;
}

static void on_sent(struct uring *u, uint32_t index, int result)
{
    struct gx_udp_message *message = &u->sends[index];

    if (!gx_udp_message_done(message, &u->udp, &u->base.stats, result)) {
        if (gx_udp_is_pressure(result)) {
            if (!u->retry_count)
                u->retry_ns = gx_clock_ns() + RETRY_NS;
            u->retries[u->retry_count++] = index;
        } else {
            send_submit(u, index);
        }
        return;
    }
    for (uint32_t i = 0; i < message->count; i++)
        u->base.release(u->base.ctx, message->owners[i]);
    u->free_sends[u->free_count++] = index;
}

static void on_watched(struct uring *u, uint64_t tag, const struct io_uring_cqe *cqe)
{
    uint32_t index = (uint32_t)(tag & 0xffff);
    const struct watch *watch = &u->watches[index];

    /* A bad descriptor is never armed again, or it would end every sleep. */
    if (cqe->flags & IORING_CQE_F_MORE || cqe->res < 0 || watch->fd < 0 ||
        watch->generation != (uint32_t)(tag >> 16))
        return;
    watch_arm(u, index);
}

static void reap(struct uring *u)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;

    /* With DEFER_TASKRUN completions wait in the kernel until asked for; the flag tells of them without a call. */
    if (IO_URING_READ_ONCE(*u->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
        io_uring_get_events(&u->ring);
    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        uint64_t tag = cqe->user_data & ((1ull << 56) - 1);

        switch ((enum completion)(cqe->user_data >> 56)) {
        case RECEIVED:
            on_received(u, cqe);
            break;
        case SENT:
            on_sent(u, (uint32_t)tag, cqe->res);
            break;
        case WATCHED:
            on_watched(u, tag, cqe);
            break;
        case CANCELLED:
            break;
        }
        count++;
    }
    io_uring_cq_advance(&u->ring, count);
}

/* Opens the next filled buffer as a train. False: it held nothing of use and went back. */
static bool train_next(struct uring *u)
{
    uint32_t slot = u->ready_tail++ % BUFFERS;
    uint16_t buffer = u->ready[slot].buffer;
    struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(
        buffer_at(u, buffer), (int)u->ready[slot].bytes, &u->receive_shape);

    if (out) {
        struct sockaddr_in6 name;
        struct msghdr header = {
            .msg_control = (uint8_t *)io_uring_recvmsg_name(out) + NAME_BYTES,
            .msg_controllen = out->controllen,
            .msg_flags = (int)out->flags,
        };
        uint32_t bytes =
            io_uring_recvmsg_payload_length(out, (int)u->ready[slot].bytes, &u->receive_shape);

        memcpy(&name, io_uring_recvmsg_name(out), sizeof(name));
        if (gx_udp_train_init(&u->train, &name, &header,
                              io_uring_recvmsg_payload(out, &u->receive_shape), bytes) &&
            bytes) {
            u->train_buffer = buffer;
            u->train_open = true;
            u->base.stats.rx_bursts++;
            return true;
        }
    }
    u->base.stats.rx_dropped++;
    buffers_return(u, &buffer, 1);
    return false;
}

static void retry_sends(struct uring *u)
{
    uint32_t count = u->retry_count;

    if (!count || gx_clock_ns() < u->retry_ns)
        return;
    u->retry_count = 0;
    for (uint32_t i = 0; i < count; i++)
        send_submit(u, u->retries[i]);
}

static uint32_t uring_rx(struct gx_port *port, struct gx_rx *out, uint32_t max)
{
    struct uring *u = uring_of(port);
    uint32_t n = 0;

    buffers_return(u, u->lent, u->lent_count);
    u->lent_count = 0;
    retry_sends(u);
    reap(u);
    if (!u->receiving)
        receive_arm(u);
    while (n < max) {
        if (!u->train_open) {
            if (u->ready_head == u->ready_tail)
                break;
            if (!train_next(u))
                continue;
        }
        n += gx_udp_train_take(&u->train, out + n, max - n);
        if (!u->train.byte_count) {
            u->lent[u->lent_count++] = u->train_buffer;
            u->train_open = false;
        }
    }
    u->base.stats.rx_packets += n;
    if (io_uring_sq_ready(&u->ring))
        io_uring_submit(&u->ring);
    return n;
}

static uint32_t uring_room(struct gx_port *port)
{
    struct uring *u = uring_of(port);

    /* Every packet may need a message of its own. */
    return u->retry_count ? 0 : u->free_count;
}

static void uring_tx(struct gx_port *port, const struct gx_packet *packets, uint32_t count)
{
    struct uring *u = uring_of(port);

    GX_ASSERT(count <= u->free_count);
    while (count) {
        uint32_t n = gx_udp_group(&u->udp, packets, count);
        uint32_t index = u->free_sends[--u->free_count];

        gx_udp_message_fill(&u->sends[index], &u->udp, packets, n);
        send_submit(u, index);
        packets += n;
        count -= n;
    }
    io_uring_submit(&u->ring);
    /* Sends mostly finish inside the submit: their owners are released at once. */
    reap(u);
}

static void sleep_for(struct uring *u, uint64_t until_ns, unsigned completions)
{
    uint64_t now = gx_clock_ns();
    struct __kernel_timespec left;
    struct io_uring_cqe *cqe;

    if (u->retry_count && until_ns > u->retry_ns)
        until_ns = u->retry_ns;
    if (u->ready_head != u->ready_tail || u->train_open || until_ns <= now)
        return;
    left.tv_sec = (long long)((until_ns - now) / GX_NS_PER_S);
    left.tv_nsec = (long long)((until_ns - now) % GX_NS_PER_S);
    io_uring_submit_and_wait_timeout(&u->ring, &cqe, completions, &left, NULL);
}

static void uring_sleep(struct gx_port *port, uint64_t until_ns)
{
    sleep_for(uring_of(port), until_ns, 1);
}

static void uring_nap(struct gx_port *port, uint64_t until_ns)
{
    sleep_for(uring_of(port), until_ns, NAP_COMPLETIONS);
}

static int uring_watch(struct gx_port *port, int fd)
{
    struct uring *u = uring_of(port);

    for (uint32_t i = 0; i < GX_PORT_WATCH_MAX; i++) {
        if (u->watches[i].fd >= 0)
            continue;
        u->watches[i].fd = fd;
        u->watches[i].generation++;
        watch_arm(u, i);
        io_uring_submit(&u->ring);
        return 0;
    }
    return -ENOSPC;
}

static void uring_unwatch(struct gx_port *port, int fd)
{
    struct uring *u = uring_of(port);

    for (uint32_t i = 0; i < GX_PORT_WATCH_MAX; i++) {
        struct watch *watch = &u->watches[i];
        struct io_uring_sqe *sqe;

        if (watch->fd != fd)
            continue;
        sqe = sqe_get(u);
        io_uring_prep_poll_remove(sqe, TAG(WATCHED, (uint64_t)watch->generation << 16 | i));
        sqe->user_data = TAG(CANCELLED, 0);
        watch->fd = -1;
        io_uring_submit(&u->ring);
        return;
    }
}

static int uring_start(struct gx_port *port)
{
    struct uring *u = uring_of(port);
    /* The thread that enables the ring is the one that may submit to it (SINGLE_ISSUER). liburing 2.3 declares
     * io_uring_enable_rings() but does not export it. */
    int ret = io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);

    if (ret < 0)
        return ret;
    receive_arm(u);
    ret = io_uring_submit(&u->ring);
    return ret < 0 ? ret : 0;
}

static int buffers_create(struct uring *u)
{
    size_t ring_bytes = BUFFERS * sizeof(struct io_uring_buf);
    struct io_uring_buf_reg registration = {.ring_entries = BUFFERS, .bgid = BUFFER_GROUP};
    void *memory;

    u->buffer_memory = malloc(BUFFERS * BUFFER_BYTES);
    if (!u->buffer_memory)
        return -ENOMEM;
    memory = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    u->buffers = memory;
    registration.ring_addr = (uint64_t)(uintptr_t)memory;
    io_uring_buf_ring_init(u->buffers);
    for (uint16_t i = 0; i < BUFFERS; i++)
        buffers_return(u, &i, 1);
    return io_uring_register_buf_ring(&u->ring, &registration, 0);
}

static void uring_free(struct uring *u)
{
    if (u->buffers)
        munmap(u->buffers, BUFFERS * sizeof(struct io_uring_buf));
    free(u->buffer_memory);
    free(u->sends);
    free(u);
}

static void uring_close(struct gx_port *port)
{
    struct uring *u = uring_of(port);

    /* Ends what is in flight before the memory it points into goes. */
    io_uring_queue_exit(&u->ring);
    gx_udp_close(&u->udp);
    uring_free(u);
}

static struct uring *uring_alloc(void)
{
    struct uring *u = calloc(1, sizeof(*u));

    if (!u)
        return NULL;
    u->base.ops = &gx_port_uring;
    u->receive_shape.msg_namelen = NAME_BYTES;
    u->receive_shape.msg_controllen = GX_UDP_CONTROL_BYTES;
    u->sends = calloc(SENDS, sizeof(*u->sends));
    for (uint32_t i = 0; i < SENDS; i++)
        u->free_sends[i] = i;
    u->free_count = SENDS;
    for (uint32_t i = 0; i < GX_PORT_WATCH_MAX; i++)
        u->watches[i].fd = -1;
    if (u->sends)
        return u;
    uring_free(u);
    return NULL;
}

static int uring_open(const struct gx_port_config *config, struct gx_port **port, char *error,
                      size_t error_bytes)
{
    /* All of Linux 6.1; the same release that made multishot recvmsg whole. */
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE,
        .cq_entries = CQ_ENTRIES,
    };
    struct uring *u = uring_alloc();
    int ret;

    if (!u) {
        snprintf(error, error_bytes, "out of memory for the port");
        return -ENOMEM;
    }
    ret = gx_udp_open(&u->udp, config, error, error_bytes);
    if (ret) {
        uring_free(u);
        return ret;
    }
    ret = io_uring_queue_init_params(SQ_ENTRIES, &u->ring, &params);
    if (ret) {
        snprintf(error, error_bytes, "io_uring: %s", strerror(-ret));
        gx_udp_close(&u->udp);
        uring_free(u);
        return ret == -EINVAL ? -ENOSYS : ret;
    }
    ret = buffers_create(u);
    if (ret) {
        snprintf(error, error_bytes, "io_uring buffers: %s", strerror(-ret));
        uring_close(&u->base);
        return ret == -EINVAL ? -ENOSYS : ret;
    }
    *port = &u->base;
    return 0;
}

static void uring_describe(const struct gx_port *port, char *out)
{
    gx_udp_describe(&((const struct uring *)(const void *)port)->udp, "io_uring", out);
}

static struct gx_addr uring_local(const struct gx_port *port)
{
    return gx_udp_local(&((const struct uring *)(const void *)port)->udp);
}

static bool uring_reaches(const struct gx_port *port, const struct gx_addr *to)
{
    return gx_udp_reaches(&((const struct uring *)(const void *)port)->udp, to);
}

const struct gx_port_ops gx_port_uring = {
    .name = "io_uring",
    .open = uring_open,
    .close = uring_close,
    .describe = uring_describe,
    .local = uring_local,
    .reaches = uring_reaches,
    .start = uring_start,
    .rx = uring_rx,
    .room = uring_room,
    .tx = uring_tx,
    .sleep = uring_sleep,
    .nap = uring_nap,
    .watch = uring_watch,
    .unwatch = uring_unwatch,
};
