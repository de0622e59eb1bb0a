#include "transfer/send.h"

#include <string.h>

#include "gx_assert.h"

static void pass_start(struct gx_send *send)
{
    send->pass_done = send->helper;
    send->group = 0;
    send->depth = 0;
    send->shard = 0;
    send->member = 0;
    send->below = 0;
    send->unknown_from = send->layout.block_count;
    send->served = false;
    send->flight_total = 0;
    send->want_total = 0;
    send->want_from = 0;
    send->want_end = 0;
    for (uint32_t i = 0; i < send->layout.block_count; i++)
        send->blocks[i] = (struct gx_send_block){
            .lack = (uint8_t)gx_layout_k(&send->layout, i),
            .known = !send->helper,
        };
}

static void open_start(struct gx_send *send, uint64_t now)
{
    send->answer = GX_ANSWER_NONE;
    send->paused = false;
    send->open_count = 0;
    send->open_ns = now;
    send->open_wait_ns = 0;
    send->armed_ns = 0;
    send->generation++;
}

bool gx_send_layout(struct gx_layout *layout, const struct gx_open *open, uint64_t *start)
{
    uint32_t parts = open->parts != 0 ? open->parts : 1;
    uint64_t bytes;

    *start = gx_layout_part(open->bytes, open->shard_bytes, open->part, parts, &bytes);
    return gx_layout_init(layout, bytes, open->shard_bytes, open->k_max);
}

void gx_send_init(struct gx_send *send, const struct gx_open *open, struct gx_source *source,
                  struct gx_send_block *blocks, uint64_t now)
{
    bool fits = gx_send_layout(&send->layout, open, &send->start);

    GX_ASSERT(fits && source->byte_count == open->bytes);
    send->open = *open;
    send->source = source;
    send->blocks = blocks;
    send->told = GX_ANSWER_NONE;
    send->hold = send->helper;
    open_start(send, now);
    pass_start(send);
}

void gx_send_reopen(struct gx_send *send, uint32_t transfer, uint64_t now)
{
    send->open.transfer = transfer;
    send->hold = true;
    open_start(send, now);
    pass_start(send);
}

bool gx_send_pending(const struct gx_send *send)
{
    return send->open_count > 0 && !send->hold && !send->paused && !send->source->closed &&
           (send->want_total > 0 || !send->pass_done);
}

/* ---- what is in flight, what is wanted ---- */

static uint32_t in_flight(const struct gx_send_block *block, uint32_t k)
{
    uint32_t have = k - block->lack;
    uint32_t arrived = have > block->base ? have - block->base : 0;
    uint32_t accounted = block->fresh + arrived;
    uint32_t missing = block->sent > accounted ? block->sent - accounted : 0;

    return block->fresh + (block->mid < missing ? block->mid : missing);
}

/* In the tail, where waiting costs time: what was overtaken on a path that keeps the order is lost, and not to be waited for. */
static uint32_t in_flight_tail(const struct gx_send_block *block, uint32_t k,
                               const struct gx_policy *policy)
{
    return policy->orderly ? block->fresh : in_flight(block, k);
}

/* Rows that may be sent before the block wraps; once it has, only when all that was sent is judged. */
static uint32_t rows_left(const struct gx_send_block *block)
{
    uint32_t used = block->sent % GX_ROWS;

    if (used == 0 && block->sent > 0 && block->fresh + block->mid > 0)
        return 0;
    return GX_ROWS - used;
}

static bool is_wanted(const struct gx_send *send, uint32_t i)
{
    const struct gx_send_block *block = &send->blocks[i];

    return block->lack > 0 && block->known &&
           (send->helper || block->sent >= gx_layout_k(&send->layout, i));
}

static void want_set(struct gx_send *send, uint32_t i, uint32_t rows, uint32_t flight)
{
    struct gx_send_block *block = &send->blocks[i];
    uint32_t left = rows_left(block);

    block->asked = block->lack > flight ? (uint16_t)(block->lack - flight) : 0;

    if (rows > left)
        rows = left;
    send->want_total = send->want_total - block->want + rows;
    block->want = (uint16_t)rows;
    if (rows == 0)
        return;
    if (rows > send->level)
        send->level = rows;
    if (i < send->want_from)
        send->want_from = i;
    if (i >= send->want_end)
        send->want_end = i + 1;
}

