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
    uint8_t asked; /* of that, what we asked for */
    bool done;
};

static uint64_t shard_max(uint64_t capacity_bytes, uint32_t shard_bytes)
{
    return (capacity_bytes + shard_bytes - 1) / shard_bytes;
}

/* Every further part may have one more block. */
static uint64_t block_max(uint64_t capacity_bytes, uint32_t shard_bytes, uint32_t k_max,
                          uint32_t part_max)
{
    return (shard_max(capacity_bytes, shard_bytes) + k_max - 1) / k_max + part_max - 1;
}

size_t gx_sink_table_bytes(uint64_t capacity_bytes, uint32_t shard_bytes, uint32_t k_max,
                           uint32_t part_max)
{
    return part_max * sizeof(struct gx_part) +
           block_max(capacity_bytes, shard_bytes, k_max, part_max) * sizeof(struct gx_sink_block) +
           gx_digest_piece_count(capacity_bytes) * (GX_DIGEST_BYTES + sizeof(uint16_t));
}

size_t gx_sink_staging_bytes(uint64_t capacity_bytes, uint32_t shard_bytes)
{
    return shard_max(capacity_bytes, shard_bytes) * shard_bytes;
}

void gx_sink_init(struct gx_sink *sink, uint64_t capacity_bytes, uint32_t shard_bytes,
                  uint32_t k_max, uint32_t part_max, void *tables, uint8_t *staging)
{
    uint8_t *at = tables;

    memset(sink, 0, sizeof *sink);
    sink->state = GX_SINK_FREE;
    sink->staging = staging;
    sink->capacity_bytes = capacity_bytes;
    sink->shard_bytes = shard_bytes;
    sink->block_max = (uint32_t)block_max(capacity_bytes, shard_bytes, k_max, part_max);
    sink->piece_max = (uint32_t)gx_digest_piece_count(capacity_bytes);
    sink->part_max = part_max;
    sink->parts = (struct gx_part *)(void *)at;
    memset(sink->parts, 0, part_max * sizeof(struct gx_part));
    at += part_max * sizeof(struct gx_part);
    sink->blocks = (struct gx_sink_block *)(void *)at;
    at += sink->block_max * sizeof(struct gx_sink_block);
    sink->piece_blocks = (uint16_t *)(void *)at;
    at += sink->piece_max * sizeof(uint16_t);
    sink->piece_hashes = at;
}

static uint64_t block_start(const struct gx_part *part, uint32_t block)
{
    return part->start + (uint64_t)gx_layout_first(&part->layout, block) * part->layout.shard_bytes;
}

static uint64_t part_end(const struct gx_part *part)
{
    return part->start + part->layout.bytes;
}

static uint64_t block_end(const struct gx_part *part, uint32_t block)
{
    uint64_t end = block_start(part, block) +
                   (uint64_t)gx_layout_k(&part->layout, block) * part->layout.shard_bytes;

    return end < part_end(part) ? end : part_end(part);
}

/* The pieces that a block touches and that lie in its part as a whole are [first, end). */
static uint32_t piece_first(const struct gx_part *part, uint32_t block)
{
    uint64_t inside = (part->start + GX_PIECE_BYTES - 1) / GX_PIECE_BYTES;
    uint64_t first = block_start(part, block) / GX_PIECE_BYTES;

    return (uint32_t)(first > inside ? first : inside);
}

static uint32_t piece_end(const struct gx_part *part, uint32_t block)
{
    uint64_t end = (block_end(part, block) - 1) / GX_PIECE_BYTES + 1;
    bool cut = end * GX_PIECE_BYTES > part_end(part) && part_end(part) < part->sink->open.bytes;

    return (uint32_t)(end - cut);
}

static bool part_open(struct gx_part *part, struct gx_sink *sink, const struct gx_open *open,
                      uint32_t index, uint32_t *block_count)
{
    uint64_t bytes, start;

    start = gx_layout_part(open->bytes, open->shard_bytes, index, sink->part_count, &bytes);
    if (bytes == 0 || !gx_layout_init(&part->layout, bytes, open->shard_bytes, open->k_max) ||
        part->layout.block_count > sink->block_max - *block_count)
        return false;
    part->sink = sink;
    part->start = start;
    part->blocks = sink->blocks + *block_count;
    part->blocks_done = 0;
    part->blocks_below = 0;
    part->blocks_touched = 0;
    part->shards_here = 0;
    part->finite = true;
    part->complete = false;
    *block_count += part->layout.block_count;
    return true;
}

static void blocks_start(struct gx_sink *sink, struct gx_part *part)
{
    for (uint32_t block = 0; block < part->layout.block_count; block++) {
        part->blocks[block].k = (uint8_t)gx_layout_k(&part->layout, block);
        for (uint32_t i = piece_first(part, block); i < piece_end(part, block); i++)
            sink->piece_blocks[i]++;
    }
}

