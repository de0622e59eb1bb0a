/* scene_sim: one scene for each rule of the repair policy (DESIGN.md section 4a), in virtual time: what is lost is chosen, and what the
 * transfer makes of it is measured. Prints what was reached beside what is asked; the program fails when a scene falls short. */
#include <stdio.h>

#include "links_world.h"

#define MS 1000000ull
#define S (1000 * MS)
#define OVERHEAD (1 + 90.0 / 1408)
#define RATE_BPS 200000000ull
#define DELAY_NS (25 * MS)
#define RTT_S (2.0 * (double)DELAY_NS / 1e9)
#define LARGE 25000000ull /* 1.07 s */
#define SMALL 256000ull

static struct world world;

/* ---- helpers ---- */

static struct world_config config_of(uint64_t seed, double loss)
{
    return (struct world_config){
        .seed = seed,
        .sites = 2,
        .site_rate_bps = RATE_BPS,
        .impair = {.rate_bps = RATE_BPS, .delay_ns = DELAY_NS, .loss = loss},
        .rate_algorithm = &gx_rate_path,
        .tx_max = 32,
    };
}

/* Runs one transfer and returns its index; it starts when the sessions are up, `START_NS` from now. */
#define START_NS (300 * MS)

static uint32_t transfer(uint64_t bytes)
{
    uint32_t idx = links_world_deliver(&world, 0, 1, bytes, world.now + START_NS);

    world.deliveries[idx].open.key.kind = GX_KIND_CONTRIBUTION;
    if (!links_world_run(&world, 120 * S))
        printf("FAILED: %s\n", world.failure);
    return idx;
}

static double took(uint32_t idx)
{
    const struct delivery *d = &world.deliveries[idx];

    return d->held_ns == 0 ? 1e9 : (double)(d->held_ns - d->first_sent_ns) / 1e9;
}

static double bound(uint64_t bytes, uint64_t rate_bps, double loss)
{
    return 8.0 * (double)bytes * OVERHEAD / ((double)rate_bps * (1 - loss)) +
           (double)DELAY_NS / 1e9;
}

/* Nothing of site 0's arrives from `from_ns` to `to_ns` after now. */
static void outage(uint64_t from_ns, uint64_t to_ns)
{
    struct gx_impair_config *config = &world.paths[0][1].config;
    uint64_t begin = 1000 * S; /* the world's */

    config->outages[config->outage_count++] = (struct gx_impair_outage){
        .from_ns = world.now + from_ns - begin,
        .to_ns = world.now + to_ns - begin,
    };
}

static double counter(enum gx_link_counter which)
{
    return (double)links_world_sum(&world, which);
}

/* Parity beyond what was lost, percent of the data. */
static double redundant(void)
{
    const struct gx_impair_counters *c = &world.paths[0][1].counters;

    return 100 * (counter(GX_LINK_sent_parity_shards_total) - (double)c->dropped[GX_IMPAIR_LOSS]) /
           counter(GX_LINK_sent_data_shards_total);
}

static bool at_most(const char *what, double value, double limit)
{
    bool ok = value <= limit;

    printf("%-74s %8.3f  ≤ %.3f  %s\n", what, value, limit, ok ? "ok" : "FAILED");
    return ok;
}

/* ---- scenes ---- */

/* Every copy of OPEN and every shard of the first 40 ms. */
static bool scene_first_flight(void)
{
    struct world_config config = config_of(1, 0);
    uint32_t idx;
    bool ok;

    links_world_init(&world, &config);
    transfer(SMALL);
    outage(START_NS - MS, START_NS + 40 * MS);
    idx = transfer(SMALL);
    ok = at_most("first flight of 256 KB lost: round trips beyond the bound",
                 (took(idx) - bound(SMALL, RATE_BPS, 0)) / RTT_S, 3);
    links_world_fini(&world);
    return ok;
}

/* The last 20 ms of the data. */
static bool scene_tail(void)
{
    struct world_config config = config_of(2, 0);
    uint32_t idx;
    bool ok;

    links_world_init(&world, &config);
    transfer(LARGE);
    outage(START_NS + 1040 * MS, START_NS + 1064 * MS);
    idx = transfer(LARGE);
    ok = at_most("last 20 ms of 25 MB lost: round trips beyond the bound",
                 (took(idx) - bound(LARGE, RATE_BPS, 0)) / RTT_S, 2);
    links_world_fini(&world);
    return ok;
}

