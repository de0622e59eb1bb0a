#include "sim/trainer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h> /* XXH3_64bits */

#include "sim/heap.h"
#include "sim/ledger.h"
#include "sim/model.h"
#include "sim/site.h"
#include "transfer/digest.h" /* gx_digest_bytes */

#define AGAIN_NS (2 * SIM_S) /* a refused trainer that hears nothing offers again */

static struct gx_arena_header *header_of(const struct sim_trainer *trainer)
{
    return (struct gx_arena_header *)(void *)trainer->arena->bytes;
}

static const struct gx_arena_fragment *place_of(const struct sim_trainer *trainer, uint32_t fragment)
{
    return &trainer->arena->layout.fragments[fragment];
}

static float *theta_of(const struct sim_trainer *trainer, uint32_t fragment)
{
    return (float *)(void *)(trainer->arena->bytes + place_of(trainer, fragment)->state);
}

static const float *result_of(const struct sim_trainer *trainer, uint32_t fragment)
{
    return (const float *)(const void *)(trainer->arena->bytes + place_of(trainer, fragment)->result);
}

static uint64_t state_bytes(const struct sim_trainer *trainer, uint32_t fragment)
{
    return 8 * place_of(trainer, fragment)->param_count;
}

/* Sets the fragment's timer; an earlier setting is void. */
static void turn_at(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment, uint64_t at_ns)
{
    trainer->fragments[fragment].turn_ns = at_ns;
    sim_schedule(world, at_ns, SIM_EVENT_TRAINER, trainer->site, trainer->run, fragment, trainer->life, NULL);
}

static void phase_set(struct sim_world *world, struct sim_trainer_fragment *at, enum sim_trainer_phase phase)
{
    at->phase = phase;
    at->since_ns = world->now_ns;
}

void sim_trainer_init(struct sim_world *world, uint32_t site, uint32_t run)
{
    struct sim_trainer *trainer = &world->sites[site].trainers[run];
    struct sim_random random = sim_random_init(world->seed, 300 + site * 10 + run);

    trainer->site = site;
    trainer->run = run;
    trainer->salt = 1;
    trainer->looks_late = sim_chance(&random, 0.5);
    trainer->train_ns = sim_between(&random, world->params.train_ns_max / 6, world->params.train_ns_max / 2);
}

void sim_trainer_fini(struct sim_trainer *trainer)
{
    if (trainer->arena)
        sim_arena_release(trainer->arena);
    trainer->arena = NULL;
    for (uint32_t i = 0; i < SIM_FRAGMENTS_MAX; i++)
        free(trainer->fragments[i].saved_state);
}

void sim_trainer_schema(const struct sim_world *world, const struct sim_trainer *trainer, struct gx_schema *schema)
{
    *schema = (struct gx_schema){
        .run = sim_run_name(trainer->run),
        .format = world->params.format[trainer->run],
        .digest = world->params.digest_kind[trainer->run],
        .fragment_count = world->params.fragment_count[trainer->run],
        .param_counts = world->params.param_counts[trainer->run],
    };
}

/* ---- what it writes ---- */

static void command_push(struct sim_world *world, struct sim_trainer *trainer, const struct gx_command *command)
{
    if (!trainer->bound)
        return; /* -EPIPE: repeated after the re-attach */
    if (trainer->command_count == SIM_TRAINER_COMMANDS) {
        sim_fail(world, "RING", "site %u does not read its trainer's commands", trainer->site);
        return;
    }
    struct gx_command *at = &trainer->commands[(trainer->command_head + trainer->command_count++) % SIM_TRAINER_COMMANDS];
    *at = *command;
    at->time_ns = sim_clock(world, &world->sites[trainer->site]);
    if (world->sites[trainer->site].up && !world->sites[trainer->site].paused)
        sim_site_wake(world, &world->sites[trainer->site], world->now_ns + sim_below(&world->random, 50000));
}

static void publish(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct gx_command command = {
        .type = GX_COMMAND_PUBLISH, .fragment = fragment, .round = trainer->fragments[fragment].published};
    command_push(world, trainer, &command);
}

