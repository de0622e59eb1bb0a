#include "host/host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 50
#define WAITS 20

static bool ask(const char *gateway)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)}; /* discard */
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || inet_pton(AF_INET, gateway, &to.sin_addr) != 1) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool sent = sendto(fd, "", 0, MSG_DONTWAIT, (struct sockaddr *)(void *)&to, sizeof(to)) == 0;
    close(fd);
    return sent;
}

/* /proc/net/arp: address, type, flags (2: complete), MAC, mask, interface. 1 answers, 0 silent, -1 the kernel never asked
 * on that interface. */
static int answered(const struct gx_host *host)
{
    char text[GX_HOST_TEXT_MAX], ip[64], mac[32], interface[64];
    unsigned type, flags;
    int found = -1;

    if (!gx_host_text(host, "/proc/net/arp", text))
        return -1;
    for (const char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n'))
        if (sscanf(line + 1, "%63s 0x%x 0x%x %31s %*s %63s", ip, &type, &flags, mac, interface) ==
                5 &&
            strcmp(ip, host->gateway) == 0 && strcmp(interface, host->port_interface) == 0)
            found = (flags & 2) != 0;
    return found;
}

/* Asked through the kernel, if it has an address in that network: an empty packet makes it look for the MAC. */
static int look(const struct gx_host *host)
{
    const struct timespec pause = {.tv_nsec = WAIT_MS * 1000000L};

    if (*host->root)
        return answered(host);
    if (!ask(host->gateway))
        return -1;
    for (int i = 0; i < WAITS && answered(host) != 1; i++)
        nanosleep(&pause, NULL);
    return answered(host);
}

void gx_host_check_gateway(struct gx_host *host)
{
    static const char todo[] = "is port.gateway right, is the router up, is the cable in the right "
                               "network?";

    if (host->running && host->port != GX_HOST_PORT_UDP) {
        if (host->gateway_lost)
            gx_host_say(host, GX_HOST_FAIL, todo,
                        "it does not answer the gxd that runs: sites in other networks are not "
                        "reached");
        else
            gx_host_say(host, GX_HOST_OK, NULL, "the gxd that runs misses none");
        return;
    }
    if (!host->gateway[0])
        return gx_host_say(host, GX_HOST_OK, NULL, "none is configured for the port: %s",
                           host->port == GX_HOST_PORT_UNKNOWN || host->port == GX_HOST_PORT_UDP
                               ? "with kernel UDP the machine's own routes hold"
                               : "all sites must be in its own network (port.address)");
    switch (look(host)) {
    case 1:
        return gx_host_say(host, GX_HOST_OK, NULL, "%s answers on %s", host->gateway,
                           host->port_interface);
    case 0:
        return gx_host_say(host, GX_HOST_FAIL, todo,
                           "%s does not answer on %s: sites in other networks would not be reached",
                           host->gateway, host->port_interface);
    default:
        gx_host_say(host, GX_HOST_NOTE, "start gxd; then gxctl why tells if it is missing",
                    "%s cannot be asked before gxd runs: the kernel has no address in its network "
                    "on %s",
                    host->gateway, host->port_interface[0] ? host->port_interface : "the port");
    }
}
