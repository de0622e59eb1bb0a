/* What trainer.c (the rounds) and process.c (its life) share. */
#ifndef SIM_TRAINER_PART_H
#define SIM_TRAINER_PART_H

#include "sim/trainer.h"

static inline struct gx_arena_header *sim_header(const struct sim_trainer *trainer)
{
    return (struct gx_arena_header *)(void *)trainer->arena->bytes;
}

static inline const struct gx_arena_fragment *sim_place(const struct sim_trainer *trainer,
                                                        uint32_t fragment)
{
    return &trainer->arena->layout.fragments[fragment];
}

/* theta, then momentum. */
static inline float *sim_theta(const struct sim_trainer *trainer, uint32_t fragment)
{
    return (float *)(void *)(trainer->arena->bytes + sim_place(trainer, fragment)->state);
}

static inline uint64_t sim_state_bytes(const struct sim_trainer *trainer, uint32_t fragment)
{
    return 8 * sim_place(trainer, fragment)->param_count;
}

void sim_trainer_phase(struct sim_world *world, struct sim_trainer_fragment *at,
                       enum sim_trainer_phase phase);
/* The state area has become the state after `round`. */
void sim_trainer_state(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment,
                       uint64_t round);
void sim_trainer_publish(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment);
void sim_trainer_offer(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment);
/* It detaches and ends. */
void sim_trainer_end(struct sim_world *world, struct sim_trainer *trainer);
/* Local training for the next round begins. */
void sim_trainer_train(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment);

#endif
