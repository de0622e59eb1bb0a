/* sim_reference: the mean of a cohort from DESIGN.md section 6, written apart from gxd: s_i = (float)((double)w_i / W),
 * acc += s_i * value_i in the order of the sites, each product and each sum rounded to FP32. */
#ifndef SIM_REFERENCE_H
#define SIM_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "gx.h"

struct sim_member {
    const uint8_t *bytes;
    uint64_t weight;
};

/* Writes the mean into `out`, `count` values. Also computes it in double precision, and returns false when the two are
 * further apart than rounding allows: then the rule itself is wrong. */
bool sim_reference_mean(enum gx_format format, const struct sim_member *members,
                        uint32_t member_count, uint64_t divisor, uint64_t count, float *out);

#endif
