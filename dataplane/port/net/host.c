#include "port/net/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "port/net/checksum.h"
#include "port/net/frame.h"

#define ANNOUNCES 3
#define ANNOUNCE_NS 1000000000ull

_Static_assert(sizeof(struct sockaddr_in6) == sizeof(struct gx_addr), "an address fits exactly");

/* ---- addresses ---- */

int gx_host_parse(const char *text, bool *v6, uint8_t ip[16], uint32_t *prefix_bits)
{
    char host[INET6_ADDRSTRLEN], *end;
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : 0;
    unsigned long bits;

    if (!slash || length >= sizeof(host) || slash[1] < '0' || slash[1] > '9')
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    memset(ip, 0, 16);
    *v6 = strchr(host, ':') != NULL;
    if (inet_pton(*v6 ? AF_INET6 : AF_INET, host, ip) != 1)
        return -EINVAL;
    bits = strtoul(slash + 1, &end, 10);
    if (*end || bits > (*v6 ? 128 : 32) || bits == 0)
        return -EINVAL;
    *prefix_bits = (uint32_t)bits;
    return 0;
}

static bool on_link(const struct gx_host *host, const uint8_t ip[16])
{
    uint32_t whole = host->prefix_bits / 8, rest = host->prefix_bits % 8;

    if (memcmp(host->ip, ip, whole) != 0)
        return false;
    return !rest || !((host->ip[whole] ^ ip[whole]) >> (8 - rest));
}

static bool usable(bool v6, const uint8_t ip[16])
{
    static const uint8_t zeros[16];

    return memcmp(ip, zeros, 16) != 0 && (v6 ? ip[0] != 0xff : ip[0] < 224);
}

int gx_host_init(struct gx_host *host, const struct gx_host_config *config, uint64_t now,
                 char *error, size_t error_bytes)
{
    memset(host, 0, sizeof(*host));
    gx_neighbors_init(&host->neighbors);
    if (gx_host_parse(config->address, &host->v6, host->ip, &host->prefix_bits) ||
        !usable(host->v6, host->ip)) {
        snprintf(
            error, error_bytes,
            "port address '%s': not an address with the length of its network's prefix, such as "
            "10.0.0.1/24 or fd00::1/64",
            config->address);
        return -EINVAL;
    }
    host->has_gateway = config->gateway && config->gateway[0];
    if (host->has_gateway &&
        (inet_pton(host->v6 ? AF_INET6 : AF_INET, config->gateway, host->gateway) != 1 ||
         !usable(host->v6, host->gateway) || !on_link(host, host->gateway))) {
        snprintf(error, error_bytes, "port gateway '%s': not an address of the network %s",
                 config->gateway, config->address);
        return -EINVAL;
    }
    host->udp_port = config->udp_port;
    memcpy(host->mac, config->mac, sizeof(host->mac));
    host->ip_checksum = config->ip_checksum;
    host->udp_checksum = config->udp_checksum;
    gx_host_announce(host, now);
    return 0;
}

/* The IP address and UDP port of a gx_addr. False: it is of the other version. */
static bool addr_split(const struct gx_host *host, const struct gx_addr *addr, uint8_t ip[16],
                       uint8_t port[2])
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memcpy(&v4, addr, sizeof(v4));
    memcpy(&v6, addr, sizeof(v6));
    memset(ip, 0, 16);
    if (v4.sin_family != (host->v6 ? AF_INET6 : AF_INET))
        return false;
    memcpy(ip, host->v6 ? (const void *)&v6.sin6_addr : (const void *)&v4.sin_addr,
           host->v6 ? 16 : 4);
    memcpy(port, host->v6 ? &v6.sin6_port : &v4.sin_port, 2);
    return true;
}

static void addr_make(const struct gx_host *host, const uint8_t *ip, const uint8_t port[2],
                      struct gx_addr *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    memset(out, 0, sizeof(*out));
    if (host->v6) {
        memcpy(&v6.sin6_addr, ip, 16);
        memcpy(&v6.sin6_port, port, 2);
        memcpy(out, &v6, sizeof(v6));
    } else {
        memcpy(&v4.sin_addr, ip, 4);
        memcpy(&v4.sin_port, port, 2);
        memcpy(out, &v4, sizeof(v4));
    }
}

struct gx_addr gx_host_local(const struct gx_host *host)
{
    struct gx_addr addr;
    uint8_t port[2];

    put_be16(port, host->udp_port);
    addr_make(host, host->ip, port, &addr);
    return addr;
}

/* Whose MAC a packet to `ip` needs; NULL: nobody's. */
static const uint8_t *next_hop(const struct gx_host *host, const uint8_t ip[16])
{
    if (!usable(host->v6, ip))
        return NULL;
    if (on_link(host, ip))
        return ip;
    return host->has_gateway ? host->gateway : NULL;
}

