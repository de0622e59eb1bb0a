/* sim_heap: what is going to happen, earliest first; events of one time in the order of their scheduling. */
#ifndef SIM_HEAP_H
#define SIM_HEAP_H

#include "sim/world.h"

void sim_heap_push(struct sim_heap *heap, const struct sim_event *event);
bool sim_heap_pop(struct sim_heap *heap, struct sim_event *event);
void sim_heap_fini(struct sim_heap *heap);

/* calloc, realloc and reallocarray that end the program when memory is short. */
void *sim_alloc(size_t bytes);
void *sim_grow(void *at, size_t count, size_t size);

#endif
