/* gx_arrival: what the receiving side of a lane concludes from packet numbers: how many should have come, how many are
 * lost, in how many runs, and how late reordered ones come.
 *
 * Rule      a number counts as lost when a higher one came and a window of time has passed since. When it comes after
 *           all, the count is taken back. A cursor walks over the replay window, each number once.
 */
#ifndef GX_LANE_ARRIVAL_H
#define GX_LANE_ARRIVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "session/replay.h"

struct gx_arrival {
    uint64_t expected; /* judged numbers, all sessions together */
    uint64_t lost;
    uint64_t bursts;
    uint32_t received;        /* in this session, modulo 2^32 */
    uint64_t cursor;          /* numbers of this session up to it are judged */
    bool in_burst;            /* the number at the cursor is missing */
    uint64_t snap_highest;    /* highest number at … */
    uint64_t snap_ns;         /* … this time; 0: no snapshot */
    uint32_t newest_clock_us; /* of the packet with the highest number */
    uint64_t newest_ns;
    uint32_t lateness_us[2]; /* largest of this second and of the one before */
    uint64_t lateness_ns;    /* when this second began */
};

/* All counts to 0: a new incarnation of the peer. */
void gx_arrival_init(struct gx_arrival *arrival);
/* Numbers start again: a new session. The rest of the old one (NULL: there was none) is judged now. */
void gx_arrival_session(struct gx_arrival *arrival, const struct gx_replay *old);

/* Before gx_replay_mark(): an authenticated packet with a number not seen. */
void gx_arrival_packet(struct gx_arrival *arrival, const struct gx_replay *replay, uint64_t number,
                       uint32_t clock_us, uint64_t now);
/* Judges what is older than window_ns. */
void gx_arrival_tick(struct gx_arrival *arrival, const struct gx_replay *replay, uint64_t window_ns,
                     uint64_t now);
/* When gx_arrival_tick() has something to do; UINT64_MAX: never. */
uint64_t gx_arrival_wake(const struct gx_arrival *arrival, uint64_t window_ns);
uint32_t gx_arrival_lateness_us(const struct gx_arrival *arrival);

#endif
