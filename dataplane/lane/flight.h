/* gx_flight: the log of what a lane has sent in its current session, so that feedback about packet numbers becomes
 * knowledge about blocks.
 *
 * Marks     sent ≥ seen ≥ judged. Numbers above `seen` are in flight; those between may have been overtaken; those up
 *           to `judged` are known: the receiver's lacks tell whether they arrived. A shard counts as lost by order and
 *           time, as in RACK (RFC 8985), never by a timer of its own.
 * Memory    a ring, handed in; the oldest entry is judged before it is overwritten.
 */
#ifndef GX_LANE_FLIGHT_H
#define GX_LANE_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GX_FLIGHT_NO_SEND UINT16_MAX

struct gx_flight_entry {
    uint64_t sent_ns;
    uint32_t block;
    uint16_t send; /* slot, GX_FLIGHT_NO_SEND: no shard */
    uint16_t send_generation;
};

struct gx_flight {
    struct gx_flight_entry *ring;
    uint32_t ring_count; /* power of two */
    uint64_t sent;       /* highest number sent; 0: none */
    uint64_t seen;
    uint64_t judged;
};

/* Entries for a second at this rate: 2^12 to 2^20. */
uint32_t gx_flight_ring_count(uint64_t rate_bps, uint32_t packet_bytes);
void gx_flight_init(struct gx_flight *flight, struct gx_flight_entry *ring, uint32_t ring_count);
/* Numbers start again at 1; call gx_flight_see() and gx_flight_judge() to the end before. */
void gx_flight_reset(struct gx_flight *flight);

static inline bool gx_flight_full(const struct gx_flight *flight)
{
    return flight->sent - flight->judged == flight->ring_count;
}

/* Logs the next number; not when full. */
void gx_flight_sent(struct gx_flight *flight, uint64_t number, const struct gx_flight_entry *entry);

/* The next entry that the peer's highest number overtakes; NULL when there is none left. */
const struct gx_flight_entry *gx_flight_see(struct gx_flight *flight, uint64_t highest);
/* The next seen entry that was sent at or before `before_ns`. */
const struct gx_flight_entry *gx_flight_judge(struct gx_flight *flight, uint64_t before_ns);
/* The oldest unjudged entry, seen or not, counts as judged: makes room. There is one. */
const struct gx_flight_entry *gx_flight_drop(struct gx_flight *flight);
/* When the newest seen packet was sent; 0: none. */
uint64_t gx_flight_seen_sent_ns(const struct gx_flight *flight);

#endif
