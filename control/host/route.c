#include "host/host.h"

#include <string.h>

/* /proc/net/route: interface, destination, gateway, flags, …, mask, in hexadecimal. */
static bool carries_v4(const struct gx_host *host)
{
    char text[GX_HOST_TEXT_MAX], name[64], destination[16];

    if (!gx_host_text(host, "/proc/net/route", text))
        return false;
    for (const char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n'))
        if (sscanf(line + 1, "%63s %15s", name, destination) == 2 &&
            strcmp(name, host->interface) == 0 && strcmp(destination, "00000000") == 0)
            return true;
    return false;
}

/* /proc/net/ipv6_route: destination, its length, …, interface at the end. The kernel's own unreachable route is on lo. */
static bool carries_v6(const struct gx_host *host)
{
    static const char any[] = "00000000000000000000000000000000 00 ";
    char text[GX_HOST_TEXT_MAX];

    if (!gx_host_text(host, "/proc/net/ipv6_route", text))
        return false;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        const char *name = strrchr(line, ' ');
        if (strncmp(line, any, strlen(any)) == 0 && name && strcmp(name + 1, host->interface) == 0)
            return true;
    }
    return false;
}

void gx_host_check_route(struct gx_host *host)
{
    if (!carries_v4(host) && !carries_v6(host))
        return gx_host_say(host, GX_HOST_OK, NULL, "not here: gxd may have this interface");
    if (gx_host_port_takes(host))
        return gx_host_say(
            host, GX_HOST_FAIL,
            "name another interface in port.device; or keep this one and write port: {udp: …}, "
            "which shares it with all else",
            "here, and the config gives this interface to AF_XDP: the kernel would get none of its "
            "packets any more, your login over it included");
    if (host->port != GX_HOST_PORT_UNKNOWN && host->configured)
        return gx_host_say(host, GX_HOST_OK, NULL,
                           "here, with all of this machine's own traffic: gxd takes its share of "
                           "the rate, and nothing else away");
    gx_host_say(host, GX_HOST_WARN,
                "keep to the UDP port on this interface (port: {udp: …}), which shares it with all "
                "else; for AF_XDP or a card of DPDK's use another interface",
                "here: this machine's own traffic uses it. A port that takes packets away from the "
                "kernel (AF_XDP, a card of DPDK's) could cut off your login");
}
