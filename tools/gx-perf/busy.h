/* gx_perf_busy: what gxd's workers did in the counted rounds: how much each moved, and how much of its time that took; and how
 * the losses of each link into this site were dealt with. From the file that gxd keeps its counters in, so that reading costs gxd nothing.
 */
#ifndef GX_PERF_BUSY_H
#define GX_PERF_BUSY_H

#include <stdint.h>

#include "gx.h"

#define GX_PERF_BUSY_WORKERS_MAX 64

struct gx_perf_busy_worker {
    double busy_share;             /* of the time; what is left it slept */
    double sent_bps, received_bps; /* Ethernet frames, of all runs and links */
};

/* Of all runs. */
struct gx_perf_busy_link {
    uint64_t lost_packets;
    uint64_t rebuilt_advance_shards, rebuilt_asked_shards; /* by the parity that did it */
};

struct gx_perf_busy {
    uint32_t worker_count; /* 0: not known, and then of links neither */
    struct gx_perf_busy_worker workers[GX_PERF_BUSY_WORKERS_MAX];
    struct gx_perf_busy_link links[GX_SITES_MAX]; /* from the site of that index */
};

/* What the counters said at one moment. */
struct gx_perf_busy_moment {
    uint64_t at_ns;          /* CLOCK_MONOTONIC; 0: they could not be read */
    uint64_t gxd_started_ns; /* differs after a restart, where they begin anew */
    uint32_t worker_count;
    struct gx_perf_busy_sums {
        uint64_t busy_ns, sent_bytes, received_bytes;
    } workers[GX_PERF_BUSY_WORKERS_MAX];
    struct gx_perf_busy_link links[GX_SITES_MAX];
};

/* Reads the counters of the gxd at `socket`, in `state` or, if that is NULL, in SOCKET.state. */
void gx_perf_busy_read(struct gx_perf_busy_moment *out, const char *socket, const char *state,
                       uint64_t now_ns);

/* What happened in between; nothing is known when either could not be read or gxd started anew. */
void gx_perf_busy_between(struct gx_perf_busy *out, const struct gx_perf_busy_moment *from,
                          const struct gx_perf_busy_moment *to);

#endif
