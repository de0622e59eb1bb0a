#include "host/host.h"

#include <stdlib.h>

void gx_host_check_mtu(struct gx_host *host)
{
    char line[32], todo[256];

    if (!gx_host_interface_line(host, "mtu", line, sizeof(line)))
        return gx_host_say(host, GX_HOST_NOTE, NULL, "not known");
    uint64_t mtu = strtoull(line, NULL, 10);
    if (mtu < host->mtu) {
        snprintf(todo, sizeof(todo),
                 "write `mtu: %llu` into gxd's config, at this site at least (the smallest of all "
                 "sites counts), or as root: ip link set dev %s mtu %llu, if the network allows it",
                 (unsigned long long)mtu, host->interface, (unsigned long long)host->mtu);
        return gx_host_say(
            host, host->configured ? GX_HOST_FAIL : GX_HOST_WARN, todo,
            "%llu, but gxd %s %llu: full packets would be lost", (unsigned long long)mtu,
            host->configured ? "is configured for" : "assumes", (unsigned long long)host->mtu);
    }
    if (mtu > 1500 && host->mtu == 1500)
        return gx_host_say(host, GX_HOST_OK, NULL,
                           "%llu, above the config's 1500: if the whole path to every site carries "
                           "it, `mtu: %llu` saves packets",
                           (unsigned long long)mtu, (unsigned long long)(mtu > 9000 ? 9000 : mtu));
    gx_host_say(host, GX_HOST_OK, NULL, "%llu", (unsigned long long)mtu);
}
