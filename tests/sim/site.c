#include "sim/site.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h> /* XXH3_64bits */

#include "sim/disk.h"
#include "sim/fault.h"
#include "sim/guard.h"
#include "sim/heap.h"
#include "sim/ledger.h"
#include "sim/net.h"
#include "sim/trainer.h"
#include "sim/worker.h"

/* ---- configuration ---- */

void sim_site_init(struct sim_world *world, uint32_t index)
{
    const struct sim_params *params = &world->params;
    struct sim_site *site = &world->sites[index];
    struct sim_random random = sim_random_init(world->seed, 100 + index);
    struct gx_links_config *links = &site->config.links;

    site->index = index;
    for (uint32_t w = 0; w < GX_WORKERS_MAX; w++)
        site->workers[w] = (struct sim_worker){.site = site, .index = w, .step_at_ns = SIM_NEVER};
    site->clock_offset_ns = sim_between(&random, SIM_S, 1000000 * SIM_S);
    site->view = sim_alloc(sizeof(*site->view));
    links->site_count = params->site_count;
    links->self = index;
    for (uint32_t i = 0; i < params->site_count; i++) {
        snprintf(links->names[i], sizeof(links->names[i]), "site%u", i);
        links->addrs[i] = sim_addr(i, 0);
        for (uint32_t w = 1; w < GX_WORKERS_MAX; w++)
            site->config.lane_addrs[w - 1][i] = sim_addr(i, w);
    }
    static const uint64_t rates[] = {20, 50, 100, 200, 400, 1000};
    links->rate_bps = 1000000 * rates[sim_below(&random, 6)];
    if (links->rate_bps < params->rate_bps_min)
        links->rate_bps = params->rate_bps_min;
    if (world->scene) {
        site->clock_offset_ns = SIM_S;
        site->config.owners_only = world->scene->owners_only;
        links->rate_bps = world->scene->rate_bps;
        links->loss_floor = 0.15;
    }
    links->recv_rate_bps = links->rate_bps;
    links->mtu = params->mtu;
    links->shard_bytes = params->shard_bytes;
    links->secure = params->secure;
    memset(links->psk, (int)(world->seed & 0xff), sizeof(links->psk));
    if (params->workers_max > 1)
        links->send_blocks = 16384; /* of each worker; what a world needs, and quicker to make */
    links->counters = site->counters;
    site->config.deadline_ns = params->deadline_ns;
    site->config.fetch_wait_ns = params->fetch_wait_ns;
    site->config.rewind_after_ns = params->rewind_after_ns;
    site->config.start_sites = params->start_sites;
    site->config.min_sites = params->min_sites;
    site->config.keep_rounds = params->keep_rounds;
    site->config.memory_bytes = 1ull << 30;
    site->config.counters = site->counters;
    site->config.view = site->view;
}

/* ---- memory that outlives one of its two users ---- */

void sim_arena_release(struct sim_arena *arena)
{
    if (--arena->uses > 0)
        return;
    free(arena->bytes);
    free(arena);
}

static void binding_free(struct sim_binding *binding)
{
    gx_run_destroy(binding->run);
    sim_arena_release(binding->arena);
    *binding = (struct sim_binding){0};
}

/* ---- start and end of the process ---- */

void sim_site_start(struct sim_world *world, struct sim_site *site)
{
    if (site->up)
        return;
    site->up = true;
    site->paused = site->leaving = false;
    site->life++;
    site->fuse = 0;
    site->resumed_ns = world->now_ns;
    if (site->worker_count == 0 || world->params.workers_differ)
        site->worker_count =
            world->params.workers_differ
                ? (uint32_t)sim_between(&world->random, 1, world->params.workers_max)
                : world->params.workers_max;
    site->config.links.workers = site->worker_count;
    memset(site->counters, 0, sizeof(site->counters));
    memset(site->view, 0, sizeof(*site->view));
    for (uint32_t w = 0; w < GX_WORKERS_MAX; w++)
        memset(site->workers[w].peer_life, 0, sizeof(site->workers[w].peer_life));
    site->config.links.incarnation = sim_next(&world->random) | 1;
    site->config.links.seed = sim_next(&world->random);
    site->core = gx_core_create(&site->config, sim_clock(world, site));
    if (!site->core) {
        sim_fail(world, "MEMORY", "site %u: no core", site->index);
        site->up = false;
        return;
    }
    sim_trace(world, (int)site->index, "gxd starts");
    sim_net_restarted(world, site->index);
    sim_disk_replay(world, site);
    sim_site_wake_all(world, site);
}

