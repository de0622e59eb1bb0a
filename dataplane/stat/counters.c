#include "stat/counters.h"

#include <stdbool.h>
#include <string.h>

static const char *const site_names[] = {
#define GX_SITE(name, unit, help) #name,
#define GX_LINK(name, unit, help)
#include "counters.def"
#undef GX_SITE
#undef GX_LINK
};

static const char *const link_names[] = {
#define GX_SITE(name, unit, help)
#define GX_LINK(name, unit, help) #name,
#include "counters.def"
#undef GX_SITE
#undef GX_LINK
};

static bool is_total(const char *name)
{
    static const char end[] = "_total";
    size_t length = strlen(name);

    return length > sizeof(end) && strcmp(name + length - (sizeof(end) - 1), end) == 0;
}

void gx_counters_add(struct gx_counters *sum, const struct gx_counters *more)
{
    const uint64_t *other = more->site;

    for (unsigned i = 0; i < GX_SITE_COUNTER_COUNT; i++)
        sum->site[i] += is_total(site_names[i]) ? other[i] : 0;
    for (unsigned i = 0; i < GX_LINK_COUNTER_COUNT; i++)
        for (unsigned peer = 0; peer < GX_SITES_MAX && is_total(link_names[i]); peer++)
            sum->link[peer][i] += more->link[peer][i];
    for (unsigned peer = 0; peer < GX_SITES_MAX; peer++)
        sum->link[peer][GX_LINK_allowed_bps] += more->link[peer][GX_LINK_allowed_bps];
    if (other[GX_SITE_loop_ns_max] > sum->site[GX_SITE_loop_ns_max])
        sum->site[GX_SITE_loop_ns_max] = other[GX_SITE_loop_ns_max];
    if (other[GX_SITE_heartbeat_ns] < sum->site[GX_SITE_heartbeat_ns])
        sum->site[GX_SITE_heartbeat_ns] = other[GX_SITE_heartbeat_ns];
}
