#include "host/host.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The interface's old set of flags; reading it needs no rights. False: not known. */
static bool flags_of(const struct gx_host *host, uint32_t *flags)
{
    struct ethtool_value value = {.cmd = ETHTOOL_GFLAGS};
    struct ifreq request = {0};
    int fd = *host->root ? -1 : socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%.15s", host->interface);
    request.ifr_data = (char *)&value;
    bool known = ioctl(fd, SIOCETHTOOL, &request) == 0;
    close(fd);
    *flags = value.data;
    return known;
}

void gx_host_check_offloads(struct gx_host *host)
{
    char todo[128];
    uint32_t flags;

    if (!flags_of(host, &flags))
        return gx_host_say(host, GX_HOST_OK, NULL, "not known; gxd needs none of them");
    snprintf(todo, sizeof(todo), "as root: ethtool -K %s lro off", host->interface);
    if (flags & ETH_FLAG_LRO && gx_host_port_takes(host))
        return gx_host_say(host, GX_HOST_WARN, todo,
                           "the card glues received packets together (LRO): with most cards AF_XDP "
                           "does not open then");
    gx_host_say(host, GX_HOST_OK, NULL,
                "nothing that stands in gxd's way; checksums it makes itself where the card does "
                "not");
}
