/* links_sim: session, lane and transfer in a virtual world, one seed after the other. Every seed draws a mix of rate,
 * delay, loss, bursts, jitter, reordering, duplication, corruption, outages (of one direction, too), a restart, a path that swallows
 * large packets, hostile packets, targeted losses, helpers. --bench measures transfer_ratio and the core's cost instead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "links_world.h"

#define MS 1000000ull
#define S 1000000000ull

static uint64_t pick(struct gx_random *random, const uint64_t *from, size_t count)
{
    return from[gx_random_u64(random) % count];
}

#define PICK(random, ...)                                                                          \
    pick(random, (const uint64_t[]){__VA_ARGS__},                                                  \
         sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static bool one_in(struct gx_random *random, uint64_t n)
{
    return gx_random_u64(random) % n == 0;
}

static void draw_impair(struct gx_random *random, struct world_config *config)
{
    struct gx_impair_config *impair = &config->impair;

    config->rate_bps = PICK(random, 20000000, 50000000, 200000000, 1000000000);
    config->site_rate_bps = config->rate_bps;
    if (one_in(random, 8))
        config->site_rate_bps = config->rate_bps / 4 * 5; /* the queue overflows */
    impair->rate_bps = config->rate_bps;
    impair->delay_ns = PICK(random, 50, 1000, 5000, 25000, 75000, 150000) * 1000;
    impair->loss = (double)PICK(random, 0, 0, 1, 5, 10, 20) / 100;
    if (one_in(random, 4))
        impair->burst = (struct gx_impair_burst){.p_gb = 0.005, .p_bg = 0.1, .p_loss_bad = 0.8};
    if (one_in(random, 4))
        impair->jitter_ns = impair->delay_ns / 2;
    impair->jitter_reorders = one_in(random, 2);
    if (one_in(random, 4)) {
        impair->reorder = 0.02;
        impair->reorder_ns = impair->delay_ns / 2;
    }
    impair->dup = one_in(random, 4) ? 0.05 : 0;
    impair->corrupt = one_in(random, 4) ? 0.02 : 0;
}

static void draw_config(struct gx_random *random, struct world_config *config, uint64_t seed)
{
    memset(config, 0, sizeof *config);
    config->seed = seed;
    config->sites = (uint32_t)PICK(random, 2, 2, 3, 4);
    draw_impair(random, config);
    config->hold_ns_max = PICK(random, 0, 1, 20) * MS;
    config->tx_max = (uint32_t)PICK(random, 1, 7, 32, 64);
    config->hostile = one_in(random, 3);
    if (one_in(random, 4))
        config->restart_ns = 200 * MS + gx_random_u64(random) % (1500 * MS);
    if (one_in(random, 5))
        config->target = (struct target){
            .on = true,
            .block = (uint32_t)(gx_random_u64(random) % 3),
            .row = (uint32_t)(gx_random_u64(random) % 60),
            .repairs = (uint32_t)PICK(random, 1, 5, 50, 200, 400),
        };
    config->fault_end_ns = config->restart_ns + 10 * MS;
    config->rate_algorithm = one_in(random, 2) ? &gx_rate_path : &gx_rate_fixed;
    config->secure = one_in(random, 2);
}

/* A black hole for large packets, mostly from the start, sometimes in mid-transfer. Not below what control needs. */
static void draw_mtu(struct gx_random *random, struct world *world)
{
    struct world_config *config = &world->config;

    config->mtu = 1280 + (uint32_t)(gx_random_u64(random) % 204);
    config->mtu_ways = 1 + (uint32_t)(gx_random_u64(random) % 3);
    config->mtu_begin_ns = one_in(random, 2) ? 0 : world->now + gx_random_u64(random) % S;
    config->mtu_end_ns = world->now + PICK(random, 1, 6, 20) * S;
}

