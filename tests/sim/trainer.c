#include "sim/trainer_part.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h> /* XXH3_64bits */

#include "sim/heap.h"
#include "sim/ledger.h"
#include "sim/model.h"
#include "sim/site.h"
#include "transfer/digest.h" /* gx_digest_bytes */

#define SCENE_TRAIN_NS (500 * SIM_MS)
#define AGAIN_NS (2 * SIM_S) /* a refused trainer that hears nothing offers again */

static const float *result_of(const struct sim_trainer *trainer, uint32_t fragment)
{
    return (const float *)(const void *)(trainer->arena->bytes +
                                         sim_place(trainer, fragment)->result);
}

/* Sets the fragment's timer; an earlier setting is void. */
static void turn_at(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment,
                    uint64_t at_ns)
{
    trainer->fragments[fragment].turn_ns = at_ns;
    sim_schedule(world, at_ns, SIM_EVENT_TRAINER, trainer->site, trainer->run, fragment,
                 trainer->life, NULL);
}

void sim_trainer_phase(struct sim_world *world, struct sim_trainer_fragment *at,
                       enum sim_trainer_phase phase)
{
    at->phase = phase;
    at->since_ns = world->now_ns;
}

/* ---- what it writes ---- */

static void command_push(struct sim_world *world, struct sim_trainer *trainer,
                         const struct gx_command *command)
{
    if (!trainer->bound)
        return; /* -EPIPE: repeated after the re-attach */
    if (trainer->command_count == SIM_TRAINER_COMMANDS) {
        sim_fail(world, "RING", "site %u does not read its trainer's commands", trainer->site);
        return;
    }
    struct gx_command *at =
        &trainer
             ->commands[(trainer->command_head + trainer->command_count++) % SIM_TRAINER_COMMANDS];
    *at = *command;
    at->time_ns = sim_clock(world, &world->sites[trainer->site]);
    if (world->sites[trainer->site].up && !world->sites[trainer->site].paused)
        sim_site_wake(world, &world->sites[trainer->site],
                      world->now_ns + sim_below(&world->random, 50000));
}

void sim_trainer_publish(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct gx_command command = {.type = GX_COMMAND_PUBLISH,
                                 .fragment = fragment,
                                 .round = trainer->fragments[fragment].published};
    command_push(world, trainer, &command);
}

/* As libgx does for a trainer that calls gx_contribute(). */
static void claim(const struct sim_world *world, const struct sim_trainer *trainer,
                  struct gx_command *command)
{
    struct gx_digest digest;

    if (world->params.digest_kind[trainer->run] != GX_XXH3)
        return;
    gx_digest_bytes(GX_XXH3, trainer->arena->bytes + command->offset, command->bytes, &digest);
    memcpy(command->claim, digest.b, sizeof(command->claim));
}

void sim_trainer_offer(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    const struct gx_arena_fragment *place = sim_place(trainer, fragment);
    uint64_t round = trainer->fragments[fragment].published + 1;
    struct gx_command command = {
        .type = GX_COMMAND_OFFER,
        .fragment = fragment,
        .round = round,
        .weight = trainer->fragments[fragment].weight,
        .offset = place->contribution[round & 1],
        .bytes = place->wire_bytes,
    };
    if (round % 4 != 3)
        claim(world, trainer, &command);
    command_push(world, trainer, &command);
}

void sim_trainer_state(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment,
                       uint64_t round)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];

    at->published = round;
    at->offered = at->bad_sent = at->half = false;
    sim_ledger_state(world, trainer->site, trainer->run, fragment, round,
                     sim_theta(trainer, fragment), sim_state_bytes(trainer, fragment), &at->digest,
                     &at->state_hash);
    if (sim_chance(&world->random, 0.4) || round == 0) {
        at->saved_state = sim_grow(at->saved_state, sim_state_bytes(trainer, fragment), 1);
        memcpy(at->saved_state, sim_theta(trainer, fragment), sim_state_bytes(trainer, fragment));
        at->saved_round = round;
        at->saved = true;
    }
}

