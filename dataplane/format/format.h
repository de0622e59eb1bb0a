/* gx_format: how a contribution's values travel. docs/formats.md specifies every byte.
 *
 * Blocks    every format is a row of blocks of 128 values, each with a fixed number of bytes; only
 * the last block may be short. Positions given to these functions are counted in values or in bytes
 * from the contribution's start; where a position must be the start of a block, it says so. Same
 * every function gives the same bytes on every machine: plain C, AVX2 and AVX-512 agree, the
 *           accumulation rounds the product and then the sum (the folder is compiled with
 * -ffp-contract=off), and nothing here works in a process that flushes subnormals to zero. Threads
 * everything may be called from any thread; memory belongs to the caller and may have any
 * alignment. Public    gx_encode, gx_decode, gx_wire_bytes, gx_format_name and gx_format_parse are
 * declared in gx.h.
 */
#ifndef GX_FORMAT_H
#define GX_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gx.h"

#define GX_FORMAT_BLOCK_VALUES 128u

/* Contributions to be added up, in this order; members[m] is where one starts. */
struct gx_format_cohort {
    enum gx_format format;
    uint32_t member_count;
    const void *members[GX_SITES_MAX];
    float scales[GX_SITES_MAX];
};

/* Values first .. first + count - 1 of a cohort's mean, in one pass over its members:
 * dst[i] = +0 + scales[0] * value 0 + scales[1] * value 1 …, each product rounded to FP32 before it
 * is added. dst is written once and never read. `first` is a multiple of 128, and so is `count`
 * except at the end: pieces of any size give the same values as the whole. */
void gx_format_mean(const struct gx_format_cohort *cohort, float *dst, uint64_t first,
                    uint64_t count);

/* Looks at the bytes first_byte .. first_byte + byte_count - 1 of the contribution that starts at
 * `wire` and has `param_count` values: 0, or -EDOM when one of them makes a value that is not
 * finite or that no encoder makes (docs/formats.md, "Refused bytes"). first_byte and byte_count are
 * multiples of 4 except at the end, so that digest pieces may be checked as they arrive. Bytes
 * beyond the contribution: -EDOM. */
int gx_format_check(enum gx_format format, const void *wire, uint64_t first_byte,
                    uint64_t byte_count, uint64_t param_count);

/* The instruction set in use: "plain", "avx2" or "avx512". The best one is chosen at the first
 * call. */
const char *gx_format_isa(void);

/* Chooses another one, for tests and comparisons: -EINVAL when unknown, -ENOTSUP when this CPU
 * lacks it. */
int gx_format_use(const char *isa);

#endif
