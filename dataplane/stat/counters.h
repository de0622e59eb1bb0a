/* gx_counters: all counters of one worker, made from api/counters.def. One writer (the worker; in worker 0's main writes
 * rows of its own), any number of readers: worker 0, and whoever maps the file. Every value is one aligned u64, read and
 * written as a whole (relaxed); no two belong together. */
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

#define GX_COUNTER_READ(counter) __atomic_load_n(&(counter), __ATOMIC_RELAXED)
/* By its one writer: no locked instruction. */
#define GX_COUNTER_ADD(counter, n)                                                                 \
    __atomic_store_n(&(counter), (counter) + (uint64_t)(n), __ATOMIC_RELAXED)
#define GX_COUNT(counters, name, n) GX_COUNTER_ADD((counters)->site[GX_SITE_##name], n)
#define GX_COUNT_LINK(counters, peer, name, n)                                                     \
    GX_COUNTER_ADD((counters)->link[peer][GX_LINK_##name], n)

/* Adds another worker's: totals and what is allowed are sums, the longest loop is that of all, the heartbeat the oldest; every other gauge
 * stays `sum`'s, which is worker 0's. */
void gx_counters_add(struct gx_counters *sum, const struct gx_counters *more);

#endif
