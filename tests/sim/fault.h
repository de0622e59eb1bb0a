/* sim_fault: what breaks, when, and when it heals: all drawn at the start from the seed. Every fault ends at
 * faults_end_ns at the latest; after that the world owes an agreement (I7). */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include "sim/world.h"

void sim_faults_draw(struct sim_world *world);
void sim_faults_fini(struct sim_world *world);
/* A fault begins, or ends. */
void sim_fault_strike(struct sim_world *world, struct sim_fault *fault);
/* Something happened at a site that a trap may wait for: a crash hits in the middle of it. */
enum sim_trap {
    SIM_TRAP_JOURNAL,
    SIM_TRAP_OFFER,
    SIM_TRAP_COMPLETE,
    SIM_TRAP_BEHIND,
    SIM_TRAP_STATE,
    SIM_TRAP_COUNT
};
void sim_fault_trap(struct sim_world *world, uint32_t site, enum sim_trap trap);
/* All faults over: everyone is brought back. */
void sim_faults_end(struct sim_world *world);

#endif
