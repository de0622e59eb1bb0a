/* gx_perf_rings: two DPDK ports of this process that are each other's wire: net_ring devices, which hand on pointers.
 * Their device strings are GX_PERF_RING_A and _B; gx_port_open() opens them, once each and one after the other. */
#ifndef GX_PERF_DPDK_RINGS_H
#define GX_PERF_DPDK_RINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GX_PERF_RING_A "net_ring_a"
#define GX_PERF_RING_B "net_ring_b"

struct gx_port;

/* Starts DPDK with memory for both ports and makes them. 0 or -errno with one line in `error`. */
int gx_perf_rings_open(uint32_t mtu, char *error, size_t error_bytes);
/* From now on the wire loses this share of the packets, at random. After both ports were opened. False: DPDK cannot. */
bool gx_perf_rings_lose(double loss);
/* Takes what is still under way out of both ports, which no thread runs any more: each port's memory must be its own
 * again before one is closed. */
void gx_perf_rings_drain(struct gx_port *a, struct gx_port *b);
/* After both were closed. */
void gx_perf_rings_close(void);

#endif