static void offer(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    const struct gx_arena_fragment *place = place_of(trainer, fragment);
    uint64_t round = trainer->fragments[fragment].published + 1;
    struct gx_command command = {
        .type = GX_COMMAND_OFFER,
        .fragment = fragment,
        .round = round,
        .weight = trainer->fragments[fragment].weight,
        .offset = place->contribution[round & 1],
        .bytes = place->wire_bytes,
    };
    command_push(world, trainer, &command);
}

/* The state area has become the state after `round`. */
static void state_new(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment, uint64_t round)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];

    at->published = round;
    at->offered = at->bad_sent = at->half = false;
    sim_ledger_state(world, trainer->site, trainer->run, fragment, round, theta_of(trainer, fragment),
                     state_bytes(trainer, fragment), &at->digest, &at->state_hash);
    if (sim_chance(&world->random, 0.4) || round == 0) {
        at->saved_state = sim_grow(at->saved_state, state_bytes(trainer, fragment), 1);
        memcpy(at->saved_state, theta_of(trainer, fragment), state_bytes(trainer, fragment));
        at->saved_round = round;
        at->saved = true;
    }
}

/* ---- local training and the offer ---- */

static void train(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];
    uint64_t last_ns = trainer->train_ns;

    if (world->target[trainer->run][fragment] <= at->published) {
        phase_set(world, at, SIM_DONE);
        sim_trainer_look(world, trainer, trainer->life);
        return;
    }
    phase_set(world, at, SIM_TRAIN);
    if (!world->calm && sim_chance(&world->random, 0.02))
        last_ns += world->params.deadline_ns * 3 / 2;
    turn_at(world, trainer, fragment, world->now_ns + last_ns / 2 + sim_below(&world->random, last_ns));
}

/* Makes `command` one that gxd must refuse. True: the refusal names this fragment. */
static bool spoil(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment, struct gx_command *command)
{
    const struct sim_trainer_fragment *at = &trainer->fragments[fragment];
    const struct gx_arena_fragment *place = place_of(trainer, fragment);
    uint8_t *wire = trainer->arena->bytes + command->offset;

    switch (sim_below(&world->random, 8)) {
    case 0:
        command->offset = trainer->arena->layout.bytes - 8;
        return true;
    case 1:
        command->offset = UINT64_MAX - 100;
        return true;
    case 2:
        command->weight = sim_chance(&world->random, 0.5) ? 0 : GX_WEIGHT_MAX + 1;
        return true;
    case 3:
        command->round += 1 + sim_below(&world->random, 3);
        return true;
    case 4:
        command->bytes += 1 + sim_below(&world->random, 100000);
        return true;
    case 5:
        command->fragment = SIM_FRAGMENTS_MAX + (uint32_t)sim_below(&world->random, 100000);
        return false;
    case 6:
        command->type = 77;
        return false;
    default:
        if (world->params.format[trainer->run] != GX_FP32) {
            command->weight = 0;
            return true;
        }
        sim_model_contribution(world->seed ^ command->round, at->state_hash, GX_FP32, wire, place->param_count);
        sim_model_spoil(wire, place->param_count, sim_next(&world->random));
        sim_ledger_offer(world, trainer->site, trainer->run, fragment, command->round, command->weight, &at->digest, wire,
                         place->wire_bytes, true);
        return true;
    }
}

static void mistake(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];
    const struct gx_arena_fragment *place = place_of(trainer, fragment);
    uint64_t round = at->published + 1;
    struct gx_command command = {
        .type = GX_COMMAND_OFFER,
        .fragment = fragment,
        .round = round,
        .weight = 7,
        .offset = place->contribution[round & 1],
        .bytes = place->wire_bytes,
    };

    at->bad_sent = true;
    /* It looks at the answer before it does better. */
    if (spoil(world, trainer, fragment, &command)) {
        phase_set(world, at, SIM_MISTAKE);
        sim_trainer_look(world, trainer, trainer->life);
    } else {
        turn_at(world, trainer, fragment, world->now_ns + SIM_MS);
    }
    command_push(world, trainer, &command);
}

