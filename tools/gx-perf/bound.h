/* gx_perf_bound: what physics allows for a transfer and a round over equal links (docs/gx-perf.md). */
#ifndef GX_PERF_BOUND_H
#define GX_PERF_BOUND_H

#include <stdint.h>

/* Ethernet, IPv4, UDP and gx headers of one packet. */
#define GX_PERF_HEADER_BYTES 90u

struct gx_perf_link {
    uint64_t rate_bps;    /* Ethernet frames without FCS; 0: not known, there are no bounds */
    double delay_seconds; /* one way */
    double loss;          /* that the link makes after its serialisation */
    double fsync_seconds; /* the coordinator's */
    uint32_t shard_bytes;
};

/* 8·(N−1)·S·(1+h) / (R·(1−p)) + d, seconds. NAN without a rate, or without peers. */
double gx_perf_transfer_bound(const struct gx_perf_link *link, uint64_t bytes, uint32_t site_count);

/* The above + two more one-way delays, to the coordinator and back, + one fsync. */
double gx_perf_round_bound(const struct gx_perf_link *link, uint64_t bytes, uint32_t site_count);

#endif
