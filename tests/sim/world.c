#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/disk.h"
#include "sim/fault.h"
#include "sim/heap.h"
#include "sim/ledger.h"
#include "sim/net.h"
#include "sim/site.h"
#include "sim/trainer.h"
#include "sim/worker.h"

#define TICK_NS (100 * SIM_MS)
#define SLACK_NS SIM_S /* what the steps of trainers and disks add to a bound */

/* ---- what the world is like ---- */

static void runs_draw(struct sim_params *params, struct sim_random *random)
{
    params->run_count = sim_chance(random, 0.15) ? 2 : 1;
    for (uint32_t run = 0; run < params->run_count; run++) {
        params->fragment_count[run] =
            sim_chance(random, 0.3) ? (uint32_t)sim_between(random, 2, SIM_FRAGMENTS_MAX) : 1;
        params->format[run] = sim_chance(random, 0.7)
                                  ? GX_FP32
                                  : (enum gx_format)sim_between(random, GX_BF16, GX_E3M0);
        params->digest_kind[run] = sim_chance(random, 0.9) ? GX_XXH3 : GX_BLAKE2B;
        for (uint32_t i = 0; i < params->fragment_count[run]; i++) {
            bool large = sim_chance(random, 0.12) && params->site_count <= 4;
            params->param_counts[run][i] =
                large ? sim_between(random, 20000, 75000) : sim_between(random, 900, 12000);
        }
    }
}

/* From a stream of its own: whatever else a seed draws, it draws with one worker, too. */
static void workers_draw(struct sim_world *world)
{
    static const uint8_t counts[] = {1, 1, 1, 1, 2, 2, 3, 8};
    struct sim_random random = sim_random_init(world->seed, 9);

    world->params.workers_max = counts[sim_below(&random, sizeof(counts))];
    world->params.workers_differ = world->params.workers_max > 1 && sim_chance(&random, 0.3);
    world->stats.many_workers = world->params.workers_max > 1;
}

/* Paths so slow, and contributions so large, that holders help; and holders that serve what nobody offered. */
static void slow_draw(struct sim_world *world)
{
    struct sim_random random = sim_random_init(world->seed, 11);
    struct sim_params *params = &world->params;

    if (params->site_count < 3 || params->site_count > 5)
        return;
    if (sim_chance(&random, 0.2)) {
        params->slow_bps = sim_between(&random, 1000000, 4000000);
        params->rate_bps_min = params->slow_bps;
        params->trainers_end = false; /* a state that they leave may take longer than a deadline */
        params->param_counts[0][0] = sim_between(&random, 30000, 75000);
    }
    if (sim_chance(&random, params->slow_bps ? 0.5 : 0.1))
        params->lies = (uint32_t)sim_between(&random, 1, 3);
}

