/* gx_wan_pool: packets in flight, and gx_wan_heap: the order in which they are due.
 *
 * Memory    Mapped once at the start and touched only when used. A pool for `bound_bytes` of
 * Ethernet frames has one class of buffers per power of two, each with enough for the whole bound:
 * it cannot run out before the bound is reached, whatever the mix of sizes. Threads   one.
 */
#ifndef GX_WAN_POOL_H
#define GX_WAN_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GX_WAN_PACKET_BYTES_MAX 65536u
#define GX_WAN_POOL_CLASSES 11 /* 64 bytes to 64 KiB */

struct gx_wan_packet {
    uint64_t due_ns;
    union {
        struct gx_wan_packet *next; /* in the pool */
        uint64_t order; /* in a heap: of two that are due at once, the first pushed comes first */
    };
    uint32_t bytes;       /* of data */
    uint32_t frame_bytes; /* what the law counts */
    uint16_t from, to;    /* ports */
    uint16_t from_idx; /* of a UDP relay: socket of the site and worker that it comes from, and so
                             the one it leaves by */
    uint16_t to_idx;   /* the same: socket of those that it goes to */
    uint8_t class_idx;
    uint8_t data[];
};

struct gx_wan_pool_class {
    struct gx_wan_packet *free; /* used before; taken first, so that few pages are touched */
    uint8_t *fresh;             /* never used */
    uint8_t *end;
};

struct gx_wan_pool {
    struct gx_wan_pool_class classes[GX_WAN_POOL_CLASSES];
    void *map;
    size_t map_bytes;
    size_t packet_count; /* that fit in all */
};

/* -ENOMEM when the memory cannot be mapped. */
int gx_wan_pool_init(struct gx_wan_pool *pool, uint64_t bound_bytes);
void gx_wan_pool_fini(struct gx_wan_pool *pool);

/* A packet with room for `bytes`, its `bytes` set; NULL when the class is used up. */
struct gx_wan_packet *gx_wan_pool_take(struct gx_wan_pool *pool, uint32_t bytes);
void gx_wan_pool_give(struct gx_wan_pool *pool, struct gx_wan_packet *packet);

struct gx_wan_heap {
    struct gx_wan_packet **items;
    size_t count;
    size_t capacity;
    uint64_t order;
};

int gx_wan_heap_init(struct gx_wan_heap *heap, size_t capacity);
void gx_wan_heap_fini(struct gx_wan_heap *heap);

/* Adds a packet by its due_ns. The heap must have room: its capacity is that of the pool. */
void gx_wan_heap_push(struct gx_wan_heap *heap, struct gx_wan_packet *packet);

/* When the first packet is due; UINT64_MAX when there is none. */
uint64_t gx_wan_heap_due_ns(const struct gx_wan_heap *heap);

/* Takes the first packet out if it is due by now_ns, else NULL. */
struct gx_wan_packet *gx_wan_heap_pop(struct gx_wan_heap *heap, uint64_t now_ns);

#endif
