#include "sim/fault.h"

#include <stdlib.h>

#include "sim/heap.h"
#include "sim/net.h"
#include "sim/site.h"
#include "sim/trainer.h"

/* SIM_KIND(name, weight): how often in relation to the others. */
#define SIM_KINDS                                                                                  \
    SIM_KIND(GXD, 16)          /* a gxd crashes */                                                 \
    SIM_KIND(COORDINATOR, 10)  /* the coordinator's does */                                        \
    SIM_KIND(TRAINER, 14)      /* a trainer crashes and comes back from its checkpoint */          \
    SIM_KIND(TRAINER_OTHER, 8) /* the same with other data, perhaps from round 0 */                \
    SIM_KIND(MACHINE, 8)       /* gxd, its trainers and unsynced writes */                         \
    SIM_KIND(PAUSE, 10)        /* a gxd is stopped and continued */                                \
    SIM_KIND(TRAINER_PAUSE, 6) /* a trainer is */                                                  \
    SIM_KIND(ISOLATE, 8)       /* a site is cut off from all others */                             \
    SIM_KIND(CUT, 6)           /* a pair is */                                                     \
    SIM_KIND(ONE_WAY, 8)       /* one direction of a pair is */                                    \
    SIM_KIND(DEAF, 3)          /* all that is sent to a site is lost */                            \
    SIM_KIND(MTU, 8)           /* a pair's path swallows full packets, one way or both */          \
    SIM_KIND(OUTAGE, 5)        /* all sites at once: gxds, or machines */                          \
    SIM_KIND(TWO, 6)           /* two machines, one just after the other */                        \
    SIM_KIND(LEAVE, 6)         /* a site leaves and returns */                                     \
    SIM_KIND(TARGET, 20)       /* one shard and its next repairs are lost */                       \
    SIM_KIND(PORT, 12)         /* a port sends nothing for a while, and keeps what it has */       \
    SIM_KIND(DISK, 5)          /* fsync becomes slow */                                            \
    SIM_KIND(TRAP, 18)         /* a crash in the middle of something */                            \
    SIM_KIND(JOURNAL_TRAP, 16) /* a crash of the coordinator just after it wrote to its journal */ \
    SIM_KIND(REWIND, 1)        /* gxctl run rewind */

enum kind {
#define SIM_KIND(name, weight) KIND_##name,
    SIM_KINDS
#undef SIM_KIND
        KIND_COUNT
};

static const uint32_t kind_weights[] = {
#define SIM_KIND(name, weight) weight,
    SIM_KINDS
#undef SIM_KIND
};

static const char *const kind_names[] = {
#define SIM_KIND(name, weight) #name,
    SIM_KINDS
#undef SIM_KIND
};

struct sim_fault {
    enum kind kind;
    uint64_t at_ns, end_ns;
    uint32_t site, other;
    uint64_t choice; /* more random bits */
    bool begun;
    bool waits; /* TRAP: not sprung yet */
    enum sim_trap trap;
};

static enum kind kind_draw(struct sim_random *random)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < KIND_COUNT; i++)
        sum += kind_weights[i];
    uint64_t at = sim_below(random, sum);
    uint32_t kind = 0;
    while (at >= kind_weights[kind])
        at -= kind_weights[kind++];
    return (enum kind)kind;
}

static uint64_t length_draw(struct sim_random *random)
{
    switch (sim_below(random, 4)) {
    case 0: /* shorter than a site counts as absent */
        return sim_between(random, 20 * SIM_MS, 500 * SIM_MS);
    case 1: /* longer than anything waits */
        return sim_between(random, 4 * SIM_S, 9 * SIM_S);
    default:
        return sim_between(random, 200 * SIM_MS, 4 * SIM_S);
    }
}

void sim_faults_draw(struct sim_world *world)
{
    struct sim_random random = sim_random_init(world->seed, 7);
    uint32_t count = 0;

    if (!sim_chance(&random, 0.08))
        count = (uint32_t)sim_between(&random, 1, sim_chance(&random, 0.3) ? 14 : 6);
    world->faults = sim_alloc(count * sizeof(*world->faults));
    world->fault_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct sim_fault *fault = &world->faults[i];
        fault->kind = kind_draw(&random);
        fault->at_ns =
            sim_between(&random, 100 * SIM_MS, world->params.faults_end_ns - 200 * SIM_MS);
        fault->end_ns = fault->at_ns + length_draw(&random);
        if (fault->end_ns > world->params.faults_end_ns)
            fault->end_ns = world->params.faults_end_ns;
        fault->site = (uint32_t)sim_below(&random, world->params.site_count);
        fault->other =
            (fault->site + 1 + (uint32_t)sim_below(&random, world->params.site_count - 1)) %
            world->params.site_count;
        fault->choice = sim_next(&random);
        fault->trap = (enum sim_trap)sim_below(&random, SIM_TRAP_COUNT);
        if (fault->kind == KIND_JOURNAL_TRAP)
            fault->trap = SIM_TRAP_JOURNAL;
        if (fault->kind == KIND_COORDINATOR || fault->kind == KIND_JOURNAL_TRAP)
            fault->site = 0;
        sim_schedule(world, fault->at_ns, SIM_EVENT_FAULT, 0, 0, 0, 0, fault);
        sim_schedule(world, fault->end_ns, SIM_EVENT_FAULT, 0, 0, 0, 0, fault);
    }
}

