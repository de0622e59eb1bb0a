/* gx_fec: a systematic Reed-Solomon code over GF(2^8), polynomial 0x11d. docs/fec.md states it
 * exactly.
 *
 * Code      k data rows (1 to GX_FEC_DATA_MAX) and parity rows k to 255. Parity row r is the sum
 * over j < k of data row j times 1/(r ^ j): a Cauchy matrix, so any k distinct rows rebuild the
 * data. The coefficient depends on r and j only; every site that holds the data makes the same
 * rows. Rows      all have shard_bytes bytes, a multiple of 64, at any alignment; rows of one call
 * do not overlap. Threads   gx_fec_init() once, before the first use; then everything may be called
 * from any thread. Stack     up to 40 KiB.
 */
#ifndef GX_FEC_H
#define GX_FEC_H

#include <stddef.h>
#include <stdint.h>

#define GX_FEC_DATA_MAX 128u
#define GX_FEC_ROWS 256u

/* Makes the tables and chooses the kernel by cpuid. */
void gx_fec_init(void);

/* Makes parity row `row` (k to 255) of the k data rows in `out`. */
void gx_fec_row(uint32_t k, uint32_t row, const uint8_t *const *data, uint32_t shard_bytes,
                uint8_t *out);

/* Makes row_count parity rows in one pass over the data: faster than one by one from two rows on.
 */
void gx_fec_rows(uint32_t k, uint32_t row_count, const uint8_t *rows, const uint8_t *const *data,
                 uint32_t shard_bytes, uint8_t *const *out);

/* Bytes of scratch memory that gx_fec_decode() needs; at most 64 KiB. */
size_t gx_fec_scratch_bytes(uint32_t shard_bytes);

/* Rebuilds the missing data rows in place. slots[i] is the memory of data row i. rows[i] == i: it
 * holds it; rows[i] = r >= k: data row i is missing, and its slot holds parity row r. Afterwards
 * every slot holds its data row. -EINVAL, and nothing changed, when rows[] names a row below k
 * elsewhere than in its slot, or a parity row twice. */
int gx_fec_decode(uint32_t k, uint32_t shard_bytes, uint8_t *const *slots, const uint8_t *rows,
                  void *scratch);

/* The kernel in use: "isal" (ISA-L's own choice), "isal-avx", "gfni-avx2" or
 * "gfni". */
const char *gx_fec_kernel_name(void);

/* Chooses another kernel, for tests and comparisons: -EINVAL when unknown, -ENOTSUP when this CPU
 * lacks it. */
int gx_fec_kernel_use(const char *name);

#endif
