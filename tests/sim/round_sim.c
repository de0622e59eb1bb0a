/* round_sim: how long rounds of complete sites take in virtual time, over the bound of a round (DESIGN.md section 4a): transfers, the
 * decision, and the reduction. And what a second holder is worth: three sites, one path at a quarter of the rate, with
 * and without it. How long what leads to a site was idle: idle.h. Every round's result is checked as in gx-sim. Prints Markdown; the limits are goals and are marked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/idle.h"
#include "sim/world.h"

#define SHARD 1408
#define OVERHEAD (1 + 90.0 / SHARD)
#define ROUNDS_A_WORLD 100
#define MBIT 1000000ull
#define BYTES 25000000ull
#define RATE_BPS (200 * MBIT)

/* 25 MB, 200 Mbit/s. */
struct cell {
    uint32_t sites;
    uint64_t delay_ns;
    double loss;
    uint64_t slow_bps; /* of the path from site 1 to site 2 … */
    bool slow_back;    /* … and back; 0: none is */
    double p50, p99;   /* goals, over the bound; with a slow path, */
    double less;       /* so much less time than without a second holder; 0: no goal */
};

static const struct cell cells[] = {
    {2, 25 * SIM_MS, 0.01, 0, false, 1.03, 1.06, 0},
    {2, 75 * SIM_MS, 0.01, 0, false, 1.03, 1.06, 0},
    {4, 25 * SIM_MS, 0.01, 0, false, 1.03, 1.06, 0},
    {8, 25 * SIM_MS, 0.01, 0, false, 1.03, 1.06, 0},
    {3, 25 * SIM_MS, 0, 50 * MBIT, false, 0, 0, 0.35},
    {3, 25 * SIM_MS, 0.01, 50 * MBIT, false, 0, 0, 0.35},
    {3, 25 * SIM_MS, 0.01, 50 * MBIT, true, 0, 0, 0},
};

/* One round: ns of the world's clock. */
struct timed {
    uint64_t offered_ns, over_ns;   /* the last offer, the last completion */
    uint64_t held_ns[GX_SITES_MAX]; /* the longest transfer to each site */
    double idle[GX_SITES_MAX]; /* what leads to each site, until its last needed shard had left */
    uint32_t over;             /* sites */
};

struct measured {
    struct timed rounds[ROUNDS_A_WORLD + 2];
    uint32_t count; /* of `seconds`; of `transfers` and `idle` so many a site */
    double *seconds, *transfers, *idle;
    struct sim_idle links[GX_SITES_MAX]; /* into each site */
    uint64_t delay_ns;
    uint64_t placed, duplicates, parity, helps;
};

static struct timed *timed_at(struct measured *m, uint64_t round)
{
    return round <= ROUNDS_A_WORLD + 1 ? &m->rounds[round] : NULL;
}

static void on_offer(void *ctx, uint32_t site, uint64_t round, uint64_t now_ns)
{
    struct timed *at = timed_at(ctx, round);

    (void)site;
    if (at && now_ns > at->offered_ns)
        at->offered_ns = now_ns;
}

static void on_event(void *ctx, uint32_t site, const struct gx_event *event, uint64_t now_ns)
{
    struct measured *m = ctx;
    struct timed *at = timed_at(m, event->round);

    if (!at || event->type != GX_EVENT_MEMBER)
        return;
    at->over++;
    at->over_ns = now_ns;
    at->held_ns[site] = event->held_ns;
    uint64_t end_ns = at->offered_ns + event->held_ns - m->delay_ns;
    at->idle[site] = sim_idle_share(&m->links[site], at->offered_ns, end_ns, RATE_BPS);
    sim_idle_forget(&m->links[site], end_ns);
}

static void on_frame(void *ctx, uint32_t to, uint64_t left_ns, uint32_t frame_bytes)
{
    struct measured *m = ctx;

    sim_idle_add(&m->links[to], left_ns, frame_bytes);
}

