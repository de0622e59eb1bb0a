/* gx_wan_slotlog: what the link did with the time that it was given: for each path and millisecond, how many frames it
 * serialised and how many of them it lost. A bound that counts the losses which the dice really gave (the realised bound,
 * docs/gx-perf.md) is computed from it.
 *
 *   gx-wan slots 1: ms from to frames bytes lost_frames lost_bytes
 *   7043121 0 1 17 25466 1 1498
 *
 * ms       CLOCK_MONOTONIC, when the frames' serialisation ended
 * from to  indices of the ports on the command line
 * bytes    of Ethernet frames without FCS
 * lost     after serialisation, by losses, bursts or an outage; a corrupted frame is not lost
 *
 * A path's lines are in order of time; those of different paths mix. What a queue dropped used no time and is in none.
 * A line is written when its path has a frame in a later millisecond, so a reader lacks the last one at most.
 */
#ifndef GX_WAN_SLOTLOG_H
#define GX_WAN_SLOTLOG_H

#include "wan/options.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define GX_WAN_SLOTLOG_TITLE "gx-wan slots 1: ms from to frames bytes lost_frames lost_bytes"

struct gx_wan_slots {
    uint64_t ms;
    uint64_t frames, bytes, lost_frames, lost_bytes;
};

struct gx_wan_slotlog {
    FILE *file;                                                    /* NULL: none is wanted */
    struct gx_wan_slots paths[GX_WAN_PORTS_MAX][GX_WAN_PORTS_MAX]; /* the open line, [from][to] */
};

/* -errno when the file cannot be written. */
int gx_wan_slotlog_open(struct gx_wan_slotlog *log, const char *path);

/* Counts a frame whose serialisation on the path ended at left_ns. */
void gx_wan_slotlog_count(struct gx_wan_slotlog *log, uint32_t from, uint32_t to, uint64_t left_ns,
                          uint32_t frame_bytes, bool lost);

/* Writes the open lines, which begin anew. */
void gx_wan_slotlog_flush(struct gx_wan_slotlog *log);

/* Flushes and closes. -errno when something could not be written. */
int gx_wan_slotlog_close(struct gx_wan_slotlog *log);

#endif