/* One row never arrives, and 400 repairs of its block are lost: its rows are used up, and begin again. */
static bool scene_wrap(void)
{
    struct world_config config = config_of(3, 0);
    uint32_t idx;
    bool ok;

    config.target = (struct target){.on = true, .block = 1, .row = 7, .repairs = 400};
    links_world_init(&world, &config);
    idx = transfer(SMALL);
    ok = at_most("400 repairs of a block lost: seconds", took(idx), 5);
    ok &=
        at_most("… rows sent again, at least one", -counter(GX_LINK_sent_repeat_shards_total), -1);
    links_world_fini(&world);
    return ok;
}

/* What an earlier gxd knew is wrong by a factor, either way. */
static bool scene_stale_loss(void)
{
    static const struct {
        double factor, ratio, redundant;
    } cells[] = {{0.5, 1.06, 2}, {1, 1.02, 1.5}, {2, 1.03, 2.5}};
    char text[100];
    bool ok = true;

    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        struct world_config config = config_of(10 + i, 0.05);
        uint32_t idx;

        config.known = (struct gx_known){.packets = 5000,
                                         .loss_ppm = (uint64_t)(50000 * cells[i].factor),
                                         .burst_milli = 1050,
                                         .rate_bps = RATE_BPS};
        links_world_init(&world, &config);
        idx = transfer(LARGE);
        snprintf(text, sizeof text, "5%% loss, remembered as %.1f%%: time over the bound",
                 5 * cells[i].factor);
        ok &= at_most(text, took(idx) / bound(LARGE, RATE_BPS, 0.05), cells[i].ratio);
        ok &= at_most("… redundant, percent", redundant(), cells[i].redundant);
        links_world_fini(&world);
    }
    return ok;
}

static bool scene_stale_rate(void)
{
    static const struct {
        uint64_t known_bps;
        double ratio;
    } cells[] = {{50000000, 1.1}, {100000000, 1.1}, {200000000, 1.15}};
    char text[100];
    bool ok = true;

    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        struct world_config config = config_of(20 + i, 0.01);
        uint32_t idx;

        config.impair.rate_bps = RATE_BPS / 2;
        config.known = (struct gx_known){.packets = 5000,
                                         .loss_ppm = 10000,
                                         .burst_milli = 1000,
                                         .rate_bps = cells[i].known_bps};
        links_world_init(&world, &config);
        idx = transfer(LARGE);
        snprintf(text, sizeof text,
                 "a path of 100 Mbit/s, remembered as one of %.0f: time over the bound",
                 (double)cells[i].known_bps / 1e6);
        ok &= at_most(text, took(idx) / bound(LARGE, RATE_BPS / 2, 0.01), cells[i].ratio);
        links_world_fini(&world);
    }
    return ok;
}

/* Nothing is known: a large transfer repairs what it sees, a small one expects 5%. */
static bool scene_cold(void)
{
    struct world_config config = config_of(30, 0);
    bool ok;

    links_world_init(&world, &config);
    transfer(LARGE);
    ok = at_most("cold, clean, 25 MB: parity shards", counter(GX_LINK_sent_parity_shards_total), 0);
    links_world_fini(&world);
    config = config_of(31, 0.05);
    links_world_init(&world, &config);
    ok &= at_most("cold, 5% loss, 256 KB: round trips beyond the bound",
                  (took(transfer(SMALL)) - bound(SMALL, RATE_BPS, 0.05)) / RTT_S, 2);
    ok &= at_most("… redundant, percent", redundant(), 15);
    links_world_fini(&world);
    return ok;
}

static bool scene_reordering(void)
{
    struct world_config config = config_of(40, 0);
    uint32_t idx;
    bool ok;

    config.impair.reorder = 0.1;
    config.impair.reorder_ns = 5 * MS;
    links_world_init(&world, &config);
    idx = transfer(LARGE);
    ok = at_most("10% of the packets 5 ms late: parity shards",
                 counter(GX_LINK_sent_parity_shards_total), 0);
    ok &= at_most("… time over the bound", took(idx) / bound(LARGE, RATE_BPS, 0), 1.15);
    links_world_fini(&world);
    return ok;
}

int main(void)
{
    bool ok = scene_first_flight();

    ok &= scene_tail();
    ok &= scene_wrap();
    ok &= scene_stale_loss();
    ok &= scene_stale_rate();
    ok &= scene_cold();
    ok &= scene_reordering();
    printf("scene_sim: %s\n", ok ? "ok" : "failed");
    return ok ? 0 : 1;
}
