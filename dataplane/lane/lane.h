/* gx_lane: the packets between this site and one peer: log of what was sent, count of what arrived, estimates, pace,
 * and the times at which feedback and probes are due. */
#ifndef GX_LANE_LANE_H
#define GX_LANE_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "lane/arrival.h"
#include "lane/delivery.h"
#include "lane/estimate.h"
#include "lane/flight.h"
#include "lane/pace.h"
#include "lane/rate.h"

#define GX_LANE_NEVER UINT64_MAX
#define GX_LANE_RTT_UNKNOWN_NS 250000000ull /* the timer while nothing is known */
#define GX_LANE_TIMEOUT_MIN_NS 50000000ull  /* a busy host is silent for some ms, too */

struct gx_lane {
    struct gx_flight flight;
    struct gx_arrival arrival;
    struct gx_estimate estimate;
    struct gx_rate rate;
    struct gx_delivery delivery;
    bool backlogged; /* since the last sample of delivery */
    struct gx_pace pace;
    uint32_t peer_lateness_us;
    uint64_t hello_rtt_ns; /* of the handshake, an upper bound; 0: unknown */

    /* Feedback we owe, and the newest we had. */
    uint64_t feedback_due_ns;
    uint64_t feedback_sent_ns;
    uint64_t feedback_number; /* packet number of the newest one processed in this session */

    uint64_t probe_due_ns; /* set-up, idle */
    uint64_t tail_number;  /* of the last shard */
    uint64_t tail_due_ns;  /* of the tail probe */
    uint32_t tail_probes;  /* sent since the last shard */
};

void gx_lane_init(struct gx_lane *lane, const struct gx_rate_algorithm *algorithm,
                  uint64_t rate_bps, double loss_floor, uint32_t packet_bytes,
                  struct gx_flight_entry *ring, uint32_t ring_count, uint64_t now);
/* A new session: numbers start again. `replay` of the old one, NULL without; `restarted`: the peer counts anew. */
void gx_lane_session(struct gx_lane *lane, const struct gx_replay *old, bool restarted,
                     uint64_t now);

/* Time between feedbacks: min(RTT/4, 10 ms), at least 1 ms. */
uint64_t gx_lane_interval_ns(const struct gx_lane *lane);
/* max(RTT/8, 1.25 × lateness), at most RTT/2: how much later than one that overtook it a packet may come. */
uint64_t gx_lane_window_ns(const struct gx_lane *lane, uint32_t lateness_us);
/* RTT + 2 intervals + window, at least 50 ms: silence after which everything in flight counts as lost. */
uint64_t gx_lane_timeout_ns(const struct gx_lane *lane);

/* Feedback is due an interval after the last, or now. */
void gx_lane_feedback_soon(struct gx_lane *lane, uint64_t now);
void gx_lane_feedback_now(struct gx_lane *lane, uint64_t now);

/* A shard was sent with the flight's newest number; everything unjudged will be probed for. */
void gx_lane_shard_sent(struct gx_lane *lane, uint64_t now);
/* Is a probe due? Counts it as sent. */
bool gx_lane_probe(struct gx_lane *lane, uint64_t now);
/* Feedback came: no probe is needed for a while. */
void gx_lane_feedback_heard(struct gx_lane *lane, uint64_t now);
uint64_t gx_lane_wake(const struct gx_lane *lane);

#endif