void sim_faults_fini(struct sim_world *world)
{
    free(world->faults);
}

/* ---- parts of faults ---- */

static void trainers_crash(struct sim_world *world, uint32_t site)
{
    for (uint32_t run = 0; run < world->params.run_count; run++)
        sim_trainer_crash(world, &world->sites[site].trainers[run]);
}

static void trainers_start(struct sim_world *world, uint32_t site, uint64_t choice)
{
    for (uint32_t run = 0; run < world->params.run_count; run++)
        sim_trainer_start(world, &world->sites[site].trainers[run], (choice & 7) == 1,
                          (choice & 24) == 8);
}

/* Every other time a port stalls, the site's trainers die as well: what waits in the port points into their arenas, and
 * may do so for longer than gxd keeps an offer. */
static bool trainers_go(const struct sim_fault *fault)
{
    return fault->choice >> 5 & 1;
}

static void machine_crash(struct sim_world *world, uint32_t site)
{
    sim_site_crash(world, &world->sites[site], true);
    trainers_crash(world, site);
}

static void machine_start(struct sim_world *world, uint32_t site, uint64_t choice)
{
    sim_site_start(world, &world->sites[site]);
    trainers_start(world, site, choice);
}

/* The crash comes at one of the next points of the loop, not necessarily now. */
static void light_fuse(struct sim_world *world, uint32_t site, uint64_t choice)
{
    struct sim_site *at = &world->sites[site];
    if (!at->up)
        return;
    at->fuse = 1 + (uint32_t)(choice >> 8 & 15);
    at->fuse_machine = choice >> 12 & 1;
    sim_site_wake(world, at, world->now_ns);
}

static void cut(struct sim_world *world, const struct sim_fault *fault, int change)
{
    for (uint32_t j = 0; j < world->params.site_count; j++) {
        if (j == fault->site ||
            (fault->kind != KIND_ISOLATE && fault->kind != KIND_DEAF && j != fault->other))
            continue;
        sim_net_cut(world, j, fault->site, change);
        if (fault->kind != KIND_ONE_WAY && fault->kind != KIND_DEAF)
            sim_net_cut(world, fault->site, j, change);
    }
    world->stats.partitions += change > 0;
}

/* From 1,280 bytes, which control needs, to one less than a full packet has. */
static void path_small(struct sim_world *world, const struct sim_fault *fault, bool begins)
{
    uint32_t full = world->params.shard_bytes + GX_HEADER_BYTES + 28;
    uint32_t mtu = 0;

    if (begins && full > 1280)
        mtu = 1280 + (uint32_t)(fault->choice >> 8) % (full - 1280);
    sim_net_mtu(world, fault->site, fault->other, mtu);
    if (fault->choice & 1)
        sim_net_mtu(world, fault->other, fault->site, mtu);
}

static void outage(struct sim_world *world, const struct sim_fault *fault)
{
    world->stats.outages++;
    for (uint32_t i = 0; i < world->params.site_count; i++) {
        if (fault->choice >> 40 & 3)
            machine_crash(world, i);
        else
            sim_site_crash(world, &world->sites[i], false);
    }
}

/* ---- beginning and end ---- */

static void begin(struct sim_world *world, struct sim_fault *fault)
{
    struct sim_site *site = &world->sites[fault->site];
    struct sim_trainer *trainer = &site->trainers[fault->choice % world->params.run_count];

    sim_trace(world, -1, "fault %s at site %u (%u) for %llu ms", kind_names[fault->kind],
              fault->site, fault->other,
              (unsigned long long)((fault->end_ns - fault->at_ns) / SIM_MS));
    switch (fault->kind) {
    case KIND_GXD:
    case KIND_COORDINATOR:
        light_fuse(world, fault->site, fault->choice & ~0x1000ull);
        break;
    case KIND_TRAINER:
    case KIND_TRAINER_OTHER:
        sim_trainer_crash(world, trainer);
        break;
    case KIND_MACHINE:
        machine_crash(world, fault->site);
        break;
    case KIND_PAUSE:
        sim_site_pause(world, site);
        break;
    case KIND_TRAINER_PAUSE:
        sim_trainer_pause(world, trainer, fault->end_ns);
        break;
    case KIND_ISOLATE:
    case KIND_CUT:
    case KIND_ONE_WAY:
    case KIND_DEAF:
        cut(world, fault, 1);
        break;
    case KIND_MTU:
        path_small(world, fault, true);
        break;
    case KIND_OUTAGE:
        outage(world, fault);
        break;
    case KIND_TWO:
        machine_crash(world, fault->site);
        light_fuse(world, fault->other, fault->choice | 0x1000);
        break;
    case KIND_LEAVE:
        sim_site_leave(world, site);
        break;
    case KIND_TARGET:
        sim_net_target(world, fault->site, fault->other, (uint32_t)(fault->choice % 3),
                       (uint32_t)(fault->choice >> 8 & 63), (uint32_t)(fault->choice >> 16 & 31));
        break;
    case KIND_PORT:
        world->stats.stalls++;
        for (uint32_t w = 0; w < GX_WORKERS_MAX; w++)
            site->workers[w].port.stalled_until_ns = fault->end_ns;
        if (trainers_go(fault))
            trainers_crash(world, fault->site);
        break;
    case KIND_DISK:
        site->disk.slow_until_ns = world->sites[0].disk.slow_until_ns = fault->end_ns;
        break;
    case KIND_TRAP:
    case KIND_JOURNAL_TRAP:
        fault->waits = true;
        break;
    case KIND_REWIND:
        if (world->sites[0].up && !world->sites[0].paused)
            gx_core_rewind(world->sites[0].core, "alpha", sim_clock(world, &world->sites[0]));
        break;
    case KIND_COUNT:
        break;
    }
}

