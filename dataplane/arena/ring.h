/* gx_ring: a bounded ring of entries between one producer and one consumer, here in two processes.
 *
 * Memory    struct gx_ring and the entries lie in the arena; libgx formats it, gxd attaches, and attaches again after a
 *           restart. A gx_ring_end is one side's private view.
 * Threads   head is written by the producer only, tail by the consumer only.
 * Trust     the other side may be broken or hostile: an end keeps its own position to itself, and the position it
 *           reads from the other side is checked: -EBADMSG when it is impossible, and for ever after.
 */
#ifndef GX_ARENA_RING_H
#define GX_ARENA_RING_H

#include <stdint.h>

#include "arena.h"

struct gx_ring_end {
    struct gx_ring *ring;
    uint8_t *entries;
    uint32_t entry_bytes;
    uint64_t position; /* own: head of a producer, tail of a consumer */
};

/* Takes up a side where the ring stands. -EBADMSG when its positions are impossible. */
int gx_ring_produce(struct gx_ring_end *end, struct gx_ring *ring, void *entries,
                    uint32_t entry_bytes);
int gx_ring_consume(struct gx_ring_end *end, struct gx_ring *ring, void *entries,
                    uint32_t entry_bytes);

/* Producer: entries that fit, or -EBADMSG. */
int gx_ring_room(const struct gx_ring_end *end);
/* 0, -ENOSPC when full, or -EBADMSG. Copies `entry`. */
int gx_ring_push(struct gx_ring_end *end, const void *entry);

/* 1 with a copy in `entry`, 0 when empty, or -EBADMSG. */
int gx_ring_pop(struct gx_ring_end *end, void *entry);

#endif
