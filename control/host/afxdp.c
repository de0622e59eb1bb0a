#include "host/host.h"

#include <glob.h>
#include <string.h>

/* A socket would need rights; the list of protocols does not. */
static bool kernel_has(const struct gx_host *host)
{
    char text[GX_HOST_TEXT_MAX];

    return gx_host_text(host, "/proc/net/protocols", text) && strstr(text, "\nXDP ");
}

static bool driver_installed(const struct gx_host *host)
{
    static const char *const places[] = {"/usr/lib/*/dpdk/pmds-*/librte_net_af_xdp.so*",
                                         "/usr/lib*/dpdk/pmds-*/librte_net_af_xdp.so*",
                                         "/usr/local/lib/*/dpdk/pmds-*/librte_net_af_xdp.so*"};
    bool found = false;

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char pattern[512];
        glob_t matches;
        snprintf(pattern, sizeof(pattern), "%s%s", host->root, places[i]);
        if (glob(pattern, 0, NULL, &matches) == 0) {
            found = true;
            globfree(&matches);
        }
    }
    return found;
}

void gx_host_check_afxdp(struct gx_host *host)
{
    bool needed = host->port == GX_HOST_PORT_XDP;

    if (!kernel_has(host) && needed)
        gx_host_say(
            host, GX_HOST_FAIL,
            "write port: {device: \"net_af_packet0,iface=…\", …} or port: {udp: …}; or take a "
            "kernel with CONFIG_XDP_SOCKETS (Debian's has it)",
            "this kernel has none, but the config's port needs it");
    else if (!kernel_has(host))
        gx_host_say(host, GX_HOST_NOTE,
                    "nothing for the UDP port; for AF_XDP take a kernel with CONFIG_XDP_SOCKETS "
                    "(Debian's has it)",
                    "this kernel has none: gxd moves packets through kernel UDP sockets");
    else if (!driver_installed(host))
        gx_host_say(
            host, needed ? GX_HOST_FAIL : GX_HOST_NOTE,
            needed ? "as root: apt-get install librte-net-af-xdp23"
                   : "nothing for the UDP port; for AF_XDP: apt-get install librte-net-af-xdp23",
            "this kernel has it, but DPDK's driver for it is not installed");
    else
        gx_host_say(host, GX_HOST_OK, NULL,
                    "kernel and DPDK driver are there; opening it needs root, or the capabilities "
                    "that gxd@.service can give");
}
