#include "port/net/checksum.h"
#include "port/net/frame.h"

#define ECHO 128
#define ECHO_REPLY 129
#define ICMP_BYTES 8
#define TARGET_BYTES 24 /* ICMPv6 head and the target address */
#define OPTION_BYTES 8  /* a link-layer address */
#define SOURCE_MAC 1
#define TARGET_MAC 2
#define HOPS_LINK 255 /* never forwarded: RFC 4861 section 7.1 */
#define ANSWER_SOLICITED 0x60
#define ANSWER_OVERRIDE 0x20

static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};

static void head_put(uint8_t *ip, uint32_t payload_bytes, uint8_t hops, const uint8_t from[16],
                     const uint8_t to[16])
{
    memset(ip, 0, 8);
    ip[0] = 0x60;
    put_be16(ip + 4, payload_bytes);
    ip[6] = IP_ICMPV6;
    ip[7] = hops;
    memmove(ip + 24, to, 16);
    memcpy(ip + 8, from, 16);
}

static uint64_t icmp_sum(const uint8_t *ip, uint32_t icmp_bytes)
{
    uint8_t rest[4] = {0, IP_ICMPV6, (uint8_t)(icmp_bytes >> 8), (uint8_t)icmp_bytes};

    return gx_checksum_add(gx_checksum_add(gx_checksum_add(0, ip + 8, 32), rest, sizeof(rest)),
                           ip + IP6_BYTES, icmp_bytes);
}

static void icmp_finish(uint8_t *ip, uint32_t icmp_bytes)
{
    uint16_t sum = 0;

    memcpy(ip + IP6_BYTES + 2, &sum, 2);
    sum = gx_checksum_finish(icmp_sum(ip, icmp_bytes));
    memcpy(ip + IP6_BYTES + 2, &sum, 2);
}

/* A question or an answer about `target`, with our MAC as the option. */
static uint32_t neighbor_put(uint8_t *frame, const struct gx_host *host, const uint8_t to_mac[6],
                             const uint8_t to[16], uint8_t type, uint8_t flags,
                             const uint8_t target[16])
{
    uint8_t *ip = frame + GX_ETHERNET_BYTES, *icmp = ip + IP6_BYTES;

    ether_put(frame, to_mac, host->mac, ETHER_IPV6);
    head_put(ip, TARGET_BYTES + OPTION_BYTES, HOPS_LINK, host->ip, to);
    memset(icmp, 0, ICMP_BYTES);
    icmp[0] = type;
    icmp[4] = flags;
    memcpy(icmp + ICMP_BYTES, target, 16);
    icmp[TARGET_BYTES] = type == ND_ASK ? SOURCE_MAC : TARGET_MAC;
    icmp[TARGET_BYTES + 1] = OPTION_BYTES / 8;
    memcpy(icmp + TARGET_BYTES + 2, host->mac, 6);
    icmp_finish(ip, TARGET_BYTES + OPTION_BYTES);
    return GX_ETHERNET_BYTES + IP6_BYTES + TARGET_BYTES + OPTION_BYTES;
}

uint32_t gx_ipv6_ask(const struct gx_host *host, const uint8_t ip[16], uint8_t *out)
{
    /* The solicited-node group: RFC 4291 section 2.7.1. */
    uint8_t group[16] = {
        0xff, 0x02, [11] = 1, [12] = 0xff, [13] = ip[13], [14] = ip[14], [15] = ip[15]};
    uint8_t mac[6] = {0x33, 0x33, 0xff, ip[13], ip[14], ip[15]};

    return neighbor_put(out, host, mac, group, ND_ASK, 0, ip);
}

uint32_t gx_ipv6_announce(const struct gx_host *host, uint8_t *out)
{
    return neighbor_put(out, host, all_nodes_mac, all_nodes, ND_ANSWER, ANSWER_OVERRIDE, host->ip);
}

/* The MAC in an option of that type, NULL: none, or the options are malformed. */
static const uint8_t *option_mac(const uint8_t *icmp, uint32_t bytes, uint8_t type)
{
    const uint8_t *found = NULL;

    for (uint32_t at = TARGET_BYTES; at < bytes;) {
        uint32_t length = at + 2 <= bytes ? icmp[at + 1] * 8u : 0;

        if (!length || length > bytes - at)
            return NULL;
        if (icmp[at] == type && length == OPTION_BYTES && !(icmp[at + 2] & 1))
            found = icmp + at + 2;
        at += length;
    }
    return found;
}