static void want_exactly(struct gx_send *send, uint32_t i)
{
    const struct gx_send_block *block = &send->blocks[i];
    uint32_t flight = in_flight(block, gx_layout_k(&send->layout, i));

    want_set(send, i, block->lack > flight ? block->lack - flight : 0, flight);
}

static void want_tail(struct gx_send *send, const struct gx_policy *policy, uint32_t from,
                      uint32_t end)
{
    struct gx_tail tail;
    uint64_t flight_total = 0;
    uint32_t blocks = 0;

    for (uint32_t i = send->below; i < send->layout.block_count; i++) {
        const struct gx_send_block *block = &send->blocks[i];
        uint32_t flight = in_flight_tail(block, gx_layout_k(&send->layout, i), policy);

        if (block->lack == 0)
            continue;
        blocks++;
        flight_total += flight > block->lack ? flight : block->lack;
    }
    gx_tail_init(&tail, policy, flight_total, blocks);
    for (uint32_t i = from; i < end; i++) {
        const struct gx_send_block *block = &send->blocks[i];
        uint32_t k = gx_layout_k(&send->layout, i), flight, parity;

        if (!is_wanted(send, i))
            continue;
        flight = in_flight_tail(block, k, policy);
        parity = send->helper ? block->sent : block->sent - k; /* the newest rows */
        if (parity > flight)
            parity = flight;
        want_set(send, i, gx_tail_rows(&tail, flight - parity, parity, block->lack), flight);
    }
}

/* A helper is in its tail when it was told what is wanted and has served it. */
static bool in_tail(const struct gx_send *send)
{
    return send->pass_done && (!send->helper || (send->served && send->want_total == 0));
}

/* Wants of blocks [from, end) anew; the others keep theirs. */
static void plan(struct gx_send *send, const struct gx_policy *policy, uint32_t from, uint32_t end)
{
    bool tail = in_tail(send);

    if (from < send->below)
        from = send->below;
    send->level = 1;
    if (send->want_total == 0) {
        send->want_from = send->layout.block_count;
        send->want_end = 0;
    }
    if (tail)
        want_tail(send, policy, from, end);
    else
        for (uint32_t i = from; i < end; i++)
            if (is_wanted(send, i))
                want_exactly(send, i);
    if (!tail)
        send->level = 1;
    send->served |= send->want_total > 0;
    send->cursor = 0;
}

/* ---- choosing ---- */

/* The search goes up from want_from, a helper's down from want_end, at falling levels. */
static bool want_next(struct gx_send *send, uint32_t *found)
{
    while (send->want_total > 0) {
        uint32_t span = send->want_end > send->want_from ? send->want_end - send->want_from : 0;

        for (; send->cursor < span; send->cursor++) {
            uint32_t i =
                send->helper ? send->want_end - 1 - send->cursor : send->want_from + send->cursor;

            if (send->blocks[i].want >= send->level) {
                *found = i;
                /* In the tail one row a block at each level; before it a block is served to the end. */
                if (send->level > 1)
                    send->cursor++;
                return true;
            }
        }
        GX_ASSERT(send->level > 1);
        send->level--;
        send->cursor = 0;
    }
    return false;
}

static bool pass_next(struct gx_send *send, const struct gx_policy *policy, uint32_t *found)
{
    const struct gx_layout *layout = &send->layout;

    while (send->group < layout->block_count) {
        if (send->depth == 0) {
            send->depth = policy->depth;
            if (send->depth > layout->block_count - send->group)
                send->depth = layout->block_count - send->group;
        }
        for (; send->shard <= layout->k_small; send->shard++, send->member = 0) {
            while (send->member < send->depth) {
                uint32_t i = send->group + send->member++;

                if (send->shard < gx_layout_k(layout, i) && send->blocks[i].lack > 0) {
                    *found = i;
                    return true;
                }
            }
        }
        send->group += send->depth;
        send->depth = 0;
        send->shard = 0;
        send->member = 0;
    }
    return false;
}

static bool pass_over(const struct gx_send *send)
{
    const struct gx_layout *layout = &send->layout;
    uint32_t last = send->group + send->depth;

    if (send->group >= layout->block_count)
        return true;
    return last >= layout->block_count && send->depth > 0 && send->member >= send->depth &&
           send->shard + 1 >= gx_layout_k(layout, send->group);
}

