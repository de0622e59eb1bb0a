#include "gx-perf/busy.h"

#include <stdio.h>
#include <string.h>

#include "stat/file.h"

#define PATH_BYTES 256

static void sums_read(struct gx_perf_busy_sums *out, const struct gx_counters *counters)
{
    *out = (struct gx_perf_busy_sums){0};
    for (int i = GX_SITE_work_port_receive_ns_total; i <= GX_SITE_work_house_ns_total; i++)
        out->busy_ns += counters->site[i];
    for (int peer = 0; peer < GX_SITES_MAX; peer++) {
        out->sent_bytes += counters->link[peer][GX_LINK_sent_bytes_total];
        out->received_bytes += counters->link[peer][GX_LINK_received_bytes_total];
    }
}

static void links_read(struct gx_perf_busy_link *out, const struct gx_counters *counters)
{
    for (int peer = 0; peer < GX_SITES_MAX; peer++) {
        const uint64_t *link = counters->link[peer];
        uint64_t asked = link[GX_LINK_rebuilt_asked_shards_total];
        uint64_t all = link[GX_LINK_rebuilt_shards_total];

        out[peer] = (struct gx_perf_busy_link){
            .lost_packets = link[GX_LINK_lost_packets_total],
            /* gxd may have added to one of the two. */
            .rebuilt_advance_shards = all > asked ? all - asked : 0,
            .rebuilt_asked_shards = asked,
        };
    }
}

/* Losses are taken back when a packet comes late. */
static uint64_t growth(uint64_t from, uint64_t to)
{
    return to > from ? to - from : 0;
}

void gx_perf_busy_read(struct gx_perf_busy_moment *out, const char *socket, const char *state,
                       uint64_t now_ns)
{
    const struct gx_stat_file *file;
    char directory[PATH_BYTES];
    bool alive;

    *out = (struct gx_perf_busy_moment){0};
    if (!state && !socket)
        return;
    snprintf(directory, sizeof(directory), "%s%s", state ? state : socket, state ? "" : ".state");
    if (gx_stat_open(directory, &file, &alive) != 0)
        return;
    if (alive) {
        out->at_ns = now_ns;
        out->gxd_started_ns = file->started_ns;
        out->worker_count = 1;
        sums_read(&out->workers[0], &file->counters);
        links_read(out->links, &file->counters);
    }
    gx_stat_unmap(file);
}

void gx_perf_busy_between(struct gx_perf_busy *out, const struct gx_perf_busy_moment *from,
                          const struct gx_perf_busy_moment *to)
{
    double seconds = 1e-9 * (double)(to->at_ns - from->at_ns);

    *out = (struct gx_perf_busy){0};
    if (from->at_ns == 0 || to->at_ns <= from->at_ns ||
        to->gxd_started_ns != from->gxd_started_ns || to->worker_count != from->worker_count)
        return;
    out->worker_count = to->worker_count;
    for (uint32_t i = 0; i < out->worker_count; i++) {
        const struct gx_perf_busy_sums *a = &from->workers[i], *b = &to->workers[i];
        out->workers[i] = (struct gx_perf_busy_worker){
            .busy_share = 1e-9 * (double)(b->busy_ns - a->busy_ns) / seconds,
            .sent_bps = 8 * (double)(b->sent_bytes - a->sent_bytes) / seconds,
            .received_bps = 8 * (double)(b->received_bytes - a->received_bytes) / seconds,
        };
    }
    for (int peer = 0; peer < GX_SITES_MAX; peer++) {
        const struct gx_perf_busy_link *a = &from->links[peer], *b = &to->links[peer];
        out->links[peer] = (struct gx_perf_busy_link){
            .lost_packets = growth(a->lost_packets, b->lost_packets),
            .rebuilt_advance_shards = growth(a->rebuilt_advance_shards, b->rebuilt_advance_shards),
            .rebuilt_asked_shards = growth(a->rebuilt_asked_shards, b->rebuilt_asked_shards),
        };
    }
}
