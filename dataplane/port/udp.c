#include "port/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES (16u << 20)
#define BIND_TRIES 100
#define BIND_PAUSE_NS 10000000

static int buffer_enlarge(int fd, int force, int option, uint64_t wanted)
{
    int bytes = (int)(wanted ? wanted : BUFFER_BYTES);
    socklen_t length = sizeof(bytes);

    /* Beyond rmem_max and wmem_max only with CAP_NET_ADMIN; the plain option is cut down to them silently. */
    if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)))
        setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes));
    getsockopt(fd, SOL_SOCKET, option, &bytes, &length);
    return bytes;
}

/* Never fragmented, neither here nor on the way: a packet that is too large is lost, which the lanes find out (lane/mtu.h).
 * Nor does the kernel believe ICMP messages about the path, which anybody can send. */
static void never_fragment(int fd, int family)
{
    int v4 = IP_PMTUDISC_PROBE, v6 = IPV6_PMTUDISC_PROBE;

    setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof(v4)); /* also for ::ffff:a.b.c.d */
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6, sizeof(v6));
}

static bool option_on(int fd, int option, int value)
{
    return setsockopt(fd, SOL_UDP, option, &value, sizeof(value)) == 0;
}

/* The kernel ends the io_uring of a killed gxd in its own time, some milliseconds after the process: until then its
 * socket holds the address. */
static int bind_patiently(int fd, const struct gx_addr *addr)
{
    const struct timespec pause = {.tv_nsec = BIND_PAUSE_NS};
    socklen_t bytes =
        gx_addr_is_v6(addr) ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

    for (int i = 0; bind(fd, (const struct sockaddr *)(const void *)addr, bytes); i++) {
        if (errno != EADDRINUSE || i == BIND_TRIES)
            return -errno;
        nanosleep(&pause, NULL);
    }
    return 0;
}

int gx_udp_open(struct gx_udp *udp, const struct gx_port_config *config, char *error,
                size_t error_bytes)
{
    struct gx_addr addr;
    int fd, off = 0, ret;

    if (gx_addr_parse(&addr, config->address)) {
        snprintf(error, error_bytes,
                 "port address '%s': not a numeric 127.0.0.1:7440 or [::1]:7440", config->address);
        return -EINVAL;
    }
    udp->family = gx_addr_is_v6(&addr) ? AF_INET6 : AF_INET;
    fd = socket(udp->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        ret = -errno;
        snprintf(error, error_bytes, "cannot make a UDP socket: %s", strerror(-ret));
        return ret;
    }
    if (udp->family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    never_fragment(fd, udp->family);
    ret = bind_patiently(fd, &addr);
    if (ret) {
        snprintf(error, error_bytes, "cannot bind UDP %s: %s%s", config->address, strerror(-ret),
                 ret == -EADDRINUSE ? "; another process has this port, choose another in `port:`"
                                    : "");
        close(fd);
        return ret;
    }
    udp->fd = fd;
    udp->receive_buffer_bytes = buffer_enlarge(fd, SO_RCVBUFFORCE, SO_RCVBUF, config->buffer_bytes);
    udp->send_buffer_bytes = buffer_enlarge(fd, SO_SNDBUFFORCE, SO_SNDBUF, config->buffer_bytes);
    /* Segment size 0 asks for nothing: it only tells whether the kernel knows the option. */
    udp->gso = option_on(fd, UDP_SEGMENT, 0);
    udp->gro = option_on(fd, UDP_GRO, 1);
    return 0;
}

void gx_udp_close(struct gx_udp *udp)
{
    close(udp->fd);
    udp->fd = -1;
}

/* A v6 socket gives and takes IPv4 peers as ::ffff:a.b.c.d; the core sees them as plain IPv4. */
static bool addr_from_name(struct gx_addr *out, const struct sockaddr_in6 *name)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    memset(out, 0, sizeof(*out));
    if (name->sin6_family == AF_INET) {
        memcpy(&v4, name, sizeof(v4));
        memset(v4.sin_zero, 0, sizeof(v4.sin_zero));
        memcpy(out, &v4, sizeof(v4));
        return true;
    }
    if (name->sin6_family != AF_INET6)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&name->sin6_addr)) {
        v4.sin_port = name->sin6_port;
        memcpy(&v4.sin_addr, &name->sin6_addr.s6_addr[12], sizeof(v4.sin_addr));
        memcpy(out, &v4, sizeof(v4));
        return true;
    }
    v6.sin6_port = name->sin6_port;
    v6.sin6_addr = name->sin6_addr;
    v6.sin6_scope_id = name->sin6_scope_id;
    memcpy(out, &v6, sizeof(v6));
    return true;
}

