/* matrix_sim: how near to the bound transfers end, in virtual time, cell by cell: sizes, round trips, losses, bursts, sites.
 * The first transfer of each world is to learn the path and is not counted. How long the links were idle: idle.h. Prints a Markdown table; the limits are goals and
 * are marked, not asserted. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "links_world.h"
#include "sim/idle.h"

#define MS 1000000ull
#define S (1000 * MS)
#define SHARD 1408
#define OVERHEAD (1 + 90.0 / SHARD)
#define ROUNDS_A_WORLD 300

struct cell {
    uint64_t bytes, rate_bps, delay_ns;
    double loss;
    double burst;     /* mean packets of a burst, 0: independent losses */
    uint32_t sites;   /* more than 2: all to all */
    double p50, p99;  /* goals, over the bound … */
    double slack;     /* … or, if not 0: p99 at most so many round trips above it */
    double redundant; /* percent of the bytes, beyond what was lost */
};

#define MBIT 1000000ull
#define KB 1000ull
#define MB (1000 * KB)

static const struct cell cells[] = {
    {25 * MB, 200 * MBIT, 25 * MS, 0, 0, 2, 1.015, 1.02, 0, 0},
    {25 * MB, 200 * MBIT, 25 * MS, 0.001, 0, 2, 1.02, 1.03, 0, 0.5},
    {25 * MB, 200 * MBIT, 25 * MS, 0.01, 0, 2, 1.02, 1.03, 0, 1},
    {25 * MB, 200 * MBIT, 25 * MS, 0.05, 0, 2, 1.025, 1.04, 0, 1.5},
    {25 * MB, 200 * MBIT, 25 * MS, 0.1, 0, 2, 1.025, 1.04, 0, 2},
    {25 * MB, 200 * MBIT, 75 * MS, 0.01, 0, 2, 1.03, 1.04, 0, 2},
    {25 * MB, 200 * MBIT, 75 * MS, 0.05, 0, 2, 1.03, 1.05, 0, 4},
    {25 * MB, 200 * MBIT, 75 * MS, 0.1, 0, 2, 1.04, 1.06, 0, 5},
    {25 * MB, 200 * MBIT, 25 * MS, 0.01, 50, 2, 1.03, 1.06, 0, 8},
    {25 * MB, 200 * MBIT, 25 * MS, 0.05, 50, 2, 1.03, 1.06, 0, 12},
    {100 * MB, 200 * MBIT, 25 * MS, 0.01, 0, 2, 1.02, 1.03, 0, 0.5},
    {100 * MB, 200 * MBIT, 75 * MS, 0.01, 0, 2, 1.02, 1.03, 0, 0.5},
    {100 * MB, 200 * MBIT, 25 * MS, 0.1, 0, 2, 1.02, 1.03, 0, 1.5},
    {100 * MB, 200 * MBIT, 75 * MS, 0.1, 0, 2, 1.02, 1.03, 0, 1.5},
    {256 * KB, 200 * MBIT, 25 * MS, 0.01, 0, 2, 0, 0, 0.1, 15},
    {256 * KB, 200 * MBIT, 25 * MS, 0.1, 0, 2, 0, 0, 0.1, 15},
    {256 * KB, 200 * MBIT, 75 * MS, 0.01, 0, 2, 0, 0, 0.1, 15},
    {256 * KB, 200 * MBIT, 75 * MS, 0.1, 0, 2, 0, 0, 0.1, 15},
    {1 * MB, 200 * MBIT, 25 * MS, 0.01, 0, 2, 0, 0, 0.2, 12},
    {1 * MB, 200 * MBIT, 25 * MS, 0.1, 0, 2, 0, 0, 0.2, 12},
    {1 * MB, 200 * MBIT, 75 * MS, 0.01, 0, 2, 0, 0, 0.2, 12},
    {1 * MB, 200 * MBIT, 75 * MS, 0.1, 0, 2, 0, 0, 0.2, 12},
    {1000 * MB, 10000 * MBIT, 40 * MS, 0.01, 0, 2, 1.03, 1.04, 0, 1.5},
    {25 * MB, 200 * MBIT, 25 * MS, 0.01, 0, 4, 1.03, 1.06, 0, 0},
};

struct result {
    double *ratios;
    double *excess_rtts; /* seconds above the bound, in round trips */
    double *idle;        /* share of the time until the last needed shard was on the wire */
    uint32_t count;
    uint64_t data, parity, lost;
};

