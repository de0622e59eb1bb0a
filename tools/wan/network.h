/* gx_wan_network: the stages between sites, and the packets in flight; gx_wan_front: what carries
 * them in and out.
 *
 * A packet from site a to site b passes three stages of gx_impair: a's uplink (rate, queue), the
 * path from a to b (delay, losses, maybe a rate of its own), b's downlink (rate, queue). One that
 * goes to several sites passes the uplink once.
 *
 * Time      CLOCK_MONOTONIC. Packets carry the time at which they arrived through all stages, so
 *           that a process which the scheduler held up delivers on time as long as the delay
 *           outlasts the hold-up. What is sent after it was due is counted as lateness, and does
 *           not shift what follows.
 * Memory    allocated by init; packets allocate nothing. Large: make it static.
 * Threads   one.
 */
#ifndef GX_WAN_NETWORK_H
#define GX_WAN_NETWORK_H

#include "wan/impair.h"
#include "wan/options.h"
#include "wan/pool.h"
#include "wan/slotlog.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define GX_WAN_POLLS_MAX (GX_WAN_PORTS_MAX * GX_WAN_WORKERS_MAX)

struct gx_wan_network;

/* One of gx_wan_relay_front (UDP sockets) and gx_wan_dpdk_front (DPDK devices). */
struct gx_wan_front {
    /* Opens all ports and fills network->polls. On an error, what is at fault was printed on
     * stderr and -errno is returned; close() cleans up in any case. */
    int (*open)(struct gx_wan_network *network);
    void (*close)(struct gx_wan_network *network);
    /* Takes in what has arrived at the ports whose polls[].revents say so. */
    void (*receive)(struct gx_wan_network *network);
    /* Sends what is due at now_ns. */
    void (*send)(struct gx_wan_network *network, uint64_t now_ns);
    /* Writes a port's own JSON members, each with a comma behind it. */
    void (*describe)(const struct gx_wan_network *network, uint32_t port, FILE *out);
    /* Writes the front's own counters, each with a comma before it; NULL: it has none. */
    void (*count)(const struct gx_wan_network *network, FILE *out);
    /* Packets lost before we saw them: 0, or gx-wan is too slow to be believed. */
    uint64_t (*kernel_drops)(const struct gx_wan_network *network);
    /* With packets in flight a turn of the loop takes this long at least, so that under load they
     * are received and sent in batches. */
    uint64_t breath_ns;
};

struct gx_wan_network_port {
    struct gx_impair up;
    struct gx_impair down;
};

/* What happened outside of the law. */
struct gx_wan_network_counters {
    uint64_t stranger_packets; /* from no site */
    uint64_t buffer_drops;     /* no packet buffer was free */
    uint64_t send_drops;       /* the kernel or the device refused to send */
    uint64_t sent_packets;     /* delivered, copies included */
    uint64_t late_ns_sum;      /* sent after due */
    uint64_t late_ns_max;
    uint64_t late_1ms_packets; /* by more than 1 ms */
};

struct gx_wan_network {
    struct gx_wan_options options;
    const struct gx_wan_front *front;
    struct gx_wan_network_port ports[GX_WAN_PORTS_MAX];
    struct gx_impair paths[GX_WAN_PORTS_MAX][GX_WAN_PORTS_MAX]; /* [from][to] */
    struct gx_wan_pool pool;
    struct gx_wan_heap arrivals;   /* on the path, due at the downlink */
    struct gx_wan_heap deliveries; /* past the downlink, due at the site */
    /* No packet that is still to come can reach a downlink before now + this. */
    uint64_t lookahead_ns;
    uint32_t trace_next; /* line of the trace that comes next */
    struct gx_wan_network_counters counters;
    uint64_t start_ns;
    FILE *log; /* NULL: none */
    struct gx_wan_slotlog slots;
    struct pollfd polls[GX_WAN_POLLS_MAX];
    uint32_t poll_count;
    uint64_t nap_ns_max; /* longest sleep when nothing is in flight; UINT64_MAX: polls wake us */
};

/* What arrived: the front's view of one packet. */
struct gx_wan_arrival {
    const uint8_t *data;
    uint32_t bytes;       /* of data */
    uint32_t frame_bytes; /* what the law counts */
    uint16_t from;        /* port */
    uint16_t from_idx;    /* the front's own, kept with the packet */
    uint16_t to_idx;      /* the same; the port where fronts have one index per port */
    uint32_t to_mask;     /* ports that it goes to, at least one; to_idx holds when there is one */
    uint64_t at_ns;
    uint64_t realtime_ns; /* for the log */
};

/* Starts the law at now, maps memory and opens the logs. On an error, what is at fault was printed
 * on stderr and -errno is returned; fini cleans up in any case. `options` is copied; what it
 * points to must stay. */
int gx_wan_network_init(struct gx_wan_network *network, const struct gx_wan_options *options,
                        uint64_t now_ns);
void gx_wan_network_fini(struct gx_wan_network *network);

/* Applies the lines of the trace that hold from now_ns or before. */
void gx_wan_network_trace(struct gx_wan_network *network, uint64_t now_ns);

/* Sends an arrival through the uplink and the paths. */
void gx_wan_network_enter(struct gx_wan_network *network, const struct gx_wan_arrival *arrival);

/* Passes what is sure to be next through the downlinks. */
void gx_wan_network_pass(struct gx_wan_network *network, uint64_t now_ns);

/* The next packet that is due by now_ns, NULL: none. The caller sends it, says when by
 * gx_wan_network_sent(), and gives it back to the pool. */
struct gx_wan_packet *gx_wan_network_next(struct gx_wan_network *network, uint64_t now_ns);
void gx_wan_network_sent(struct gx_wan_network *network, const struct gx_wan_packet *packet,
                         uint64_t now_ns);

/* When there is next something to do; UINT64_MAX: not before a packet arrives. */
uint64_t gx_wan_network_due_ns(const struct gx_wan_network *network);

/* CLOCK_MONOTONIC and CLOCK_REALTIME. */
uint64_t gx_wan_now_ns(void);
uint64_t gx_wan_realtime_ns(void);

/* "gx-wan: cannot WHAT CULPRIT: reason" on stderr; returns -error. */
int gx_wan_complain(const char *what, const char *culprit, int error);

#endif
