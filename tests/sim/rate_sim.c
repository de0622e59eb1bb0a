/* rate_sim: the rate algorithm `path` on paths that are slower than the ceiling, shared, or changing, in virtual time. Each scene
 * prints what was reached and what is asked at least; the program fails when a scene falls short. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "links_world.h"

#define MS 1000000ull
#define S (1000 * MS)
#define OVERHEAD (1 + 90.0 / 1408)
#define DROPS 12 /* moments at which a bottleneck falls */

static struct world world;

static uint32_t start(uint32_t from, uint32_t to, uint64_t bytes, uint64_t in_ns)
{
    uint32_t idx = links_world_deliver(&world, from, to, bytes, world.now + in_ns);

    world.deliveries[idx].open.key.kind = GX_KIND_CONTRIBUTION;
    return idx;
}

static double took(uint32_t idx)
{
    return (double)(world.deliveries[idx].held_ns - world.deliveries[idx].first_sent_ns) / 1e9;
}

static double bound(uint64_t bytes, uint64_t rate_bps, double loss, uint64_t delay_ns)
{
    return 8.0 * (double)bytes * OVERHEAD / ((double)rate_bps * (1 - loss)) +
           (double)delay_ns / 1e9;
}

static void init(uint64_t seed, uint32_t sites, uint64_t ceiling_bps, uint64_t neck_bps,
                 uint64_t delay_ns, double loss, uint64_t queue_bytes)
{
    struct world_config config = {
        .seed = seed,
        .sites = sites,
        .rate_bps = ceiling_bps,
        .site_rate_bps = ceiling_bps,
        .impair = {.delay_ns = delay_ns, .loss = loss},
        .neck = {.rate_bps = neck_bps,
                 .queue_bytes =
                     queue_bytes ? queue_bytes : gx_impair_queue_bytes(neck_bps, delay_ns)},
        .rate_algorithm = &gx_rate_path,
        .tx_max = 32,
    };

    links_world_init(&world, &config);
}

/* Prints one row; true when `value` is on the right side of `limit`. */
static bool row(const char *what, double value, bool at_most, double limit)
{
    bool ok = at_most ? value <= limit : value >= limit;

    printf("%-68s %8.3f  %s %.3f  %s\n", what, value, at_most ? "≤" : "≥", limit,
           ok ? "ok" : "FAILED");
    return ok;
}

static bool run(uint64_t limit_ns)
{
    bool ok = links_world_run(&world, limit_ns);

    if (!ok)
        printf("FAILED: %s\n", world.failure);
    return ok;
}

/* ---- scenes ---- */

/* One flow, again and again; the first is to learn. Returns the median of time over bound. */
static double repeat(uint64_t bytes, uint64_t rate_bps, double loss, uint64_t delay_ns,
                     uint32_t rounds, double *lost)
{
    double ratios[16];
    uint64_t packets = world.neck.counters.packets;

    for (uint32_t i = 0; i <= rounds; i++) {
        uint32_t idx = start(0, 1, bytes, 300 * MS);

        if (!run(120 * S))
            return 1e9;
        ratios[i == 0 ? rounds : i - 1] = took(idx) / bound(bytes, rate_bps, loss, delay_ns);
        if (i == 0)
            packets = world.neck.counters.packets;
    }
    *lost = 0;
    if (world.neck.counters.packets > packets)
        *lost = (double)world.neck.counters.dropped[GX_IMPAIR_QUEUE] /
                (double)world.neck.counters.packets;
    for (uint32_t i = 0; i < rounds; i++)
        for (uint32_t j = i + 1; j < rounds; j++)
            if (ratios[j] < ratios[i]) {
                double t = ratios[i];

                ratios[i] = ratios[j];
                ratios[j] = t;
            }
    return ratios[rounds / 2];
}

static bool scene_single(void)
{
    static const struct {
        uint64_t ceiling, neck, delay_ms;
        double loss, limit;
    } cells[] = {
        {200, 200, 25, 0, 1.02},    {200, 200, 25, 0.01, 1.02}, {200, 200, 25, 0.1, 1.03},
        {200, 200, 75, 0.05, 1.04}, {200, 50, 25, 0, 1.15},     {200, 50, 25, 0.05, 1.2},
        {1000, 100, 75, 0.01, 1.3}, {200, 190, 5, 0, 1.1},
    };
    bool ok = true;

    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        char text[100];
        double lost = 0, ratio;

        init(i + 1, 2, cells[i].ceiling * 1000000, cells[i].neck * 1000000, cells[i].delay_ms * MS,
             cells[i].loss, 0);
        ratio = repeat(25000000, cells[i].neck * 1000000, cells[i].loss, cells[i].delay_ms * MS, 9,
                       &lost);
        snprintf(text, sizeof text,
                 "ceiling %llu, path %llu Mbit/s, %llu ms, loss %.2f (dropped %.3f): ratio",
                 (unsigned long long)cells[i].ceiling, (unsigned long long)cells[i].neck,
                 (unsigned long long)cells[i].delay_ms, cells[i].loss, lost);
        ok &= row(text, ratio, true, cells[i].limit);
        links_world_fini(&world);
    }
    return ok;
}