static void process_end(struct sim_world *world, struct sim_site *site)
{
    site->up = site->paused = site->leaving = false;
    site->life++;
    site->fuse = 0;
    for (uint32_t w = 0; w < GX_WORKERS_MAX; w++)
        sim_worker_clear(&site->workers[w]);
    gx_core_destroy(site->core);
    site->core = NULL;
    for (uint32_t i = 0; i < SIM_BINDINGS; i++)
        if (site->bindings[i].run)
            binding_free(&site->bindings[i]);
    memset(site->own_offer_ns, 0, sizeof(site->own_offer_ns));
    for (uint32_t run = 0; run < world->params.run_count; run++)
        sim_trainer_pipe(world, &site->trainers[run]);
}

void sim_site_crash(struct sim_world *world, struct sim_site *site, bool machine)
{
    if (!site->up)
        return;
    sim_trace(world, (int)site->index, machine ? "gxd and its machine crash" : "gxd crashes");
    world->stats.gxd_crashes++;
    process_end(world, site);
    sim_disk_crash(world, site, machine);
    if (machine &&
        sim_chance(&world->random, 0.5)) /* a machine that boots has a clock that begins anew */
        site->clock_offset_ns = sim_between(&world->random, SIM_S, 1000000 * SIM_S);
}

void sim_site_fini(struct sim_world *world, struct sim_site *site)
{
    if (site->core)
        process_end(world, site);
    for (uint32_t run = 0; run < world->params.run_count; run++)
        sim_trainer_fini(&site->trainers[run]);
    sim_disk_fini(&site->disk);
    for (uint32_t w = 0; w < GX_WORKERS_MAX; w++) {
        free(site->workers[w].port.queue);
        free(site->workers[w].port.sent);
    }
    free(site->view);
}

void sim_site_pause(struct sim_world *world, struct sim_site *site)
{
    if (!site->up || site->paused)
        return;
    sim_trace(world, (int)site->index, "gxd is stopped");
    world->stats.pauses++;
    site->paused = true;
}

void sim_site_resume(struct sim_world *world, struct sim_site *site)
{
    if (!site->up || !site->paused)
        return;
    sim_trace(world, (int)site->index, "gxd is continued");
    site->paused = false;
    site->resumed_ns = world->now_ns;
    sim_site_wake_all(world, site);
}

void sim_site_leave(struct sim_world *world, struct sim_site *site)
{
    if (!site->up || site->paused || site->leaving)
        return;
    sim_trace(world, (int)site->index, "gxd leaves");
    world->stats.leaves++;
    site->leaving = true;
    site->leave_until_ns = world->now_ns + 2 * SIM_S;
    gx_core_leave(site->core, sim_clock(world, site));
    sim_site_wake(world, site, world->now_ns);
}

/* ---- trainers ---- */

static struct sim_binding *binding_of(struct sim_site *site, const struct gx_run *run)
{
    for (uint32_t i = 0; i < SIM_BINDINGS; i++)
        if (site->bindings[i].run == run)
            return &site->bindings[i];
    return NULL;
}

static void run_bind(struct sim_site *site, struct sim_trainer *trainer, struct gx_run *run)
{
    struct sim_binding *binding = binding_of(site, NULL);
    *binding = (struct sim_binding){run, trainer->arena, trainer->run, trainer->life, false};
    trainer->arena->uses++;
    trainer->bound = run;
    for (uint32_t i = 0; i < SIM_FRAGMENTS_MAX; i++)
        trainer->fragments[i].met = 0;
}

int sim_site_attach(struct sim_world *world, struct sim_trainer *trainer)
{
    struct sim_site *site = &world->sites[trainer->site];
    enum gx_reason reason = GX_REASON_NONE;
    struct gx_schema schema;

    if (!site->up || site->paused || site->leaving || !binding_of(site, NULL))
        return -EPIPE;
    sim_trainer_schema(world, trainer, &schema);
    uint64_t promised = gx_run_staging_bytes(&schema, world->params.site_count,
                                             world->params.shard_bytes, site->config.links.workers);
    sim_guard_count_begin();
    struct gx_run *run =
        gx_run_create(&schema, &site->config, trainer->arena->bytes, trainer->arena->layout.bytes);
    uint64_t taken = sim_guard_count_end();
    if (taken > promised)
        sim_fail(world, "I6", "site %u: a run takes %llu bytes, of %llu promised", site->index,
                 (unsigned long long)taken, (unsigned long long)promised);
    if (!run) {
        sim_fail(world, "I6", "site %u: no run", site->index);
        return -EPIPE;
    }
    int error = gx_core_attach(site->core, run, &reason, sim_clock(world, site));
    if (error == 0) {
        run_bind(site, trainer, run);
        sim_site_wake(world, site, world->now_ns);
        return 0;
    }
    gx_run_destroy(run);
    if (error != -EBUSY || reason != GX_REASON_BUSY)
        sim_fail(world, "ATTACH", "site %u: attach fails with %d, reason %d", site->index, error,
                 (int)reason);
    world->stats.busy_attaches++;
    for (uint32_t i = 0; i < SIM_BINDINGS; i++)
        if (site->bindings[i].run && site->bindings[i].hung_up &&
            site->bindings[i].run_index == trainer->run)
            gx_run_yield(site->bindings[i].run);
    return error;
}

