/* sim_trainer: a trainer beside each gxd, one per run. It behaves as gx.h asks of it: publishes, trains for a while,
 * offers, waits, applies. Its contribution follows from its site, the round and every byte of its state, so a trainer on
 * a wrong base gives itself away. It outlives its gxd and hands it the same arena again; gxd outlives it, and a new
 * trainer comes from a checkpoint, or from nothing, with the same or with other data. */
#ifndef SIM_TRAINER_H
#define SIM_TRAINER_H

#include "sim/world.h"

void sim_trainer_init(struct sim_world *world, uint32_t site, uint32_t run);
void sim_trainer_fini(struct sim_trainer *trainer);

void sim_trainer_schema(const struct sim_world *world, const struct sim_trainer *trainer,
                        struct gx_schema *schema);

/* A process begins: from its checkpoint, or with `afresh` from round 0; `other_data`: its contributions differ. */
void sim_trainer_start(struct sim_world *world, struct sim_trainer *trainer, bool afresh,
                       bool other_data);
void sim_trainer_crash(struct sim_world *world, struct sim_trainer *trainer);
void sim_trainer_pause(struct sim_world *world, struct sim_trainer *trainer, uint64_t until_ns);

/* Its timers. */
void sim_trainer_attach(struct sim_world *world, struct sim_trainer *trainer, uint64_t life);
void sim_trainer_turn(struct sim_world *world, struct sim_trainer *trainer, uint32_t fragment,
                      uint64_t life);
void sim_trainer_look(struct sim_world *world, struct sim_trainer *trainer, uint64_t life);

/* gxd's side: the connection broke; the next command; it was read; an event for it. */
void sim_trainer_pipe(struct sim_world *world, struct sim_trainer *trainer);
bool sim_trainer_command(struct sim_trainer *trainer, struct gx_command *command);
void sim_trainer_read(struct sim_world *world, struct sim_trainer *trainer,
                      const struct gx_command *command);
void sim_trainer_told(struct sim_world *world, struct sim_trainer *trainer,
                      const struct gx_event *event);

/* Done, and nothing in flight; or ended. */
bool sim_trainer_done(const struct sim_world *world, const struct sim_trainer *trainer);

#endif