/* One direction between sites 0 and 1, or both. */
static void draw_outage(struct gx_random *random, struct world *world)
{
    struct gx_impair_outage outage = {.from_ns = gx_random_u64(random) % S};
    uint32_t which = (uint32_t)(gx_random_u64(random) % 3);

    outage.to_ns = outage.from_ns + PICK(random, 30, 300, 1500, 4000) * MS;
    for (uint32_t i = 0; i < 2; i++) {
        struct gx_impair_config *config = &world->paths[i][1 - i].config;

        if (which != i)
            config->outages[config->outage_count++] = outage;
    }
}

/* The owner is cut off in mid-transfer: a helper finishes it. */
static void draw_dead_owner(struct gx_random *random, struct world *world)
{
    uint64_t shards = PICK(random, 65, 700, 3000);
    uint64_t cut_ns = gx_random_u64(random) % (600 * MS);
    uint32_t idx = links_world_deliver(world, 0, 1, shards * 1408 - gx_random_u64(random) % 1408,
                                       world->now + 100 * MS);

    links_world_cut(world, 0, 1, cut_ns);
    links_world_help(world, idx, 2, world->now + cut_ns + gx_random_u64(random) % (200 * MS));
}

static void draw_deliveries(struct gx_random *random, struct world *world)
{
    uint32_t count = 1 + (uint32_t)(gx_random_u64(random) % 8);
    uint32_t sites = world->config.sites;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t from = (uint32_t)(gx_random_u64(random) % sites);
        uint32_t to = (from + 1 + (uint32_t)(gx_random_u64(random) % (sites - 1))) % sites;
        uint64_t shards = PICK(random, 1, 2, 63, 64, 65, 129, 700, 1500);
        uint64_t bytes = shards * 1408 - gx_random_u64(random) % 1408;
        uint64_t start_ns = world->now + gx_random_u64(random) % (500 * MS);
        uint32_t idx = links_world_deliver(world, from, to, bytes, start_ns);

        if (one_in(random, 4))
            world->deliveries[idx].ready_ns = start_ns + gx_random_u64(random) % S;
        if (sites > 2 && one_in(random, 2)) {
            uint32_t helper = 0;

            while (helper == from || helper == to)
                helper++;
            links_world_help(world, idx, helper, start_ns + gx_random_u64(random) % (300 * MS));
        }
    }
}

static bool run_seed(uint64_t seed, bool verbose)
{
    static struct world world;
    struct world_config config;
    struct gx_random random;
    bool ok;

    gx_random_init(&random, seed ^ 0x6c696e6b73ull);
    draw_config(&random, &config, seed);
    links_world_init(&world, &config);
    if (one_in(&random, 3))
        draw_outage(&random, &world);
    if (one_in(&random, 6))
        draw_mtu(&random, &world);
    if (config.sites > 2 && config.restart_ns == 0 && one_in(&random, 5))
        draw_dead_owner(&random, &world);
    else
        draw_deliveries(&random, &world);
    ok = links_world_run(&world, 120 * S);
    if (verbose || !ok)
        printf("seed %llu: %s, %u sites, %.0f Mbit/s, delay %.2f ms, loss %.2f, %u deliveries, "
               "%llu packets, %.3f s, parity %llu, repeats %llu, rebuilt %llu, restarts %llu, "
               "sessions %llu, small path %u (told %llu)%s%s\n",
               (unsigned long long)seed, ok ? "ok" : "FAILED", config.sites,
               (double)config.rate_bps / 1e6, (double)config.impair.delay_ns / 1e6,
               config.impair.loss, world.delivery_count, (unsigned long long)world.packets,
               (double)(world.now - 1000 * S) / 1e9,
               (unsigned long long)links_world_sum(&world, GX_LINK_sent_parity_shards_total),
               (unsigned long long)links_world_sum(&world, GX_LINK_sent_repeat_shards_total),
               (unsigned long long)links_world_sum(&world, GX_LINK_rebuilt_shards_total),
               (unsigned long long)links_world_sum(&world, GX_LINK_peer_restarts_total),
               (unsigned long long)links_world_sum(&world, GX_LINK_sessions_total),
               world.config.mtu, (unsigned long long)world.told_small, ok ? "" : ": ",
               world.failure);
    if (!ok)
        printf("replay: links_sim --seed %llu -v\n", (unsigned long long)seed);
    links_world_fini(&world);
    return ok;
}

