/* gx_wan_mac: which port a MAC address was last seen at, as in a learning bridge (IEEE 802.1D).
 *
 * Memory    a fixed table. When the places for an address are taken, the one not seen for longest
 *           makes room: then frames for it are flooded until it speaks again.
 * Time      ns; an address is forgotten GX_WAN_MAC_AGE_NS after it last spoke.
 */
#ifndef GX_WAN_MAC_H
#define GX_WAN_MAC_H

#include <stdint.h>

#define GX_WAN_MAC_BYTES 6
#define GX_WAN_MAC_SETS 256 /* a power of two */
#define GX_WAN_MAC_WAYS 4
#define GX_WAN_MAC_AGE_NS 300000000000ull

struct gx_wan_mac_entry {
    uint64_t key; /* the address and a bit that is always set; 0: free */
    uint64_t seen_ns;
    uint32_t port;
};

/* All zeros: nothing is known. */
struct gx_wan_mac {
    struct gx_wan_mac_entry entries[GX_WAN_MAC_SETS][GX_WAN_MAC_WAYS];
    uint64_t learned, moved, evicted; /* addresses: new, seen at another port, pushed out */
};

/* `source` spoke at `port`. A group address as source is never learnt. */
void gx_wan_mac_learn(struct gx_wan_mac *mac, const uint8_t *source, uint32_t port,
                      uint64_t now_ns);

/* The ports, as bits, that a frame for `target` which came in at port `from` leaves by: one; all
 * others for broadcast, multicast and what is unknown; 0 when the target is on `from` itself. */
uint32_t gx_wan_mac_ports(const struct gx_wan_mac *mac, const uint8_t *target, uint32_t from,
                          uint32_t port_count, uint64_t now_ns);

#endif
