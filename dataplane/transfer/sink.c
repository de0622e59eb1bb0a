#include "transfer/sink.h"

#include <string.h>

#include "gx_assert.h"
#include "fec/fec.h"
#include "format/format.h"
#include "transfer/digest.h"

struct gx_sink_block {
    uint64_t seen[GX_ROWS / 64];     /* rows that have arrived */
    uint64_t taken[GX_K_SMALL / 64]; /* slots of data shards that hold some row */
    uint8_t rows[GX_K_SMALL];        /* which */
    uint8_t k;
    uint8_t have;
    uint8_t parity;
    bool done;
};

static uint64_t shard_max(uint64_t capacity_bytes, uint32_t shard_bytes)
{
    return (capacity_bytes + shard_bytes - 1) / shard_bytes;
}

static uint64_t block_max(uint64_t capacity_bytes, uint32_t shard_bytes, uint32_t k_max)
{
    return (shard_max(capacity_bytes, shard_bytes) + k_max - 1) / k_max;
}

size_t gx_sink_table_bytes(uint64_t capacity_bytes, uint32_t shard_bytes, uint32_t k_max)
{
    return block_max(capacity_bytes, shard_bytes, k_max) * sizeof(struct gx_sink_block) +
           gx_digest_piece_count(capacity_bytes) * (GX_DIGEST_BYTES + sizeof(uint16_t));
}

size_t gx_sink_staging_bytes(uint64_t capacity_bytes, uint32_t shard_bytes)
{
    return shard_max(capacity_bytes, shard_bytes) * shard_bytes;
}

void gx_sink_init(struct gx_sink *sink, uint64_t capacity_bytes, uint32_t shard_bytes,
                  uint32_t k_max, void *tables, uint8_t *staging)
{
    uint8_t *at = tables;

    memset(sink, 0, sizeof *sink);
    sink->state = GX_SINK_FREE;
    sink->staging = staging;
    sink->capacity_bytes = capacity_bytes;
    sink->shard_bytes = shard_bytes;
    sink->block_max = (uint32_t)block_max(capacity_bytes, shard_bytes, k_max);
    sink->piece_max = (uint32_t)gx_digest_piece_count(capacity_bytes);
    sink->blocks = (struct gx_sink_block *)(void *)at;
    at += sink->block_max * sizeof(struct gx_sink_block);
    sink->piece_blocks = (uint16_t *)(void *)at;
    at += sink->piece_max * sizeof(uint16_t);
    sink->piece_hashes = at;
}

static uint64_t block_start(const struct gx_layout *layout, uint32_t block)
{
    return (uint64_t)gx_layout_first(layout, block) * layout->shard_bytes;
}

static uint64_t block_end(const struct gx_layout *layout, uint32_t block)
{
    uint64_t end =
        block_start(layout, block) + (uint64_t)gx_layout_k(layout, block) * layout->shard_bytes;

    return end < layout->bytes ? end : layout->bytes;
}

static uint32_t piece_first(const struct gx_layout *layout, uint32_t block)
{
    return (uint32_t)(block_start(layout, block) / GX_PIECE_BYTES);
}

static uint32_t piece_last(const struct gx_layout *layout, uint32_t block)
{
    return (uint32_t)((block_end(layout, block) - 1) / GX_PIECE_BYTES);
}

bool gx_sink_open(struct gx_sink *sink, const struct gx_open *open)
{
    struct gx_layout layout;

    if (open->bytes > sink->capacity_bytes || open->shard_bytes != sink->shard_bytes ||
        !gx_layout_init(&layout, open->bytes, open->shard_bytes, open->k_max) ||
        layout.block_count > sink->block_max)
        return false;
    sink->state = GX_SINK_OPEN;
    sink->open = *open;
    sink->layout = layout;
    sink->blocks_done = 0;
    sink->blocks_below = 0;
    sink->blocks_touched = 0;
    sink->held_ns = 0;
    sink->param_count = 0;
    sink->finite = true;
    memset(sink->blocks, 0, layout.block_count * sizeof *sink->blocks);
    memset(sink->piece_blocks, 0, gx_digest_piece_count(open->bytes) * sizeof *sink->piece_blocks);
    for (uint32_t block = 0; block < layout.block_count; block++) {
        sink->blocks[block].k = (uint8_t)gx_layout_k(&layout, block);
        for (uint32_t i = piece_first(&layout, block); i <= piece_last(&layout, block); i++)
            sink->piece_blocks[i]++;
    }
    return true;
}

void gx_sink_check(struct gx_sink *sink, uint64_t param_count)
{
    sink->param_count = param_count;
}

void gx_sink_free(struct gx_sink *sink)
{
    sink->state = GX_SINK_FREE;
}

uint32_t gx_sink_lack(const struct gx_sink *sink, uint32_t block)
{
    return (uint32_t)(sink->blocks[block].k - sink->blocks[block].have);
}

static uint8_t *slot_at(const struct gx_sink *sink, uint32_t block, uint32_t slot)
{
    return sink->staging + block_start(&sink->layout, block) +
           (uint64_t)slot * sink->layout.shard_bytes;
}

static bool is_taken(const struct gx_sink_block *block, uint32_t slot)
{
    return block->taken[slot / 64] >> slot % 64 & 1;
}