/* ---- bench ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool bench_seed(double loss, uint64_t seed, uint32_t rounds, double *ratios,
                       uint64_t counters[4])
{
    static struct world world;
    uint64_t bytes = 25000000;
    struct world_config config = {
        .seed = seed,
        .sites = 2,
        .rate_bps = 200000000,
        .site_rate_bps = 200000000,
        .impair = {.rate_bps = 200000000, .delay_ns = 25 * MS, .loss = loss},
        .tx_max = 32,
        .measure = true,
    };
    bool ok = true;

    links_world_init(&world, &config);
    for (uint32_t i = 0; i <= rounds && ok; i++) {
        uint32_t idx = links_world_deliver(&world, 0, 1, bytes, world.now + 300 * MS);
        double bound = 8.0 * (double)bytes * (1 + 90.0 / 1408) / (200e6 * (1 - loss)) + 0.025;
        double took;

        world.deliveries[idx].open.key.kind = GX_KIND_CONTRIBUTION;
        ok = links_world_run(&world, 60 * S);
        took = (double)(world.deliveries[idx].held_ns - world.deliveries[idx].first_sent_ns) / 1e9;
        if (i > 0) /* the first is a warm-up, as in gx-perf */
            ratios[i - 1] = took / bound;
    }
    if (!ok)
        printf("bench: loss %.2f seed %llu: %s\n", loss, (unsigned long long)seed, world.failure);
    counters[0] += world.sites[0].counters.link[1][GX_LINK_sent_data_shards_total];
    counters[1] += world.sites[0].counters.link[1][GX_LINK_sent_parity_shards_total];
    counters[2] += world.packets;
    counters[3] += world.cpu_ns;
    links_world_fini(&world);
    return ok;
}

static int bench(uint64_t seeds)
{
    static const double losses[] = {0, 0.01, 0.05, 0.1};
    enum { ROUNDS = 10 };
    double *ratios = calloc(seeds * ROUNDS, sizeof *ratios);
    bool ok = ratios != NULL;

    printf("25 MB, 200 Mbit/s, 25 ms one way, %llu worlds of %d transfers: time over the bound\n",
           (unsigned long long)seeds, ROUNDS);
    for (size_t i = 0; i < sizeof losses / sizeof losses[0] && ok; i++) {
        uint64_t counters[4] = {0};
        size_t count = seeds * ROUNDS;

        for (uint64_t seed = 1; seed <= seeds; seed++)
            ok &= bench_seed(losses[i], seed, ROUNDS, ratios + (seed - 1) * ROUNDS, counters);
        qsort(ratios, count, sizeof *ratios, by_value);
        printf(
            "loss %4.2f  p50 %.4f  p99 %.4f  max %.4f  parity %.3f%% of data  %.0f ns a packet\n",
            losses[i], ratios[count / 2], ratios[count * 99 / 100], ratios[count - 1],
            100.0 * (double)counters[1] / (double)counters[0],
            (double)counters[3] / (double)counters[2]);
    }
    free(ratios);
    return ok ? 0 : 1;
}

static int usage(void)
{
    fprintf(stderr, "usage: links_sim [--seed N] [--seeds A-B] [-v] | --bench [WORLDS]\n");
    return 2;
}

int main(int argc, char **argv)
{
    unsigned long long from = 1, to = 300, failed = 0;
    bool verbose = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0)
            verbose = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc &&
                 sscanf(argv[++i], "%llu", &from) == 1)
            to = from;
        else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc &&
                 sscanf(argv[++i], "%llu-%llu", &from, &to) == 2 && from <= to)
            continue;
        else if (strcmp(argv[i], "--bench") == 0)
            return bench(i + 1 < argc ? strtoull(argv[i + 1], NULL, 10) : 5);
        else
            return usage();
    }
    for (unsigned long long seed = from; seed <= to; seed++)
        failed += !run_seed(seed, verbose);
    printf("links_sim: %llu seeds, %llu failed\n", to - from + 1, failed);
    return failed == 0 ? 0 : 1;
}