void sim_params_draw(struct sim_world *world)
{
    struct sim_params *params = &world->params;
    struct sim_random random = sim_random_init(world->seed, 1);
    static const uint8_t counts[] = {2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 5, 5, 6};

    params->site_count = counts[sim_below(&random, sizeof(counts))];
    if (sim_chance(&random, 0.02))
        params->site_count = (uint32_t)sim_between(&random, 7, GX_SITES_MAX);
    runs_draw(params, &random);
    params->deadline_ns = sim_between(&random, 2 * SIM_S, 5 * SIM_S);
    params->fetch_wait_ns = params->deadline_ns;
    params->rewind_after_ns = 20 * SIM_S;
    params->start_sites = params->site_count - (sim_chance(&random, 0.2) && params->site_count > 2);
    params->min_sites = sim_chance(&random, 0.2) ? 2 : 1;
    params->keep_rounds = 2;
    params->mtu = sim_chance(&random, 0.8) ? 1500 : sim_chance(&random, 0.5) ? 1280 : 9000;
    params->shard_bytes = (params->mtu - 20 - 8 - GX_HEADER_BYTES) / 64 * 64;
    workers_draw(world);
    params->same_start = sim_chance(&random, 0.7);
    params->rate_bps_min = 20000000;
    params->delay_ns_max =
        sim_between(&random, SIM_MS, sim_chance(&random, 0.3) ? 100 * SIM_MS : 30 * SIM_MS);
    params->loss_max = sim_chance(&random, 0.3) ? 0.15 : 0.04;
    params->wake_late_ns_max = sim_chance(&random, 0.5) ? 0 : sim_below(&random, SIM_MS);
    params->port_ns_max = sim_chance(&random, 0.5)
                              ? 0
                              : sim_below(&random, sim_chance(&random, 0.3) ? 5 * SIM_MS : 100000);
    params->train_ns_max = sim_between(&random, 300 * SIM_MS, 2500 * SIM_MS);
    params->look_ns_max = sim_between(&random, SIM_MS / 10, 5 * SIM_MS);
    params->fsync_ns_max = sim_between(&random, SIM_MS / 2, 30 * SIM_MS);
    params->faults_end_ns = sim_between(&random, 4 * SIM_S, 22 * SIM_S);
    params->extra_rounds = (uint32_t)sim_between(&random, 2, 4);
    params->hostile = sim_chance(&random, 0.5) ? 0.3 : 0.02;
    params->bad_command = sim_chance(&random, 0.3) ? 0.05 : 0;
    params->trainers_end = sim_chance(&random, 0.5);
    params->secure = sim_chance(&random, 0.4);
    world->stats.secure += params->secure;
    slow_draw(world);
}

/* What a scene leaves to nobody's dice. */
static void scene_params(struct sim_params *params, const struct sim_scene *scene)
{
    *params = (struct sim_params){
        .site_count = scene->sites,
        .run_count = 1,
        .fragment_count = {1},
        .param_counts = {{scene->bytes / sizeof(float)}},
        .format = {GX_FP32},
        .digest_kind = {GX_XXH3},
        .deadline_ns = 60 * SIM_S,
        .fetch_wait_ns = 60 * SIM_S,
        .rewind_after_ns = 600 * SIM_S,
        .start_sites = scene->sites,
        .min_sites = 1,
        .keep_rounds = 2,
        .mtu = 1500,
        .shard_bytes = 1408,
        .workers_max = 1,
        .same_start = true,
        .rate_bps_min = scene->slow_bps ? scene->slow_bps : scene->rate_bps,
        .delay_ns_max = scene->delay_ns,
        .loss_max = scene->loss,
        .train_ns_max = SIM_S,
        .look_ns_max = 1000,
        .fsync_ns_max = SIM_MS / 10,
        .extra_rounds = scene->rounds,
    };
}

uint64_t sim_transfer_ns(const struct sim_world *world, uint32_t run)
{
    const struct sim_params *params = &world->params;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < params->fragment_count[run]; i++)
        bytes += gx_wire_bytes(params->format[run], params->param_counts[run][i]) +
                 8 * params->param_counts[run][i];
    /* DESIGN.md section 4a's bound at the slowest rate, twice for the overheads of packets and repair. */
    double seconds = 2 * 8.0 * (double)(params->site_count - 1) * (double)bytes /
                     ((double)params->rate_bps_min * (1 - params->loss_max));
    return (uint64_t)(seconds * 1e9) + 8 * params->delay_ns_max;
}

static uint64_t transfers_ns(const struct sim_world *world)
{
    uint64_t sum = 0;
    for (uint32_t run = 0; run < world->params.run_count; run++)
        sum += sim_transfer_ns(world, run);
    return sum;
}

/* I7: deadline + 3 s + transfers + 4 RTT; R9 may hold a decision for fetch_wait. To that come what the world itself
 * adds: a session that is set up anew (1 s until the silence is noticed, 1 s between attempts), a trainer's training,
 * attach and applying, and a disk. */
