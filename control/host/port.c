#include "host/host.h"

#include <stdlib.h>
#include <string.h>

#define XDP_MTU_MAX 3502 /* a frame and its heads lie in one page: docs/dpdk.md */

static void check_pci(struct gx_host *host)
{
    char path[300], driver[64] = "", todo[256];
    size_t length = strcspn(host->device, ", ");

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.*s/vendor", (int)length, host->device);
    if (!gx_host_line(host, path, driver, sizeof(driver)))
        return gx_host_say(
            host, GX_HOST_FAIL,
            "lspci -D lists the machine's cards by address; for an interface of the kernel write "
            "net_af_xdp0,iface=NAME",
            "the config's device %.*s is not in this machine", (int)length, host->device);
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.*s/driver", (int)length, host->device);
    if (!gx_host_link(host, path, driver, sizeof(driver)))
        driver[0] = '\0';
    if (strcmp(driver, "vfio-pci") == 0 || strncmp(driver, "mlx", 3) == 0)
        return gx_host_say(host, GX_HOST_OK, NULL, "%.*s is ready for DPDK (driver %s)",
                           (int)length, host->device, driver);
    snprintf(todo, sizeof(todo),
             "as root: modprobe vfio-pci; dpdk-devbind.py --bind=vfio-pci %.*s (the kernel's "
             "interface of this card goes away: never the card that you log in by)",
             (int)length, host->device);
    gx_host_say(
        host, GX_HOST_FAIL, todo,
        "%.*s belongs to the kernel (driver %s): DPDK can drive it only once it is given to "
        "vfio-pci",
        (int)length, host->device, *driver ? driver : "none");
}

static void check_interface(struct gx_host *host)
{
    char todo[200];
    char line[32];

    if (!host->port_interface[0])
        return gx_host_say(host, GX_HOST_FAIL, "write it as net_af_xdp0,iface=eth1",
                           "the config's device %s names no interface", host->device);
    if (!gx_host_interface_there(host, host->port_interface))
        return gx_host_say(
            host, GX_HOST_FAIL, "ip -br link lists those there are; correct iface= in port.device",
            "there is no interface %s here (in this network namespace), but the %s names it: gxd "
            "%s",
            host->port_interface, host->running ? "running gxd" : "config's device",
            host->running ? "runs in another namespace, or has lost it" : "would not start");
    host->interface = host->port_interface;
    uint64_t mtu =
        gx_host_interface_line(host, "mtu", line, sizeof(line)) ? strtoull(line, NULL, 10) : 0;
    host->interface = NULL;
    if (host->port == GX_HOST_PORT_XDP && mtu > XDP_MTU_MAX) {
        snprintf(todo, sizeof(todo), "as root: ip link set dev %s mtu %d (and `mtu:` at most that)",
                 host->port_interface, XDP_MTU_MAX);
        return gx_host_say(host, GX_HOST_FAIL, todo,
                           "%s has MTU %llu: AF_XDP carries at most %d, gxd would not start",
                           host->port_interface, (unsigned long long)mtu, XDP_MTU_MAX);
    }
    gx_host_say(
        host, GX_HOST_OK, NULL, "%s: gxd moves packets of %s%s", host->device, host->port_interface,
        host->port == GX_HOST_PORT_XDP ? " past the kernel, which gets none of them any more"
                                       : " beside the kernel");
}

void gx_host_check_port(struct gx_host *host)
{
    switch (host->port) {
    case GX_HOST_PORT_UNKNOWN:
        gx_host_say(host, GX_HOST_NOTE, "gxctl host check -c FILE, with gxd's config",
                    "no gxd runs here and no config is given: how packets will get in and out is "
                    "not known, and not checked");
        break;
    case GX_HOST_PORT_UDP:
        gx_host_say(host, GX_HOST_OK, NULL,
                    "kernel UDP: works on every interface and takes nothing away from the kernel");
        break;
    case GX_HOST_PORT_XDP:
    case GX_HOST_PORT_PACKET:
        check_interface(host);
        break;
    case GX_HOST_PORT_PCI:
        check_pci(host);
        break;
    case GX_HOST_PORT_OTHER:
        gx_host_say(host, GX_HOST_OK, NULL, "%s: made when gxd starts, nothing to check here",
                    host->device);
        break;
    }
}
