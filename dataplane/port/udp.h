/* gx_udp: what both kinds of kernel UDP port share: the socket, and messages of many packets (GSO, GRO).
 *
 * GSO       one sendmsg carries up to 64 packets of equal size to one peer, the last may be shorter; each packet is two
 *           iovecs, its header and its payload where it lies. The kernel or the device cuts them apart.
 * GRO       one recvmsg returns up to 64 KiB of packets of one peer, and the size to cut at.
 */
#ifndef GX_PORT_UDP_H
#define GX_PORT_UDP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "port/port.h"

#define GX_UDP_SEGMENTS_MAX 64 /* UDP_MAX_SEGMENTS of every kernel */
#define GX_UDP_BYTES_MAX 65000 /* an IP packet's limit less headers */
#define GX_UDP_RECEIVE_BYTES 65536
#define GX_UDP_CONTROL_BYTES 64

struct gx_udp {
    int fd;
    sa_family_t family;
    bool gso, gro;
    int receive_buffer_bytes, send_buffer_bytes; /* as granted */
};

/* One sendmsg. Its pointers stand into itself: it must not be moved once filled. */
struct gx_udp_message {
    struct msghdr header;
    struct sockaddr_in6 to;
    struct iovec iov[2 * GX_UDP_SEGMENTS_MAX];
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))];
    uint32_t count;
    uint32_t sent;  /* of those, done; used when they go one by one */
    bool segmented; /* all in one sendmsg */
    uint8_t headers[GX_UDP_SEGMENTS_MAX][GX_HEADER_BYTES];
    uint32_t owners[GX_UDP_SEGMENTS_MAX];
};

/* One received datagram or GRO train, cut into packets as they are taken. */
struct gx_udp_train {
    struct gx_addr from;
    const uint8_t *bytes;
    uint32_t byte_count;
    uint32_t segment_bytes; /* 0: one packet */
};

/* Binds a non-blocking socket with buffers as large as the system allows; tries GSO and GRO. */
int gx_udp_open(struct gx_udp *udp, const struct gx_port_config *config, char *error,
                size_t error_bytes);
void gx_udp_close(struct gx_udp *udp);
struct gx_addr gx_udp_local(const struct gx_udp *udp);
bool gx_udp_reaches(const struct gx_udp *udp, const struct gx_addr *to);
/* "udp ADDRESS (`kind`, GSO, GRO)" into GX_PORT_TEXT_MAX bytes. */
void gx_udp_describe(const struct gx_udp *udp, const char *kind, char *out);

/* How many of the packets, from the first on, fit one message. */
uint32_t gx_udp_group(const struct gx_udp *udp, const struct gx_packet *packets, uint32_t count);
void gx_udp_message_fill(struct gx_udp_message *message, const struct gx_udp *udp,
                         const struct gx_packet *packets, uint32_t count);
/* A system that refuses to segment: the packets go one by one from here on, `sent` says which is next. */
void gx_udp_message_unsegment(struct gx_udp_message *message);
/* True when `error` (negative) says that this message cannot be segmented but its packets may be sent. */
bool gx_udp_message_refused(const struct gx_udp_message *message, int error);
/* Counts one sendmsg's result. True: the message is finished, release it. False: send it again (its next packet). */
bool gx_udp_message_done(struct gx_udp_message *message, struct gx_udp *udp,
                         struct gx_port_stats *stats, int result);
/* True when `error` (negative) asks to wait and try again. */
bool gx_udp_is_pressure(int error);

/* Describes what a recvmsg brought. False: to be dropped. */
bool gx_udp_train_init(struct gx_udp_train *train, const struct sockaddr_in6 *name,
                       struct msghdr *header, const uint8_t *bytes, uint32_t byte_count);
/* Takes the next packets; returns how many. The train is used up when byte_count is 0. */
uint32_t gx_udp_train_take(struct gx_udp_train *train, struct gx_rx *out, uint32_t max);

#endif
