/* gx_estimate: what a sender knows of the path to a peer: round-trip time, loss, mean length of loss bursts. Kept
 * between rounds and sessions; loss over about the last 20,000 packets (docs/transfer.md). */
#ifndef GX_LANE_ESTIMATE_H
#define GX_LANE_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

struct gx_estimate {
    uint64_t rtt_ns;         /* smoothed (RFC 6298); 0: unknown */
    uint64_t rtt_min_ns[2];  /* smallest of these 10 s and of those before */
    uint64_t rtt_period_ns;  /* when these 10 s began */
    uint64_t standing_ns[2]; /* smallest of this round trip and of the one before */
    uint64_t standing_period_ns;
    uint32_t
        back_us[2]; /* smallest way back of these 10 s and of those before, in clocks that differ */
    uint32_t back_known; /* how many of these are known */
    uint64_t back_period_ns;
    /* Decayed sums, and the totals of the peer's at which they stand. */
    double expected;
    double lost;
    double bursts;
    uint64_t total_expected;
    uint64_t total_lost;
    uint64_t total_bursts;
};

/* back_us: the way back alone, our clock when the feedback came less the peer's when it left. */
void gx_estimate_rtt(struct gx_estimate *estimate, uint64_t sample_ns, uint32_t back_us,
                     uint64_t now);
/* The peer's clock may be another. */
void gx_estimate_back_reset(struct gx_estimate *estimate);
/* The peer's totals; smaller ones than before mean that it has started to count anew. */
void gx_estimate_totals(struct gx_estimate *estimate, uint64_t expected, uint64_t lost,
                        uint64_t bursts);
/* What an earlier process knew, and on how many packets it rests. Before the first totals. */
void gx_estimate_recall(struct gx_estimate *estimate, double packets, double loss, double burst);
uint64_t gx_estimate_rtt_min_ns(const struct gx_estimate *estimate);
/* The smallest sample of the last one to two round trips (at least 10 ms): of a path with jitter, what its queue adds; 0: unknown.
 * Without what the way back took longer than it has to: the queue there is made by the peer's sending, and a worker that comes
 * late to its packets is none at all. */
uint64_t gx_estimate_standing_ns(const struct gx_estimate *estimate);

/* Fewer than 1,000 packets judged: loss and burst say nothing yet. */
bool gx_estimate_cold(const struct gx_estimate *estimate);
double gx_estimate_loss(const struct gx_estimate *estimate); /* 0 to 1 */
/* So much it may well be (two standard deviations of a Poisson count above), 0 before the first packet. */
double gx_estimate_loss_likely(const struct gx_estimate *estimate);
double gx_estimate_burst(const struct gx_estimate *estimate); /* packets, at least 1 */

#endif