void sim_site_hangup(struct sim_world *world, struct sim_site *site, uint32_t run,
                     uint64_t trainer_life)
{
    for (uint32_t i = 0; i < SIM_BINDINGS; i++) {
        struct sim_binding *binding = &site->bindings[i];
        if (!binding->run || binding->run_index != run || binding->trainer_life != trainer_life ||
            binding->hung_up)
            continue;
        if (site->paused) { /* it will see it when it runs again */
            sim_schedule(world, world->now_ns + 20 * SIM_MS, SIM_EVENT_HANGUP, site->index, run, 0,
                         trainer_life, NULL);
            return;
        }
        binding->hung_up = true;
        memset(site->own_offer_ns[run], 0, sizeof(site->own_offer_ns[run]));
        gx_core_detach(site->core, binding->run, sim_clock(world, site));
        sim_site_wake(world, site, world->now_ns);
    }
}

/* Nothing may point into the arena any more. */
static void port_check(struct sim_world *world, const struct sim_site *site,
                       const struct sim_port *port, const struct sim_binding *binding)
{
    for (uint32_t i = 0; i < port->count; i++) {
        const struct sim_port_packet *at = &port->queue[(port->head + i) % port->room];
        const uint8_t *payload = at->packet.payload;
        if (at->packet.payload_bytes > 0 && payload >= binding->arena->bytes &&
            payload < binding->arena->bytes + binding->arena->layout.bytes)
            sim_fail(world, "DETACH",
                     "site %u gives an arena back while its port still sends from it", site->index);
    }
}

static void detached(struct sim_world *world, struct sim_site *site)
{
    struct gx_run *run;

    while ((run = gx_core_detached(site->core)) != NULL) {
        struct sim_binding *binding = binding_of(site, run);
        if (!binding || !binding->hung_up) {
            sim_fail(world, "DETACH", "site %u gives back a run that nobody detached", site->index);
            return;
        }
        for (uint32_t w = 0; w < site->worker_count; w++)
            port_check(world, site, &site->workers[w].port, binding);
        binding_free(binding);
    }
}

/* I5 asks since when the coordinator has known an offer of its own. */
static void own_offer(struct sim_world *world, struct sim_site *site,
                      const struct sim_trainer *trainer, const struct gx_command *command)
{
    uint64_t *since = &site->own_offer_ns[trainer->run][command->fragment];
    uint64_t *round = &site->own_offer_round[trainer->run][command->fragment];

    if (command->type != GX_COMMAND_OFFER || site->index != 0 ||
        !trainer->fragments[command->fragment].offered)
        return;
    *since = world->now_ns;
    *round = command->round;
}

static void commands(struct sim_world *world, struct sim_site *site)
{
    struct gx_command command;

    for (uint32_t run = 0; run < world->params.run_count; run++) {
        struct sim_trainer *trainer = &site->trainers[run];
        while (sim_trainer_command(trainer, &command)) {
            if (command.fragment < world->params.fragment_count[run])
                own_offer(world, site, trainer, &command);
            sim_trainer_read(world, trainer, &command);
            sim_guard_begin();
            gx_core_command(site->core, trainer->bound, &command, sim_clock(world, site));
            sim_guard_end(world, site->index, "gx_core_command");
            if (command.type == GX_COMMAND_OFFER)
                sim_fault_trap(world, site->index, SIM_TRAP_OFFER);
        }
    }
}