/* There is one: fewer than k rows are here, each in a slot of its own. */
static uint32_t slot_free(const struct gx_sink_block *block)
{
    uint32_t slot = block->taken[0] != UINT64_MAX
                        ? (uint32_t)__builtin_ctzll(~block->taken[0])
                        : 64 + (uint32_t)__builtin_ctzll(~block->taken[1]);

    GX_ASSERT(slot < block->k);
    return slot;
}

static void slot_take(struct gx_sink_block *block, uint32_t slot, uint32_t row)
{
    block->taken[slot / 64] |= 1ull << slot % 64;
    block->rows[slot] = (uint8_t)row;
}

static uint32_t payload_bytes(const struct gx_layout *layout, uint32_t block, uint32_t row,
                              uint32_t k)
{
    uint32_t shard = gx_layout_first(layout, block) + row;

    if (row < k && shard == layout->shard_count - 1)
        return (uint32_t)((layout->bytes - 1) % layout->shard_bytes + 1);
    return layout->shard_bytes;
}

static void block_rebuild(struct gx_sink *sink, uint32_t block_idx, void *scratch)
{
    struct gx_sink_block *block = &sink->blocks[block_idx];
    uint8_t *slots[GX_K_SMALL];
    int error;

    for (uint32_t i = 0; i < block->k; i++)
        slots[i] = slot_at(sink, block_idx, i);
    error = gx_fec_decode(block->k, sink->layout.shard_bytes, slots, block->rows, scratch);
    GX_ASSERT(error == 0);
}

static void block_hash(struct gx_sink *sink, uint32_t block)
{
    const struct gx_layout *layout = &sink->layout;
    enum gx_digest_kind kind = sink->open.digest_kind;
    uint32_t hash_bytes = gx_digest_piece_bytes(kind);

    for (uint32_t i = piece_first(layout, block); i <= piece_last(layout, block); i++) {
        uint64_t start = (uint64_t)i * GX_PIECE_BYTES;
        uint64_t left = layout->bytes - start;
        uint64_t bytes = left < GX_PIECE_BYTES ? left : GX_PIECE_BYTES;

        if (--sink->piece_blocks[i] != 0)
            continue;
        gx_digest_piece(kind, sink->staging + start, bytes,
                        sink->piece_hashes + (uint64_t)i * hash_bytes);
        if (sink->param_count != 0 &&
            gx_format_check(sink->open.format, sink->staging, start, bytes, sink->param_count) != 0)
            sink->finite = false;
    }
}

static void block_finish(struct gx_sink *sink, uint32_t block, uint64_t now)
{
    struct gx_digest digest;

    sink->blocks[block].done = true;
    sink->blocks_done++;
    while (sink->blocks_below < sink->layout.block_count && sink->blocks[sink->blocks_below].done)
        sink->blocks_below++;
    block_hash(sink, block);
    if (sink->blocks_done < sink->layout.block_count)
        return;
    gx_digest_final(sink->open.digest_kind, sink->piece_hashes, sink->layout.bytes, &digest);
    sink->state =
        sink->finite && gx_digest_equal(&digest, &sink->open.digest) ? GX_SINK_HELD : GX_SINK_BAD;
    sink->held_ns = now;
}

enum gx_sink_effect gx_sink_place(struct gx_sink *sink, const struct gx_header *header,
                                  const uint8_t *payload, void *scratch, uint32_t *rebuilt,
                                  uint64_t now)
{
    uint32_t row = header->shard;
    struct gx_sink_block *block;
    uint8_t *to;

    *rebuilt = 0;
    if (sink->state != GX_SINK_OPEN)
        return GX_SINK_DUPLICATE;
    if (header->block >= sink->layout.block_count)
        return GX_SINK_MALFORMED;
    block = &sink->blocks[header->block];
    if (header->k != block->k ||
        header->payload_bytes != payload_bytes(&sink->layout, header->block, row, block->k))
        return GX_SINK_MALFORMED;
    if (block->done || (block->seen[row / 64] >> row % 64 & 1))
        return GX_SINK_DUPLICATE;

    if (row >= block->k) {
        uint32_t slot = slot_free(block);

        to = slot_at(sink, header->block, slot);
        slot_take(block, slot, row);
        block->parity++;
    } else {
        to = slot_at(sink, header->block, row);
        if (is_taken(block, row)) {
            uint32_t slot = slot_free(block);

            memcpy(slot_at(sink, header->block, slot), to, sink->layout.shard_bytes);
            slot_take(block, slot, block->rows[row]);
        }
        slot_take(block, row, row);
    }
    memcpy(to, payload, header->payload_bytes);
    memset(to + header->payload_bytes, 0, sink->layout.shard_bytes - header->payload_bytes);
    block->seen[row / 64] |= 1ull << row % 64;
    block->have++;
    if (header->block >= sink->blocks_touched)
        sink->blocks_touched = header->block + 1;
    if (block->have == block->k) {
        *rebuilt = block->parity;
        if (block->parity > 0)
            block_rebuild(sink, header->block, scratch);
        block_finish(sink, header->block, now);
    }
    return GX_SINK_PLACED;
}
