/* gx_perf: one benchmark at one site. */
#ifndef GX_PERF_H
#define GX_PERF_H

#include "gx-perf/options.h"
#include "gx-perf/report.h"

enum gx_perf_exit { GX_PERF_OK, GX_PERF_FAILED, GX_PERF_USAGE, GX_PERF_ABSENT };

/* Runs all rounds and fills the report as far as it got. Returns the exit code; messages go to stderr. */
int gx_perf_run(const struct gx_perf_options *options, struct gx_perf_report *report);

#endif
