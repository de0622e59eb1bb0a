#include "port/device_kernel.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_mbuf.h>

/* ---- the interface ---- */

static int iface_ioctl(const char *iface, unsigned long request, struct ifreq *out)
{
    int ret, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    snprintf(out->ifr_name, sizeof(out->ifr_name), "%.*s", IFNAMSIZ - 1, iface);
    ret = ioctl(fd, request, out) ? -errno : 0;
    close(fd);
    return ret;
}

uint32_t gx_device_iface_mtu(const char *iface)
{
    struct ifreq request = {0};

    return iface_ioctl(iface, SIOCGIFMTU, &request) ? 0 : (uint32_t)request.ifr_mtu;
}

void gx_device_mtu_refresh(struct gx_device *device)
{
    uint32_t mtu = 0;

    if (device->iface[0] && device->kind != GX_DEVICE_NIC)
        mtu = gx_device_iface_mtu(device->iface);
    if (mtu)
        /* Other workers look at it. */
        __atomic_store_n(&device->mtu, mtu < device->frame_mtu ? mtu : device->frame_mtu,
                         __ATOMIC_RELAXED);
}

/* IFF_RUNNING follows the carrier as much as a second later. The carrier itself is asked for only where that matters, since
 * the kernel answers under its global lock. */
bool gx_iface_up(const char *iface)
{
    struct ethtool_value carrier = {.cmd = ETHTOOL_GLINK};
    struct ifreq flags = {0}, request = {.ifr_data = (char *)&carrier};

    if (iface_ioctl(iface, SIOCGIFFLAGS, &flags) || !(flags.ifr_flags & IFF_UP))
        return false;
    return (flags.ifr_flags & IFF_RUNNING) ||
           (!iface_ioctl(iface, SIOCETHTOOL, &request) && carrier.data);
}

/* The driver would only say "failed to configure xdp socket". */
static int xdp_check(const struct gx_device *device, char *error, size_t error_bytes)
{
    int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), ret = fd < 0 ? -errno : 0;

    if (fd >= 0)
        close(fd);
    if (geteuid() != 0 || ret == -EPERM) {
        snprintf(error, error_bytes,
                 "device %s: af_xdp needs root with all capabilities: start gxd as root, or by "
                 "gxd@.service with its drop-in for AF_XDP",
                 device->name);
        return -EPERM;
    }
    if (ret)
        snprintf(error, error_bytes,
                 "device %s: this kernel has no AF_XDP (%s): use net_af_packet0,iface=%s, or "
                 "port: {udp: …}",
                 device->name, strerror(-ret), device->iface);
    return ret;
}

int gx_iface_check(const struct gx_device *device, char *error, size_t error_bytes)
{
    uint32_t mtu;
    int ret;

    if (device->kind != GX_DEVICE_AF_XDP && device->kind != GX_DEVICE_AF_PACKET)
        return 0;
    if (!device->iface[0]) {
        snprintf(error, error_bytes, "device %s: name its interface, as in %s,iface=eth0",
                 device->name, device->name);
        return -EINVAL;
    }
    if (device->kind == GX_DEVICE_AF_XDP && (ret = xdp_check(device, error, error_bytes)))
        return ret;
    mtu = gx_device_iface_mtu(device->iface);
    if (!mtu) {
        snprintf(error, error_bytes,
                 "device %s: there is no interface '%s' here; `ip link` lists those there are",
                 device->name, device->iface);
        return -ENODEV;
    }
    if (device->kind == GX_DEVICE_AF_XDP &&
        mtu + GX_ETHERNET_BYTES + GX_VLAN_BYTES > GX_XDP_FRAME_MAX) {
        snprintf(
            error, error_bytes,
            "device %s: interface %s has MTU %u, af_xdp carries at most %u: ip link set %s mtu %u",
            device->name, device->iface, mtu, GX_XDP_FRAME_MAX - GX_ETHERNET_BYTES - GX_VLAN_BYTES,
            device->iface, GX_XDP_FRAME_MAX - GX_ETHERNET_BYTES - GX_VLAN_BYTES);
        return -EMSGSIZE;
    }
    return 0;
}

/* ---- sockets ---- */

void gx_sockets_scan(struct gx_sockets *fds, int domain)
{
    DIR *directory = opendir("/proc/self/fd");

    fds->domain = domain;
    fds->count = 0;
    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory)) && fds->count < GX_SOCKETS_MAX;) {
        int fd = atoi(entry->d_name), found = 0;
        socklen_t length = sizeof(found);

        if (isdigit((unsigned char)entry->d_name[0]) &&
            !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &found, &length) && found == domain)
            fds->list[fds->count++] = fd;
    }
    closedir(directory);
}

int gx_sockets_new(const struct gx_sockets *before, uint32_t index)
{
    struct gx_sockets *now = malloc(sizeof(*now));
    int fd = -1;

    if (!now)
        return -1;
    gx_sockets_scan(now, before->domain);
    for (uint32_t i = 0; i < now->count && fd < 0; i++) {
        bool old = false;

        for (uint32_t j = 0; j < before->count; j++)
            old |= before->list[j] == now->list[i];
        if (!old && index-- == 0)
            fd = now->list[i];
    }
    free(now);
    return fd;
}