bool gx_host_reaches(const struct gx_host *host, const struct gx_addr *to)
{
    uint8_t ip[16], port[2];

    return addr_split(host, to, ip, port) && next_hop(host, ip);
}

/* ---- receiving ---- */

enum gx_host_verdict gx_udp_rx(struct gx_host *host, uint64_t now, const uint8_t *frame,
                               const uint8_t *ip, const uint8_t *udp, uint32_t bytes,
                               struct gx_host_rx *out)
{
    uint8_t from[16] = {0};
    const uint8_t *hop;
    uint32_t length;

    if (bytes < UDP_BYTES || (length = be16(udp + 4)) < UDP_BYTES || length > bytes) {
        host->counts.malformed++;
        return GX_HOST_DROP;
    }
    memcpy(from, ip, host->v6 ? 16 : 4);
    if (be16(udp + 2) != host->udp_port) {
        host->counts.other++;
        return GX_HOST_DROP;
    }
    if (!usable(host->v6, from) || !memcmp(from, host->ip, sizeof(from))) {
        host->counts.malformed++;
        return GX_HOST_DROP;
    }
    hop = next_hop(host, from);
    if (hop)
        gx_neighbors_seen(&host->neighbors, hop, frame + 6, now);
    addr_make(host, from, udp, &out->from);
    out->payload = udp + UDP_BYTES;
    out->payload_bytes = length - UDP_BYTES;
    return GX_HOST_UDP;
}

int32_t gx_host_port(const struct gx_host *host, const uint8_t *frame, uint32_t bytes)
{
    const uint8_t *ip = frame + GX_ETHERNET_BYTES;
    uint32_t head = host->v6 ? IP6_BYTES : IP4_BYTES;

    if (bytes < GX_ETHERNET_BYTES + head + UDP_BYTES ||
        be16(frame + 12) != (host->v6 ? ETHER_IPV6 : ETHER_IPV4) || ip[host->v6 ? 6 : 9] != IP_UDP)
        return -1;
    if (!host->v6)
        head = 4u * (ip[0] & 15);
    if (bytes < GX_ETHERNET_BYTES + head + UDP_BYTES)
        return -1;
    return be16(ip + head + 2);
}

bool gx_host_is_neighbor(const struct gx_host *host, const uint8_t *frame, uint32_t bytes)
{
    const uint8_t *ip = frame + GX_ETHERNET_BYTES;

    if (!host->v6)
        return bytes >= GX_ETHERNET_BYTES && be16(frame + 12) == ETHER_ARP;
    return bytes > GX_ETHERNET_BYTES + IP6_BYTES && be16(frame + 12) == ETHER_IPV6 &&
           ip[6] == IP_ICMPV6 && (ip[IP6_BYTES] == ND_ASK || ip[IP6_BYTES] == ND_ANSWER);
}

enum gx_host_verdict gx_host_rx(struct gx_host *host, uint64_t now, uint8_t *frame, uint32_t bytes,
                                uint32_t room, struct gx_host_rx *out)
{
    uint32_t type;

    host->last.bytes = 0; /* who is where may change */
    if (bytes < GX_ETHERNET_BYTES || room < bytes || frame[6] & 1) {
        host->counts.malformed++;
        return GX_HOST_DROP;
    }
    type = be16(frame + 12);
    /* Some links bring us everybody's frames. */
    if (!(frame[0] & 1) && memcmp(frame, host->mac, 6) != 0)
        type = 0;
    if (type == ETHER_IPV4 && !host->v6)
        return gx_ipv4_rx(host, now, frame, bytes, out);
    if (type == ETHER_ARP && !host->v6)
        return gx_arp_rx(host, now, frame, bytes, room, out);
    if (type == ETHER_IPV6 && host->v6)
        return gx_ipv6_rx(host, now, frame, bytes, room, out);
    host->counts.other++;
    return GX_HOST_DROP;
}

/* ---- sending ---- */

/* RFC 768, RFC 8200 section 8.1: addresses, protocol, length. */
static uint64_t pseudo_sum(const struct gx_host *host, const uint8_t *addresses, uint32_t udp_bytes)
{
    uint8_t rest[4] = {0, IP_UDP, (uint8_t)(udp_bytes >> 8), (uint8_t)udp_bytes};

    return gx_checksum_add(gx_checksum_add(0, addresses, host->v6 ? 32 : 8), rest, sizeof(rest));
}

static uint8_t *ipv4_put(const struct gx_host *host, uint8_t *ip, const uint8_t to[16])
{
    memset(ip, 0, IP4_BYTES);
    ip[0] = 0x45;
    ip[6] = 0x40; /* never fragmented */
    ip[8] = HOPS;
    ip[9] = IP_UDP;
    memcpy(ip + 12, host->ip, 4);
    memcpy(ip + 16, to, 4);
    return ip + IP4_BYTES;
}