uint64_t sim_catch_up_ns(const struct sim_world *world)
{
    const struct sim_params *params = &world->params;
    return params->deadline_ns + params->fetch_wait_ns + 3 * SIM_S + 2 * transfers_ns(world) +
           8 * params->delay_ns_max + 2 * SIM_S + params->train_ns_max + SLACK_NS;
}

uint64_t sim_round_ns(const struct sim_world *world)
{
    const struct sim_params *params = &world->params;
    return params->deadline_ns + params->fetch_wait_ns + transfers_ns(world) +
           8 * params->delay_ns_max + params->train_ns_max + SLACK_NS;
}

/* ---- small services ---- */

void sim_schedule(struct sim_world *world, uint64_t at_ns, enum sim_event_kind kind, uint32_t site,
                  uint32_t run, uint32_t fragment, uint64_t life, void *data)
{
    struct sim_event event = {.at_ns = at_ns,
                              .kind = kind,
                              .site = site,
                              .run = run,
                              .fragment = fragment,
                              .life = life,
                              .data = data};
    sim_heap_push(&world->heap, &event);
}

void sim_fail(struct sim_world *world, const char *invariant, const char *format, ...)
{
    va_list arguments;

    if (world->failed)
        return;
    world->failed = true;
    world->failed_ns = world->now_ns;
    snprintf(world->invariant, sizeof(world->invariant), "%s", invariant);
    va_start(arguments, format);
    vsnprintf(world->failure, sizeof(world->failure), format, arguments);
    va_end(arguments);
    sim_trace(world, -1, "%s FAILS: %s", world->invariant, world->failure);
}

