/* sim_disk: the journal's file. write() makes an entry that a crash of the process leaves behind and a crash of the
 * machine may lose or tear; fdatasync() makes it last. */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "sim/world.h"

void sim_disk_write(struct sim_world *world, struct sim_site *site, uint64_t sequence,
                    const uint8_t *entry, size_t bytes);
/* An fsync is done: what it covers is durable. The site hears of it in its next step. */
void sim_disk_synced(struct sim_world *world, struct sim_site *site, uint64_t life);
/* gxd hears of entries that have become durable. */
void sim_disk_acknowledge(struct sim_world *world, struct sim_site *site);
/* The process dies, and with it perhaps the machine. */
void sim_disk_crash(struct sim_world *world, struct sim_site *site, bool machine);
/* A new gxd reads what is left; a torn tail is cut off. */
void sim_disk_replay(struct sim_world *world, struct sim_site *site);
bool sim_disk_pending(const struct sim_site *site);
void sim_disk_fini(struct sim_disk *disk);

#endif
