#include "transfer/parity.h"

#include <stdlib.h>
#include <string.h>

/* Rows of a block that nobody has asked for during so many others: they make room. Not sooner, or a tail of more blocks
 * than groups would make rows again and again that it throws away. */
#define IDLE_TURNS (64 * GX_PARITY_GROUPS)

bool gx_parity_init(struct gx_parity *parity, uint32_t shard_bytes)
{
    memset(parity, 0, sizeof *parity);
    parity->shard_bytes = shard_bytes;
    parity->rows = aligned_alloc(64, (size_t)GX_PARITY_GROUPS * GX_PARITY_GROUP_ROWS * shard_bytes);
    return parity->rows != NULL;
}

void gx_parity_fini(struct gx_parity *parity)
{
    free(parity->rows);
}

void gx_parity_forget(struct gx_parity *parity, const struct gx_source *source)
{
    for (uint32_t i = 0; i < GX_PARITY_GROUPS; i++)
        if (parity->groups[i].source == source)
            parity->groups[i].source = NULL;
}

static void rows_make(const struct gx_source *source, uint64_t start,
                      const struct gx_layout *layout, uint32_t block, uint32_t first,
                      uint32_t count, uint8_t *to)
{
    uint32_t k = gx_layout_k(layout, block), shard = gx_layout_first(layout, block);
    uint32_t shard_bytes = layout->shard_bytes;
    const uint8_t *data[GX_K_SMALL];
    uint8_t rows[GX_PARITY_GROUP_ROWS], *out[GX_PARITY_GROUP_ROWS];

    for (uint32_t i = 0; i < k; i++)
        data[i] = source->bytes + start + (uint64_t)(shard + i) * shard_bytes;
    if (shard + k == layout->shard_count && start + layout->bytes == source->byte_count)
        data[k - 1] = source->tail;
    for (uint32_t i = 0; i < count; i++) {
        rows[i] = (uint8_t)(first + i);
        out[i] = to + (size_t)i * shard_bytes;
    }
    gx_fec_rows(k, count, rows, data, shard_bytes, out);
}

static uint32_t count_at_most(uint32_t row, uint32_t wanted)
{
    uint32_t most = GX_FEC_ROWS - row;

    if (most > GX_PARITY_GROUP_ROWS)
        most = GX_PARITY_GROUP_ROWS;
    return wanted < most ? wanted : most;
}

static bool makes_room(const struct gx_parity *parity, const struct gx_parity_group *group)
{
    return group->source == NULL || group->spent || parity->turn - group->touched >= IDLE_TURNS;
}

const uint8_t *gx_parity_row(struct gx_parity *parity, const struct gx_source *source,
                             uint64_t start, const struct gx_layout *layout, uint32_t block,
                             uint32_t row, uint32_t wanted, uint8_t *room)
{
    uint32_t at = block % GX_PARITY_GROUPS, k = gx_layout_k(layout, block);
    uint64_t block_start = start + (uint64_t)gx_layout_first(layout, block) * layout->shard_bytes;
    struct gx_parity_group *group = &parity->groups[at];
    uint8_t *rows = parity->rows + (size_t)at * GX_PARITY_GROUP_ROWS * parity->shard_bytes;
    bool same = group->source == source && group->start == block_start && group->k == k;

    parity->turn++;
    if (!same || row - group->first >= group->count) {
        if (!same && !makes_room(parity, group)) {
            rows_make(source, start, layout, block, row, 1, room);
            return room;
        }
        *group = (struct gx_parity_group){.source = source,
                                          .start = block_start,
                                          .k = k,
                                          .first = row,
                                          .count = count_at_most(row, wanted)};
        rows_make(source, start, layout, block, row, group->count, rows);
    }
    group->touched = parity->turn;
    group->spent |= row - group->first == group->count - 1;
    return rows + (size_t)(row - group->first) * parity->shard_bytes;
}