bool gx_sink_open(struct gx_sink *sink, const struct gx_open *open)
{
    uint32_t parts = open->parts != 0 ? open->parts : 1, block_count = 0;

    if (open->bytes > sink->capacity_bytes || open->shard_bytes != sink->shard_bytes ||
        parts > sink->part_max)
        return false;
    GX_ASSERT(sink->away == 0); /* a worker that still knows it would write into other bytes */
    sink->part_count = parts;
    for (uint32_t i = 0; i < parts; i++)
        if (!part_open(&sink->parts[i], sink, open, i, &block_count))
            return false;
    sink->state = GX_SINK_OPEN;
    sink->open = *open;
    sink->open.parts = (uint8_t)parts;
    sink->held_ns = 0;
    sink->param_count = 0;
    memset(sink->blocks, 0, block_count * sizeof *sink->blocks);
    memset(sink->piece_blocks, 0, gx_digest_piece_count(open->bytes) * sizeof *sink->piece_blocks);
    for (uint32_t i = 0; i < parts; i++)
        blocks_start(sink, &sink->parts[i]);
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

uint32_t gx_part_asked(const struct gx_part *part, uint32_t block)
{
    return part->blocks[block].asked;
}

uint32_t gx_part_lack(const struct gx_part *part, uint32_t block)
{
    return (uint32_t)(part->blocks[block].k - part->blocks[block].have);
}

static uint8_t *slot_at(const struct gx_part *part, uint32_t block, uint32_t slot)
{
    return part->sink->staging + block_start(part, block) +
           (uint64_t)slot * part->layout.shard_bytes;
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

static void block_rebuild(struct gx_part *part, uint32_t block_idx, void *scratch)
{
    struct gx_sink_block *block = &part->blocks[block_idx];
    uint8_t *slots[GX_K_SMALL];
    int error;

    for (uint32_t i = 0; i < block->k; i++)
        slots[i] = slot_at(part, block_idx, i);
    error = gx_fec_decode(block->k, part->layout.shard_bytes, slots, block->rows, scratch);
    GX_ASSERT(error == 0);
}

/* False: it has a value that is not finite. */
static bool piece_hash(struct gx_sink *sink, uint64_t i)
{
    enum gx_digest_kind kind = sink->open.digest_kind;
    uint64_t start = i * GX_PIECE_BYTES;
    uint64_t left = sink->open.bytes - start;
    uint64_t bytes = left < GX_PIECE_BYTES ? left : GX_PIECE_BYTES;

    gx_digest_piece(kind, sink->staging + start, bytes,
                    sink->piece_hashes + i * gx_digest_piece_bytes(kind));
    return sink->param_count == 0 ||
           gx_format_check(sink->open.format, sink->staging, start, bytes, sink->param_count) == 0;
}

static void block_finish(struct gx_part *part, uint32_t block)
{
    struct gx_sink *sink = part->sink;

    part->blocks[block].done = true;
    while (part->blocks_below < part->layout.block_count && part->blocks[part->blocks_below].done)
        part->blocks_below++;
    for (uint32_t i = piece_first(part, block); i < piece_end(part, block); i++)
        if (--sink->piece_blocks[i] == 0)
            part->finite &= piece_hash(sink, i);
    /* Relaxed: gx_sink_blocks_done() only looks whether it moves. */
    __atomic_store_n(&part->blocks_done, part->blocks_done + 1, __ATOMIC_RELAXED);
}

bool gx_part_is_complete(const struct gx_part *part)
{
    return part->blocks_done == part->layout.block_count;
}

uint32_t gx_sink_blocks_done(const struct gx_sink *sink)
{
    uint32_t done = 0;

    for (uint32_t i = 0; i < sink->part_count; i++)
        done += __atomic_load_n(&sink->parts[i].blocks_done, __ATOMIC_RELAXED);
    return done;
}

uint32_t gx_sink_shards_here(const struct gx_sink *sink, uint32_t *all)
{
    uint32_t here = 0;

    *all = 0;
    for (uint32_t i = 0; i < sink->part_count; i++) {
        here += __atomic_load_n(&sink->parts[i].shards_here, __ATOMIC_RELAXED);
        *all += sink->parts[i].layout.shard_count;
    }
    return here;
}

/* The pieces in which one part ends and another begins. */
static bool borders_hash(struct gx_sink *sink)
{
    uint64_t last = UINT64_MAX;
    bool finite = true;

    for (uint32_t i = 1; i < sink->part_count; i++) {
        uint64_t piece = sink->parts[i].start / GX_PIECE_BYTES;

        if (sink->parts[i].start % GX_PIECE_BYTES == 0 || piece == last)
            continue;
        finite &= piece_hash(sink, piece);
        last = piece;
    }
    return finite;
}

bool gx_sink_finish(struct gx_sink *sink, struct gx_part *part, uint64_t now)
{
    struct gx_digest digest;
    bool finite = true;

    if (sink->state != GX_SINK_OPEN || part->complete)
        return false;
    part->complete = true;
    for (uint32_t i = 0; i < sink->part_count; i++) {
        if (!sink->parts[i].complete)
            return false;
        finite &= sink->parts[i].finite;
    }
    finite &= borders_hash(sink);
    gx_digest_final(sink->open.digest_kind, sink->piece_hashes, sink->open.bytes, &digest);
    sink->state =
        finite && gx_digest_equal(&digest, &sink->open.digest) ? GX_SINK_HELD : GX_SINK_BAD;
    sink->held_ns = now;
    return true;
}

/* What becomes of a shard, whatever its bytes are. */
static enum gx_sink_effect shard_check(const struct gx_part *part, const struct gx_header *header)
{
    uint32_t row = header->shard;
    const struct gx_sink_block *block;

    if (gx_part_is_complete(part))
        return GX_SINK_DUPLICATE;
    if (header->block >= part->layout.block_count)
        return GX_SINK_MALFORMED;
    block = &part->blocks[header->block];
    if (header->k != block->k ||
        header->payload_bytes != payload_bytes(&part->layout, header->block, row, block->k))
        return GX_SINK_MALFORMED;
    if (block->done || (block->seen[row / 64] >> row % 64 & 1))
        return GX_SINK_DUPLICATE;
    return GX_SINK_PLACED;
}

uint8_t *gx_part_room(const struct gx_part *part, const struct gx_header *header)
{
    const struct gx_sink_block *block;

    if (shard_check(part, header) != GX_SINK_PLACED)
        return NULL;
    block = &part->blocks[header->block];
    if (header->shard >= block->k)
        return slot_at(part, header->block, slot_free(block));
    return is_taken(block, header->shard) ? NULL : slot_at(part, header->block, header->shard);
}

/* The block's next shard comes a round of blocks later, and its place is far from this one. */
static void next_prefetch(const struct gx_part *part, uint32_t block, uint32_t row)
{
    const uint8_t *next = slot_at(part, block, row + 1);

    if (row + 1 >= part->blocks[block].k)
        return;
    for (uint32_t i = 0; i < part->layout.shard_bytes; i += 64)
        __builtin_prefetch(next + i, 1);
}

static void row_place(struct gx_part *part, uint32_t block_idx, uint32_t row,
                      const uint8_t *payload, uint32_t bytes)
{
    struct gx_sink_block *block = &part->blocks[block_idx];
    uint32_t shard_bytes = part->layout.shard_bytes;
    uint8_t *to;

    if (row >= block->k) {
        uint32_t slot = slot_free(block);

        to = slot_at(part, block_idx, slot);
        slot_take(block, slot, row);
        block->parity++;
    } else {
        to = slot_at(part, block_idx, row);
        if (is_taken(block, row)) {
            uint32_t slot = slot_free(block);

            memcpy(slot_at(part, block_idx, slot), to, shard_bytes);
            slot_take(block, slot, block->rows[row]);
        }
        slot_take(block, row, row);
    }
    if (to != payload)
        memcpy(to, payload, bytes);
    memset(to + bytes, 0, shard_bytes - bytes);
    next_prefetch(part, block_idx, row);
    block->seen[row / 64] |= 1ull << row % 64;
    block->have++;
}

enum gx_sink_effect gx_part_place(struct gx_part *part, const struct gx_header *header,
                                  const uint8_t *payload, void *scratch, uint32_t *rebuilt)
{
    struct gx_sink_block *block;
    enum gx_sink_effect effect = shard_check(part, header);

    *rebuilt = 0;
    if (effect != GX_SINK_PLACED)
        return effect;
    block = &part->blocks[header->block];
    row_place(part, header->block, header->shard, payload, header->payload_bytes);
    if (header->shard >= block->k && header->flags & GX_HEADER_ASKED)
        block->asked++;
    /* Relaxed: gx_sink_shards_here() only looks how fast it grows. */
    __atomic_store_n(&part->shards_here, part->shards_here + 1, __ATOMIC_RELAXED);
    if (header->block >= part->blocks_touched)
        part->blocks_touched = header->block + 1;
    if (block->have == block->k) {
        *rebuilt = block->parity;
        if (block->parity > 0)
            block_rebuild(part, header->block, scratch);
        block_finish(part, header->block);
    }
    return GX_SINK_PLACED;
}
