/* gx_perf_markdown: what was measured at one site, as a page in Markdown with a plot. */
#ifndef GX_PERF_MARKDOWN_H
#define GX_PERF_MARKDOWN_H

#include "gx-perf/report.h"

/* Writes the page to `path`, and beside it the plot, with .svg for .md, where gnuplot is there; else the page holds a
 * plot of text. The plot shows each measure that is over a bound (without --link-rate: in seconds) by the share of the
 * rounds that it does not exceed. -errno. */
int gx_perf_markdown_write(const struct gx_perf_report *report, const char *path);

#endif
