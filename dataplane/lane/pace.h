/* gx_pace: a token bucket that lets packets go in trains: sending is allowed from the moment that there is credit for a
 * whole train until there is none left. A packet may take it into debt, and what must not wait (control, feedback) is
 * charged all the same.
 *
 * Units     credit in 1e-9 bits, so that elapsed ns × bit/s add up exactly.
 */
#ifndef GX_LANE_PACE_H
#define GX_LANE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define GX_PACE_CREDIT_NS 5000000ull /* saved up at most … */
#define GX_PACE_CREDIT_PACKETS 8     /* … but so many full packets always */
/* A train: what leaves in a millisecond, at most 64 KiB. A wake costs as much as ten packets. */
#define GX_PACE_TRAIN_NS 1000000ull
#define GX_PACE_TRAIN_BYTES 65536
#define GX_PACE_TRAIN_PACKETS 2 /* at least */

struct gx_pace {
    uint64_t rate_bps;
    uint64_t packet_bytes; /* of a full frame */
    uint64_t updated_ns;
    int64_t credit;
    bool open; /* a train is leaving */
};

void gx_pace_init(struct gx_pace *pace, uint64_t rate_bps, uint32_t packet_bytes, uint64_t now);
void gx_pace_rate(struct gx_pace *pace, uint64_t rate_bps, uint64_t now);
bool gx_pace_allows(struct gx_pace *pace, uint64_t now);
void gx_pace_charge(struct gx_pace *pace, uint32_t frame_bytes);
/* When the next train may leave, if none is leaving. */
uint64_t gx_pace_when(const struct gx_pace *pace);

#endif