void sim_trace(struct sim_world *world, int site, const char *format, ...)
{
    va_list arguments;

    if (!world->verbose)
        return;
    printf("%10.6f ", (double)world->now_ns * 1e-9);
    if (site >= 0)
        printf("site%d ", site);
    else
        printf("world ");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

/* ---- life ---- */

static struct sim_world *world_create(const struct sim_scene *scene, uint64_t seed, bool verbose)
{
    struct sim_world *world = sim_alloc(sizeof(*world));
    struct sim_random random = sim_random_init(seed, 8);

    world->seed = seed;
    world->scene = scene;
    world->verbose = verbose;
    world->random = sim_random_init(seed, 3);
    world->trace_hash = seed;
    if (scene)
        scene_params(&world->params, scene);
    else
        sim_params_draw(world);
    world->ledger = sim_ledger_create();
    for (uint32_t i = 0; i < world->params.site_count; i++)
        sim_site_init(world, i);
    world->net = sim_net_create(world);
    for (uint32_t i = 0; i < world->params.site_count; i++) {
        sim_site_start(world, &world->sites[i]);
        for (uint32_t run = 0; run < world->params.run_count; run++) {
            for (uint32_t fragment = 0; fragment < SIM_FRAGMENTS_MAX; fragment++)
                world->target[run][fragment] = UINT64_MAX;
            sim_trainer_init(world, i, run);
            sim_trainer_start(world, &world->sites[i].trainers[run], true, false);
            if (!scene && sim_chance(&random, 0.1))
                sim_trainer_pause(world, &world->sites[i].trainers[run],
                                  sim_below(&random, 6 * SIM_S));
        }
    }
    if (!scene)
        sim_faults_draw(world);
    sim_schedule(world, TICK_NS, SIM_EVENT_TICK, 0, 0, 0, 0, NULL);
    return world;
}

struct sim_world *sim_world_create(uint64_t seed, bool verbose)
{
    return world_create(NULL, seed, verbose);
}

struct sim_world *sim_world_create_scene(const struct sim_scene *scene, uint64_t seed)
{
    return world_create(scene, seed, false);
}

void sim_world_destroy(struct sim_world *world)
{
    struct sim_event event;

    while (sim_heap_pop(&world->heap, &event))
        if (event.kind == SIM_EVENT_DOWNLINK || event.kind == SIM_EVENT_ARRIVE)
            sim_frame_free(event.data);
    for (uint32_t i = 0; i < world->params.site_count; i++)
        sim_site_fini(world, &world->sites[i]);
    sim_heap_fini(&world->heap);
    sim_net_destroy(world->net);
    sim_ledger_destroy(world->ledger);
    sim_faults_fini(world);
    free(world);
}

/* ---- the faults are over ---- */

static uint64_t newest_round(const struct sim_world *world, uint32_t run, uint32_t fragment)
{
    uint64_t newest = sim_ledger_decided(world, run, fragment);
    for (uint32_t i = 0; i < world->params.site_count; i++)
        if (world->sites[i].trainers[run].alive &&
            world->sites[i].trainers[run].fragments[fragment].published > newest)
            newest = world->sites[i].trainers[run].fragments[fragment].published;
    return newest;
}

static void calm_begin(struct sim_world *world)
{
    sim_trace(world, -1, "the faults are over");
    world->calm = true;
    world->calm_ns = world->now_ns;
    sim_faults_end(world);
    for (uint32_t run = 0; run < world->params.run_count; run++)
        for (uint32_t fragment = 0; fragment < world->params.fragment_count[run]; fragment++)
            world->target[run][fragment] =
                newest_round(world, run, fragment) + world->params.extra_rounds;
}

/* The round that all sites have a state of, with the same bytes, after which they only went on together. */
static bool fragment_caught_up(const struct sim_world *world, uint32_t run, uint32_t fragment)
{
    uint64_t decided = sim_ledger_decided(world, run, fragment);

    for (uint32_t i = 0; i < world->params.site_count; i++) {
        const struct sim_trainer *trainer = &world->sites[i].trainers[run];
        const struct sim_trainer_fragment *at = &trainer->fragments[fragment];
        if ((!trainer->ended && (!trainer->alive || !trainer->bound)) || at->phase == SIM_BEHIND ||
            at->phase == SIM_HANDED || at->published + 1 < decided || decided == 0)
            return false;
        if (i > 0 && at->published == world->sites[0].trainers[run].fragments[fragment].published &&
            at->state_hash != world->sites[0].trainers[run].fragments[fragment].state_hash)
            return false;
    }
    return true;
}

static bool everyone(const struct sim_world *world,
                     bool (*holds)(const struct sim_world *, uint32_t, uint32_t))
{
    for (uint32_t run = 0; run < world->params.run_count; run++)
        for (uint32_t fragment = 0; fragment < world->params.fragment_count[run]; fragment++)
            if (!holds(world, run, fragment))
                return false;
    return true;
}

static bool all_done(const struct sim_world *world)
{
    for (uint32_t i = 0; i < world->params.site_count; i++)
        for (uint32_t run = 0; run < world->params.run_count; run++)
            if (!sim_trainer_done(world, &world->sites[i].trainers[run]))
                return false;
    return true;
}

/* Who is not done, and where it stands. */
static void describe(const struct sim_world *world, char *out, size_t bytes)
{
    static const char *const phases[] = {"trains",  "made a mistake", "offered", "refused",
                                         "applies", "behind",         "fetches", "done"};
    size_t used = 0;

    out[0] = 0;
    for (uint32_t i = 0; i < world->params.site_count; i++) {
        for (uint32_t run = 0; run < world->params.run_count; run++) {
            const struct sim_trainer *trainer = &world->sites[i].trainers[run];
            for (uint32_t k = 0; k < world->params.fragment_count[run] && used < bytes; k++) {
                const struct sim_trainer_fragment *at = &trainer->fragments[k];
                if (at->phase == SIM_DONE && (trainer->bound || trainer->ended))
                    continue;
                int n = snprintf(
                    out + used, bytes - used,
                    "; site %u %s/%u %s%s, state %llu of %llu, decided %llu", i, sim_run_name(run),
                    k, phases[at->phase], trainer->bound ? "" : " (not registered)",
                    (unsigned long long)at->published, (unsigned long long)world->target[run][k],
                    (unsigned long long)sim_ledger_decided(world, run, k));
                used += n > 0 ? (size_t)n : 0;
            }
        }
    }
}

/* What each gxd shows to gxctl, for whoever reads the trace of a seed that hangs. */
static void trace_views(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->params.site_count; i++) {
        const struct gx_view *view = world->sites[i].view;
        for (uint32_t k = 0; k < GX_VIEW_ROWS; k++) {
            const struct gx_round_row *row = &view->rows[k];
            if (row->used)
                sim_trace(world, (int)i,
                          "view of %s/%u: phase %u, epoch %u, applied %llu, decided %llu, offered "
                          "%llu, cohort %x, "
                          "present %x, offers %x, held %x, eligible %x",
                          row->run, row->fragment, row->phase, row->epoch,
                          (unsigned long long)row->applied, (unsigned long long)row->decided,
                          (unsigned long long)row->offered, row->cohort, row->present, row->offers,
                          row->held, row->eligible);
        }
    }
}

