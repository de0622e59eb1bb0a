/* gx_wan_trace: how a link changes over time, read from a file.
 *
 *   # since the start, rate, delay, loss; "-": as before
 *   0      200Mbit  25ms  0.01
 *   10.5   50Mbit   80ms  5%
 *   20s    -        25ms  -
 *
 * Fields are separated by blanks or by one comma. Each line holds from its time on, the last one
 * for ever. Times must not fall. A rate of 0 is refused: loss 1 says that nothing passes.
 */
#ifndef GX_WAN_TRACE_H
#define GX_WAN_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define GX_WAN_TRACE_LINES_MAX 1000000u

struct gx_wan_trace_line {
    uint64_t from_ns; /* since the start */
    uint64_t rate_bps;
    uint64_t delay_ns;
    double loss;
    bool has_rate, has_delay, has_loss;
};

struct gx_wan_trace {
    struct gx_wan_trace_line *lines;
    uint32_t count;
};

/* Reads a whole file. -errno, and in `error` "line 3: 'x' is not …"; then the trace is empty. */
int gx_wan_trace_read(struct gx_wan_trace *trace, FILE *file, char *error, size_t error_bytes);
void gx_wan_trace_fini(struct gx_wan_trace *trace);

/* The greatest of all lines; 0: no line has one. */
uint64_t gx_wan_trace_rate_max(const struct gx_wan_trace *trace);
uint64_t gx_wan_trace_delay_max(const struct gx_wan_trace *trace);

/* A time of day zero: "7.5" (seconds) or "500ms". 0 or -EINVAL. */
int gx_wan_moment(const char *text, uint64_t *ns);

#endif
