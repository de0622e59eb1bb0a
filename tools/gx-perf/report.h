/* gx_perf_report: what was measured, and how it is printed. */
#ifndef GX_PERF_REPORT_H
#define GX_PERF_REPORT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gx-perf/options.h"
#include "gx.h"

struct gx_perf_round {
    uint64_t round;
    double held_seconds;   /* NAN: nothing was received */
    double seconds;        /* NAN: void */
    uint64_t completed_ns; /* CLOCK_MONOTONIC */
    uint32_t cohort;
};

/* Totals of the counted rounds: what the events said after the last, less what they said after the warm-up. */
struct gx_perf_totals {
    uint64_t sent_bytes, redundant_bytes, expected_shards, lost_shards;
};

struct gx_perf_report {
    const struct gx_perf_options *options;
    uint64_t bytes, param_count; /* of one contribution */
    uint32_t site, site_count;
    char site_names[GX_SITES_MAX][GX_NAME_MAX];
    struct gx_perf_round *rounds; /* [options->rounds] */
    uint32_t round_count;
    struct gx_perf_totals totals, seen;
    uint64_t checked, errors, left_out, voids, behind, reattached;
};

int gx_perf_report_init(struct gx_perf_report *report, const struct gx_perf_options *options);
void gx_perf_report_fini(struct gx_perf_report *report);

/* Takes a round's last event. `counted`: not the warm-up. */
void gx_perf_report_event(struct gx_perf_report *report, const struct gx_event *event, int counted);

/* The smallest of `values` that at least the share `p` of them does not exceed (nearest rank). NAN of none; NANs among
 * the values are left out. Sorts `values`. */
double gx_perf_percentile(double *values, size_t count, double p);

/* The median of what rounds took until all was held; NAN: nothing was received. */
double gx_perf_report_held_seconds(const struct gx_perf_report *report);

struct json_t;
/* A new reference. */
struct json_t *gx_perf_report_object(const struct gx_perf_report *report);
void gx_perf_report_json(const struct gx_perf_report *report, FILE *out);
void gx_perf_report_text(const struct gx_perf_report *report, FILE *out);

/* "a,b": the names of a cohort, into `out` of GX_SITES_MAX * GX_NAME_MAX bytes. */
const char *gx_perf_cohort_text(const struct gx_perf_report *report, uint32_t cohort, char *out);

#endif
