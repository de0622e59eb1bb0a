#include "gx-perf/dpdk_rings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>

#include "port/device.h"
#include "port/eal.h"
#include "port/net/host.h"
#include "port/port.h"
#include "session/random.h"

#define RING_PACKETS 2048u /* as a device's descriptors */
#define MORE_MIB 24        /* of each port: headers and empty mbufs */

static struct rte_ring *rings[2];
static int ports[2];

/* What a port does not receive; its worker's alone. */
static struct loss {
    struct gx_random dice;
    uint64_t below; /* a draw below it is a loss */
} losses[2];

int gx_perf_rings_open(uint32_t mtu, char *error, size_t error_bytes)
{
    const struct gx_device_config device = {.frame_bytes = mtu + GX_ETHERNET_BYTES};
    const struct gx_eal_config eal = {
        .program = "gx-perf",
        .memory_mib = 2 * (gx_device_memory_mib(&device) + MORE_MIB),
    };
    int ret = gx_eal_init(&eal, error, error_bytes);

    if (ret)
        return ret;
    rings[0] =
        rte_ring_create("gx-a-b", RING_PACKETS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    rings[1] =
        rte_ring_create("gx-b-a", RING_PACKETS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (rings[0] && rings[1]) {
        ports[0] = rte_eth_from_rings("a", &rings[1], 1, &rings[0], 1, 0);
        ports[1] = rte_eth_from_rings("b", &rings[0], 1, &rings[1], 1, 0);
        if (ports[0] >= 0 && ports[1] >= 0)
            return 0;
    }
    snprintf(error, error_bytes, "DPDK cannot make ring devices: %s", rte_strerror(rte_errno));
    return rte_errno ? -rte_errno : -ENODEV;
}

static uint16_t lose(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count,
                     uint16_t max, void *ctx)
{
    struct loss *loss = ctx;
    uint16_t kept = 0;

    (void)port;
    (void)queue;
    (void)max;
    for (uint16_t i = 0; i < count; i++)
        if (gx_random_u64(&loss->dice) < loss->below)
            rte_pktmbuf_free(packets[i]);
        else
            packets[kept++] = packets[i];
    return kept;
}

bool gx_perf_rings_lose(double loss)
{
    for (int i = 0; i < 2; i++) {
        gx_random_init(&losses[i].dice, (uint64_t)i);
        losses[i].below = (uint64_t)(loss * 0x1p64);
        if (rte_eth_add_rx_callback((uint16_t)ports[i], 0, lose, &losses[i]) == NULL)
            return false;
    }
    return true;
}

void gx_perf_rings_drain(struct gx_port *a, struct gx_port *b)
{
    struct gx_rx received[GX_PORT_BURST];

    /* An rx gives back what the one before it brought. A question on the way may cause one answer. */
    while (a->ops->rx(a, received, GX_PORT_BURST) | b->ops->rx(b, received, GX_PORT_BURST) |
           rte_ring_count(rings[0]) | rte_ring_count(rings[1]))
        ;
}

void gx_perf_rings_close(void)
{
    rte_ring_free(rings[0]);
    rte_ring_free(rings[1]);
    gx_eal_fini();
}
