#include "host/host.h"

#include <string.h>

struct driver {
    const char *name, *text;
};

/* How a packet port of DPDK would get at the card. */
static const struct driver drivers[] = {
    {"mlx5_core", "DPDK drives it beside the kernel, which keeps its own traffic"},
    {"mlx4_en", "DPDK drives it beside the kernel, which keeps its own traffic"},
    {"i40e", "AF_XDP without copies; or all of it for DPDK, taken from the kernel"},
    {"ice", "AF_XDP without copies; or all of it for DPDK, taken from the kernel"},
    {"ixgbe", "AF_XDP without copies; or all of it for DPDK, taken from the kernel"},
    {"igc", "AF_XDP without copies; or all of it for DPDK, taken from the kernel"},
    {"igb", "AF_XDP with a copy; or all of it for DPDK, taken from the kernel"},
    {"bnxt_en", "AF_XDP with a copy; or all of it for DPDK, taken from the kernel"},
    {"ena", "AF_XDP with a copy; or all of it for DPDK, taken from the kernel"},
    {"virtio_net", "a virtual machine's card: UDP or AF_XDP"},
    {"vfio-pci", "given to DPDK already: the kernel does not see its packets"},
};

void gx_host_check_driver(struct gx_host *host)
{
    char path[128], name[64];

    snprintf(path, sizeof(path), "/sys/class/net/%s/device/driver", host->interface);
    if (!gx_host_link(host, path, name, sizeof(name)))
        return gx_host_say(host, GX_HOST_OK, NULL,
                           "virtual (a pair, a bridge, a tunnel …): UDP works, AF_XDP too on veth");
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
        if (strcmp(drivers[i].name, name) == 0)
            return gx_host_say(host, GX_HOST_OK, NULL, "%s: %s", name, drivers[i].text);
    gx_host_say(host, GX_HOST_OK, NULL,
                "%s: UDP works; whether AF_XDP does is seen when gxd opens it", name);
}
