#include "stat/known.h"

#include <string.h>

#include "stat/file.h"

#define DAY_NS 86400000000000ull
#define PACKETS_MAX                                                                                \
    5000u /* a quarter of what an estimate remembers: what is seen now soon counts more */

static struct gx_known measured(const struct gx_stat_file *last, uint32_t site)
{
    struct gx_known known = {0};
    uint64_t heard_ns = 0, lost = 0;

    for (uint32_t w = 0; w < last->worker_count && w < GX_WORKERS_MAX; w++) {
        const uint64_t *link = last->workers[w].link[site];
        uint64_t packets = link[GX_LINK_sent_packets_total];

        if (link[GX_LINK_rtt_ns] == 0) /* no feedback */
            continue;
        if (packets > PACKETS_MAX)
            packets = PACKETS_MAX;
        known.packets += packets;
        lost += packets * link[GX_LINK_loss_ppm];
        known.rate_bps += link[GX_LINK_allowed_bps];
        if (link[GX_LINK_burst_milli] > known.burst_milli)
            known.burst_milli = link[GX_LINK_burst_milli];
        if (link[GX_LINK_heard_ns] > heard_ns)
            heard_ns = link[GX_LINK_heard_ns];
    }
    if (known.packets == 0 || heard_ns < last->started_clock_ns)
        return (struct gx_known){0};
    known.at_ns = last->started_ns + (heard_ns - last->started_clock_ns);
    known.loss_ppm = lost / known.packets;
    if (known.packets > PACKETS_MAX)
        known.packets = PACKETS_MAX;
    return known;
}

struct gx_known gx_known_of(const struct gx_stat_file *last, const char *name)
{
    for (uint32_t i = 0; i < last->site_count && i < GX_SITES_MAX; i++) {
        struct gx_known known;

        if (strncmp(last->site_names[i], name, GX_NAME_MAX) != 0)
            continue;
        known = measured(last, i);
        return known.packets > 0 ? known : last->known[i];
    }
    return (struct gx_known){0};
}

struct gx_known gx_known_aged(const struct gx_known *known, uint64_t realtime_ns)
{
    struct gx_known aged = *known;
    uint64_t age_ns =
        realtime_ns > known->at_ns ? realtime_ns - known->at_ns : known->at_ns - realtime_ns;

    if (age_ns >= DAY_NS)
        return (struct gx_known){0};
    aged.packets = (uint64_t)((double)known->packets * (1 - (double)age_ns / (double)DAY_NS));
    return aged.packets > 0 ? aged : (struct gx_known){0};
}
