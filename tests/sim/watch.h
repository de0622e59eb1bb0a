/* sim_watch: reads what passes on the wire, without help from the sender.
 *
 * I8        no row of a block twice on a transfer before all 256 were sent.
 * I1        a STATUS carries durable records only.
 * NONCE     with a key, no packet number comes twice in a session, and no two sessions of a pair share their keystream: a
 *           state message's first bytes hardly differ, so under the same key and number the ciphertext would be the same.
 * R2        an offer that a STATUS shows as recorded stands while its round is open. */
#ifndef SIM_WATCH_H
#define SIM_WATCH_H

#include "sim/world.h"

struct sim_watch;

struct sim_shard {
    uint32_t transfer, block;
    uint8_t index, k;
    bool lie; /* of a helper that serves other bytes than it holds */
};

struct sim_watch *sim_watch_create(void);
void sim_watch_destroy(struct sim_watch *watch);
void sim_watch_restarted(struct sim_watch *watch, uint32_t site);
/* True when the packet is a shard. */
bool sim_watch_packet(struct sim_world *world, struct sim_watch *watch, uint32_t from, uint32_t to,
                      const struct sim_content *content, struct sim_shard *shard);

#endif
