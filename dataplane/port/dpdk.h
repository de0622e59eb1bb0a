/* gx_dpdk: the port on a DPDK device; private to dpdk.c and dpdk_tx.c.
 *
 * Sending   With a device that takes frames of several segments, a packet is two mbufs: the headers, and one without
 *           memory of its own whose data is the payload where it lies. When the second is freed, by whomever, its slot
 *           comes back through `gone`, and the owner is released at the next rx or tx. Otherwise payload and headers are
 *           copied into one mbuf of the device's own pool, and the owner is released at once.
 * Pressure  room() takes the mbufs for the packets that it promises. What the device does not take waits in `pending`,
 *           and nothing else is sent before it.
 * Workers   each has a queue of the device, and a struct gx_dpdk. What arrives on the queue of another one is handed over
 *           in mbufs, by the UDP port; what tells of neighbours goes to all. The first has the device: only it looks
 *           after its link, and closing it closes all.
 */
#ifndef GX_PORT_DPDK_H
#define GX_PORT_DPDK_H

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "port/device.h"
#include "port/net/host.h"
#include "port/port.h"

#define GX_DPDK_SLOTS 4096u
#define GX_DPDK_REGIONS_MAX 16
#define GX_DPDK_PENDING_MAX (2 * GX_PORT_BURST)

struct gx_dpdk_slot {
    struct rte_mbuf_ext_shared_info info;
    struct rte_ring *gone;
    uint32_t owner;
};

struct gx_dpdk {
    struct gx_port base;
    struct gx_device device; /* of all but the first a copy */
    struct gx_host host;
    uint16_t queue; /* the worker */
    struct gx_dpdk **team;
    uint16_t team_count;
    struct rte_ring *handed; /* frames from the other workers … */
    int handed_fd;           /* … and the eventfd that tells of them; -1 of a single worker */
    uint32_t told;           /* workers, a bit each, to whom the last burst handed something */
    uint32_t mtu;
    char lcores[64];
    /* Receiving. */
    struct rte_mbuf *held[GX_PORT_BURST];
    uint32_t held_count;
    bool more; /* the last burst was full: there may be more */
    /* Sending. */
    bool external;
    struct rte_mempool *heads, *tails;
    struct rte_mbuf *head_stash[GX_PORT_BURST], *tail_stash[GX_PORT_BURST],
        *copy_stash[GX_PORT_BURST];
    uint32_t head_count, tail_count, copy_count;
    struct gx_dpdk_slot *slots;
    uint16_t *free_slots;
    uint32_t free_count;
    struct rte_ring *gone;
    uint64_t cleanup_ns;
    struct rte_mbuf *pending[GX_DPDK_PENDING_MAX];
    uint32_t pending_first, pending_count;
    uint64_t pending_ns; /* since when the device takes nothing */
    /* Memory that a NIC can read; written by main, read by the worker: a region is valid when `bytes` is not 0. */
    struct {
        uintptr_t base;
        size_t bytes;
    } regions[GX_DPDK_REGIONS_MAX];
    /* Sleeping. */
    int epoll_fd;
    int nap_fd; /* the same without packets */
    bool wakes; /* packets end a sleep */
    uint64_t link_ns;
};

static inline struct gx_dpdk *gx_dpdk_first(const struct gx_dpdk *d)
{
    return d->team[0];
}

int gx_dpdk_tx_init(struct gx_dpdk *d, char *error, size_t error_bytes);
void gx_dpdk_tx_fini(struct gx_dpdk *d);
/* Releases the owners of payloads that the device has finished with. */
void gx_dpdk_reclaim(struct gx_dpdk *d, uint64_t now);
/* Gives the device what waits. */
void gx_dpdk_flush(struct gx_dpdk *d, uint64_t now);
/* Sends one frame of ours (an answer, a question); it is lost when there is no room. Takes the mbuf. */
void gx_dpdk_send(struct gx_dpdk *d, struct rte_mbuf *mbuf);
uint32_t gx_dpdk_room(struct gx_port *port);
void gx_dpdk_tx(struct gx_port *port, const struct gx_packet *packets, uint32_t count);

#endif