static void contribute(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];
    const struct gx_arena_fragment *place = place_of(trainer, fragment);
    uint64_t round = at->published + 1;
    uint8_t *wire = trainer->arena->bytes + place->contribution[round & 1];
    uint64_t key = sim_mix(world->seed ^ trainer->salt << 50 ^ (uint64_t)trainer->site << 40 ^
                           (uint64_t)trainer->run << 36 ^ (uint64_t)fragment << 32 ^ round);

    if (header_of(trainer)->contribution_busy[fragment][round & 1] != 0) {
        turn_at(world, trainer, fragment, world->now_ns + SIM_MS);
        return;
    }
    if (!at->bad_sent && trainer->bound && sim_chance(&world->random, world->params.bad_command)) {
        mistake(world, trainer, fragment);
        return;
    }
    sim_model_contribution(key, at->state_hash, world->params.format[trainer->run], wire, place->param_count);
    at->weight = key % 20 == 0 ? GX_WEIGHT_MAX : 1 + key % 5000;
    if (sim_ledger_offer(world, trainer->site, trainer->run, fragment, round, at->weight, &at->digest, wire,
                         place->wire_bytes, false))
        world->stats.other_bytes++;
    at->offered = true;
    phase_set(world, at, SIM_OFFERED);
    offer(world, trainer, fragment);
    sim_trainer_look(world, trainer, trainer->life);
}

/* ---- applying a result ---- */

/* In two halves with time between them, so that a copy of the state which ignores the sequence lock shows. */
static void apply(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];
    uint64_t count = place_of(trainer, fragment)->param_count, half = count / 2;
    uint32_t *sequence = &header_of(trainer)->state_sequence[fragment];
    float *theta = theta_of(trainer, fragment);
    bool is_void = at->apply.type == GX_EVENT_VOID;

    if (XXH3_64bits(result_of(trainer, fragment), count * sizeof(float)) != at->result_hash) {
        sim_fail(world, "I2", "site %u %s/%u: the result of round %llu changed before it was applied", trainer->site,
                 sim_run_name(trainer->run), fragment, (unsigned long long)at->apply.round);
        return;
    }
    if (!is_void && !at->half) {
        at->half = true;
        __atomic_fetch_add(sequence, 1, __ATOMIC_ACQ_REL);
        sim_model_apply(theta, theta + count, result_of(trainer, fragment), 0, half);
        turn_at(world, trainer, fragment, world->now_ns + sim_below(&world->random, 30 * SIM_MS));
        return;
    }
    if (!is_void) {
        sim_model_apply(theta, theta + count, result_of(trainer, fragment), half, count - half);
        __atomic_fetch_add(sequence, 1, __ATOMIC_ACQ_REL);
    }
    world->stats.completions++;
    world->stats.left_out += at->apply.type == GX_EVENT_LEFT_OUT;
    state_new(world, trainer, fragment, at->apply.round);
    publish(world, trainer, fragment);
    train(world, trainer, fragment);
}

/* ---- events ---- */

static void refused(struct sim_world *world, struct sim_trainer *trainer, struct sim_trainer_fragment *at,
                    const struct gx_event *event)
{
    world->stats.refusals++;
    if (at->phase == SIM_MISTAKE) {
        phase_set(world, at, SIM_TRAIN);
        turn_at(world, trainer, event->fragment, world->now_ns + SIM_MS);
        return;
    }
    if (event->round != at->published + 1 || at->phase != SIM_OFFERED)
        return;
    sim_trace(world, (int)trainer->site, "trainer of %s/%u is refused for round %llu: %s", sim_run_name(trainer->run),
              event->fragment, (unsigned long long)event->round, gx_reason_text((enum gx_reason)event->reason));
    phase_set(world, at, SIM_WAIT);
    turn_at(world, trainer, event->fragment, world->now_ns + AGAIN_NS);
}

static void handle(struct sim_world *world, struct sim_trainer *trainer, const struct gx_event *event)
{
    struct sim_trainer_fragment *at = &trainer->fragments[event->fragment];

    switch (event->type) {
    case GX_EVENT_MEMBER:
    case GX_EVENT_LEFT_OUT:
    case GX_EVENT_VOID:
        at->apply = *event;
        at->half = false;
        phase_set(world, at, SIM_APPLY);
        turn_at(world, trainer, event->fragment, world->now_ns + sim_below(&world->random, 20 * SIM_MS));
        break;
    case GX_EVENT_BEHIND:
        world->stats.behind++;
        at->offered = false;
        phase_set(world, at, SIM_BEHIND);
        turn_at(world, trainer, event->fragment, world->now_ns + sim_below(&world->random, 30 * SIM_MS));
        break;
    case GX_EVENT_STATE:
        world->stats.states++;
        state_new(world, trainer, event->fragment, event->round);
        train(world, trainer, event->fragment);
        break;
    case GX_EVENT_REFUSED:
        refused(world, trainer, at, event);
        break;
    }
}

