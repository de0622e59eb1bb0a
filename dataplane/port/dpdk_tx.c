#include "port/dpdk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>

#include "gx_assert.h"
#include "port/clock.h"
#include "port/net/checksum.h"

#define HEAD_ROOM (RTE_PKTMBUF_HEADROOM + 128u) /* headers: 62 bytes, and 48 of ours */
#define CACHE 256u
#define STUCK_NS (100 * GX_NS_PER_MS) /* a device that takes nothing for so long loses what waits */
#define CLEANUP_NS GX_NS_PER_MS

_Static_assert(HEAD_ROOM >= RTE_PKTMBUF_HEADROOM + GX_HOST_HEADERS_MAX + GX_HEADER_BYTES,
               "all headers lie in one mbuf");
_Static_assert(GX_DPDK_SLOTS <= UINT16_MAX, "slots are numbered by 16 bits");

/* ---- what comes back ---- */

/* Whoever frees the last reference calls this; on a ring between two ports that is the other port's thread. */
static void on_freed(void *address, void *opaque)
{
    struct gx_dpdk_slot *slot = opaque;

    (void)address;
    GX_ASSERT(rte_ring_mp_enqueue(slot->gone, slot) == 0);
}

void gx_dpdk_reclaim(struct gx_dpdk *d, uint64_t now)
{
    void *gone[64];
    unsigned count;

    if (!d->external || d->free_count == GX_DPDK_SLOTS)
        return;
    /* Drivers of NICs take back what was sent when something is sent: the last packets would stay for ever. */
    if (d->device.registered && now - d->cleanup_ns > CLEANUP_NS) {
        rte_eth_tx_done_cleanup(d->device.port_id, d->queue, 0);
        d->cleanup_ns = now;
    }
    while ((count = rte_ring_sc_dequeue_burst(d->gone, gone, 64, NULL)))
        for (unsigned i = 0; i < count; i++) {
            struct gx_dpdk_slot *slot = gone[i];

            d->free_slots[d->free_count++] = (uint16_t)(slot - d->slots);
            d->base.release(d->base.ctx, slot->owner);
        }
}

/* ---- to the device ---- */

static void lose(struct gx_dpdk *d, struct rte_mbuf **mbufs, uint32_t count, int error)
{
    rte_pktmbuf_free_bulk(mbufs, count);
    d->base.stats.tx_errors += count;
    d->base.stats.last_error = error;
}

void gx_dpdk_flush(struct gx_dpdk *d, uint64_t now)
{
    uint32_t sent;

    if (!d->pending_count)
        return;
    sent = d->device.started
               ? rte_eth_tx_burst(d->device.port_id, d->queue, d->pending + d->pending_first,
                                  (uint16_t)d->pending_count)
               : 0;
    d->base.stats.tx_packets += sent;
    d->pending_first += sent;
    d->pending_count -= sent;
    if (sent) {
        d->base.stats.tx_bursts++;
        d->pending_ns = now;
    } else if (d->base.stats.link_down || now - d->pending_ns > STUCK_NS) {
        lose(d, d->pending + d->pending_first, d->pending_count,
             d->base.stats.link_down ? ENETDOWN : ENOBUFS);
        d->pending_count = 0;
    }
}

static void transmit(struct gx_dpdk *d, struct rte_mbuf **mbufs, uint32_t count, uint64_t now)
{
    uint32_t sent = 0;

    if (!d->pending_count && count) {
        sent = rte_eth_tx_burst(d->device.port_id, d->queue, mbufs, (uint16_t)count);
        d->base.stats.tx_packets += sent;
        d->base.stats.tx_bursts += sent > 0;
    }
    if (sent == count)
        return;
    if (!d->pending_count) {
        d->pending_first = 0;
        d->pending_ns = now;
    }
    d->base.stats.tx_retries++;
    GX_ASSERT(d->pending_first + d->pending_count + count - sent <= GX_DPDK_PENDING_MAX);
    memcpy(d->pending + d->pending_first + d->pending_count, mbufs + sent,
           (count - sent) * sizeof(mbufs[0]));
    d->pending_count += count - sent;
}

void gx_dpdk_send(struct gx_dpdk *d, struct rte_mbuf *mbuf)
{
    if (d->pending_count || !d->device.started ||
        !rte_eth_tx_burst(d->device.port_id, d->queue, &mbuf, 1))
        rte_pktmbuf_free(mbuf);
}

/* ---- one packet ---- */

