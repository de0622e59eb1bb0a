/* gx_counters: all counters of one gxd, made from api/counters.def. One writer (the worker; main writes its own
 * rows), any number of readers that map the file. A torn read is harmless: every value is one aligned u64. */
#ifndef GX_STAT_COUNTERS_H
#define GX_STAT_COUNTERS_H

#include <stdint.h>

#include "gx.h"

enum gx_site_counter {
#define GX_SITE(name, unit, help) GX_SITE_##name,
#define GX_LINK(name, unit, help)
#include "counters.def"
#undef GX_SITE
#undef GX_LINK
    GX_SITE_COUNTER_COUNT
};

enum gx_link_counter {
#define GX_SITE(name, unit, help)
#define GX_LINK(name, unit, help) GX_LINK_##name,
#include "counters.def"
#undef GX_SITE
#undef GX_LINK
    GX_LINK_COUNTER_COUNT
};

struct gx_counters {
    uint64_t site[GX_SITE_COUNTER_COUNT];
    uint64_t link[GX_SITES_MAX][GX_LINK_COUNTER_COUNT];
};

#define GX_COUNT(counters, name, n) ((counters)->site[GX_SITE_##name] += (n))
#define GX_COUNT_LINK(counters, peer, name, n) ((counters)->link[peer][GX_LINK_##name] += (n))

#endif
