/* sim_guard: watches malloc. The core may allocate when it is created and when a run is; never per packet or round
 * (I6), and a run no more than gx_run_staging_bytes() promised. Off under a sanitizer, which has its own malloc. */
#ifndef SIM_GUARD_H
#define SIM_GUARD_H

#include "sim/world.h"

void sim_guard_begin(void);
/* Fails the seed if anything was allocated since sim_guard_begin(). */
void sim_guard_end(struct sim_world *world, uint32_t site, const char *where);

void sim_guard_count_begin(void);
/* Bytes allocated since. */
uint64_t sim_guard_count_end(void);

#endif