/* ---- local training and the offer ---- */

/* All at once, a little after the last one has come so far. */
static void scene_train(struct sim_world *world, uint64_t round)
{
    for (uint32_t i = 0; i < world->params.site_count; i++) {
        const struct sim_trainer *trainer = &world->sites[i].trainers[0];
        if (!trainer->alive || !trainer->bound || trainer->fragments[0].published != round ||
            trainer->fragments[0].phase != SIM_TRAIN)
            return;
    }
    for (uint32_t i = 0; i < world->params.site_count; i++)
        turn_at(world, &world->sites[i].trainers[0], 0, world->now_ns + SCENE_TRAIN_NS);
}

void sim_trainer_train(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];
    uint64_t last_ns = trainer->train_ns;

    if (world->target[trainer->run][fragment] <= at->published) {
        sim_trainer_phase(world, at, SIM_DONE);
        sim_trainer_look(world, trainer, trainer->life);
        if (world->params.trainers_end)
            turn_at(world, trainer, fragment,
                    world->now_ns + sim_below(&world->random, 5 * SIM_MS));
        return;
    }
    sim_trainer_phase(world, at, SIM_TRAIN);
    at->blocked = false;
    if (world->scene) {
        scene_train(world, at->published);
        return;
    }
    if (!world->calm && sim_chance(&world->random, 0.02))
        last_ns += world->params.deadline_ns * 3 / 2;
    turn_at(world, trainer, fragment,
            world->now_ns + last_ns / 2 + sim_below(&world->random, last_ns));
}

/* Makes `command` one that gxd must refuse. True: the refusal names this fragment. */
static bool spoil(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment,
                  struct gx_command *command)
{
    const struct sim_trainer_fragment *at = &trainer->fragments[fragment];
    const struct gx_arena_fragment *place = sim_place(trainer, fragment);
    uint8_t *wire = trainer->arena->bytes + command->offset;

    switch (sim_below(&world->random, 9)) {
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
    case 7: /* a claim that the bytes refute, here and at the peers */
        if (world->params.digest_kind[trainer->run] != GX_XXH3) {
            command->weight = 0;
            return true;
        }
        sim_model_contribution(world->seed ^ command->round, at->state_hash,
                               world->params.format[trainer->run], wire, place->param_count);
        memset(command->claim, 1 + (int)sim_below(&world->random, 255), sizeof(command->claim));
        sim_ledger_offer(world, trainer->site, trainer->run, fragment, command->round,
                         command->weight, &at->digest, wire, place->wire_bytes, true);
        return true;
    default:
        if (world->params.format[trainer->run] != GX_FP32) {
            command->weight = 0;
            return true;
        }
        sim_model_contribution(world->seed ^ command->round, at->state_hash, GX_FP32, wire,
                               place->param_count);
        sim_model_spoil(wire, place->param_count, sim_next(&world->random));
        sim_ledger_offer(world, trainer->site, trainer->run, fragment, command->round,
                         command->weight, &at->digest, wire, place->wire_bytes, true);
        return true;
    }
}

static void mistake(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];
    const struct gx_arena_fragment *place = sim_place(trainer, fragment);
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
        sim_trainer_phase(world, at, SIM_MISTAKE);
        sim_trainer_look(world, trainer, trainer->life);
    } else {
        turn_at(world, trainer, fragment, world->now_ns + SIM_MS);
    }
    command_push(world, trainer, &command);
}

