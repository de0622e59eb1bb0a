/* gx_host: the small IP host that a port without a kernel has to be: Ethernet, ARP, neighbour discovery, ICMP echo, IPv4
 * or IPv6, UDP on one port. No I/O: frames and a time go in, frames come out.
 *
 * One address, of one IP version. No fragments, no options of our own, no VLAN tags, no IPv6 extension headers.
 * Trust     frames are anybody's: every length is checked before it is used; what does not fit is dropped and counted.
 *           A received UDP checksum is not checked: gx's own tag covers every byte that is used, and senders on the same
 *           machine leave it half done. IPv4's header checksum and ICMP's are.
 * Errors    none but counts. An address whose MAC is not known yet costs its packets, as anywhere.
 */
#ifndef GX_NET_HOST_H
#define GX_NET_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port/net/neighbor.h"
#include "wire/address.h"

#define GX_HOST_HEADERS_MAX 62 /* Ethernet 14, IPv6 40, UDP 8 */
#define GX_HOST_ASK_BYTES 128  /* room for a frame that gx_host_poll() makes */
#define GX_ETHERNET_BYTES 14

struct gx_host_config {
    const char *address; /* "10.201.0.1/24" or "fd00::1/64" */
    const char *gateway; /* numeric, or NULL or "": none */
    uint16_t udp_port;
    uint8_t mac[6];
    bool ip_checksum, udp_checksum; /* the device fills them in */
};

struct gx_host_counts {
    uint64_t malformed; /* impossible lengths or fields */
    uint64_t checksum;  /* IPv4 header or ICMP */
    uint64_t fragment;
    uint64_t other;      /* another protocol, address or UDP port */
    uint64_t conflict;   /* somebody else claims our address */
    uint64_t echo;       /* pings answered */
    uint64_t answered;   /* questions for our MAC */
    uint64_t unresolved; /* packets not sent: MAC unknown yet */
    uint64_t
        unreachable; /* packets not sent: not on the link, and no gateway; or the other IP version */
};

/* The headers of the last packet, for others of the same burst to the same peer. */
struct gx_host_template {
    uint64_t now;
    struct gx_addr to;
    uint32_t bytes; /* 0: there are none */
    uint8_t headers[GX_HOST_HEADERS_MAX];
};

struct gx_host {
    bool v6;
    uint8_t ip[16], gateway[16]; /* IPv4 in the first 4 bytes */
    uint8_t mac[6];
    uint32_t prefix_bits;
    bool has_gateway, ip_checksum, udp_checksum;
    uint16_t udp_port, ip_id;
    uint32_t announces;   /* left to make */
    uint64_t announce_ns; /* the next */
    struct gx_neighbors neighbors;
    struct gx_host_counts counts;
    struct gx_host_template last;
};

enum gx_host_verdict {
    GX_HOST_UDP,   /* for us: from, payload, payload_bytes */
    GX_HOST_REPLY, /* the frame has become our answer, reply_bytes long: send it */
    GX_HOST_DONE,  /* used up */
    GX_HOST_DROP,  /* counted */
};

struct gx_host_rx {
    struct gx_addr from;
    const uint8_t *payload; /* into the frame */
    uint32_t payload_bytes;
    uint32_t reply_bytes;
};

/* -EINVAL with a line in `error` that names the value at fault. */
int gx_host_init(struct gx_host *host, const struct gx_host_config *config, uint64_t now,
                 char *error, size_t error_bytes);
/* "10.201.0.1/24", IPv4 or IPv6. -EINVAL. */
int gx_host_parse(const char *text, bool *v6, uint8_t ip[16], uint32_t *prefix_bits);

/* A received frame of `bytes` bytes in a buffer of `room`; it may be rewritten. */
enum gx_host_verdict gx_host_rx(struct gx_host *host, uint64_t now, uint8_t *frame, uint32_t bytes,
                                uint32_t room, struct gx_host_rx *out);

/* The UDP port that a frame is for, looked at without any check but of lengths; -1: it is no such frame. */
int32_t gx_host_port(const struct gx_host *host, const uint8_t *frame, uint32_t bytes);
/* Does it tell, or ask, whose MAC is whose: ARP, neighbour discovery? */
bool gx_host_is_neighbor(const struct gx_host *host, const uint8_t *frame, uint32_t bytes);

/* Writes Ethernet, IP and UDP headers for a UDP payload of that size; returns their bytes, or 0: not to be sent (now).
 * The UDP checksum then holds the pseudo-header's sum, as devices that fill it in want it. */
uint32_t gx_host_headers(struct gx_host *host, uint64_t now, const struct gx_addr *to,
                         uint32_t payload_bytes, uint8_t out[GX_HOST_HEADERS_MAX]);
/* Completes the UDP checksum in software: `payload_sum` is gx_checksum_add() over the payload. */
void gx_host_checksum(const struct gx_host *host, uint8_t *headers, uint64_t payload_sum);
/* True when packets to this address could leave. */
bool gx_host_reaches(const struct gx_host *host, const struct gx_addr *to);
struct gx_addr gx_host_local(const struct gx_host *host);

/* The next frame that is due by itself (questions, announcements) and its bytes; 0: none. */
uint32_t gx_host_poll(struct gx_host *host, uint64_t now, uint8_t out[GX_HOST_ASK_BYTES]);
/* When gx_host_poll() is due; UINT64_MAX: not before the next packet. */
uint64_t gx_host_wake(const struct gx_host *host);
/* Tells the link our MAC again, after it was down. */
void gx_host_announce(struct gx_host *host, uint64_t now);

#endif