static bool may_look(const struct sim_trainer *trainer, const struct sim_trainer_fragment *at)
{
    if (at->phase == SIM_APPLY || at->phase == SIM_BEHIND)
        return false;
    return at->phase != SIM_TRAIN || !trainer->looks_late;
}

void sim_trainer_look(struct sim_world *world, struct sim_trainer *trainer, uint64_t life)
{
    if (!trainer->alive || life != trainer->life)
        return;
    if (world->now_ns < trainer->paused_until_ns) {
        sim_schedule(world, trainer->paused_until_ns, SIM_EVENT_LOOK, trainer->site, trainer->run, 0, life, NULL);
        return;
    }
    for (uint32_t i = 0; i < world->params.fragment_count[trainer->run]; i++) {
        struct sim_trainer_fragment *at = &trainer->fragments[i];
        while (at->event_count > 0 && may_look(trainer, at) && !world->failed) {
            struct gx_event event = at->events[at->event_head];
            at->event_head = (at->event_head + 1) % SIM_TRAINER_EVENTS;
            at->event_count--;
            handle(world, trainer, &event);
        }
    }
}

void sim_trainer_told(struct sim_world *world, struct sim_trainer *trainer, const struct gx_event *event)
{
    static const char *const names[] = {"member", "left out", "void", "behind", "state", "refused"};
    uint32_t index = event->fragment;

    /* A refusal of a fragment that there is not. */
    if (event->type == GX_EVENT_REFUSED && index >= world->params.fragment_count[trainer->run]) {
        world->stats.refusals++;
        return;
    }
    sim_ledger_event(world, trainer, event);
    if (world->failed)
        return;
    struct sim_trainer_fragment *at = &trainer->fragments[index];
    sim_trace(world, (int)trainer->site, "%s/%u: %s, round %llu, cohort %x%s%s", sim_run_name(trainer->run), index,
              names[event->type], (unsigned long long)event->round, event->cohort,
              event->type == GX_EVENT_REFUSED ? ": " : "",
              event->type == GX_EVENT_REFUSED ? gx_reason_text((enum gx_reason)event->reason) : "");
    if (event->type <= GX_EVENT_VOID)
        at->result_hash = XXH3_64bits(result_of(trainer, index), place_of(trainer, index)->param_count * sizeof(float));
    if (event->type == GX_EVENT_STATE) {
        at->gxd_round = event->round;
        gx_digest_bytes(world->params.digest_kind[trainer->run], theta_of(trainer, index), state_bytes(trainer, index),
                        &at->gxd_digest);
    }
    if (at->event_count == SIM_TRAINER_EVENTS) {
        sim_fail(world, "RING", "site %u %s/%u: %u events that the trainer has not read", trainer->site,
                 sim_run_name(trainer->run), index, SIM_TRAINER_EVENTS);
        return;
    }
    at->events[(at->event_head + at->event_count++) % SIM_TRAINER_EVENTS] = *event;
    sim_schedule(world, world->now_ns + sim_below(&world->random, world->params.look_ns_max), SIM_EVENT_LOOK, trainer->site,
                 trainer->run, 0, trainer->life, NULL);
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
    sim_schedule(world, at_ns, SIM_EVENT_ATTACH, trainer->site, trainer->run, 0, trainer->life, NULL);
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
    header = header_of(trainer);
    header->magic = GX_ARENA_MAGIC;
    header->version = GX_ARENA_VERSION;
    header->fragment_count = schema.fragment_count;
    header->bytes = arena->layout.bytes;
}