static void row_take(struct gx_send *send, uint32_t i, struct gx_row *row)
{
    struct gx_send_block *block = &send->blocks[i];

    row->block = i;
    row->k = gx_layout_k(&send->layout, i);
    row->row = (block->start + block->sent) % GX_ROWS;
    row->repeat = block->sent >= GX_ROWS;
    row->asked = block->asked > 0;
    block->asked -= row->asked;
    block->sent++;
    block->fresh++;
    send->flight_total++;
}

bool gx_send_next(struct gx_send *send, const struct gx_policy *policy, struct gx_row *row)
{
    uint32_t i;

    if (want_next(send, &i)) {
        send->blocks[i].want--;
        send->want_total--;
        row_take(send, i, row);
        return true;
    }
    if (!send->pass_done && pass_next(send, policy, &i)) {
        row_take(send, i, row);
        if (pass_over(send)) {
            send->pass_done = true;
            plan(send, policy, 0, send->layout.block_count);
        }
        return true;
    }
    if (!send->pass_done) {
        send->pass_done = true;
        plan(send, policy, 0, send->layout.block_count);
        return gx_send_next(send, policy, row);
    }
    return false;
}

/* ---- feedback ---- */

void gx_send_seen(struct gx_send *send, uint32_t block)
{
    struct gx_send_block *at = &send->blocks[block];

    GX_ASSERT(at->fresh > 0);
    at->fresh--;
    at->mid++;
}

void gx_send_judged(struct gx_send *send, uint32_t block, bool was_seen)
{
    struct gx_send_block *at = &send->blocks[block];

    GX_ASSERT((was_seen ? at->mid : at->fresh) > 0);
    if (was_seen)
        at->mid--;
    else
        at->fresh--;
    send->flight_total--;
}

void gx_send_all_judged(struct gx_send *send)
{
    send->generation++; /* entries of before mean nothing any more */
    send->flight_total = 0;
    for (uint32_t i = 0; i < send->layout.block_count; i++) {
        send->blocks[i].fresh = 0;
        send->blocks[i].mid = 0;
    }
}

static void block_known(struct gx_send *send, uint32_t i, uint32_t lack)
{
    struct gx_send_block *block = &send->blocks[i];
    uint32_t k = gx_layout_k(&send->layout, i);

    block->known = true;
    block->base = (uint8_t)(k - lack);
    block->start = 0;
    if (lack < k)
        block->start = (uint8_t)(k + send->holder * ((GX_ROWS - k) / send->holders));
}

static void block_lack(struct gx_send *send, uint32_t i, uint32_t lack)
{
    struct gx_send_block *block = &send->blocks[i];

    /* What the receiver has before a helper's first row comes from others, however long the helper waits. */
    if (!block->known || (send->helper && block->sent == 0))
        block_known(send, i, lack);
    block->lack = (uint8_t)lack;
    if (lack == 0)
        want_set(send, i, 0, 0);
}

bool gx_send_feedback(struct gx_send *send, const struct gx_feedback_entry *entry,
                      const struct gx_policy *policy)
{
    uint32_t count = send->layout.block_count;
    uint32_t end;

    if (entry->done > count || entry->first > count || entry->lack_count > count - entry->first)
        return false;
    end = entry->first + entry->lack_count;
    for (uint32_t i = entry->first; i < end; i++)
        if (entry->lacks[i - entry->first] > gx_layout_k(&send->layout, i))
            return false;

    for (uint32_t i = send->below; i < entry->done; i++)
        block_lack(send, i, 0);
    for (uint32_t i = entry->first; i < end; i++)
        block_lack(send, i, entry->lacks[i - entry->first]);
    if (entry->flags & GX_FEEDBACK_END) {
        for (uint32_t i = end; i < send->unknown_from; i++)
            if (!send->blocks[i].known)
                block_lack(send, i, gx_layout_k(&send->layout, i));
        if (end < send->unknown_from)
            send->unknown_from = end;
        end = send->pass_done ? count : send->group;
    }
    while (send->below < count && send->blocks[send->below].lack == 0)
        send->below++;
    if (end > count)
        end = count;
    plan(send, policy, entry->first < send->below ? send->below : entry->first, end);
    return true;
}
