#include "transfer/grant.h"

#include "gx.h"

#define SPAN_NS 100000000ull

void gx_grant_look(struct gx_grant_use *use, bool active, uint64_t bytes, uint64_t now)
{
    if (active && use->active && now < use->looked_ns + SPAN_NS)
        return;
    if (active && use->active) {
        use->bps[1] = use->bps[0];
        use->bps[0] =
            (uint64_t)((double)(bytes - use->bytes) * 8e9 / (double)(now - use->looked_ns));
    } else {
        use->bps[0] = use->bps[1] = UINT64_MAX;
    }
    use->active = active;
    use->looked_ns = now;
    use->bytes = bytes;
}

/* What it will use at most before the next look, as far as can be told. */
static uint64_t expected_bps(const struct gx_grant_use *use)
{
    uint64_t most = use->bps[0] > use->bps[1] ? use->bps[0] : use->bps[1];

    return most < UINT64_MAX / 2 ? most + most / 8 : UINT64_MAX;
}

uint64_t gx_grant_bps(const struct gx_grant_use *uses, uint32_t count, uint32_t asking,
                      uint64_t recv_rate_bps)
{
    uint64_t left_bps = recv_rate_bps, share_bps, fair_bps;
    uint32_t left = 0;
    bool modest[GX_SITES_MAX] = {false}, found = true;

    for (uint32_t i = 0; i < count; i++)
        left += uses[i].active || i == asking;
    share_bps = fair_bps = recv_rate_bps / left;
    while (found && left > 1) {
        found = false;
        for (uint32_t i = 0; i < count && left > 1; i++) {
            if (!uses[i].active || i == asking || modest[i] || expected_bps(&uses[i]) >= fair_bps)
                continue;
            modest[i] = found = true;
            left_bps -= expected_bps(&uses[i]);
            left--;
        }
        fair_bps = left_bps / left;
    }
    return fair_bps > share_bps ? fair_bps : share_bps;
}