static enum gx_host_verdict ask_rx(struct gx_host *host, uint64_t now, uint8_t *frame,
                                   uint32_t bytes, uint32_t room, struct gx_host_rx *out)
{
    static const uint8_t nobody[16];
    const uint8_t *ip = frame + GX_ETHERNET_BYTES, *icmp = ip + IP6_BYTES;
    const uint8_t *mac = option_mac(icmp, bytes, SOURCE_MAC);
    uint8_t to[16], to_mac[6];

    if (memcmp(icmp + ICMP_BYTES, host->ip, 16) != 0 ||
        room < GX_ETHERNET_BYTES + IP6_BYTES + TARGET_BYTES + OPTION_BYTES)
        return GX_HOST_DONE;
    memcpy(to, ip + 8, 16);
    memcpy(to_mac, mac ? mac : frame + 6, 6);
    host->counts.answered++;
    if (!memcmp(to, nobody, 16)) { /* somebody tries whether the address is free */
        host->counts.conflict++;
        out->reply_bytes = gx_ipv6_announce(host, frame);
        return GX_HOST_REPLY;
    }
    if (mac)
        gx_neighbors_learn(&host->neighbors, to, to_mac, now);
    out->reply_bytes = neighbor_put(frame, host, to_mac, to, ND_ANSWER, ANSWER_SOLICITED, host->ip);
    return GX_HOST_REPLY;
}

static enum gx_host_verdict answer_rx(struct gx_host *host, uint64_t now, const uint8_t *icmp,
                                      uint32_t bytes)
{
    const uint8_t *mac = option_mac(icmp, bytes, TARGET_MAC);

    if (!memcmp(icmp + ICMP_BYTES, host->ip, 16))
        host->counts.conflict++;
    else if (mac)
        gx_neighbors_learn(&host->neighbors, icmp + ICMP_BYTES, mac, now);
    return GX_HOST_DONE;
}

static enum gx_host_verdict echo_rx(struct gx_host *host, uint8_t *frame, uint32_t bytes,
                                    struct gx_host_rx *out)
{
    uint8_t *ip = frame + GX_ETHERNET_BYTES, to[16];

    host->counts.echo++;
    memcpy(to, ip + 8, 16);
    ether_put(frame, frame + 6, host->mac, ETHER_IPV6);
    head_put(ip, bytes, HOPS, host->ip, to);
    ip[IP6_BYTES] = ECHO_REPLY;
    icmp_finish(ip, bytes);
    out->reply_bytes = GX_ETHERNET_BYTES + IP6_BYTES + bytes;
    return GX_HOST_REPLY;
}

static enum gx_host_verdict icmp_rx(struct gx_host *host, uint64_t now, uint8_t *frame,
                                    uint32_t bytes, uint32_t room, bool ours,
                                    struct gx_host_rx *out)
{
    uint8_t *ip = frame + GX_ETHERNET_BYTES, *icmp = ip + IP6_BYTES;
    bool neighbor;

    if (bytes < ICMP_BYTES) {
        host->counts.malformed++;
        return GX_HOST_DROP;
    }
    if (gx_checksum_fold(icmp_sum(ip, bytes)) != 0xffff) {
        host->counts.checksum++;
        return GX_HOST_DROP;
    }
    neighbor = ip[7] == HOPS_LINK && !icmp[1] && bytes >= TARGET_BYTES;
    if (icmp[0] == ND_ASK && neighbor)
        return ask_rx(host, now, frame, bytes, room, out);
    if (icmp[0] == ND_ANSWER && neighbor)
        return answer_rx(host, now, icmp, bytes);
    if (icmp[0] == ECHO && !icmp[1] && ours && ip[8] != 0xff && !(frame[0] & 1))
        return echo_rx(host, frame, bytes, out);
    host->counts.other++;
    return GX_HOST_DROP;
}

enum gx_host_verdict gx_ipv6_rx(struct gx_host *host, uint64_t now, uint8_t *frame, uint32_t bytes,
                                uint32_t room, struct gx_host_rx *out)
{
    uint8_t *ip = frame + GX_ETHERNET_BYTES;
    uint32_t left = bytes - GX_ETHERNET_BYTES, ip_bytes;
    bool ours;

    if (left < IP6_BYTES || ip[0] >> 4 != 6 || (ip_bytes = be16(ip + 4)) > left - IP6_BYTES) {
        host->counts.malformed++;
        return GX_HOST_DROP;
    }
    ours = !memcmp(ip + 24, host->ip, 16);
    if (!ours && ip[24] != 0xff) {
        host->counts.other++;
        return GX_HOST_DROP;
    }
    if (ip[6] == IP_UDP && ours)
        return gx_udp_rx(host, now, frame, ip + 8, ip + IP6_BYTES, ip_bytes, out);
    if (ip[6] == IP_ICMPV6)
        return icmp_rx(host, now, frame, ip_bytes, room, ours, out);
    host->counts.other++;
    return GX_HOST_DROP;
}