static void check_equal(struct sim_world *world)
{
    for (uint32_t i = 1; i < world->params.site_count; i++) {
        for (uint32_t run = 0; run < world->params.run_count; run++) {
            for (uint32_t k = 0; k < world->params.fragment_count[run]; k++) {
                const struct sim_trainer_fragment *a = &world->sites[0].trainers[run].fragments[k];
                const struct sim_trainer_fragment *b = &world->sites[i].trainers[run].fragments[k];
                if (a->published != b->published || a->state_hash != b->state_hash)
                    sim_fail(world, "I7",
                             "at the end sites 0 and %u differ in %s/%u: rounds %llu and %llu", i,
                             sim_run_name(run), k, (unsigned long long)a->published,
                             (unsigned long long)b->published);
            }
        }
    }
}

/* I7 */
static void check_calm(struct sim_world *world)
{
    uint64_t since_ns = world->now_ns - world->calm_ns;
    uint64_t bound_ns = sim_catch_up_ns(world);
    char who[900];

    if (!world->caught_up && everyone(world, fragment_caught_up)) {
        world->caught_up = true;
        world->stats.i7_permille = since_ns * 1000 / bound_ns;
        sim_trace(world, -1, "everyone has caught up after %llu ms of %llu",
                  (unsigned long long)(since_ns / SIM_MS), (unsigned long long)(bound_ns / SIM_MS));
    }
    if (!world->caught_up && since_ns > bound_ns) {
        describe(world, who, sizeof(who));
        trace_views(world);
        sim_fail(world, "I7", "not equal %.1f s after the faults ended%s", (double)since_ns * 1e-9,
                 who);
    } else if (since_ns > bound_ns + world->params.extra_rounds * sim_round_ns(world)) {
        describe(world, who, sizeof(who));
        trace_views(world);
        sim_fail(world, "I7", "not done %.1f s after the faults ended%s", (double)since_ns * 1e-9,
                 who);
    } else if (all_done(world)) {
        check_equal(world);
        world->finished = true;
    }
}

/* ---- I5 ---- */

/* The coordinator's own trainer has offered, so the deadline of this round is armed; R9, R11 and R12 may hold it. */
static void check_open(struct sim_world *world)
{
    const struct sim_site *coordinator = &world->sites[0];
    uint64_t bound_ns =
        world->params.deadline_ns + world->params.fetch_wait_ns + 3 * SIM_S + SLACK_NS;

    if (!coordinator->up || coordinator->paused || coordinator->disk.slow_until_ns > world->now_ns)
        return;
    for (uint32_t run = 0; run < world->params.run_count; run++) {
        for (uint32_t k = 0; k < world->params.fragment_count[run]; k++) {
            uint64_t since_ns = coordinator->own_offer_ns[run][k],
                     round = coordinator->own_offer_round[run][k];
            if (since_ns == 0 || round == 1 || sim_ledger_decided(world, run, k) >= round)
                continue;
            if (since_ns < coordinator->resumed_ns)
                since_ns = coordinator->resumed_ns;
            if (world->now_ns > since_ns + bound_ns)
                sim_fail(world, "I5",
                         "%s/%u: the coordinator's own trainer offered to round %llu %.1f s ago, "
                         "undecided",
                         sim_run_name(run), k, (unsigned long long)round,
                         (double)(world->now_ns - since_ns) * 1e-9);
        }
    }
}

