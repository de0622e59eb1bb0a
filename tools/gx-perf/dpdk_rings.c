#include "gx-perf/dpdk_rings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>

#include "port/device.h"
#include "port/eal.h"
#include "port/net/host.h"
#include "port/port.h"

#define RING_PACKETS 2048u /* as a device's descriptors */
#define MORE_MIB 24        /* of each port: headers and empty mbufs */

static struct rte_ring *rings[2];

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
    if (rings[0] && rings[1] && rte_eth_from_rings("a", &rings[1], 1, &rings[0], 1, 0) >= 0 &&
        rte_eth_from_rings("b", &rings[0], 1, &rings[1], 1, 0) >= 0)
        return 0;
    snprintf(error, error_bytes, "DPDK cannot make ring devices: %s", rte_strerror(rte_errno));
    return rte_errno ? -rte_errno : -ENODEV;
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
