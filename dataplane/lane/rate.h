/* gx_rate: how fast a lane may send. One file per algorithm, each ending in one const table of functions. */
#ifndef GX_LANE_RATE_H
#define GX_LANE_RATE_H

#include <stdint.h>

/* What one feedback says about the path. */
struct gx_rate_sample {
    uint64_t now;
    uint64_t rtt_ns; /* smoothed; 0: unknown */
    uint64_t rtt_min_ns;
    uint64_t grant_bps; /* what the receiver allows; 0: it sets no limit */
    double loss;
    uint32_t ce_count;
};

struct gx_rate {
    const struct gx_rate_algorithm *algorithm;
    uint64_t ceiling_bps; /* the config's `rate` */
    uint64_t bps;         /* the answer, never above the ceiling or the grant */
};

struct gx_rate_algorithm {
    const char *name;
    void (*init)(struct gx_rate *rate);
    void (*on_feedback)(struct gx_rate *rate, const struct gx_rate_sample *sample);
};

/* Sends at the ceiling or the grant, whatever the path does. */
extern const struct gx_rate_algorithm gx_rate_fixed;

void gx_rate_init(struct gx_rate *rate, const struct gx_rate_algorithm *algorithm,
                  uint64_t ceiling_bps);
/* Another ceiling. A lower one holds at once, a higher one from the next feedback on, which brings the grant. */
void gx_rate_ceiling(struct gx_rate *rate, uint64_t ceiling_bps);

#endif
