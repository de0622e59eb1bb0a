/* sim_idle: for how long what leads to a site carried nothing although something could have been sent.
 *
 * The last shard that a receiver needs has left the link one delay before the contribution is held. Until then there is by
 * definition something that is neither held nor on its way; so from the offer on, any idle time is wasted. What is left of that
 * time are needed shards, losses, redundant shards, feedback and control.
 *
 * Units  ns of the world's clock; bytes of Ethernet frames without FCS.
 */
#ifndef SIM_IDLE_H
#define SIM_IDLE_H

#include <stddef.h>
#include <stdint.h>

struct sim_idle_frame {
    uint64_t left_ns;
    uint32_t bytes;
};

struct sim_idle {
    struct sim_idle_frame *frames;
    size_t count, room;
};

/* Ends the program when memory is short. */
void sim_idle_add(struct sim_idle *idle, uint64_t left_ns, uint32_t bytes);

/* The share of the time between that frames which were serialised at rate_bps left unused, 0 where several links together carried
 * more than that; NAN of no time. */
double sim_idle_share(const struct sim_idle *idle, uint64_t from_ns, uint64_t to_ns,
                      uint64_t rate_bps);

/* Drops the frames that had left by then. */
void sim_idle_forget(struct sim_idle *idle, uint64_t until_ns);
void sim_idle_fini(struct sim_idle *idle);

#endif
