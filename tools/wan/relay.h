/* gx_wan_relay: sites joined by an impaired network, on UDP sockets.
 *
 * A packet from TARGET of site a, worker i, that arrives on LISTEN of site b, worker j, passes
 * three stages of gx_impair: a's uplink (rate, queue), the path from a to b (delay, losses), b's
 * downlink (rate, queue). It then leaves from LISTEN of a, worker i, for TARGET of b, worker j:
 * each site sees the address that it dials.
 *
 * Time      Packets carry the kernel's receive time through all stages, so that a relay which the
 * scheduler held up delivers on time as long as the delay outlasts the hold-up. What is sent after
 * it was due is counted as lateness, and does not shift what follows. Memory    allocated by
 * gx_wan_relay_open(); packets allocate nothing. Large: make it static. Threads   one.
 */
#ifndef GX_WAN_RELAY_H
#define GX_WAN_RELAY_H

#include "wan/impair.h"
#include "wan/options.h"
#include "wan/pool.h"

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#define GX_WAN_RELAY_SOCKETS_MAX (GX_WAN_PORTS_MAX * GX_WAN_WORKERS_MAX)
#define GX_WAN_RELAY_BATCH 64
#define GX_WAN_RELAY_CONTROL_BYTES 128

struct gx_wan_relay_socket {
    struct gx_wan_address target; /* of the site and worker for which this socket listens */
    struct gx_wan_packet *out[GX_WAN_RELAY_BATCH];
    uint32_t out_count;
    uint32_t kernel_drops; /* the kernel's count of what found this socket's buffer full */
};

struct gx_wan_relay_port {
    struct gx_impair up;
    struct gx_impair down;
};

/* What happened outside of the law. */
struct gx_wan_relay_counters {
    uint64_t stranger_packets; /* from no site's TARGET */
    uint64_t buffer_drops;     /* no packet buffer was free */
    uint64_t send_drops;       /* the kernel refused to send */
    uint64_t sent_packets;     /* delivered, copies included */
    uint64_t late_ns_sum;      /* sent after due */
    uint64_t late_ns_max;
    uint64_t late_1ms_packets; /* by more than 1 ms */
};

struct gx_wan_relay {
    struct gx_wan_options options;
    struct gx_wan_relay_port ports[GX_WAN_PORTS_MAX];
    struct gx_impair paths[GX_WAN_PORTS_MAX][GX_WAN_PORTS_MAX]; /* [from][to] */
    struct gx_wan_relay_socket
        sockets[GX_WAN_RELAY_SOCKETS_MAX];         /* [port * worker_count + worker] */
    struct pollfd polls[GX_WAN_RELAY_SOCKETS_MAX]; /* as sockets */
    uint32_t socket_count;
    struct gx_wan_pool pool;
    struct gx_wan_heap arrivals;   /* on the path, due at the downlink */
    struct gx_wan_heap deliveries; /* past the downlink, due at the site */
    uint64_t
        lookahead_ns; /* no packet that is still to come can reach a downlink before now + this */
    struct gx_wan_relay_counters counters;
    uint64_t start_ns;
    FILE *log; /* NULL: none */
    uint8_t received[GX_WAN_RELAY_BATCH][GX_WAN_PACKET_BYTES_MAX];
    uint8_t control[GX_WAN_RELAY_BATCH][GX_WAN_RELAY_CONTROL_BYTES];
};

/* Binds all sockets and allocates all memory. On an error, what is at fault was printed on stderr
 * and -errno is returned; gx_wan_relay_close() cleans up in any case. */
int gx_wan_relay_open(struct gx_wan_relay *relay, const struct gx_wan_options *options);
void gx_wan_relay_close(struct gx_wan_relay *relay);

/* Takes in what has arrived on the sockets whose polls[].revents say so. */
void gx_wan_relay_receive(struct gx_wan_relay *relay);

/* Sends what is due at now_ns. */
void gx_wan_relay_deliver(struct gx_wan_relay *relay, uint64_t now_ns);

/* When gx_wan_relay_deliver() next has something to do; UINT64_MAX: not before a packet arrives. */
uint64_t gx_wan_relay_due_ns(const struct gx_wan_relay *relay);

/* Packets that the kernel dropped before the relay saw them: 0, or the relay is too slow to be
 * believed. */
uint64_t gx_wan_relay_kernel_drops(const struct gx_wan_relay *relay);

/* CLOCK_MONOTONIC, the clock of every *_ns here. */
uint64_t gx_wan_relay_now_ns(void);

#endif