static struct world world;
static struct sim_idle idle[WORLD_SITES_MAX]; /* of the links into each site */

static void on_frame(uint32_t from, uint32_t to, uint64_t left_ns, uint32_t frame_bytes)
{
    (void)from;
    sim_idle_add(&idle[to], left_ns, frame_bytes);
}

static double bound(const struct cell *cell, double loss)
{
    double bits = 8.0 * (cell->sites - 1) * (double)cell->bytes * OVERHEAD;

    return bits / ((double)cell->rate_bps * (1 - loss)) + (double)cell->delay_ns / 1e9;
}

static void world_make(const struct cell *cell, const struct gx_rate_algorithm *algorithm,
                       uint64_t seed)
{
    struct world_config config = {
        .seed = seed,
        .sites = cell->sites,
        .site_rate_bps = cell->rate_bps,
        .impair = {.rate_bps = cell->rate_bps, .delay_ns = cell->delay_ns},
        .rate_algorithm = algorithm,
        .tx_max = 32,
        .on_frame = on_frame,
    };

    if (cell->burst > 0)
        config.impair.burst = (struct gx_impair_burst){
            .p_bg = 1 / cell->burst,
            .p_gb = cell->loss / (1 - cell->loss) / cell->burst,
            .p_loss_bad = 1,
        };
    else
        config.impair.loss = cell->loss;
    links_world_init(&world, &config);
}

struct totals {
    uint64_t packets, lost, data, parity;
};

static struct totals totals_now(void)
{
    struct totals t = {0};

    for (uint32_t i = 0; i < world.config.sites; i++)
        for (uint32_t j = 0; j < world.config.sites; j++) {
            const struct gx_impair_counters *c = &world.paths[i][j].counters;

            t.packets += c->packets;
            t.lost += c->dropped[GX_IMPAIR_LOSS] + c->dropped[GX_IMPAIR_BURST];
        }
    t.data = links_world_sum(&world, GX_LINK_sent_data_shards_total);
    t.parity = links_world_sum(&world, GX_LINK_sent_parity_shards_total);
    return t;
}

static bool is_sending(void)
{
    for (uint32_t i = 0; i < world.delivery_count; i++)
        if (world.deliveries[i].send != NULL)
            return true;
    return false;
}

