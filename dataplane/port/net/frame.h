/* gx_frame: where fields stand in Ethernet, ARP, IP, ICMP and UDP, and big-endian access to them. Private to net/. */
#ifndef GX_NET_FRAME_H
#define GX_NET_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "port/net/host.h"

#define ETHER_IPV4 0x0800
#define ETHER_ARP 0x0806
#define ETHER_IPV6 0x86dd
#define ETHER_MIN 60 /* shorter frames are padded */
#define IP_ICMP 1
#define IP_UDP 17
#define IP_ICMPV6 58
#define IP4_BYTES 20
#define IP6_BYTES 40
#define ND_ASK 135    /* neighbour solicitation */
#define ND_ANSWER 136 /* neighbour advertisement */
#define UDP_BYTES 8
#define HOPS 64

static inline uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void put_be16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void ether_put(uint8_t *frame, const uint8_t to[6], const uint8_t from[6],
                             uint32_t type)
{
    memmove(frame, to, 6);
    memcpy(frame + 6, from, 6);
    put_be16(frame + 12, type);
}

/* A short frame is padded with zeros to what Ethernet needs; `frame` has room for that. */
static inline uint32_t ether_pad(uint8_t *frame, uint32_t bytes)
{
    if (bytes >= ETHER_MIN)
        return bytes;
    memset(frame + bytes, 0, ETHER_MIN - bytes);
    return ETHER_MIN;
}

/* ipv4.c */
enum gx_host_verdict gx_arp_rx(struct gx_host *host, uint64_t now, uint8_t *frame, uint32_t bytes,
                               uint32_t room, struct gx_host_rx *out);
enum gx_host_verdict gx_ipv4_rx(struct gx_host *host, uint64_t now, uint8_t *frame, uint32_t bytes,
                                struct gx_host_rx *out);
uint32_t gx_arp_ask(const struct gx_host *host, const uint8_t ip[16], uint8_t *out);
/* ipv6.c */
enum gx_host_verdict gx_ipv6_rx(struct gx_host *host, uint64_t now, uint8_t *frame, uint32_t bytes,
                                uint32_t room, struct gx_host_rx *out);
uint32_t gx_ipv6_ask(const struct gx_host *host, const uint8_t ip[16], uint8_t *out);
uint32_t gx_ipv6_announce(const struct gx_host *host, uint8_t *out);
/* host.c: a UDP datagram of `bytes` bytes at most, found in an IP packet. */
enum gx_host_verdict gx_udp_rx(struct gx_host *host, uint64_t now, const uint8_t *frame,
                               const uint8_t *ip, const uint8_t *udp, uint32_t bytes,
                               struct gx_host_rx *out);

#endif
