/* gx_wan_dpdk: sites joined on DPDK devices, as by a learning bridge. Only where DPDK was there at
 * the build (GX_DPDK).
 *
 * A frame that comes in at a port is copied out of the device's memory at once, and into that of
 * the device by which it leaves: af_xdp sends only what lies in its own pool, and a device's pool
 * need not hold what is in flight on the network. Any Ethernet frame passes.
 *
 * Time      that of an arrival is when it was taken from the device: at most a turn of the loop
 *           later than it came.
 */
#ifndef GX_WAN_DPDK_PORTS_H
#define GX_WAN_DPDK_PORTS_H

#include "wan/network.h"

extern const struct gx_wan_front gx_wan_dpdk_front;

#endif
