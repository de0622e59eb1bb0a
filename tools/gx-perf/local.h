/* gx_perf_local: two complete gateways and their trainers in this process, DPDK rings between them: the dataplane
 * without a network. Everything is as in two gxds (config, attach socket, journal, worker), in a temporary folder.
 *
 * Threads   each site: main, trainer, and a worker; with `cores` 1 one thread runs both workers in turn.
 */
#ifndef GX_PERF_LOCAL_H
#define GX_PERF_LOCAL_H

#include <stdint.h>
#include <stdio.h>

#include "gx-perf/options.h"
#include "gx-perf/report.h"

#define GX_PERF_LOCAL_SITES 2
#define GX_PERF_STAGES 7 /* of a worker's time: counters work_*_ns_total */

/* What a worker did in the counted rounds, from one site's counters. */
struct gx_perf_work {
    double cpu_seconds; /* of the thread: shared with the other site where `cores` is 1 */
    double stage_seconds[GX_PERF_STAGES];
    uint64_t sent_bytes;   /* payload given to the port */
    uint64_t copied_bytes; /* of those */
    uint64_t
        flattened_bytes; /* received frames that were copied, because rings bring them in two pieces */
    uint64_t contribution_bytes; /* received */
};

struct gx_perf_local {
    uint32_t cores;
    uint64_t
        tsc_hz; /* of the clock in which cycles are told: constant, not the core's changing one */
    struct gx_perf_report *reports[GX_PERF_LOCAL_SITES];
    struct gx_perf_work work[GX_PERF_LOCAL_SITES];
};

/* Runs it and prints the result. Returns the exit code; messages go to stderr. */
int gx_perf_local_run(const struct gx_perf_options *options);

void gx_perf_local_json(const struct gx_perf_local *local, FILE *out);
void gx_perf_local_text(const struct gx_perf_local *local, FILE *out);

#endif
