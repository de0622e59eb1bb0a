/* gx_delivery: how fast the path delivers, from feedback: the packets between two highest numbers over the time
 * between their arrivals, or between their departures where that is longer (a burst of feedback would else look like
 * a burst of deliveries; as in draft-cheng-iccrg-delivery-rate-estimation, sections 2.2 and 2.3).
 *
 * Units     every packet counts as a full one: where it matters nearly all are.
 */
#ifndef GX_LANE_DELIVERY_H
#define GX_LANE_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

struct gx_delivery_sample {
    uint64_t packets; /* numbers of the span */
    uint64_t received;
    uint64_t span_ns;
    uint64_t delivered_bps;
    uint64_t sent_bps; /* how fast these packets had left */
};

struct gx_delivery {
    bool started;
    uint64_t number; /* highest at the start of the span */
    uint64_t arrived_ns, sent_ns;
    uint32_t received;
};

/* Numbers start again. */
void gx_delivery_reset(struct gx_delivery *delivery);

/* Feedback named `highest`, sent at sent_ns, which arrived at arrived_ns (sender's clock, late by the way back), and how
 * many packets have been received. True when a span of at least span_ns is complete: *sample is set. */
bool gx_delivery_feedback(struct gx_delivery *delivery, uint64_t highest, uint64_t sent_ns,
                          uint64_t arrived_ns, uint32_t received, uint64_t span_ns,
                          uint32_t packet_bytes, struct gx_delivery_sample *sample);

#endif
