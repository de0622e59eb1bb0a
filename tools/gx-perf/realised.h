/* gx_perf_realised: what the links into this site lost in each round, and how long they were idle, by gx-wan's slot log (tools/wan/slotlog.h). With it
 * in the place of the mean loss, a bound tells what the dice allowed (docs/gx-perf.md).
 *
 * gx-wan's ports must be in the order of the sites.
 */
#ifndef GX_PERF_REALISED_H
#define GX_PERF_REALISED_H

#include <stdio.h>

#include "gx-perf/report.h"

/* Sets link_loss and link_idle of all rounds (docs/gx-perf.md). From a delay before the end of the round before on, the link's bytes are counted until
 * those that arrived are what the round's members among the peers sent at least; later losses cost that round nothing. A round in
 * which less arrived than two thirds of that, or that had no such members, stays without. -EPROTO: line *line is not a slot log's. -ENOMEM. */
int gx_perf_realised_read(struct gx_perf_report *report, FILE *file, unsigned *line);

#endif