static void count(struct measured *m, const struct sim_world *world)
{
    for (uint32_t i = 0; i < world->params.site_count; i++)
        for (uint32_t j = 0; j < world->params.site_count; j++) {
            const uint64_t *link = world->sites[i].counters[0].link[j];
            m->placed += link[GX_LINK_received_shards_total];
            m->duplicates += link[GX_LINK_shards_duplicate_total];
            m->parity += link[GX_LINK_sent_parity_shards_total];
            m->helps += link[GX_LINK_helps_joined_total];
        }
}

static struct sim_scene scene_of(const struct cell *cell)
{
    return (struct sim_scene){
        .sites = cell->sites,
        .bytes = BYTES,
        .rate_bps = RATE_BPS,
        .delay_ns = cell->delay_ns,
        .loss = cell->loss,
        .slow_bps = cell->slow_bps,
        .slow_back = cell->slow_back,
        .on_offer = on_offer,
        .on_event = on_event,
        .on_frame = on_frame,
    };
}

/* A world of its own; its first round is to learn the paths and does not count. */
static bool world_run(const struct cell *cell, bool owners_only, uint64_t seed, uint32_t rounds,
                      struct measured *m)
{
    struct sim_scene scene = scene_of(cell);
    struct sim_world *world;
    bool ok;

