/* gx_parity: parity rows of blocks, several made in one pass over the data, since a pass costs more than the rows.
 *
 * Rows      depend on the source's bytes alone, so that those made for one peer serve the others, too. Some of several
 *           blocks are kept, for the tail sends one row of each block in turn.
 * Memory    its own, taken once; a row stays where it is until the next call. Sources must not change while it has rows
 *           of them: gx_parity_forget() comes first.
 */
#ifndef GX_TRANSFER_PARITY_H
#define GX_TRANSFER_PARITY_H

#include <stdbool.h>
#include <stdint.h>

#include "fec/fec.h"
#include "transfer/layout.h"
#include "transfer/source.h"

#define GX_PARITY_GROUPS 64u
#define GX_PARITY_GROUP_ROWS 8u

/* Rows first to first + count - 1 of the block that begins at `start`. */
struct gx_parity_group {
    const struct gx_source *source; /* NULL: none */
    uint64_t start;
    uint32_t k, first, count;
    bool spent;       /* its last row has been given */
    uint32_t touched; /* turn */
};

struct gx_parity {
    struct gx_parity_group groups[GX_PARITY_GROUPS];
    uint8_t *rows; /* [GX_PARITY_GROUPS][GX_PARITY_GROUP_ROWS][shard_bytes] */
    uint32_t shard_bytes;
    uint32_t turn; /* rows given */
};

/* False: no memory. */
bool gx_parity_init(struct gx_parity *parity, uint32_t shard_bytes);
void gx_parity_fini(struct gx_parity *parity);

/* Parity row `row` of a block of a layout that begins at `start` in the source. `wanted`: it and so many rows less one
 * after it are about to be asked for. The row lies in `room`, which has shard_bytes, or in memory of its own. */
const uint8_t *gx_parity_row(struct gx_parity *parity, const struct gx_source *source,
                             uint64_t start, const struct gx_layout *layout, uint32_t block,
                             uint32_t row, uint32_t wanted, uint8_t *room);

void gx_parity_forget(struct gx_parity *parity, const struct gx_source *source);

#endif