static bool readable(const struct gx_dpdk *d, const struct gx_packet *packet)
{
    const struct gx_dpdk *first = gx_dpdk_first(d);
    uintptr_t start = (uintptr_t)packet->payload;

    if (!d->device.registered)
        return true;
    for (uint32_t i = 0; i < GX_DPDK_REGIONS_MAX; i++) {
        size_t bytes = __atomic_load_n(&first->regions[i].bytes, __ATOMIC_ACQUIRE);

        if (bytes && start >= first->regions[i].base &&
            start + packet->payload_bytes <= first->regions[i].base + bytes)
            return true;
    }
    return false;
}

static void offload(const struct gx_dpdk *d, struct rte_mbuf *mbuf)
{
    const struct gx_host *host = &d->host;

    if (!host->ip_checksum && !host->udp_checksum)
        return;
    mbuf->l2_len = GX_ETHERNET_BYTES;
    mbuf->l3_len = host->v6 ? 40 : 20;
    mbuf->ol_flags |= host->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
    if (host->ip_checksum && !host->v6)
        mbuf->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
    if (host->udp_checksum)
        mbuf->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
}

static void checksum(const struct gx_dpdk *d, uint8_t *headers, const struct gx_packet *packet)
{
    uint64_t sum;

    if (d->host.udp_checksum)
        return;
    sum = gx_checksum_add(0, packet->header, GX_HEADER_BYTES);
    gx_host_checksum(&d->host, headers,
                     gx_checksum_add(sum, packet->payload, packet->payload_bytes));
}

/* Two segments: ours, and the payload where it lies. */
static struct rte_mbuf *packet_external(struct gx_dpdk *d, const struct gx_packet *packet,
                                        const uint8_t *headers, uint32_t header_bytes)
{
    struct rte_mbuf *head = d->head_stash[--d->head_count];
    struct rte_mbuf *tail = d->tail_stash[--d->tail_count];
    struct gx_dpdk_slot *slot = &d->slots[d->free_slots[--d->free_count]];
    uint8_t *bytes = rte_pktmbuf_mtod(head, uint8_t *);

    memcpy(bytes, headers, header_bytes);
    memcpy(bytes + header_bytes, packet->header, GX_HEADER_BYTES);
    head->data_len = (uint16_t)(header_bytes + GX_HEADER_BYTES);
    slot->owner = packet->owner;
    rte_mbuf_ext_refcnt_set(&slot->info, 1);
    /* With iova-mode va an address is the device's address too. */
    rte_pktmbuf_attach_extbuf(tail, (void *)(uintptr_t)packet->payload, (uintptr_t)packet->payload,
                              (uint16_t)packet->payload_bytes, &slot->info);
    tail->data_off = 0;
    tail->data_len = (uint16_t)packet->payload_bytes;
    head->next = tail;
    head->nb_segs = 2;
    head->pkt_len = head->data_len + packet->payload_bytes;
    d->base.stats.tx_external_bytes += packet->payload_bytes;
    return head;
}

static struct rte_mbuf *packet_copied(struct gx_dpdk *d, const struct gx_packet *packet,
                                      const uint8_t *headers, uint32_t header_bytes)
{
    struct rte_mbuf *mbuf = d->copy_stash[--d->copy_count];
    uint8_t *bytes = rte_pktmbuf_mtod(mbuf, uint8_t *);

    memcpy(bytes, headers, header_bytes);
    memcpy(bytes + header_bytes, packet->header, GX_HEADER_BYTES);
    if (packet->payload_bytes)
        memcpy(bytes + header_bytes + GX_HEADER_BYTES, packet->payload, packet->payload_bytes);
    mbuf->data_len = (uint16_t)(header_bytes + GX_HEADER_BYTES + packet->payload_bytes);
    mbuf->pkt_len = mbuf->data_len;
    if (d->external)
        d->base.stats.tx_copied_memory_bytes += packet->payload_bytes;
    else
        d->base.stats.tx_copied_driver_bytes += packet->payload_bytes;
    return mbuf;
}

/* NULL: it cannot be sent, and is counted. */
static struct rte_mbuf *packet_make(struct gx_dpdk *d, const struct gx_packet *packet, uint64_t now,
                                    bool *external)
{
    uint8_t headers[GX_HOST_HEADERS_MAX];
    uint32_t bytes = GX_HEADER_BYTES + packet->payload_bytes, header_bytes;
    struct gx_port_stats *stats = &d->base.stats;
    uint64_t unresolved = d->host.counts.unresolved;
    struct rte_mbuf *mbuf;

    header_bytes = gx_host_headers(&d->host, now, &packet->to, bytes, headers);
    if (!header_bytes && d->host.counts.unresolved > unresolved) {
        stats->tx_unresolved++;
        return NULL;
    }
    if (!header_bytes || header_bytes - GX_ETHERNET_BYTES + bytes > d->device.mtu ||
        stats->link_down) {
        stats->tx_errors++;
        stats->last_error = stats->link_down ? ENETDOWN : header_bytes ? EMSGSIZE : ENETUNREACH;
        return NULL;
    }
    checksum(d, headers, packet);
    *external = d->external && packet->payload_bytes && readable(d, packet);
    mbuf = *external ? packet_external(d, packet, headers, header_bytes)
                     : packet_copied(d, packet, headers, header_bytes);
    offload(d, mbuf);
    return mbuf;
}

