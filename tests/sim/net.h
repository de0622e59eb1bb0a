/* sim_net: the network between the sites. Per site an uplink and a downlink, per directed pair a path, each a
 * gx_impair: the law of gx-wan. Above that partitions, loss on target, replayed and forged packets; and the wire's
 * watcher, which reads headers as they pass (I1: no record leaves before it is durable; I8: no shard twice). */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "sim/world.h"

struct sim_net *sim_net_create(struct sim_world *world);
void sim_net_destroy(struct sim_net *net);

/* The address of a site's worker, and of whoever is none. */
struct gx_addr sim_addr(uint32_t site, uint32_t lane);

/* A packet leaves the port of a site's worker, read at this moment. */
void sim_net_send(struct sim_world *world, uint32_t from, uint32_t lane,
                  const struct gx_packet *packet);
void sim_net_downlink(struct sim_world *world, struct sim_frame *frame);
/* Drops a reference; frees what nobody refers to. */
void sim_content_release(struct sim_content *content);
void sim_frame_free(struct sim_frame *frame);

/* A receiver took the packet (its counters say so) or not: nobody may take it twice, nor a forged one. */
void sim_net_judge(struct sim_world *world, struct sim_worker *worker, struct sim_frame *frame,
                   bool taken);

/* Partition: from → to is cut while the count is above 0. */
void sim_net_cut(struct sim_world *world, uint32_t from, uint32_t to, int change);
/* From here on larger IP packets vanish between from and to; 0: none. */
void sim_net_mtu(struct sim_world *world, uint32_t from, uint32_t to, uint32_t mtu);
/* Loss on target: shard `shard` of block `block` of the next transfer from → to, and the next n repairs of it. */
void sim_net_target(struct sim_world *world, uint32_t from, uint32_t to, uint32_t block,
                    uint32_t shard, uint32_t repairs);
void sim_net_heal(struct sim_world *world);
/* Now and then a recorded packet again, or bytes that nobody sent. */
void sim_net_harass(struct sim_world *world);
/* The site's gxd starts anew: transfers begin anew, too. */
void sim_net_restarted(struct sim_world *world, uint32_t site);

#endif