static socklen_t addr_to_name(struct sockaddr_in6 *out, const struct gx_addr *addr,
                              sa_family_t family)
{
    struct sockaddr_in v4;

    if (family == AF_INET || gx_addr_is_v6(addr)) {
        memcpy(out, addr, sizeof(*out));
        return family == AF_INET ? sizeof(v4) : sizeof(*out);
    }
    memcpy(&v4, addr, sizeof(v4));
    memset(out, 0, sizeof(*out));
    out->sin6_family = AF_INET6;
    out->sin6_port = v4.sin_port;
    out->sin6_addr.s6_addr[10] = out->sin6_addr.s6_addr[11] = 0xff;
    memcpy(&out->sin6_addr.s6_addr[12], &v4.sin_addr, sizeof(v4.sin_addr));
    return sizeof(*out);
}

struct gx_addr gx_udp_local(const struct gx_udp *udp)
{
    struct sockaddr_in6 name = {0};
    socklen_t length = sizeof(name);
    struct gx_addr addr;

    getsockname(udp->fd, (struct sockaddr *)(void *)&name, &length);
    addr_from_name(&addr, &name);
    return addr;
}

bool gx_udp_reaches(const struct gx_udp *udp, const struct gx_addr *to)
{
    return udp->family == AF_INET6 || !gx_addr_is_v6(to);
}

void gx_udp_describe(const struct gx_udp *udp, const char *kind, char *out)
{
    char text[GX_PORT_TEXT_MAX];
    struct gx_addr local = gx_udp_local(udp);

    snprintf(out, GX_PORT_TEXT_MAX, "udp %s (%s%s%s)", gx_addr_format(&local, text), kind,
             udp->gso ? ", GSO" : ", no GSO", udp->gro ? ", GRO" : ", no GRO");
}

uint32_t gx_udp_group(const struct gx_udp *udp, const struct gx_packet *packets, uint32_t count)
{
    uint32_t total = GX_HEADER_BYTES + packets[0].payload_bytes;
    uint32_t n = 1;

    if (!udp->gso)
        return 1;
    if (count > GX_UDP_SEGMENTS_MAX)
        count = GX_UDP_SEGMENTS_MAX;
    while (n < count) {
        const struct gx_packet *next = &packets[n];

        if (next->payload_bytes > packets[0].payload_bytes ||
            memcmp(&next->to, &packets[0].to, sizeof(next->to)) != 0)
            break;
        total += GX_HEADER_BYTES + next->payload_bytes;
        if (total > GX_UDP_BYTES_MAX)
            break;
        n++;
        if (next->payload_bytes < packets[0].payload_bytes)
            break;
    }
    return n;
}

static void control_segment(struct gx_udp_message *message, uint16_t segment_bytes)
{
    struct cmsghdr *control = (struct cmsghdr *)(void *)message->control;

    memset(message->control, 0, sizeof(message->control));
    control->cmsg_level = SOL_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(segment_bytes));
    memcpy(CMSG_DATA(control), &segment_bytes, sizeof(segment_bytes));
    message->header.msg_control = message->control;
    message->header.msg_controllen = sizeof(message->control);
}

