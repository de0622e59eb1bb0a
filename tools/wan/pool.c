#include "wan/pool.h"

#include "wan/options.h"

#include <errno.h>
#include <sys/mman.h>

#define CLASS_BYTES_MIN 64u
#define FRAME_BYTES_MIN GX_WAN_ETHERNET_BYTES

static void *map_memory(size_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return map == MAP_FAILED ? NULL : map;
}

static uint32_t class_bytes(int class_idx)
{
    return CLASS_BYTES_MIN << class_idx;
}

static size_t slot_bytes(int class_idx)
{
    return (sizeof(struct gx_wan_packet) + class_bytes(class_idx) + 15) & ~(size_t)15;
}

/* As many as there can be of the smallest frames that fall into this class. */
static size_t class_count(int class_idx, uint64_t bound_bytes)
{
    uint32_t smallest_bytes = class_idx > 0 ? class_bytes(class_idx - 1) + 1 : FRAME_BYTES_MIN;

    return bound_bytes / smallest_bytes + 1;
}

int gx_wan_pool_init(struct gx_wan_pool *pool, uint64_t bound_bytes)
{
    *pool = (struct gx_wan_pool){0};
    for (int i = 0; i < GX_WAN_POOL_CLASSES; i++) {
        pool->packet_count += class_count(i, bound_bytes);
        pool->map_bytes += class_count(i, bound_bytes) * slot_bytes(i);
    }
    pool->map = map_memory(pool->map_bytes);
    if (!pool->map)
        return -ENOMEM;
    uint8_t *next = pool->map;
    for (int i = 0; i < GX_WAN_POOL_CLASSES; i++) {
        pool->classes[i].fresh = next;
        next += class_count(i, bound_bytes) * slot_bytes(i);
        pool->classes[i].end = next;
    }
    return 0;
}

void gx_wan_pool_fini(struct gx_wan_pool *pool)
{
    if (pool->map)
        munmap(pool->map, pool->map_bytes);
    *pool = (struct gx_wan_pool){0};
}

struct gx_wan_packet *gx_wan_pool_take(struct gx_wan_pool *pool, uint32_t bytes)
{
    int class_idx = 0;

    while (class_idx < GX_WAN_POOL_CLASSES && class_bytes(class_idx) < bytes)
        class_idx++;
    if (class_idx == GX_WAN_POOL_CLASSES)
        return NULL;
    struct gx_wan_pool_class *class = &pool->classes[class_idx];
    struct gx_wan_packet *packet = class->free;
    if (packet) {
        class->free = packet->next;
    } else {
        if (class->fresh == class->end)
            return NULL;
        packet = (struct gx_wan_packet *)(void *)class->fresh;
        class->fresh += slot_bytes(class_idx);
    }
    packet->class_idx = (uint8_t)class_idx;
    packet->bytes = bytes;
    return packet;
}

void gx_wan_pool_give(struct gx_wan_pool *pool, struct gx_wan_packet *packet)
{
    struct gx_wan_pool_class *class = &pool->classes[packet->class_idx];

    packet->next = class->free;
    class->free = packet;
}

int gx_wan_heap_init(struct gx_wan_heap *heap, size_t capacity)
{
    *heap = (struct gx_wan_heap){.capacity = capacity};
    heap->items = map_memory(capacity * sizeof(*heap->items));
    return heap->items ? 0 : -ENOMEM;
}

void gx_wan_heap_fini(struct gx_wan_heap *heap)
{
    if (heap->items)
        munmap(heap->items, heap->capacity * sizeof(*heap->items));
    *heap = (struct gx_wan_heap){0};
}

static bool before(const struct gx_wan_packet *a, const struct gx_wan_packet *b)
{
    return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->order < b->order);
}

void gx_wan_heap_push(struct gx_wan_heap *heap, struct gx_wan_packet *packet)
{
    size_t at = heap->count++;

    packet->order = heap->order++;
    while (at > 0 && before(packet, heap->items[(at - 1) / 2])) {
        heap->items[at] = heap->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->items[at] = packet;
}

uint64_t gx_wan_heap_due_ns(const struct gx_wan_heap *heap)
{
    return heap->count > 0 ? heap->items[0]->due_ns : UINT64_MAX;
}

struct gx_wan_packet *gx_wan_heap_pop(struct gx_wan_heap *heap, uint64_t now_ns)
{
    if (gx_wan_heap_due_ns(heap) > now_ns || heap->count == 0)
        return NULL;
    struct gx_wan_packet *first = heap->items[0];
    struct gx_wan_packet *last = heap->items[--heap->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before(heap->items[child + 1], heap->items[child]))
            child++;
        if (!before(heap->items[child], last))
            break;
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = last;
    return first;
}
