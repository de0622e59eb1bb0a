/* sim_site: one gxd process around a gx_core: its loop, its port, its start and its end. */
#ifndef SIM_SITE_H
#define SIM_SITE_H

#include "sim/world.h"

/* Draws what a site is configured with. */
void sim_site_init(struct sim_world *world, uint32_t index);
void sim_site_fini(struct sim_world *world, struct sim_site *site);

void sim_site_start(struct sim_world *world, struct sim_site *site);
/* kill -9, or with `machine` a power cut that takes unsynced writes along. */
void sim_site_crash(struct sim_world *world, struct sim_site *site, bool machine);
void sim_site_pause(struct sim_world *world, struct sim_site *site);
void sim_site_resume(struct sim_world *world, struct sim_site *site);
/* SIGTERM: leaves, then ends. */
void sim_site_leave(struct sim_world *world, struct sim_site *site);

/* Runs the loop of worker 0 at `at_ns` at the latest; those of all workers now. */
void sim_site_wake(struct sim_world *world, struct sim_site *site, uint64_t at_ns);
void sim_site_wake_all(struct sim_world *world, struct sim_site *site);
void sim_site_step(struct sim_world *world, struct sim_site *site);

/* 0; -EPIPE: gxd is down; -EBUSY: come again. On success the trainer is bound. */
int sim_site_attach(struct sim_world *world, struct sim_trainer *trainer);
/* The trainer that registered this run hangs up. */
void sim_site_hangup(struct sim_world *world, struct sim_site *site, uint32_t run,
                     uint64_t trainer_life);

void sim_arena_release(struct sim_arena *arena);

#endif
