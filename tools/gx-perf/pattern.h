/* gx_perf_pattern: made-up contributions. Every value follows from (run, site, round, index) by a hash, so each site can
 * compute what every other one sent. Values lie in [-1, 1), over eight binary orders of magnitude. */
#ifndef GX_PERF_PATTERN_H
#define GX_PERF_PATTERN_H

#include <stdint.h>

#include "gx.h"

/* From the run's name (FNV-1a, 64 bits). */
uint64_t gx_perf_seed(const char *run);

/* Values first … first + count − 1 of the site's contribution to the round. */
void gx_perf_pattern_fill(float *out, uint64_t seed, uint32_t site, uint64_t round, uint64_t first,
                          uint64_t count);

/* The site's weight: sites differ, so that a mean without weights is found out. */
uint64_t gx_perf_weight(uint32_t site);

/* The largest number of values whose contribution has at most `bytes` on the wire; 0: not even one. */
uint64_t gx_perf_param_count(enum gx_format format, uint64_t bytes);

#endif
