/* A trainer's life: start, registration, hang-up, crash. */
#include <stdlib.h>
#include <string.h>

#include "sim/heap.h"
#include "sim/ledger.h"
#include "sim/model.h"
#include "sim/site.h"
#include "sim/trainer_part.h"

void sim_trainer_init(struct sim_world *world, uint32_t site, uint32_t run)
{
    struct sim_trainer *trainer = &world->sites[site].trainers[run];
    struct sim_random random = sim_random_init(world->seed, 300 + site * 10 + run);

    trainer->site = site;
    trainer->run = run;
    trainer->salt = 1;
    trainer->looks_late = sim_chance(&random, 0.5);
    trainer->train_ns =
        sim_between(&random, world->params.train_ns_max / 6, world->params.train_ns_max / 2);
}

void sim_trainer_fini(struct sim_trainer *trainer)
{
    if (trainer->arena)
        sim_arena_release(trainer->arena);
    trainer->arena = NULL;
    for (uint32_t i = 0; i < SIM_FRAGMENTS_MAX; i++)
        free(trainer->fragments[i].saved_state);
}

void sim_trainer_schema(const struct sim_world *world, const struct sim_trainer *trainer,
                        struct gx_schema *schema)
{
    *schema = (struct gx_schema){
        .run = sim_run_name(trainer->run),
        .format = world->params.format[trainer->run],
        .digest = world->params.digest_kind[trainer->run],
        .fragment_count = world->params.fragment_count[trainer->run],
        .param_counts = world->params.param_counts[trainer->run],
    };
}

/* ---- the process ---- */

static void rings_empty(struct sim_trainer *trainer)
{
    trainer->command_count = 0;
    for (uint32_t i = 0; i < SIM_FRAGMENTS_MAX; i++)
        trainer->fragments[i].event_count = 0;
}

static void attach_at(struct sim_world *world, struct sim_trainer *trainer, uint64_t at_ns)
{
    trainer->attach_ns = at_ns;
    sim_schedule(world, at_ns, SIM_EVENT_ATTACH, trainer->site, trainer->run, 0, trainer->life,
                 NULL);
}

static void arena_create(struct sim_world *world, struct sim_trainer *trainer)
{
    struct sim_arena *arena = sim_alloc(sizeof(*arena));
    struct gx_schema schema;
    struct gx_arena_header *header;

    sim_trainer_schema(world, trainer, &schema);
    if (gx_arena_layout(&arena->layout, &schema) != 0)
        sim_fail(world, "ARENA", "no layout for a good schema");
    arena->uses = 1;
    arena->bytes = aligned_alloc(GX_ARENA_ALIGN, arena->layout.bytes);
    memset(arena->bytes, 0, arena->layout.bytes);
    trainer->arena = arena;
    header = sim_header(trainer);
    header->magic = GX_ARENA_MAGIC;
    header->version = GX_ARENA_VERSION;
    header->fragment_count = schema.fragment_count;
    header->bytes = arena->layout.bytes;
}

static void state_load(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];
    uint64_t count = sim_place(trainer, fragment)->param_count;
    float *theta = sim_theta(trainer, fragment);

    if (at->saved) {
        memcpy(theta, at->saved_state, sim_state_bytes(trainer, fragment));
    } else {
        at->saved_round = 0;
        sim_model_start(world->seed, trainer->run, fragment,
                        world->params.same_start ? 0 : trainer->site, theta, count);
        memset(theta + count, 0, count * sizeof(*theta));
    }
    sim_trainer_state(world, trainer, fragment, at->saved_round);
}

void sim_trainer_start(struct sim_world *world, struct sim_trainer *trainer, bool afresh,
                       bool other_data)
{
    if (trainer->alive)
        return;
    trainer->alive = true;
    trainer->life++;
    trainer->salt += other_data;
    trainer->paused_until_ns = 0;
    rings_empty(trainer);
    arena_create(world, trainer);
    for (uint32_t i = 0; i < world->params.fragment_count[trainer->run]; i++) {
        trainer->fragments[i].saved &= !afresh;
        state_load(world, trainer, i);
        sim_trainer_train(world, trainer, i);
    }
    sim_trace(world, (int)trainer->site, "trainer of %s starts from round %llu%s",
              sim_run_name(trainer->run), (unsigned long long)trainer->fragments[0].published,
              other_data ? " with other data" : "");
    attach_at(world, trainer, world->now_ns + sim_below(&world->random, 50 * SIM_MS));
}