static void contribute(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];
    const struct gx_arena_fragment *place = sim_place(trainer, fragment);
    uint64_t round = at->published + 1;
    uint8_t *wire = trainer->arena->bytes + place->contribution[round & 1];
    uint64_t key = sim_mix(world->seed ^ trainer->salt << 50 ^ (uint64_t)trainer->site << 40 ^
                           (uint64_t)trainer->run << 36 ^ (uint64_t)fragment << 32 ^ round);

    at->blocked = sim_header(trainer)->contribution_busy[fragment][round & 1] != 0;
    if (at->blocked) {
        turn_at(world, trainer, fragment, world->now_ns + SIM_MS);
        sim_trainer_look(world, trainer, trainer->life);
        return;
    }
    if (!at->bad_sent && trainer->bound && sim_chance(&world->random, world->params.bad_command)) {
        mistake(world, trainer, fragment);
        return;
    }
    sim_model_contribution(key, at->state_hash, world->params.format[trainer->run], wire,
                           place->param_count);
    at->weight = key % 20 == 0 ? GX_WEIGHT_MAX : 1 + key % 5000;
    if (sim_ledger_offer(world, trainer->site, trainer->run, fragment, round, at->weight,
                         &at->digest, wire, place->wire_bytes, false))
        world->stats.other_bytes++;
    at->offered = true;
    sim_trainer_phase(world, at, SIM_OFFERED);
    sim_trainer_offer(world, trainer, fragment);
    sim_trainer_look(world, trainer, trainer->life);
    if (world->scene)
        world->scene->on_offer(world->scene->ctx, trainer->site, round, world->now_ns);
}

/* ---- applying a result ---- */