    memset(m->rounds, 0, sizeof(m->rounds));
    for (uint32_t i = 0; i < GX_SITES_MAX; i++) /* another world's time */
        sim_idle_forget(&m->links[i], UINT64_MAX);
    scene.owners_only = owners_only;
    scene.rounds = rounds + 1;
    scene.ctx = m;
    world = sim_world_create_scene(&scene, seed);
    sim_world_run(world);
    ok = !world->failed && world->finished;
    if (!ok)
        printf("failed: seed %llu: %s: %s\n", (unsigned long long)seed, world->invariant,
               world->failure);
    for (uint32_t r = 2; r <= rounds + 1 && ok; r++) {
        const struct timed *at = &m->rounds[r];
        ok = at->over == scene.sites;
        for (uint32_t i = 0; i < scene.sites; i++) {
            m->transfers[m->count * scene.sites + i] = (double)at->held_ns[i] * 1e-9;
            m->idle[m->count * scene.sites + i] = at->idle[i];
        }
        m->seconds[m->count++] = (double)(at->over_ns - at->offered_ns) * 1e-9;
    }
    count(m, world);
    sim_world_destroy(world);
    return ok;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool measure(const struct cell *cell, bool owners_only, uint32_t rounds, struct measured *m)
{
    bool ok = true;

    *m = (struct measured){.seconds = calloc(rounds, sizeof(double)),
                           .transfers = calloc(rounds * cell->sites, sizeof(double)),
                           .idle = calloc(rounds * cell->sites, sizeof(double)),
                           .delay_ns = cell->delay_ns};
    if (!m->seconds || !m->transfers || !m->idle)
        abort();
    for (uint64_t seed = 1; m->count < rounds && ok; seed++) {
        uint32_t left = rounds - m->count;
        ok = world_run(cell, owners_only, seed, left < ROUNDS_A_WORLD ? left : ROUNDS_A_WORLD, m);
    }
    qsort(m->seconds, m->count, sizeof(double), by_value);
    qsort(m->transfers, m->count * cell->sites, sizeof(double), by_value);
    qsort(m->idle, m->count * cell->sites, sizeof(double), by_value);
    return ok;
}

static void measured_free(struct measured *m)
{
    free(m->seconds);
    free(m->transfers);
    free(m->idle);
    for (uint32_t i = 0; i < GX_SITES_MAX; i++)
        sim_idle_fini(&m->links[i]);
}

static double p50(const double *values, uint32_t count)
{
    return values[count / 2];
}

static double p99(const double *values, uint32_t count)
{
    return values[count * 99 / 100];
}

static double transfer_bound(const struct cell *cell)
{
    double bits = 8.0 * (cell->sites - 1) * (double)BYTES * OVERHEAD;

    return bits / ((double)RATE_BPS * (1 - cell->loss)) + (double)cell->delay_ns * 1e-9;
}

static void name_print(const struct cell *cell)
{
    printf("| %u sites, %.0f ms, %.1f%%", cell->sites, 2e-6 * (double)cell->delay_ns,
           100 * cell->loss);
    if (cell->slow_bps)
        printf(", a path at %.4g Mbit/s%s", (double)cell->slow_bps / 1e6,
               cell->slow_back ? " both ways" : "");
}

static bool ratio_row(const struct cell *cell, uint32_t rounds)
{
    double transfer = transfer_bound(cell), round = transfer + 2e-9 * (double)cell->delay_ns;
    struct measured m;
    bool ok = measure(cell, false, rounds, &m);

    if (ok) {
        double a = p50(m.seconds, m.count) / round, b = p99(m.seconds, m.count) / round;
        name_print(cell);
        printf(" | %.3f | %.3f | %.3f | %.3f | %.3f | %.2f, %.2f | %.2f, %.2f%s |\n", a, b,
               m.seconds[m.count - 1] / round, p50(m.transfers, m.count * cell->sites) / transfer,
               p99(m.transfers, m.count * cell->sites) / transfer,
               100 * p50(m.idle, m.count * cell->sites), 100 * p99(m.idle, m.count * cell->sites),
               cell->p50, cell->p99, a > cell->p50 || b > cell->p99 ? " **over**" : "");
    }
    measured_free(&m);
    return ok;
}

static bool helper_row(const struct cell *cell, uint32_t rounds)
{
    struct measured with, without;
    bool ok = measure(cell, false, rounds, &with);

    ok &= measure(cell, true, rounds, &without);
    if (ok) {
        double less = 1 - p50(with.seconds, with.count) / p50(without.seconds, without.count);
        name_print(cell);
        printf(" | %.3f / %.3f s | %.3f / %.3f s | %.0f%% | %.2f | %.2f, %.2f | ",
               p50(with.seconds, with.count), p99(with.seconds, with.count),
               p50(without.seconds, without.count), p99(without.seconds, without.count), 100 * less,
               (double)with.helps /
                   (with.count + (with.count + ROUNDS_A_WORLD - 1) / ROUNDS_A_WORLD),
               100.0 * (double)with.duplicates / (double)with.placed,
               100.0 * (double)without.duplicates / (double)without.placed);
        if (cell->less > 0)
            printf("≥ %.0f%%%s |\n", 100 * cell->less, less < cell->less ? " **under**" : "");
        else
            printf("– |\n");
    }
    measured_free(&with);
    measured_free(&without);
    return ok;
}

int main(int argc, char **argv)
{
    uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100;
    size_t from = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    size_t to = argc > 3 ? strtoul(argv[3], NULL, 10) : sizeof cells / sizeof cells[0] - 1;
    bool ok = true, slow = false;

    if (rounds == 0 || from > to || to >= sizeof cells / sizeof cells[0]) {
        fprintf(stderr, "usage: round_sim [ROUNDS [FIRST-CELL [LAST-CELL]]]\n");
        return 2;
    }
    if (!cells[from].slow_bps)
        printf("| cell | round p50 | p99 | max | slowest transfer to a site p50 | p99 | link idle "
               "p50, p99, %% | goal of the round |\n"
               "|---|---|---|---|---|---|---|---|\n");
    for (size_t i = from; i <= to; i++) {
        bool is_slow = cells[i].slow_bps != 0;
        if (is_slow && !slow)
            printf(
                "%s| cell | with a second holder p50 / p99 | without | less | helped a round | "
                "duplicates with, without, %% of shards | goal |\n|---|---|---|---|---|---|---|\n",
                i > from ? "\n" : "");
        slow = is_slow;
        ok &= is_slow ? helper_row(&cells[i], rounds) : ratio_row(&cells[i], rounds);
        fflush(stdout);
    }
    return ok ? 0 : 1;
}