static void events(struct sim_world *world, struct sim_site *site)
{
    struct gx_run *run;
    struct gx_event event;

    while (!world->failed && gx_core_event(site->core, &run, &event)) {
        struct sim_binding *binding = binding_of(site, run);
        if (!binding) {
            sim_fail(world, "EVENT", "site %u: an event for a run that it gave back", site->index);
            return;
        }
        struct sim_trainer *trainer = &site->trainers[binding->run_index];
        if (binding->hung_up || trainer->bound != run)
            continue;
        if (event.type != GX_EVENT_REFUSED && event.fragment < SIM_FRAGMENTS_MAX &&
            event.round >= site->own_offer_round[trainer->run][event.fragment])
            site->own_offer_ns[trainer->run][event.fragment] = 0;
        if (event.type == GX_EVENT_BEHIND && event.fragment < SIM_FRAGMENTS_MAX)
            site->own_offer_ns[trainer->run][event.fragment] = 0;
        sim_trainer_told(world, trainer, &event);
        sim_fault_trap(world, site->index,
                       event.type == GX_EVENT_BEHIND  ? SIM_TRAP_BEHIND
                       : event.type == GX_EVENT_STATE ? SIM_TRAP_STATE
                                                      : SIM_TRAP_COMPLETE);
    }
}

/* What the worker writes into each arena's header. */
static void mirror_busy(struct sim_world *world, struct sim_site *site)
{
    for (uint32_t i = 0; i < SIM_BINDINGS; i++) {
        const struct sim_binding *binding = &site->bindings[i];
        if (!binding->run || binding->hung_up)
            continue;
        struct gx_arena_header *header = (struct gx_arena_header *)(void *)binding->arena->bytes;
        for (uint32_t k = 0; k < world->params.fragment_count[binding->run_index]; k++)
            for (uint32_t slot = 0; slot < 2; slot++)
                header->contribution_busy[k][slot] = gx_run_busy(binding->run, k, slot);
    }
}

/* ---- the loop ---- */

void sim_site_wake(struct sim_world *world, struct sim_site *site, uint64_t at_ns)
{
    sim_worker_wake(world, &site->workers[0], at_ns);
}

void sim_site_wake_all(struct sim_world *world, struct sim_site *site)
{
    for (uint32_t w = 0; w < site->worker_count; w++)
        sim_worker_wake(world, &site->workers[w], world->now_ns);
}

/* A point at which a crash may hit. True: it did. */
static bool fuse_burns(struct sim_world *world, struct sim_site *site)
{
    if (site->fuse == 0 || --site->fuse > 0)
        return false;
    sim_site_crash(world, site, site->fuse_machine);
    return true;
}

static void journal(struct sim_world *world, struct sim_site *site)
{
    uint8_t entry[GX_JOURNAL_ENTRY_MAX_BYTES];
    uint64_t sequence;
    size_t bytes;

    while ((bytes = gx_core_journal(site->core, &sequence, entry)) > 0) {
        sim_disk_write(world, site, sequence, entry, bytes);
        sim_fault_trap(world, site->index, SIM_TRAP_JOURNAL);
    }
}

static bool leave_done(struct sim_world *world, struct sim_site *site)
{
    if (!site->leaving ||
        (!gx_core_left(site->core, sim_clock(world, site)) && world->now_ns < site->leave_until_ns))
        return false;
    sim_trace(world, (int)site->index, "gxd has left");
    process_end(world, site);
    sim_disk_crash(world, site, false);
    return true;
}

static bool poll_slices(struct sim_world *world, struct sim_site *site)
{
    bool more = true;
    for (uint64_t slices = sim_between(&world->random, 1, 4); more && slices > 0; slices--) {
        sim_guard_begin();
        more = gx_core_poll(site->core, 0, sim_clock(world, site));
        sim_guard_end(world, site->index, "gx_core_poll");
    }
    return more;
}

/* The loop of core.h. A crash may hit between any two parts of it. */
void sim_site_step(struct sim_world *world, struct sim_site *site)
{
    struct sim_worker *first = &site->workers[0];
    struct gx_note_line note;

    first->step_at_ns = SIM_NEVER;
    if (!site->up || site->paused)
        return;
    sim_worker_spins(world, first);
    sim_worker_receive(world, first);
    if (fuse_burns(world, site))
        return;
    commands(world, site);
    sim_disk_acknowledge(world, site);
    bool more = poll_slices(world, site);
    if (fuse_burns(world, site))
        return;
    sim_worker_release(first);
    more |= sim_worker_transmit(world, first);
    if (fuse_burns(world, site))
        return;
    journal(world, site);
    if (fuse_burns(world, site))
        return;
    mirror_busy(world, site);
    events(world, site);
    while (gx_core_note(site->core, &note))
        sim_trace(world, (int)site->index, "note: %s", note.text);
    detached(world, site);
    sim_worker_news(world, first);
    if (fuse_burns(world, site) || leave_done(world, site))
        return;
    sim_worker_sleep(world, first, more);
}
