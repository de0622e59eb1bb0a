#include "transfer/layout.h"

#include "gx_assert.h"

bool gx_layout_init(struct gx_layout *layout, uint64_t bytes, uint32_t shard_bytes, uint32_t k_max)
{
    uint64_t shards;

    if (bytes == 0 || shard_bytes == 0 || shard_bytes % 64 != 0 || k_max == 0 || k_max > GX_K_SMALL)
        return false;
    shards = (bytes - 1) / shard_bytes + 1;
    if (shards > UINT32_MAX - k_max)
        return false;
    layout->bytes = bytes;
    layout->shard_bytes = shard_bytes;
    layout->shard_count = (uint32_t)shards;
    layout->block_count = (layout->shard_count + k_max - 1) / k_max;
    layout->k_small = layout->shard_count / layout->block_count;
    layout->large_count = layout->shard_count % layout->block_count;
    return true;
}

uint32_t gx_layout_k_max(uint64_t bytes, uint32_t shard_bytes)
{
    return bytes <= (uint64_t)(GX_SMALL_SHARDS - 1) * shard_bytes ? GX_K_SMALL : GX_K;
}

uint64_t gx_layout_part(uint64_t bytes, uint32_t shard_bytes, uint32_t part, uint32_t parts,
                        uint64_t *part_bytes)
{
    uint64_t shards = (bytes + shard_bytes - 1) / shard_bytes, start, end;

    *part_bytes = 0;
    if (part >= parts || shards < parts)
        return 0;
    start = shards * part / parts * shard_bytes;
    end = shards * (part + 1) / parts * shard_bytes;
    *part_bytes = (end < bytes ? end : bytes) - start;
    return start;
}

uint32_t gx_layout_block_of(const struct gx_layout *layout, uint32_t shard)
{
    uint32_t large_shards = layout->large_count * (layout->k_small + 1);

    GX_ASSERT(shard < layout->shard_count);
    if (shard < large_shards)
        return shard / (layout->k_small + 1);
    return layout->large_count + (shard - large_shards) / layout->k_small;
}
