/* gx_rate: how fast a lane may send. One file per algorithm, each ending in one const table of functions. */
#ifndef GX_LANE_RATE_H
#define GX_LANE_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lane/delivery.h"

/* What one feedback says about the path. */
struct gx_rate_sample {
    uint64_t now;
    uint64_t rtt_ns;      /* smoothed; 0: unknown */
    uint64_t rtt_min_ns;  /* of the last 10 to 20 s */
    uint64_t standing_ns; /* the smallest of about the last RTT: without jitter; 0: unknown */
    uint64_t grant_bps;   /* what the receiver allows; 0: it sets no limit */
    double loss;          /* over the last 20,000 packets */
    uint32_t ce_count;
    bool backlogged; /* there was always something to send */
    bool has_delivery;
    struct gx_delivery_sample delivery;
};

/* Decayed counts. */
struct gx_rate_loss {
    double packets, lost;
};

/* State of `path` (path.c). */
struct gx_rate_path {
    uint64_t model_bps; /* the answer, but for ceiling and grant */
    uint8_t mode;
    uint8_t stalls;       /* round trips in START without growth */
    uint8_t drains_vain;  /* in a row, that left the queue as it was */
    uint64_t mode_ns;     /* when the mode began … */
    uint64_t before_ns;   /* … and the standing round trip then */
    uint64_t round_ns;    /* when this round trip began */
    uint64_t cruise_ns;   /* how long a cruise lasts */
    uint64_t min_ns;      /* the round trip without a queue; 0: unknown */
    uint64_t min_seen_ns; /* when it was seen last */
    uint64_t sounded_ns;  /* when it was sounded last */
    uint64_t grown_bps;   /* delivery that START last grew to */
    uint64_t best_bps[2]; /* largest delivery of this period and of the one before; 0: unknown */
    uint64_t before_bps;  /* that of the period before those */
    uint64_t period_ns;   /* when this period began */
    struct gx_rate_loss recent; /* of about 1,000 packets */
    struct gx_rate_loss clear;  /* of about 10,000 that met no queue: the path's own */
    uint64_t changed_ns;        /* when the path last became another one; 0: never */
    bool was_severe;            /* the last span lost far too much */
};

struct gx_rate {
    const struct gx_rate_algorithm *algorithm;
    uint64_t ceiling_bps; /* the config's `rate` */
    double loss_floor;    /* loss that does not slow it, 0 to 1 */
    uint64_t bps;         /* the answer, never above the ceiling or the grant */
    struct gx_rate_path path;
};

struct gx_rate_algorithm {
    const char *name;
    void (*init)(struct gx_rate *rate);
    void (*recall)(struct gx_rate *rate, uint64_t bps); /* NULL: it has nothing to remember */
    void (*on_feedback)(struct gx_rate *rate, const struct gx_rate_sample *sample);
};

/* Sends at the ceiling or the grant, whatever the path does: for a circuit of one's own. */
extern const struct gx_rate_algorithm gx_rate_fixed;
/* Follows what the path delivers and how long its queue is: for a path that is shared or slower than the ceiling. */
extern const struct gx_rate_algorithm gx_rate_path;

/* "path", "fixed"; NULL: there is none of that name. */
const struct gx_rate_algorithm *gx_rate_find(const char *name);

void gx_rate_init(struct gx_rate *rate, const struct gx_rate_algorithm *algorithm,
                  uint64_t ceiling_bps, double loss_floor);
/* What an earlier process had come to: a first guess, before the first feedback. */
void gx_rate_recall(struct gx_rate *rate, uint64_t bps);
/* Another ceiling. A lower one holds at once, a higher one from the next feedback on, which brings the grant. */
void gx_rate_ceiling(struct gx_rate *rate, uint64_t ceiling_bps);

#endif
