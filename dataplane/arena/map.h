/* gx_map: gxd's mapping of a trainer's arena, checked.
 *
 * Trust     the descriptor and everything in the request may be wrong. Only what is sealed against shrinking, and has
 *           the size that the schema gives, is mapped; SIGBUS in it is guarded (guard.h).
 * Threads   main.
 */
#ifndef GX_ARENA_MAP_H
#define GX_ARENA_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"

#define GX_MAP_TEXT_MAX 256
#define GX_MAP_SLICE_BYTES (32ull << 20)

struct gx_map {
    uint8_t *base; /* NULL: not mapped */
    uint64_t bytes;
    uint64_t populated;
    int guard;
    struct gx_arena_layout layout;
};

/* Fills `schema` from a request; its pointers stand into the request. -EINVAL with a text when it is no schema. */
int gx_map_schema(struct gx_schema *schema, const struct gx_attach_request *request, char *text);

/* Bytes that the descriptor holds, after checking type, seals and size against the schema; or -errno with a text. */
int64_t gx_map_check(const struct gx_schema *schema, const struct gx_attach_request *request,
                     int fd, char *text);

/* Maps and guards it and checks the header. 0 or -errno with a text. */
int gx_map_open(struct gx_map *map, const struct gx_schema *schema, int fd, uint64_t bytes,
                char *text);
/* Makes the next slice present, so that the worker never waits for a page. 1: more to do, 0: all there, -errno. */
int gx_map_populate(struct gx_map *map);
void gx_map_close(struct gx_map *map);

#endif
