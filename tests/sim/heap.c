#include "sim/heap.h"

#include <stdio.h>
#include <stdlib.h>

void *sim_alloc(size_t bytes)
{
    void *at = calloc(1, bytes > 0 ? bytes : 1);
    if (!at) {
        fprintf(stderr, "gx-sim: out of memory (%zu bytes)\n", bytes);
        exit(2);
    }
    return at;
}

void *sim_grow(void *at, size_t count, size_t size)
{
    void *grown = reallocarray(at, count, size);
    if (!grown) {
        fprintf(stderr, "gx-sim: out of memory (%zu * %zu bytes)\n", count, size);
        exit(2);
    }
    return grown;
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

void sim_heap_push(struct sim_heap *heap, const struct sim_event *event)
{
    if (heap->count == heap->room) {
        heap->room = heap->room ? heap->room * 2 : 256;
        heap->events = sim_grow(heap->events, heap->room, sizeof(*heap->events));
    }
    struct sim_event new = *event;
    new.order = heap->order++;
    size_t at = heap->count++;
    while (at > 0 && before(&new, &heap->events[(at - 1) / 2])) {
        heap->events[at] = heap->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->events[at] = new;
}

bool sim_heap_pop(struct sim_heap *heap, struct sim_event *event)
{
    if (heap->count == 0)
        return false;
    *event = heap->events[0];
    struct sim_event last = heap->events[--heap->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before(&heap->events[child + 1], &heap->events[child]))
            child++;
        if (!before(&heap->events[child], &last))
            break;
        heap->events[at] = heap->events[child];
        at = child;
    }
    heap->events[at] = last;
    return true;
}

void sim_heap_fini(struct sim_heap *heap)
{
    free(heap->events);
}