/* One transfer from each site to each other. */
static bool round_run(const struct cell *cell, bool counted, struct result *result)
{
    struct totals before = totals_now(), after;
    uint32_t sites = cell->sites;
    double loss;

    for (uint32_t i = 0; i < (sites == 2 ? 1 : sites); i++)
        for (uint32_t j = 0; j < sites; j++)
            if (i != j)
                links_world_deliver(&world, i, j, cell->bytes, world.now + 10 * MS);
    for (uint32_t i = 0; i < world.delivery_count; i++)
        world.deliveries[i].open.key.kind = GX_KIND_CONTRIBUTION;
    world.pause_ns = 0;
    if (!links_world_run(&world, 120 * S))
        return false;
    after = totals_now();
    loss = cell->loss;
    if (cell->burst > 0) /* what the dice gave */
        loss = (double)(after.lost - before.lost) / (double)(after.packets - before.packets);
    for (uint32_t i = 0; i < world.delivery_count && counted; i++) {
        const struct delivery *d = &world.deliveries[i];
        double took = (double)(d->held_ns - d->first_sent_ns) / 1e9, least = bound(cell, loss);

        result->idle[result->count] = sim_idle_share(&idle[d->to], d->first_sent_ns,
                                                     d->held_ns - cell->delay_ns, cell->rate_bps);
        result->ratios[result->count] = took / least;
        result->excess_rtts[result->count++] =
            (took - least) * 1e9 / (2.0 * (double)cell->delay_ns);
    }
    do { /* until the senders know */
        world.pause_ns = world.now + 300 * MS + 4 * cell->delay_ns;
        links_world_run(&world, 120 * S);
    } while (is_sending() && world.failure[0] == 0);
    after = totals_now();
    if (counted) {
        result->data += after.data - before.data;
        result->parity += after.parity - before.parity;
        result->lost += after.lost - before.lost;
    }
    links_world_clear(&world);
    for (uint32_t i = 0; i < sites; i++)
        sim_idle_forget(&idle[i], UINT64_MAX);
    return true;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void row_print(const struct cell *cell, struct result *r)
{
    double p50, p99, excess, redundant;
    const char *mark;

    qsort(r->ratios, r->count, sizeof *r->ratios, by_value);
    qsort(r->excess_rtts, r->count, sizeof *r->excess_rtts, by_value);
    qsort(r->idle, r->count, sizeof *r->idle, by_value);
    p50 = r->ratios[r->count / 2];
    p99 = r->ratios[r->count * 99 / 100];
    excess = r->excess_rtts[r->count * 99 / 100];
    redundant = 100.0 * ((double)r->parity - (double)r->lost) / (double)r->data;
    if (cell->slack > 0)
        mark = excess <= cell->slack ? "" : " **over**";
    else
        mark = p50 <= cell->p50 && p99 <= cell->p99 ? "" : " **over**";
    printf("| %.4g MB, %.4g Mbit/s, %.0f ms, %.1f%%%s%s | %.3f | %.3f | %.3f | %.2f | ",
           (double)cell->bytes / 1e6, (double)cell->rate_bps / 1e6,
           2.0 * (double)cell->delay_ns / 1e6, cell->loss * 100,
           cell->burst > 0 ? " in bursts of 50" : "", cell->sites > 2 ? ", all to all" : "", p50,
           p99, r->ratios[r->count - 1], excess);
    printf("%.2f, %.2f | ", 100 * r->idle[r->count / 2], 100 * r->idle[r->count * 99 / 100]);
    printf("%.2f%s | ", redundant,
           cell->redundant > 0 || cell->loss == 0 ? redundant > cell->redundant ? " **over**" : ""
                                                  : "");
    if (cell->slack > 0)
        printf("≤ bound + %.1f RTT%s | %.3g |\n", cell->slack, mark, cell->redundant);
    else
        printf("%.3f, %.3f%s | %.3g |\n", cell->p50, cell->p99, mark, cell->redundant);
    fflush(stdout);
}

static bool cell_run(const struct cell *cell, const struct gx_rate_algorithm *algorithm,
                     uint32_t rounds)
{
    uint32_t flows = cell->sites == 2 ? 1 : cell->sites * (cell->sites - 1);
    struct result result = {
        .ratios = links_must(calloc(rounds * flows, sizeof(double))),
        .excess_rtts = links_must(calloc(rounds * flows, sizeof(double))),
        .idle = links_must(calloc(rounds * flows, sizeof(double))),
    };
    bool ok = true;

    for (uint32_t done = 0, seed = 1; done < rounds && ok; seed++) {
        world_make(cell, algorithm, seed);
        for (uint32_t i = 0; i <= ROUNDS_A_WORLD && done < rounds && ok; i++) {
            ok = round_run(cell, i > 0, &result);
            done += i > 0;
        }
        if (!ok)
            printf("failed: %s\n", world.failure);
        links_world_fini(&world);
    }
    if (ok)
        row_print(cell, &result);
    free(result.ratios);
    free(result.excess_rtts);
    free(result.idle);
    return ok;
}

int main(int argc, char **argv)
{
    uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 300;
    const struct gx_rate_algorithm *algorithm = gx_rate_find(argc > 2 ? argv[2] : "path");
    size_t from = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    size_t to = argc > 4 ? strtoul(argv[4], NULL, 10) : sizeof cells / sizeof cells[0] - 1;
    bool ok = true;

    if (rounds == 0 || algorithm == NULL || to >= sizeof cells / sizeof cells[0]) {
        fprintf(stderr, "usage: matrix_sim [ROUNDS [path|fixed [FIRST-CELL [LAST-CELL]]]]\n");
        return 2;
    }
    printf("| cell | p50 | p99 | max | p99 − bound, RTT | link idle p50, p99, %% | redundant "
           "beyond loss, %% "
           "| goal | goal |\n"
           "|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = from; i <= to; i++) {
        /* Rounds of a gigabyte take seconds each. */
        uint32_t n = cells[i].bytes >= 1000 * MB ? (rounds + 29) / 30 : rounds;

        ok &= cell_run(&cells[i], algorithm, n);
    }
    for (uint32_t i = 0; i < WORLD_SITES_MAX; i++)
        sim_idle_fini(&idle[i]);
    return ok ? 0 : 1;
}