static uint8_t *ipv6_put(const struct gx_host *host, uint8_t *ip, const uint8_t to[16])
{
    memset(ip, 0, 8);
    ip[0] = 0x60;
    ip[6] = IP_UDP;
    ip[7] = HOPS;
    memcpy(ip + 8, host->ip, 16);
    memcpy(ip + 24, to, 16);
    return ip + IP6_BYTES;
}

/* Of a packet without payload: the packet's own part is put in by headers_fit(). 0: it cannot be sent. */
static uint32_t headers_make(struct gx_host *host, uint64_t now, const struct gx_addr *to,
                             uint8_t out[GX_HOST_HEADERS_MAX])
{
    uint8_t ip[16], port[2], *udp;
    const uint8_t *hop, *mac;

    hop = addr_split(host, to, ip, port) ? next_hop(host, ip) : NULL;
    if (!hop) {
        host->counts.unreachable++;
        return 0;
    }
    mac = gx_neighbors_lookup(&host->neighbors, hop, now);
    if (!mac) {
        host->counts.unresolved++;
        return 0;
    }
    ether_put(out, mac, host->mac, host->v6 ? ETHER_IPV6 : ETHER_IPV4);
    udp = host->v6 ? ipv6_put(host, out + GX_ETHERNET_BYTES, ip)
                   : ipv4_put(host, out + GX_ETHERNET_BYTES, ip);
    put_be16(udp, host->udp_port);
    memcpy(udp + 2, port, 2);
    memset(udp + 4, 0, 4);
    return (uint32_t)(udp + UDP_BYTES - out);
}

/* What differs from packet to packet. */
static void headers_fit(struct gx_host *host, uint8_t *out, uint32_t header_bytes,
                        uint32_t payload_bytes)
{
    uint8_t *udp = out + header_bytes - UDP_BYTES, *ip = out + GX_ETHERNET_BYTES;
    uint32_t udp_bytes = UDP_BYTES + payload_bytes;
    uint16_t sum;

    if (host->v6) {
        put_be16(ip + 4, udp_bytes);
    } else {
        put_be16(ip + 2, IP4_BYTES + udp_bytes);
        put_be16(ip + 4, host->ip_id++);
    }
    if (!host->v6 && !host->ip_checksum) {
        sum = gx_checksum_finish(gx_checksum_add(0, ip, IP4_BYTES));
        memcpy(ip + 10, &sum, 2);
    }
    put_be16(udp + 4, udp_bytes);
    sum = gx_checksum_fold(pseudo_sum(host, udp - (host->v6 ? 32 : 8), udp_bytes));
    memcpy(udp + 6, &sum, 2);
}

uint32_t gx_host_headers(struct gx_host *host, uint64_t now, const struct gx_addr *to,
                         uint32_t payload_bytes, uint8_t out[GX_HOST_HEADERS_MAX])
{
    struct gx_host_template *last = &host->last;

    if (!last->bytes || last->now != now || memcmp(&last->to, to, sizeof(*to)) != 0) {
        last->bytes = headers_make(host, now, to, last->headers);
        last->now = now;
        last->to = *to;
        if (!last->bytes)
            return 0;
    }
    memcpy(out, last->headers, sizeof(last->headers));
    headers_fit(host, out, last->bytes, payload_bytes);
    return last->bytes;
}

void gx_host_checksum(const struct gx_host *host, uint8_t *headers, uint64_t payload_sum)
{
    uint8_t *udp = headers + GX_ETHERNET_BYTES + (host->v6 ? IP6_BYTES : IP4_BYTES);
    uint16_t sum;

    if (host->udp_checksum)
        return;
    sum = gx_checksum_finish(gx_checksum_add(payload_sum, udp, UDP_BYTES));
    if (!sum)
        sum = 0xffff; /* 0 says that there is none */
    memcpy(udp + 6, &sum, 2);
}

/* ---- by itself ---- */

void gx_host_announce(struct gx_host *host, uint64_t now)
{
    host->announces = ANNOUNCES;
    host->announce_ns = now;
}

uint32_t gx_host_poll(struct gx_host *host, uint64_t now, uint8_t out[GX_HOST_ASK_BYTES])
{
    const struct gx_neighbor *neighbor;

    if (host->announces && host->announce_ns <= now) {
        host->announces--;
        host->announce_ns = now + ANNOUNCE_NS;
        /* A question for our own address is RFC 5227's announcement. */
        return host->v6 ? gx_ipv6_announce(host, out) : gx_arp_ask(host, host->ip, out);
    }
    neighbor = gx_neighbors_due(&host->neighbors, now);
    if (!neighbor)
        return 0;
    return host->v6 ? gx_ipv6_ask(host, neighbor->ip, out) : gx_arp_ask(host, neighbor->ip, out);
}

uint64_t gx_host_wake(const struct gx_host *host)
{
    uint64_t due = gx_neighbors_wake(&host->neighbors);

    return host->announces && host->announce_ns < due ? host->announce_ns : due;
}
