#include "gx-perf/bound.h"

#include <math.h>

double gx_perf_transfer_bound(const struct gx_perf_link *link, uint64_t bytes, uint32_t site_count)
{
    if (link->rate_bps == 0 || site_count < 2)
        return NAN;
    double overhead = (double)GX_PERF_HEADER_BYTES / link->shard_bytes;
    double frame_bits = 8.0 * (site_count - 1) * (double)bytes * (1 + overhead);
    return frame_bits / ((double)link->rate_bps * (1 - link->loss)) + link->delay_seconds;
}

double gx_perf_round_bound(const struct gx_perf_link *link, uint64_t bytes, uint32_t site_count)
{
    return gx_perf_transfer_bound(link, bytes, site_count) + 2 * link->delay_seconds +
           link->fsync_seconds;
}