/* Hosts that come late to their packets while there are many: no queue, though the round trip grows, and nothing is
 * delivered any slower. */
static bool scene_late(void)
{
    bool ok = true;

    for (uint32_t i = 0; i < 2; i++) {
        char text[100];
        double lost, loss = i * 0.01, ratio;

        init(50 + i, 2, 200000000, 200000000, 25 * MS, loss, 0);
        world.paths[0][1].config.jitter_ns = world.paths[1][0].config.jitter_ns = 20 * MS;
        ratio = repeat(25000000, 200000000, loss, 25 * MS, 9, &lost);
        snprintf(text, sizeof text,
                 "hosts late by up to 20 ms, 200 Mbit/s, 25 ms, loss %.2f: ratio", loss);
        ok &= row(text, ratio, true, 1.05);
        links_world_fini(&world);
    }
    return ok;
}

/* Both ways at once: what each sends queues before the other's feedback. The slowest of all. */
static bool scene_both(void)
{
    static const struct {
        uint64_t delay_ms;
        double loss, limit;
    } cells[] = {{25, 0, 1.005}, {25, 0.01, 1.01}, {5, 0.01, 1.01}, {75, 0.01, 1.02}};
    bool ok = true;

    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        char text[100];
        double worst = 0;

        init(20 + i, 2, 200000000, 0, cells[i].delay_ms * MS, cells[i].loss, 0);
        for (int way = 0; way < 2; way++) {
            struct gx_impair_config *path = &world.paths[way][1 - way].config;

            path->queue_bytes = gx_impair_queue_bytes(200000000, path->delay_ns);
            gx_impair_set_rate(&world.paths[way][1 - way], world.now, 200000000);
        }
        for (uint32_t round = 0; round < 6; round++) {
            uint32_t idx[2] = {start(0, 1, 25000000, 300 * MS), start(1, 0, 25000000, 303 * MS)};

            ok &= run(120 * S);
            for (int way = 0; way < 2 && round > 0; way++) {
                double ratio = took(idx[way]) /
                               bound(25000000, 200000000, cells[i].loss, cells[i].delay_ms * MS);

                worst = ratio > worst ? ratio : worst;
            }
        }
        snprintf(text, sizeof text, "both ways at 200 Mbit/s, %llu ms, loss %.2f: worst ratio",
                 (unsigned long long)cells[i].delay_ms, cells[i].loss);
        ok &= row(text, worst, true, cells[i].limit);
        links_world_fini(&world);
    }
    return ok;
}

static uint64_t bytes_sent(uint32_t from, uint32_t to)
{
    return world.sites[from].counters.link[to][GX_LINK_sent_data_shards_total];
}

/* Two pairs of sites share one bottleneck; the second starts 2 s later. The smaller share of 10 s. */
static bool scene_fair(void)
{
    static const struct {
        uint64_t ceiling;
        double loss;
    } cells[] = {{200, 0}, {200, 0.02}, {100, 0}, {100, 0.02}};
    bool ok = true;

    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        uint64_t a, b;
        char text[100];

        init(40 + i, 4, cells[i].ceiling * 1000000, 100000000, 25 * MS, cells[i].loss, 0);
        start(0, 1, 300000000, 0);
        start(2, 3, 300000000, 2 * S);
        world.pause_ns = world.now + 8 * S;
        ok &= run(60 * S);
        a = bytes_sent(0, 1);
        b = bytes_sent(2, 3);
        world.pause_ns = world.now + 10 * S;
        ok &= run(60 * S);
        a = bytes_sent(0, 1) - a;
        b = bytes_sent(2, 3) - b;
        snprintf(text, sizeof text,
                 "two flows, ceiling %llu, on 100 Mbit/s, loss %.2f: smaller over larger",
                 (unsigned long long)cells[i].ceiling, cells[i].loss);
        ok &= row(text, a < b ? (double)a / (double)b : (double)b / (double)a, false, 0.5);
        snprintf(text, sizeof text,
                 "two flows, ceiling %llu, on 100 Mbit/s, loss %.2f: use of the link",
                 (unsigned long long)cells[i].ceiling, cells[i].loss);
        ok &= row(text, (double)(a + b) * 1408 * 8 * OVERHEAD / (10 * 100e6 * (1 - cells[i].loss)),
                  false, 0.9);
        links_world_fini(&world);
    }
    return ok;
}