static void process_end(struct sim_world *world, struct sim_trainer *trainer)
{
    if (trainer->bound)
        sim_schedule(world, world->now_ns + sim_below(&world->random, 10 * SIM_MS),
                     SIM_EVENT_HANGUP, trainer->site, trainer->run, 0, trainer->life, NULL);
    trainer->alive = false;
    trainer->bound = NULL;
    trainer->life++;
    rings_empty(trainer);
    sim_arena_release(trainer->arena);
    trainer->arena = NULL;
}

void sim_trainer_crash(struct sim_world *world, struct sim_trainer *trainer)
{
    if (!trainer->alive)
        return;
    sim_trace(world, (int)trainer->site, "trainer of %s crashes", sim_run_name(trainer->run));
    world->stats.trainer_crashes++;
    process_end(world, trainer);
}

void sim_trainer_end(struct sim_world *world, struct sim_trainer *trainer)
{
    sim_trace(world, (int)trainer->site, "trainer of %s has done its rounds",
              sim_run_name(trainer->run));
    process_end(world, trainer);
    trainer->ended = true;
}

void sim_trainer_pause(struct sim_world *world, struct sim_trainer *trainer, uint64_t until_ns)
{
    sim_trace(world, (int)trainer->site, "trainer of %s is stopped for %llu ms",
              sim_run_name(trainer->run),
              (unsigned long long)((until_ns - world->now_ns) / SIM_MS));
    trainer->paused_until_ns = until_ns;
}

void sim_trainer_pipe(struct sim_world *world, struct sim_trainer *trainer)
{
    if (!trainer->bound)
        return;
    trainer->bound = NULL;
    rings_empty(trainer);
    attach_at(world, trainer, world->now_ns + sim_between(&world->random, SIM_MS, 200 * SIM_MS));
}

/* What libgx says to a gxd that it meets, or meets again: the states, then the offers that stand. */
static void introduce(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];

    /* A gxd that died while the state area was its own may have left half of a state there. */
    if (at->phase == SIM_HANDED)
        state_load(world, trainer, fragment);
    sim_trainer_publish(world, trainer, fragment);
    if (at->offered) {
        sim_trainer_phase(world, at, SIM_OFFERED);
        sim_trainer_offer(world, trainer, fragment);
    } else if ((at->phase != SIM_TRAIN || world->scene) && at->phase != SIM_DONE) {
        sim_trainer_train(world, trainer, fragment);
    }
}

static bool applies(const struct sim_world *world, const struct sim_trainer *trainer)
{
    bool busy = false;
    for (uint32_t i = 0; i < world->params.fragment_count[trainer->run]; i++)
        busy |= trainer->fragments[i].phase == SIM_APPLY;
    return busy;
}

void sim_trainer_attach(struct sim_world *world, struct sim_trainer *trainer, uint64_t life)
{
    if (!trainer->alive || life != trainer->life || trainer->bound ||
        world->now_ns != trainer->attach_ns)
        return;
    if (world->now_ns < trainer->paused_until_ns) {
        attach_at(world, trainer, trainer->paused_until_ns);
        return;
    }
    if (applies(world, trainer) || sim_site_attach(world, trainer) != 0) {
        attach_at(world, trainer,
                  world->now_ns + sim_between(&world->random, 20 * SIM_MS, 200 * SIM_MS));
        return;
    }
    sim_trace(world, (int)trainer->site, "trainer of %s is registered", sim_run_name(trainer->run));
    for (uint32_t i = 0; i < world->params.fragment_count[trainer->run]; i++)
        introduce(world, trainer, i);
}

bool sim_trainer_command(struct sim_trainer *trainer, struct gx_command *command)
{
    if (!trainer->bound || trainer->command_count == 0)
        return false;
    *command = trainer->commands[trainer->command_head];
    trainer->command_head = (trainer->command_head + 1) % SIM_TRAINER_COMMANDS;
    trainer->command_count--;
    return true;
}

void sim_trainer_read(struct sim_world *world, struct sim_trainer *trainer,
                      const struct gx_command *command)
{
    if (command->fragment >= world->params.fragment_count[trainer->run])
        return;
    struct sim_trainer_fragment *at = &trainer->fragments[command->fragment];
    if (command->type == GX_COMMAND_PUBLISH) {
        at->gxd_round = command->round;
        at->gxd_digest = at->digest;
    }
}

bool sim_trainer_done(const struct sim_world *world, const struct sim_trainer *trainer)
{
    bool done = trainer->alive && trainer->bound && trainer->command_count == 0;
    if (trainer->ended)
        return true;
    for (uint32_t i = 0; i < world->params.fragment_count[trainer->run]; i++)
        done &= trainer->fragments[i].phase == SIM_DONE && trainer->fragments[i].event_count == 0;
    return done;
}