static void state_load(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];
    uint64_t count = place_of(trainer, fragment)->param_count;
    float *theta = theta_of(trainer, fragment);

    if (at->saved) {
        memcpy(theta, at->saved_state, state_bytes(trainer, fragment));
    } else {
        at->saved_round = 0;
        sim_model_start(world->seed, trainer->run, fragment, world->params.same_start ? 0 : trainer->site, theta, count);
        memset(theta + count, 0, count * sizeof(*theta));
    }
    state_new(world, trainer, fragment, at->saved_round);
}

void sim_trainer_start(struct sim_world *world, struct sim_trainer *trainer, bool afresh, bool other_data)
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
        train(world, trainer, i);
    }
    sim_trace(world, (int)trainer->site, "trainer of %s starts from round %llu%s", sim_run_name(trainer->run),
              (unsigned long long)trainer->fragments[0].published, other_data ? " with other data" : "");
    attach_at(world, trainer, world->now_ns + sim_below(&world->random, 50 * SIM_MS));
}

void sim_trainer_crash(struct sim_world *world, struct sim_trainer *trainer)
{
    if (!trainer->alive)
        return;
    sim_trace(world, (int)trainer->site, "trainer of %s crashes", sim_run_name(trainer->run));
    world->stats.trainer_crashes++;
    if (trainer->bound)
        sim_schedule(world, world->now_ns + sim_below(&world->random, 10 * SIM_MS), SIM_EVENT_HANGUP, trainer->site,
                     trainer->run, 0, trainer->life, NULL);
    trainer->alive = false;
    trainer->bound = NULL;
    trainer->life++;
    rings_empty(trainer);
    sim_arena_release(trainer->arena);
    trainer->arena = NULL;
}

void sim_trainer_pause(struct sim_world *world, struct sim_trainer *trainer, uint64_t until_ns)
{
    sim_trace(world, (int)trainer->site, "trainer of %s is stopped for %llu ms", sim_run_name(trainer->run),
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
    publish(world, trainer, fragment);
    if (at->offered) {
        phase_set(world, at, SIM_OFFERED);
        offer(world, trainer, fragment);
    } else if (at->phase != SIM_TRAIN && at->phase != SIM_DONE) {
        train(world, trainer, fragment);
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
    if (!trainer->alive || life != trainer->life || trainer->bound || world->now_ns != trainer->attach_ns)
        return;
    if (world->now_ns < trainer->paused_until_ns) {
        attach_at(world, trainer, trainer->paused_until_ns);
        return;
    }
    if (applies(world, trainer) || sim_site_attach(world, trainer) != 0) {
        attach_at(world, trainer, world->now_ns + sim_between(&world->random, 20 * SIM_MS, 200 * SIM_MS));
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

void sim_trainer_read(struct sim_world *world, struct sim_trainer *trainer, const struct gx_command *command)
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
    for (uint32_t i = 0; i < world->params.fragment_count[trainer->run]; i++)
        done &= trainer->fragments[i].phase == SIM_DONE && trainer->fragments[i].event_count == 0;
    return done;
}

/* ---- a fragment's timer ---- */

static void accept_state(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct gx_command command = {.type = GX_COMMAND_ACCEPT, .fragment = fragment};

    if (!trainer->bound)
        return; /* the new gxd will say BEHIND itself */
    phase_set(world, &trainer->fragments[fragment], SIM_HANDED);
    command_push(world, trainer, &command);
    sim_trainer_look(world, trainer, trainer->life);
}

void sim_trainer_turn(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment, uint64_t life)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];

    if (!trainer->alive || life != trainer->life || world->now_ns != at->turn_ns)
        return;
    at->turn_ns = SIM_NEVER;
    if (world->now_ns < trainer->paused_until_ns) {
        turn_at(world, trainer, fragment, trainer->paused_until_ns);
        return;
    }
    switch (at->phase) {
    case SIM_TRAIN:
        contribute(world, trainer, fragment);
        break;
    case SIM_APPLY:
        apply(world, trainer, fragment);
        break;
    case SIM_BEHIND:
        accept_state(world, trainer, fragment);
        break;
    case SIM_WAIT:
        if (world->now_ns >= at->since_ns + AGAIN_NS) {
            phase_set(world, at, SIM_OFFERED);
            offer(world, trainer, fragment);
        }
        break;
    default:
        break;
    }
}
