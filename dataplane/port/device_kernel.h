/* What the kernel has of a device: the interface under af_xdp, af_packet and tap, and the sockets that drivers open and do
 * not tell of. For device.c.
 */
#ifndef GX_PORT_DEVICE_KERNEL_H
#define GX_PORT_DEVICE_KERNEL_H

#include "port/device.h"

#define GX_ETHERNET_BYTES 14u
#define GX_VLAN_BYTES 4u
#define GX_XDP_HEADROOM 256u /* the kernel's, in front of ours */
/* A umem chunk is a page at most; in it lie the mempool's and the mbuf's heads, both headrooms, and the frame. */
#define GX_XDP_FRAME_MAX (4096u - 64u - 128u - RTE_PKTMBUF_HEADROOM - GX_XDP_HEADROOM)
#define GX_SOCKETS_MAX 4096

bool gx_iface_up(const char *iface);
/* Can this device be had on its interface? 0 or -errno, and what to do in `error`. */
int gx_iface_check(const struct gx_device *device, char *error, size_t error_bytes);

/* This process's sockets of one domain, such as AF_XDP. */
struct gx_sockets {
    int domain;
    uint32_t count;
    int list[GX_SOCKETS_MAX];
};
void gx_sockets_scan(struct gx_sockets *sockets, int domain);
/* The `index`-th socket of that domain that has come since, -1: none. */
int gx_sockets_new(const struct gx_sockets *before, uint32_t index);

#endif