static bool stash_fill(struct rte_mempool *pool, struct rte_mbuf **stash, uint32_t *count)
{
    uint32_t lack = GX_PORT_BURST - *count;

    if (!lack || rte_pktmbuf_alloc_bulk(pool, stash + *count, lack) == 0) {
        *count = GX_PORT_BURST;
        return true;
    }
    return false;
}

uint32_t gx_dpdk_room(struct gx_port *port)
{
    struct gx_dpdk *d = (struct gx_dpdk *)(void *)port;
    struct rte_mempool *pool = d->device.pools[d->queue];
    uint32_t room;

    if (d->pending_count)
        return 0;
    if (!stash_fill(pool, d->copy_stash, &d->copy_count))
        port->stats.pool_empty++;
    room = d->copy_count;
    if (!d->external)
        return room;
    if (!stash_fill(d->heads, d->head_stash, &d->head_count) ||
        !stash_fill(d->tails, d->tail_stash, &d->tail_count))
        port->stats.pool_empty++;
    room = room < d->head_count ? room : d->head_count;
    room = room < d->tail_count ? room : d->tail_count;
    return room < d->free_count ? room : d->free_count;
}

void gx_dpdk_tx(struct gx_port *port, const struct gx_packet *packets, uint32_t count)
{
    struct gx_dpdk *d = (struct gx_dpdk *)(void *)port;
    struct rte_mbuf *out[GX_PORT_BURST];
    uint64_t now = gx_clock_ns();
    uint32_t made = 0;

    GX_ASSERT(count <= GX_PORT_BURST);
    for (uint32_t i = 0; i < count; i++) {
        bool external = false;
        struct rte_mbuf *mbuf = packet_make(d, &packets[i], now, &external);

        if (mbuf)
            out[made++] = mbuf;
        if (!external)
            port->release(port->ctx, packets[i].owner);
    }
    transmit(d, out, made, now);
    gx_dpdk_reclaim(d, now);
}

/* ---- life ---- */

static int external_init(struct gx_dpdk *d)
{
    int socket = rte_eth_dev_socket_id(d->device.port_id);
    unsigned count = GX_DPDK_SLOTS + 2 * CACHE;
    char name[32];

    snprintf(name, sizeof(name), "gxh%u_%u", d->device.port_id, d->queue);
    d->heads = rte_pktmbuf_pool_create(name, count, CACHE, 0, HEAD_ROOM, socket);
    snprintf(name, sizeof(name), "gxt%u_%u", d->device.port_id, d->queue);
    d->tails = rte_pktmbuf_pool_create(name, count, CACHE, 0, 0, socket);
    snprintf(name, sizeof(name), "gxg%u_%u", d->device.port_id, d->queue);
    d->gone = rte_ring_create(name, 2 * GX_DPDK_SLOTS, socket, RING_F_SC_DEQ);
    d->slots = calloc(GX_DPDK_SLOTS, sizeof(d->slots[0]));
    d->free_slots = calloc(GX_DPDK_SLOTS, sizeof(d->free_slots[0]));
    if (!d->heads || !d->tails || !d->gone || !d->slots || !d->free_slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < GX_DPDK_SLOTS; i++) {
        d->slots[i].gone = d->gone;
        d->slots[i].info.free_cb = on_freed;
        d->slots[i].info.fcb_opaque = &d->slots[i];
        d->free_slots[i] = (uint16_t)i;
    }
    d->free_count = GX_DPDK_SLOTS;
    return 0;
}

int gx_dpdk_tx_init(struct gx_dpdk *d, char *error, size_t error_bytes)
{
    int ret;

    d->external = d->device.segments;
    ret = d->external ? external_init(d) : 0;
    if (ret)
        snprintf(error, error_bytes,
                 "device %s: no memory for its packets' headers; give DPDK more "
                 "with `eal: -m MiB`",
                 d->device.name);
    return ret;
}

/* The device is closed: what it held came back, except what another port of this process still holds. */
void gx_dpdk_tx_fini(struct gx_dpdk *d)
{
    rte_pktmbuf_free_bulk(d->head_stash, d->head_count);
    rte_pktmbuf_free_bulk(d->tail_stash, d->tail_count);
    rte_mempool_free(d->heads);
    rte_mempool_free(d->tails);
    rte_ring_free(d->gone);
    free(d->slots);
    free(d->free_slots);
}
