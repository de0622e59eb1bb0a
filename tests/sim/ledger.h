/* sim_ledger: what is true in the world, kept apart from what any gxd believes: every contribution that a trainer
 * offered, every state that a trainer had, every record that is durable, and the mean that follows from it.
 * reference.c computes that mean and shares no code with gxd's reduction. */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "sim/world.h"
#include "wire/state.h"

struct sim_ledger *sim_ledger_create(void);
void sim_ledger_destroy(struct sim_ledger *ledger);

/* A trainer's state area holds the state after `round`. Returns its digest. */
void sim_ledger_state(struct sim_world *world, uint32_t site, uint32_t run, uint32_t fragment,
                      uint64_t round, const void *state, uint64_t bytes, struct gx_digest *digest,
                      uint64_t *hash);

/* A trainer is about to offer these bytes on the base that it published. Returns true when it offered other bytes for
 * the same round before. `bad`: a mistake, which must never get into a record. */
bool sim_ledger_offer(struct sim_world *world, uint32_t site, uint32_t run, uint32_t fragment,
                      uint64_t round, uint64_t weight, const struct gx_digest *base,
                      const void *bytes, uint64_t count, bool bad);

/* An entry of the coordinator's journal is durable: I1, I4, and the mean for I2. */
void sim_ledger_entry(struct sim_world *world, const uint8_t *bytes, size_t count);

/* A record left the coordinator in a STATUS: it must be durable, and the same. */
void sim_ledger_seen(struct sim_world *world, uint64_t run_id, uint32_t fragment,
                     const struct gx_record *record);

/* gxd hands an event to a trainer: I2, I3. */
void sim_ledger_event(struct sim_world *world, const struct sim_trainer *trainer,
                      const struct gx_event *event);

/* The newest durable round in the newest epoch, 0: none. */
uint64_t sim_ledger_decided(const struct sim_world *world, uint32_t run, uint32_t fragment);
uint32_t sim_ledger_epoch(const struct sim_world *world, uint32_t run);

const char *sim_run_name(uint32_t run);

#endif
