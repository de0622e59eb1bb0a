/* gx_perf_check: a reference for results, in double precision, that shares no code with gxd's reduction. */
#ifndef GX_PERF_CHECK_H
#define GX_PERF_CHECK_H

#include <stdint.h>

#include "gx.h"

struct gx_perf_check {
    uint64_t wrong;       /* values out of tolerance */
    uint64_t first_index; /* of them; UINT64_MAX: none */
    double got, expected; /* there */
};

/* The sum of the cohort's weights. */
uint64_t gx_perf_divisor(uint32_t cohort);

/* Compares result[param_count] with the mean of what the cohort's sites sent, encoded and decoded: right when
 * |x − ref| ≤ 2⁻²²·Σ|wᵢΔᵢ|/W. */
void gx_perf_check_result(struct gx_perf_check *check, uint64_t seed, enum gx_format format,
                          uint64_t round, uint32_t cohort, const float *result,
                          uint64_t param_count);

#endif
