#include "port/net/checksum.h"
#include "port/net/frame.h"

#define ARP_BYTES 28
#define ARP_ASK 1
#define ARP_ANSWER 2
#define ICMP_ECHO 8
#define ICMP_ECHO_REPLY 0
#define ICMP_BYTES 8
#define FRAGMENT_MASK 0x3fff /* more fragments, and the offset */

static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void arp_put(uint8_t *arp, uint32_t operation, const struct gx_host *host,
                    const uint8_t to_mac[6], const uint8_t to_ip[4])
{
    put_be16(arp, 1);
    put_be16(arp + 2, ETHER_IPV4);
    arp[4] = 6;
    arp[5] = 4;
    put_be16(arp + 6, operation);
    memmove(arp + 18, to_mac, 6);
    memmove(arp + 24, to_ip, 4);
    memcpy(arp + 8, host->mac, 6);
    memcpy(arp + 14, host->ip, 4);
}

uint32_t gx_arp_ask(const struct gx_host *host, const uint8_t ip[16], uint8_t *out)
{
    static const uint8_t nobody[6];

    ether_put(out, everybody, host->mac, ETHER_ARP);
    arp_put(out + GX_ETHERNET_BYTES, ARP_ASK, host, nobody, ip);
    return ether_pad(out, GX_ETHERNET_BYTES + ARP_BYTES);
}

enum gx_host_verdict gx_arp_rx(struct gx_host *host, uint64_t now, uint8_t *frame, uint32_t bytes,
                               uint32_t room, struct gx_host_rx *out)
{
    uint8_t *arp = frame + GX_ETHERNET_BYTES;
    uint8_t sender[16] = {0};
    uint32_t operation;

    if (bytes < GX_ETHERNET_BYTES + ARP_BYTES || room < ETHER_MIN || be16(arp) != 1 ||
        be16(arp + 2) != ETHER_IPV4 || arp[4] != 6 || arp[5] != 4 || arp[8] & 1) {
        host->counts.malformed++;
        return GX_HOST_DROP;
    }
    operation = be16(arp + 6);
    memcpy(sender, arp + 14, 4);
    if (!memcmp(sender, host->ip, 4)) {
        host->counts.conflict++;
        return GX_HOST_DROP;
    }
    gx_neighbors_learn(&host->neighbors, sender, arp + 8, now);
    if (operation != ARP_ASK || memcmp(arp + 24, host->ip, 4) != 0)
        return GX_HOST_DONE;
    host->counts.answered++;
    ether_put(frame, frame + 6, host->mac, ETHER_ARP);
    arp_put(arp, ARP_ANSWER, host, arp + 8, arp + 14);
    out->reply_bytes = ether_pad(frame, GX_ETHERNET_BYTES + ARP_BYTES);
    return GX_HOST_REPLY;
}

static enum gx_host_verdict icmp_rx(struct gx_host *host, uint8_t *frame, uint32_t head_bytes,
                                    uint32_t icmp_bytes, struct gx_host_rx *out)
{
    uint8_t *ip = frame + GX_ETHERNET_BYTES, *icmp = ip + head_bytes, address[4];
    uint16_t sum = 0;

    if (icmp_bytes < ICMP_BYTES) {
        host->counts.malformed++;
        return GX_HOST_DROP;
    }
    if (gx_checksum_fold(gx_checksum_add(0, icmp, icmp_bytes)) != 0xffff) {
        host->counts.checksum++;
        return GX_HOST_DROP;
    }
    if (icmp[0] != ICMP_ECHO || icmp[1] || frame[0] & 1) {
        host->counts.other++;
        return GX_HOST_DROP;
    }
    host->counts.echo++;
    ether_put(frame, frame + 6, host->mac, ETHER_IPV4);
    memcpy(address, ip + 12, 4);
    memcpy(ip + 12, host->ip, 4);
    memcpy(ip + 16, address, 4);
    ip[8] = HOPS;
    memcpy(ip + 10, &sum, 2);
    sum = gx_checksum_finish(gx_checksum_add(0, ip, head_bytes));
    memcpy(ip + 10, &sum, 2);
    sum = 0;
    icmp[0] = ICMP_ECHO_REPLY;
    memcpy(icmp + 2, &sum, 2);
    sum = gx_checksum_finish(gx_checksum_add(0, icmp, icmp_bytes));
    memcpy(icmp + 2, &sum, 2);
    out->reply_bytes = GX_ETHERNET_BYTES + head_bytes + icmp_bytes;
    return GX_HOST_REPLY;
}

enum gx_host_verdict gx_ipv4_rx(struct gx_host *host, uint64_t now, uint8_t *frame, uint32_t bytes,
                                struct gx_host_rx *out)
{
    uint8_t *ip = frame + GX_ETHERNET_BYTES;
    uint32_t room = bytes - GX_ETHERNET_BYTES, head_bytes, ip_bytes;

    if (room < IP4_BYTES || ip[0] >> 4 != 4 || (head_bytes = (ip[0] & 15u) * 4) < IP4_BYTES ||
        (ip_bytes = be16(ip + 2)) < head_bytes || ip_bytes > room) {
        host->counts.malformed++;
        return GX_HOST_DROP;
    }
    if (gx_checksum_fold(gx_checksum_add(0, ip, head_bytes)) != 0xffff) {
        host->counts.checksum++;
        return GX_HOST_DROP;
    }
    if (memcmp(ip + 16, host->ip, 4) != 0) {
        host->counts.other++;
        return GX_HOST_DROP;
    }
    if (be16(ip + 6) & FRAGMENT_MASK) {
        host->counts.fragment++;
        return GX_HOST_DROP;
    }
    if (ip[9] == IP_UDP)
        return gx_udp_rx(host, now, frame, ip + 12, ip + head_bytes, ip_bytes - head_bytes, out);
    if (ip[9] == IP_ICMP)
        return icmp_rx(host, frame, head_bytes, ip_bytes - head_bytes, out);
    host->counts.other++;
    return GX_HOST_DROP;
}