void gx_udp_message_fill(struct gx_udp_message *message, const struct gx_udp *udp,
                         const struct gx_packet *packets, uint32_t count)
{
    memset(&message->header, 0, sizeof(message->header));
    message->header.msg_name = &message->to;
    message->header.msg_namelen = addr_to_name(&message->to, &packets[0].to, udp->family);
    message->header.msg_iov = message->iov;
    message->header.msg_iovlen = 2ull * count;
    message->count = count;
    message->sent = 0;
    message->segmented = count > 1;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(message->headers[i], packets[i].header, GX_HEADER_BYTES);
        message->owners[i] = packets[i].owner;
        message->iov[2 * i] = (struct iovec){message->headers[i], GX_HEADER_BYTES};
        /* sendmsg only reads from it. */
        message->iov[2 * i + 1] =
            (struct iovec){(void *)(uintptr_t)packets[i].payload, packets[i].payload_bytes};
    }
    if (message->segmented)
        control_segment(message, (uint16_t)(GX_HEADER_BYTES + packets[0].payload_bytes));
}

static void message_single(struct gx_udp_message *message)
{
    message->header.msg_iov = &message->iov[2 * message->sent];
    message->header.msg_iovlen = 2;
}

void gx_udp_message_unsegment(struct gx_udp_message *message)
{
    message->segmented = false;
    message->sent = 0;
    message->header.msg_control = NULL;
    message->header.msg_controllen = 0;
    message_single(message);
}

/* EIO: the device has no checksum offload; EINVAL: a segment exceeds the path's MTU. */
bool gx_udp_message_refused(const struct gx_udp_message *message, int error)
{
    return message->segmented &&
           (error == -EINVAL || error == -EIO || error == -EOPNOTSUPP || error == -EMSGSIZE);
}

bool gx_udp_is_pressure(int error)
{
    return error == -EAGAIN || error == -ENOBUFS || error == -ENOMEM || error == -EINTR;
}

bool gx_udp_message_done(struct gx_udp_message *message, struct gx_udp *udp,
                         struct gx_port_stats *stats, int result)
{
    uint32_t packets = message->segmented ? message->count : 1;

    if (gx_udp_message_refused(message, result)) {
        udp->gso = false;
        gx_udp_message_unsegment(message);
        return false;
    }
    if (gx_udp_is_pressure(result)) {
        stats->tx_retries++;
        return false;
    }
    if (result < 0) {
        stats->tx_errors += packets;
        stats->last_error = -result;
    } else {
        stats->tx_packets += packets;
        stats->tx_bursts++;
    }
    message->sent += packets;
    if (message->sent == message->count)
        return true;
    message_single(message);
    return false;
}

bool gx_udp_train_init(struct gx_udp_train *train, const struct sockaddr_in6 *name,
                       struct msghdr *header, const uint8_t *bytes, uint32_t byte_count)
{
    train->bytes = bytes;
    train->byte_count = byte_count;
    train->segment_bytes = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        int segment_bytes;

        if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO ||
            c->cmsg_len < CMSG_LEN(sizeof(segment_bytes)))
            continue;
        memcpy(&segment_bytes, CMSG_DATA(c), sizeof(segment_bytes));
        if (segment_bytes > 0)
            train->segment_bytes = (uint32_t)segment_bytes;
    }
    return !(header->msg_flags & MSG_TRUNC) && addr_from_name(&train->from, name);
}

uint32_t gx_udp_train_take(struct gx_udp_train *train, struct gx_rx *out, uint32_t max)
{
    uint32_t n = 0;

    while (n < max && train->byte_count) {
        uint32_t bytes = train->byte_count;

        if (train->segment_bytes && bytes > train->segment_bytes)
            bytes = train->segment_bytes;
        out[n++] = (struct gx_rx){train->from, train->bytes, bytes};
        train->bytes += bytes;
        train->byte_count -= bytes;
    }
    return n;
}