static void check_memory(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->params.site_count; i++) {
        const struct sim_site *site = &world->sites[i];
        uint64_t used = site->counters[0].site[GX_SITE_staging_bytes] +
                        site->counters[0].site[GX_SITE_arena_bytes];
        if (site->up && used > site->config.memory_bytes)
            sim_fail(world, "I6", "site %u uses %llu bytes", i, (unsigned long long)used);
    }
}

static void meet(struct sim_site *site, const struct sim_world *world)
{
    for (uint32_t run = 0; run < world->params.run_count; run++)
        for (uint32_t k = 0; k < GX_VIEW_ROWS; k++) {
            const struct gx_round_row *row = &site->view->rows[k];
            if (row->used && row->fragment < SIM_FRAGMENTS_MAX &&
                !strcmp(row->run, sim_run_name(run)))
                site->trainers[run].fragments[row->fragment].met |= row->present;
        }
}

static void tick(struct sim_world *world)
{
    if (!world->calm && world->now_ns >= world->params.faults_end_ns)
        calm_begin(world);
    /* Whoever was in the middle of leaving when the faults ended returns now. */
    if (world->calm)
        for (uint32_t i = 0; i < world->params.site_count; i++)
            if (!world->sites[i].up)
                sim_site_start(world, &world->sites[i]);
    for (uint32_t i = 0; i < world->params.site_count; i++)
        meet(&world->sites[i], world);
    sim_net_harass(world);
    check_open(world);
    check_memory(world);
    if (world->calm)
        check_calm(world);
    sim_schedule(world, world->now_ns + TICK_NS, SIM_EVENT_TICK, 0, 0, 0, 0, NULL);
}

/* ---- the clock ---- */

static void dispatch(struct sim_world *world, const struct sim_event *event)
{
    struct sim_site *site = &world->sites[event->site];
    struct sim_trainer *trainer = &site->trainers[event->run % SIM_RUNS_MAX];
    struct sim_worker *worker = &site->workers[event->run];

    switch (event->kind) {
    case SIM_EVENT_STEP:
        if (event->life != site->life || event->at_ns != worker->step_at_ns)
            break;
        if (event->run == 0)
            sim_site_step(world, site);
        else
            sim_worker_step(world, worker);
        break;
    case SIM_EVENT_PORT:
        sim_worker_port(world, worker, event->life);
        break;
    case SIM_EVENT_DOWNLINK:
        sim_net_downlink(world, event->data);
        break;
    case SIM_EVENT_ARRIVE:
        sim_worker_arrive(world, event->data);
        break;
    case SIM_EVENT_FSYNC:
        sim_disk_synced(world, site, event->life);
        break;
    case SIM_EVENT_ATTACH:
        sim_trainer_attach(world, trainer, event->life);
        break;
    case SIM_EVENT_HANGUP:
        sim_site_hangup(world, site, event->run, event->life);
        break;
    case SIM_EVENT_TRAINER:
        sim_trainer_turn(world, trainer, event->fragment, event->life);
        break;
    case SIM_EVENT_LOOK:
        sim_trainer_look(world, trainer, event->life);
        break;
    case SIM_EVENT_FAULT:
        sim_fault_strike(world, event->data);
        break;
    case SIM_EVENT_TICK:
        tick(world);
        break;
    }
}

void sim_world_run(struct sim_world *world)
{
    struct sim_event event;

    while (!world->failed && !world->finished && sim_heap_pop(&world->heap, &event)) {
        world->now_ns = event.at_ns;
        dispatch(world, &event);
    }
    world->stats.virtual_ns = world->now_ns;
}
