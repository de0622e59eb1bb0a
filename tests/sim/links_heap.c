/* Packets on the way, by time of arrival. */
#include <stdlib.h>

#include "links_world.h"

static bool before(const struct on_wire *a, const struct on_wire *b)
{
    return a->deliver_ns != b->deliver_ns ? a->deliver_ns < b->deliver_ns
                                          : a->sequence < b->sequence;
}

void links_heap_push(struct world *world, struct on_wire item)
{
    uint32_t i = world->heap_count++;

    if (world->heap_count > world->heap_max) {
        world->heap_max = world->heap_max * 2 + 64;
        world->heap = links_must(realloc(world->heap, world->heap_max * sizeof *world->heap));
    }
    item.sequence = world->sequence++;
    for (; i > 0 && before(&item, &world->heap[(i - 1) / 2]); i = (i - 1) / 2)
        world->heap[i] = world->heap[(i - 1) / 2];
    world->heap[i] = item;
}

struct on_wire links_heap_pop(struct world *world)
{
    struct on_wire top = world->heap[0];
    struct on_wire last = world->heap[--world->heap_count];
    uint32_t i = 0;

    for (;;) {
        uint32_t child = 2 * i + 1;

        if (child >= world->heap_count)
            break;
        if (child + 1 < world->heap_count && before(&world->heap[child + 1], &world->heap[child]))
            child++;
        if (!before(&world->heap[child], &last))
            break;
        world->heap[i] = world->heap[child];
        i = child;
    }
    world->heap[i] = last;
    return top;
}
