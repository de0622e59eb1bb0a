#include "transfer/recv.h"

#include <string.h>

#include "transfer/links.h" /* enum gx_answer */
#include "wire/feedback.h"

void gx_recv_init(struct gx_recv *recv)
{
    memset(recv, 0, sizeof *recv);
}

struct gx_incoming *gx_recv_find(struct gx_recv *recv, uint32_t transfer)
{
    for (uint32_t i = 0; i < GX_INCOMING_MAX; i++)
        if (recv->incoming[i].used && recv->incoming[i].transfer == transfer)
            return &recv->incoming[i];
    return NULL;
}

struct gx_incoming *gx_recv_find_key(struct gx_recv *recv, const struct gx_open *open)
{
    for (uint32_t i = 0; i < GX_INCOMING_MAX; i++)
        if (recv->incoming[i].used && recv->incoming[i].part_idx == open->part &&
            gx_key_equal(&recv->incoming[i].key, &open->key))
            return &recv->incoming[i];
    return NULL;
}

struct gx_incoming *gx_recv_add(struct gx_recv *recv, const struct gx_open *open,
                                struct gx_part *part)
{
    for (uint32_t i = 0; i < GX_INCOMING_MAX; i++) {
        struct gx_incoming *incoming = &recv->incoming[i];

        if (incoming->used)
            continue;
        *incoming = (struct gx_incoming){
            .used = true,
            .transfer = open->transfer,
            .key = open->key,
            .part_idx = open->part,
            .part = part,
        };
        return incoming;
    }
    return NULL;
}

static struct gx_answered *answered_at(struct gx_recv *recv, uint32_t transfer)
{
    return &recv->answered[transfer % GX_ANSWERED_MAX];
}

static void copies_set(struct gx_recv *recv, struct gx_answered *answered, uint8_t copies)
{
    recv->answers_due += (uint32_t)(copies > 0) - (uint32_t)(answered->copies > 0);
    answered->copies = copies;
}

void gx_recv_answer(struct gx_recv *recv, uint32_t transfer, uint8_t answer, uint8_t reason)
{
    struct gx_answered *answered = answered_at(recv, transfer);

    answered->transfer = transfer;
    answered->answer = answer;
    answered->reason = reason;
    copies_set(recv, answered, GX_ANSWER_COPIES);
}

uint8_t gx_recv_answered(const struct gx_recv *recv, uint32_t transfer)
{
    const struct gx_answered *answered = &recv->answered[transfer % GX_ANSWERED_MAX];

    return transfer != 0 && answered->transfer == transfer ? answered->answer : GX_ANSWER_OPEN;
}

void gx_recv_forget(struct gx_recv *recv, uint32_t transfer)
{
    struct gx_answered *answered = answered_at(recv, transfer);

    if (answered->transfer != transfer)
        return;
    copies_set(recv, answered, 0);
    answered->transfer = 0;
}

bool gx_recv_remind(struct gx_recv *recv, uint32_t transfer)
{
    struct gx_answered *answered = answered_at(recv, transfer);

    if (transfer == 0 || answered->transfer != transfer)
        return false;
    if (answered->copies == 0)
        copies_set(recv, answered, 1);
    return true;
}

static size_t answers_write(struct gx_recv *recv, uint8_t *out, size_t room, uint16_t *count)
{
    size_t used = 0;

    for (uint32_t i = 0; i < GX_ANSWERED_MAX && recv->answers_due > 0; i++) {
        struct gx_answered *answered = &recv->answered[i];
        struct gx_feedback_entry entry = {
            .transfer = answered->transfer,
            .answer = answered->answer,
            .reason = answered->reason,
        };

        if (answered->copies == 0)
            continue;
        if (room - used < GX_FEEDBACK_ENTRY_BYTES)
            return used;
        gx_feedback_entry_build(&entry, out + used);
        used += GX_FEEDBACK_ENTRY_BYTES;
        copies_set(recv, answered, answered->copies - 1);
        (*count)++;
    }
    return used;
}

/* As many lacks as there is room for; what does not fit comes in the next feedback. */
static size_t incoming_write(struct gx_incoming *incoming, uint8_t *out, size_t room)
{
    const struct gx_part *part = incoming->part;
    struct gx_feedback_entry entry = {
        .transfer = incoming->transfer,
        .answer = GX_ANSWER_OPEN,
        .done = part->blocks_below,
        .first = part->blocks_below,
    };
    uint32_t end = part->blocks_touched;
    uint32_t count;

    if (end < entry.first)
        end = entry.first;
    if (incoming->resume > entry.first && incoming->resume < end)
        entry.first = incoming->resume;
    count = end - entry.first;
    if (count > room - GX_FEEDBACK_ENTRY_BYTES)
        count = (uint32_t)(room - GX_FEEDBACK_ENTRY_BYTES);
    if (entry.first + count == end)
        entry.flags = GX_FEEDBACK_END;
    incoming->resume = entry.first + count == end ? 0 : entry.first + count;
    entry.lack_count = (uint16_t)count;
    gx_feedback_entry_build(&entry, out);
    for (uint32_t i = 0; i < count; i++)
        out[GX_FEEDBACK_ENTRY_BYTES + i] = (uint8_t)gx_part_lack(part, entry.first + i);
    return GX_FEEDBACK_ENTRY_BYTES + count;
}

size_t gx_recv_entries(struct gx_recv *recv, uint8_t *out, size_t room, uint16_t *count)
{
    size_t used = answers_write(recv, out, room, count);
    uint32_t turn = recv->turn++;

    for (uint32_t i = 0; i < GX_INCOMING_MAX; i++) {
        struct gx_incoming *incoming = &recv->incoming[(turn + i) % GX_INCOMING_MAX];

        if (!incoming->used)
            continue;
        if (room - used < GX_FEEDBACK_ENTRY_BYTES)
            break;
        used += incoming_write(incoming, out + used, room - used);
        (*count)++;
    }
    return used;
}