/* In two halves with time between them, so that a copy of the state which ignores the sequence lock shows. */
static void apply(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct sim_trainer_fragment *at = &trainer->fragments[fragment];
    uint64_t count = sim_place(trainer, fragment)->param_count, half = count / 2;
    uint32_t *sequence = &sim_header(trainer)->state_sequence[fragment];
    float *theta = sim_theta(trainer, fragment);
    bool is_void = at->apply.type == GX_EVENT_VOID;

    if (XXH3_64bits(result_of(trainer, fragment), count * sizeof(float)) != at->result_hash) {
        sim_fail(world, "I2",
                 "site %u %s/%u: the result of round %llu changed before it was applied",
                 trainer->site, sim_run_name(trainer->run), fragment,
                 (unsigned long long)at->apply.round);
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
    sim_trainer_state(world, trainer, fragment, at->apply.round);
    sim_trainer_publish(world, trainer, fragment);
    sim_trainer_train(world, trainer, fragment);
}

/* ---- events ---- */

static void refused(struct sim_world *world, struct sim_trainer *trainer,
                    struct sim_trainer_fragment *at, const struct gx_event *event)
{
    world->stats.refusals++;
    if (at->phase == SIM_MISTAKE) {
        sim_trainer_phase(world, at, SIM_TRAIN);
        turn_at(world, trainer, event->fragment, world->now_ns + SIM_MS);
        return;
    }
    if (event->round != at->published + 1 || at->phase != SIM_OFFERED)
        return;
    sim_trace(world, (int)trainer->site, "trainer of %s/%u is refused for round %llu: %s",
              sim_run_name(trainer->run), event->fragment, (unsigned long long)event->round,
              gx_reason_text((enum gx_reason)event->reason));
    sim_trainer_phase(world, at, SIM_WAIT);
    turn_at(world, trainer, event->fragment, world->now_ns + AGAIN_NS);
}

static void handle(struct sim_world *world, struct sim_trainer *trainer,
                   const struct gx_event *event)
{
    struct sim_trainer_fragment *at = &trainer->fragments[event->fragment];

    switch (event->type) {
    case GX_EVENT_MEMBER:
    case GX_EVENT_LEFT_OUT:
    case GX_EVENT_VOID:
        at->apply = *event;
        at->half = false;
        sim_trainer_phase(world, at, SIM_APPLY);
        turn_at(world, trainer, event->fragment,
                world->now_ns + sim_below(&world->random, 20 * SIM_MS));
        break;
    case GX_EVENT_BEHIND:
        world->stats.behind++;
        at->offered = false;
        sim_trainer_phase(world, at, SIM_BEHIND);
        turn_at(world, trainer, event->fragment,
                world->now_ns + sim_below(&world->random, 30 * SIM_MS));
        break;
    case GX_EVENT_STATE:
        world->stats.states++;
        sim_trainer_state(world, trainer, event->fragment, event->round);
        sim_trainer_train(world, trainer, event->fragment);
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
    return at->phase != SIM_TRAIN || !trainer->looks_late || at->blocked;
}

void sim_trainer_look(struct sim_world *world, struct sim_trainer *trainer, uint64_t life)
{
    if (!trainer->alive || life != trainer->life)
        return;
    if (world->now_ns < trainer->paused_until_ns) {
        sim_schedule(world, trainer->paused_until_ns, SIM_EVENT_LOOK, trainer->site, trainer->run,
                     0, life, NULL);
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

void sim_trainer_told(struct sim_world *world, struct sim_trainer *trainer,
                      const struct gx_event *event)
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
    if (world->scene)
        world->scene->on_event(world->scene->ctx, trainer->site, event, world->now_ns);
    struct sim_trainer_fragment *at = &trainer->fragments[index];
    sim_trace(world, (int)trainer->site, "%s/%u: %s, round %llu, cohort %x%s%s",
              sim_run_name(trainer->run), index, names[event->type],
              (unsigned long long)event->round, event->cohort,
              event->type == GX_EVENT_REFUSED ? ": " : "",
              event->type == GX_EVENT_REFUSED ? gx_reason_text((enum gx_reason)event->reason) : "");
    if (event->type <= GX_EVENT_VOID)
        at->result_hash = XXH3_64bits(result_of(trainer, index),
                                      sim_place(trainer, index)->param_count * sizeof(float));
    if (event->type == GX_EVENT_STATE) {
        at->gxd_round = event->round;
        gx_digest_bytes(world->params.digest_kind[trainer->run], sim_theta(trainer, index),
                        sim_state_bytes(trainer, index), &at->gxd_digest);
    }
    if (at->event_count == SIM_TRAINER_EVENTS) {
        sim_fail(world, "RING", "site %u %s/%u: %u events that the trainer has not read",
                 trainer->site, sim_run_name(trainer->run), index, SIM_TRAINER_EVENTS);
        return;
    }
    at->events[(at->event_head + at->event_count++) % SIM_TRAINER_EVENTS] = *event;
    sim_schedule(world, world->now_ns + sim_below(&world->random, world->params.look_ns_max),
                 SIM_EVENT_LOOK, trainer->site, trainer->run, 0, trainer->life, NULL);
}

/* ---- a fragment's timer ---- */

static void accept_state(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment)
{
    struct gx_command command = {.type = GX_COMMAND_ACCEPT, .fragment = fragment};

    if (!trainer->bound)
        return; /* the new gxd will say BEHIND itself */
    sim_trainer_phase(world, &trainer->fragments[fragment], SIM_HANDED);
    command_push(world, trainer, &command);
    sim_trainer_look(world, trainer, trainer->life);
}

/* Nobody waits for a site that was never there. */
static bool met_all(const struct sim_world *world, const struct sim_trainer *trainer)
{
    uint32_t all = (1u << world->params.site_count) - 1;
    for (uint32_t i = 0; i < world->params.fragment_count[trainer->run]; i++)
        all &= trainer->fragments[i].met;
    return all == (1u << world->params.site_count) - 1;
}

void sim_trainer_turn(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment,
                      uint64_t life)
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
            sim_trainer_phase(world, at, SIM_OFFERED);
            sim_trainer_offer(world, trainer, fragment);
        }
        break;
    case SIM_DONE:
        if (!sim_trainer_done(world, trainer) || !met_all(world, trainer))
            turn_at(world, trainer, fragment, world->now_ns + SIM_MS);
        else
            sim_trainer_end(world, trainer);
        break;
    default:
        break;
    }
}
