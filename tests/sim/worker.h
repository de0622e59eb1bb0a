/* sim_worker: one worker of a gxd: its port and its pass of the loop. Workers of a site step at times of their own, so
 * that the seed interleaves them; a pass is never cut apart. */
#ifndef SIM_WORKER_H
#define SIM_WORKER_H

#include "sim/world.h"

/* Runs its pass at `at_ns` at the latest. */
void sim_worker_wake(struct sim_world *world, struct sim_worker *worker, uint64_t at_ns);
void sim_worker_arrive(struct sim_world *world, struct sim_frame *frame);
/* The port sends its first packet. */
void sim_worker_port(struct sim_world *world, struct sim_worker *worker, uint64_t life);

/* The pass of a worker but the first, and the parts of which worker 0's consists, too. */
void sim_worker_step(struct sim_world *world, struct sim_worker *worker);
void sim_worker_spins(struct sim_world *world, struct sim_worker *worker);
void sim_worker_receive(struct sim_world *world, struct sim_worker *worker);
void sim_worker_release(struct sim_worker *worker);
bool sim_worker_transmit(struct sim_world *world, struct sim_worker *worker);
void sim_worker_news(struct sim_world *world, struct sim_worker *worker);
void sim_worker_sleep(struct sim_world *world, struct sim_worker *worker, bool more);

/* The process has ended. */
void sim_worker_clear(struct sim_worker *worker);

#endif
