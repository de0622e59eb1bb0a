/* gx_wan_relay: sites joined on UDP sockets.
 *
 * A packet from TARGET of site a, worker i, that arrives on LISTEN of site b, worker j, passes the
 * network from a to b. It then leaves from LISTEN of a, worker i, for TARGET of b, worker j: each
 * site sees the address that it dials.
 *
 * Time      that of an arrival is the kernel's receive time.
 */
#ifndef GX_WAN_RELAY_H
#define GX_WAN_RELAY_H

#include "wan/network.h"

extern const struct gx_wan_front gx_wan_relay_front;

#endif
