#include "wire/feedback.h"

#include "wire/le.h"

void gx_feedback_build(const struct gx_feedback *feedback, uint8_t *out)
{
    gx_put_u64(out, feedback->highest);
    gx_put_u64(out + 8, feedback->expected);
    gx_put_u64(out + 16, feedback->lost);
    gx_put_u64(out + 24, feedback->bursts);
    gx_put_u32(out + 32, feedback->echo_us);
    gx_put_u32(out + 36, feedback->held_us);
    gx_put_u64(out + 40, feedback->grant_bps);
    gx_put_u32(out + 48, feedback->ce_count);
    gx_put_u32(out + 52, feedback->lateness_us);
    gx_put_u16(out + 56, feedback->entry_count);
    gx_put_u16(out + 58, 0);
    gx_put_u32(out + 60, feedback->received);
}

void gx_feedback_entry_build(const struct gx_feedback_entry *entry, uint8_t *out)
{
    gx_put_u32(out, entry->transfer);
    out[4] = entry->answer;
    out[5] = entry->reason;
    out[6] = entry->flags;
    out[7] = 0;
    gx_put_u32(out + 8, entry->done);
    gx_put_u32(out + 12, entry->first);
    gx_put_u16(out + 16, entry->lack_count);
}

bool gx_feedback_entry_parse(struct gx_feedback_entry *entry, const uint8_t *in, size_t bytes,
                             size_t *at)
{
    const uint8_t *head = in + *at;

    if (bytes < *at || bytes - *at < GX_FEEDBACK_ENTRY_BYTES)
        return false;
    entry->transfer = gx_get_u32(head);
    entry->answer = head[4];
    entry->reason = head[5];
    entry->flags = head[6];
    entry->done = gx_get_u32(head + 8);
    entry->first = gx_get_u32(head + 12);
    entry->lack_count = gx_get_u16(head + 16);
    entry->lacks = head + GX_FEEDBACK_ENTRY_BYTES;
    *at += GX_FEEDBACK_ENTRY_BYTES;
    if (entry->lack_count > bytes - *at)
        return false;
    *at += entry->lack_count;
    return true;
}

bool gx_feedback_parse(struct gx_feedback *feedback, const uint8_t *in, size_t bytes)
{
    size_t at = GX_FEEDBACK_HEAD_BYTES;
    struct gx_feedback_entry entry;

    if (bytes < GX_FEEDBACK_HEAD_BYTES)
        return false;
    feedback->highest = gx_get_u64(in);
    feedback->expected = gx_get_u64(in + 8);
    feedback->lost = gx_get_u64(in + 16);
    feedback->bursts = gx_get_u64(in + 24);
    feedback->echo_us = gx_get_u32(in + 32);
    feedback->held_us = gx_get_u32(in + 36);
    feedback->grant_bps = gx_get_u64(in + 40);
    feedback->ce_count = gx_get_u32(in + 48);
    feedback->lateness_us = gx_get_u32(in + 52);
    feedback->received = gx_get_u32(in + 60);
    feedback->entry_count = gx_get_u16(in + 56);
    for (uint32_t i = 0; i < feedback->entry_count; i++)
        if (!gx_feedback_entry_parse(&entry, in, bytes, &at))
            return false;
    return at == bytes;
}
