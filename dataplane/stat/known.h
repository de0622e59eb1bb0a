/* gx_known: what was learned of the link to a peer, so that the next gxd does not begin from nothing. It needs no file of its
 * own: the counters outlive their gxd. Where there was no feedback from the peer, what that gxd had from its predecessor
 * counts, and lies beside them.
 *
 * Times     CLOCK_REALTIME: a machine may have been started anew meanwhile.
 */
#ifndef GX_STAT_KNOWN_H
#define GX_STAT_KNOWN_H

#include <stdint.h>

struct gx_stat_file;

struct gx_known {
    uint64_t at_ns;   /* when it was last true */
    uint64_t packets; /* that it rests on; 0: nothing is known */
    uint64_t loss_ppm;
    uint64_t burst_milli; /* mean length of loss bursts, thousandths */
    uint64_t rate_bps;    /* that was allowed, over all lanes */
};

/* What the gxd of this file knew of the site of that name. */
struct gx_known gx_known_of(const struct gx_stat_file *last, const char *name);
/* The same, worth less the older it is: as few packets, after a day none. */
struct gx_known gx_known_aged(const struct gx_known *known, uint64_t realtime_ns);

#endif
