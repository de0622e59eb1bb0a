#include "lane/pace.h"

#define UNITS_PER_BYTE (8 * 1000000000ll)

static int64_t credit_max(const struct gx_pace *pace)
{
    int64_t by_time = (int64_t)(pace->rate_bps * GX_PACE_CREDIT_NS);
    int64_t by_packets = (int64_t)pace->packet_bytes * GX_PACE_CREDIT_PACKETS * UNITS_PER_BYTE;

    return by_time > by_packets ? by_time : by_packets;
}

/* The rest of the bucket is for what wakes late. */
static int64_t train(const struct gx_pace *pace)
{
    int64_t units = (int64_t)(pace->rate_bps * GX_PACE_TRAIN_NS);
    int64_t least = (int64_t)pace->packet_bytes * GX_PACE_TRAIN_PACKETS * UNITS_PER_BYTE;

    if (units > GX_PACE_TRAIN_BYTES * UNITS_PER_BYTE)
        units = GX_PACE_TRAIN_BYTES * UNITS_PER_BYTE;
    return units > least ? units : least;
}

static void update(struct gx_pace *pace, uint64_t now)
{
    uint64_t elapsed = now > pace->updated_ns ? now - pace->updated_ns : 0;
    int64_t max = credit_max(pace);

    if (now == pace->updated_ns) /* as for most packets of a burst */
        return;
    pace->updated_ns = now;
    if (elapsed >= (uint64_t)(max - pace->credit) / pace->rate_bps + 1)
        pace->credit = max;
    else
        pace->credit += (int64_t)(elapsed * pace->rate_bps);
}

void gx_pace_init(struct gx_pace *pace, uint64_t rate_bps, uint32_t packet_bytes, uint64_t now)
{
    pace->rate_bps = rate_bps > 0 ? rate_bps : 1;
    pace->packet_bytes = packet_bytes;
    pace->updated_ns = now;
    pace->credit = credit_max(pace);
    pace->open = false;
}

void gx_pace_rate(struct gx_pace *pace, uint64_t rate_bps, uint64_t now)
{
    update(pace, now);
    pace->rate_bps = rate_bps > 0 ? rate_bps : 1;
    if (pace->credit > credit_max(pace))
        pace->credit = credit_max(pace);
}

bool gx_pace_allows(struct gx_pace *pace, uint64_t now)
{
    update(pace, now);
    pace->open = pace->credit > 0 && (pace->open || pace->credit >= train(pace));
    return pace->open;
}

void gx_pace_charge(struct gx_pace *pace, uint32_t frame_bytes)
{
    int64_t debt_max = -credit_max(pace);

    pace->credit -= (int64_t)frame_bytes * UNITS_PER_BYTE;
    if (pace->credit < debt_max)
        pace->credit = debt_max;
}

uint64_t gx_pace_when(const struct gx_pace *pace)
{
    int64_t need = train(pace);

    if (pace->credit >= need || (pace->open && pace->credit > 0))
        return pace->updated_ns;
    return pace->updated_ns + (uint64_t)(need - pace->credit) / pace->rate_bps + 1;
}