/* In mid-transfer the bottleneck falls to a tenth for 3 s, `into` ms after it began. */
static bool drop(uint64_t into, double *ratio, double *dropped)
{
    uint32_t idx;
    double left, ideal, before = (double)(into - 100) / 1e3;
    bool ok = true;

    init(60, 2, 200000000, 200000000, 25 * MS, 0, 0);
    start(0, 1, 25000000, 0);
    ok &= run(60 * S);
    idx = start(0, 1, 50000000, 100 * MS);
    world.pause_ns = world.now + into * MS;
    ok &= run(60 * S);
    gx_impair_set_rate(&world.neck, world.now, 20000000);
    world.pause_ns = world.now + 3 * S;
    ok &= run(60 * S);
    gx_impair_set_rate(&world.neck, world.now, 200000000);
    world.pause_ns = 0;
    ok &= run(60 * S);
    left = 8 * 50e6 * OVERHEAD - before * 200e6 - 3 * 20e6;
    ideal = before + 3 + left / 200e6 + 0.025;
    *ratio = took(idx) / ideal;
    *dropped =
        (double)world.neck.counters.dropped[GX_IMPAIR_QUEUE] / (double)world.neck.counters.packets;
    links_world_fini(&world);
    return ok;
}

/* When the next probe comes is luck: so at several moments. */
static bool scene_drop(void)
{
    double ratio, dropped, ratios = 0, worst = 0, drops = 0;
    bool ok = true;

    for (uint64_t i = 0; i < DROPS; i++) {
        ok &= drop(1100 + 11 * i, &ratio, &dropped);
        ratios += ratio / DROPS;
        drops += dropped / DROPS;
        worst = ratio > worst ? ratio : worst;
    }
    ok &= row("bottleneck at a tenth for 3 s in mid-transfer: time over the ideal", ratios, true,
              1.1);
    ok &= row("… the worst of the moments when it comes", worst, true, 1.15);
    ok &= row("… dropped by its queue, of all packets", drops, true, 0.15);
    return ok;
}

/* In mid-transfer the route becomes twice as long. */
static bool scene_route(void)
{
    uint32_t idx;
    bool ok = true;

    init(70, 2, 200000000, 200000000, 25 * MS, 0.01, 0);
    start(0, 1, 25000000, 0);
    ok &= run(60 * S);
    idx = start(0, 1, 100000000, 100 * MS);
    world.pause_ns = world.now + 1100 * MS;
    ok &= run(60 * S);
    world.paths[0][1].config.delay_ns = world.paths[1][0].config.delay_ns = 50 * MS;
    world.pause_ns = 0;
    ok &= run(60 * S);
    ok &= row("round trip doubles in mid-transfer: time over the bound",
              took(idx) / bound(100000000, 200000000, 0.01, 50 * MS), true, 1.15);
    links_world_fini(&world);
    return ok;
}

static bool scene_outage(void)
{
    uint32_t idx;
    struct gx_impair_config *there, *back;
    bool ok = true;

    init(80, 2, 200000000, 200000000, 25 * MS, 0.01, 0);
    start(0, 1, 25000000, 0);
    ok &= run(60 * S);
    there = &world.paths[0][1].config;
    back = &world.paths[1][0].config;
    there->outages[0] = back->outages[0] = (struct gx_impair_outage){
        .from_ns = world.now - 1000 * S + 1 * S,
        .to_ns = world.now - 1000 * S + 31 * S,
    };
    there->outage_count = back->outage_count = 1;
    idx = start(0, 1, 50000000, 100 * MS);
    ok &= run(120 * S);
    ok &= row("an outage of 30 s in mid-transfer: seconds more than it and the bound",
              took(idx) - 30 - bound(50000000, 200000000, 0.01, 25 * MS), true, 1.5);
    links_world_fini(&world);
    return ok;
}

int main(void)
{
    bool ok = scene_single();

    ok &= scene_late();
    ok &= scene_both();
    ok &= scene_fair();
    ok &= scene_drop();
    ok &= scene_route();
    ok &= scene_outage();
    printf("rate_sim: %s\n", ok ? "ok" : "failed");
    return ok ? 0 : 1;
}
