/* gx_layout: how a transfer's bytes are cut into shards and blocks. Balanced: block b of B has floor(n/B) or one more
 * data shards, the larger ones first; contiguous in memory. */
#ifndef GX_TRANSFER_LAYOUT_H
#define GX_TRANSFER_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define GX_K 64        /* data shards in a block, at most */
#define GX_K_SMALL 128 /* the same below GX_SMALL_SHARDS shards in all */
#define GX_SMALL_SHARDS 1024
#define GX_ROWS 256 /* rows of the code: k data, the rest parity */

struct gx_layout {
    uint64_t bytes;
    uint32_t shard_bytes;
    uint32_t shard_count;
    uint32_t block_count;
    uint32_t k_small;     /* shards in a small block */
    uint32_t large_count; /* the first so many blocks have k_small + 1 */
};

/* False when bytes is 0, or shard_bytes is 0 or no multiple of 64, or k_max is 0 or above GX_K_SMALL. */
bool gx_layout_init(struct gx_layout *layout, uint64_t bytes, uint32_t shard_bytes, uint32_t k_max);
/* The k_max that the policy gives to a transfer of so many bytes (DESIGN.md section 4a, 1). */
uint32_t gx_layout_k_max(uint64_t bytes, uint32_t shard_bytes);

static inline uint32_t gx_layout_k(const struct gx_layout *layout, uint32_t block)
{
    return layout->k_small + (block < layout->large_count);
}

/* First shard of the block. */
static inline uint32_t gx_layout_first(const struct gx_layout *layout, uint32_t block)
{
    uint32_t large = block < layout->large_count ? block : layout->large_count;

    return block * layout->k_small + large;
}

uint32_t gx_layout_block_of(const struct gx_layout *layout, uint32_t shard);

/* The range of part `part` of `parts`: whole shards, equal within one, the last part with the short shard. Returns its
 * first byte; *part_bytes is 0 when there are fewer shards than parts, or no such part. */
uint64_t gx_layout_part(uint64_t bytes, uint32_t shard_bytes, uint32_t part, uint32_t parts,
                        uint64_t *part_bytes);

#endif