static void end(struct sim_world *world, struct sim_fault *fault)
{
    struct sim_site *site = &world->sites[fault->site];

    fault->waits = false;
    switch (fault->kind) {
    case KIND_TRAINER_OTHER:
        for (uint32_t run = 0; run < world->params.run_count; run++)
            sim_trainer_start(world, &site->trainers[run], fault->choice >> 20 & 1, true);
        break;
    case KIND_PAUSE:
        sim_site_resume(world, site);
        break;
    case KIND_ISOLATE:
    case KIND_CUT:
    case KIND_ONE_WAY:
    case KIND_DEAF:
        if (!world->calm)
            cut(world, fault, -1);
        break;
    case KIND_MTU:
        path_small(world, fault, false);
        break;
    case KIND_OUTAGE:
        for (uint32_t i = 0; i < world->params.site_count; i++)
            machine_start(world, i, sim_mix(fault->choice + i));
        break;
    case KIND_TWO:
        machine_start(world, fault->other, fault->choice >> 4);
        machine_start(world, fault->site, fault->choice);
        break;
    case KIND_PORT:
        if (trainers_go(fault))
            trainers_start(world, fault->site, fault->choice);
        break;
    case KIND_GXD:
    case KIND_COORDINATOR:
    case KIND_LEAVE:
        sim_site_start(world, site);
        break;
    case KIND_TRAINER:
    case KIND_MACHINE:
    case KIND_TRAP:
    case KIND_JOURNAL_TRAP:
        machine_start(world, fault->site, fault->choice);
        break;
    default:
        break;
    }
}

void sim_fault_strike(struct sim_world *world, struct sim_fault *fault)
{
    if (!fault->begun) {
        fault->begun = true;
        begin(world, fault);
    } else {
        end(world, fault);
    }
}

void sim_fault_trap(struct sim_world *world, uint32_t site, enum sim_trap trap)
{
    for (uint32_t i = 0; i < world->fault_count; i++) {
        struct sim_fault *fault = &world->faults[i];
        if (!fault->waits || fault->site != site || fault->trap != trap)
            continue;
        fault->waits = false;
        sim_trace(world, (int)site, "trap %d springs", (int)trap);
        if (fault->kind == KIND_JOURNAL_TRAP) { /* before the fsync is done */
            light_fuse(world, site, (fault->choice & ~0xe00ull) | 0x1000);
            return;
        }
        switch (fault->choice >> 30 & 3) {
        case 0:
            trainers_crash(world, site);
            break;
        case 1:
            trainers_crash(world, site);
            light_fuse(world, site, fault->choice | 0x1000);
            break;
        default:
            light_fuse(world, site, fault->choice);
        }
        return;
    }
}

void sim_faults_end(struct sim_world *world)
{
    sim_net_heal(world);
    for (uint32_t i = 0; i < world->fault_count; i++)
        world->faults[i].waits = false;
    for (uint32_t i = 0; i < world->params.site_count; i++) {
        struct sim_site *site = &world->sites[i];
        site->fuse = 0;
        site->disk.slow_until_ns = 0;
        for (uint32_t w = 0; w < GX_WORKERS_MAX; w++)
            site->workers[w].port.stalled_until_ns = 0;
        sim_site_resume(world, site);
        if (site->leaving) { /* it ends at once, and returns with the next tick */
            site->leave_until_ns = world->now_ns;
            sim_site_wake(world, site, world->now_ns);
        } else {
            machine_start(world, i, 0);
        }
        for (uint32_t run = 0; run < world->params.run_count; run++)
            if (site->trainers[run].paused_until_ns > world->now_ns)
                site->trainers[run].paused_until_ns = world->now_ns;
    }
}
