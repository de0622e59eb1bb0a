#include "arena/map.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "arena/guard.h"

#define HUGE_PAGE_BYTES (2ull << 20) /* an arena on huge pages is rounded up to one */

static int refuse(char *text, int error, const char *what)
{
    snprintf(text, GX_MAP_TEXT_MAX, "%s", what);
    return error;
}

int gx_map_schema(struct gx_schema *schema, const struct gx_attach_request *request, char *text)
{
    struct gx_arena_layout layout;

    *schema = (struct gx_schema){
        .run = request->run,
        .format = (enum gx_format)request->format,
        .digest = (enum gx_digest_kind)request->digest_kind,
        .fragment_count = request->fragment_count,
        .param_counts = request->param_counts,
    };
    if (gx_arena_layout(&layout, schema))
        return refuse(
            text, -EINVAL,
            "the schema is impossible: a run's name has 1 to 31 of A-Z a-z 0-9 . _ -, "
            "1 to 64 fragments with at least one parameter each, a known format and digest");
    return 0;
}

int64_t gx_map_check(const struct gx_schema *schema, const struct gx_attach_request *request,
                     int fd, char *text)
{
    struct gx_arena_layout layout;
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    uint64_t bytes;

    gx_arena_layout(&layout, schema);
    if (seals < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode))
        return refuse(text, -EINVAL, "the arena is no memfd");
    if ((seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
        return refuse(
            text, -EINVAL,
            "the arena is not sealed against shrinking and growing (F_SEAL_SHRINK, F_SEAL_GROW)");
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR)
        return refuse(text, -EINVAL, "the arena's descriptor is not open for reading and writing");
    bytes = (uint64_t)status.st_size;
    if (bytes != request->arena_bytes || bytes < layout.bytes ||
        bytes - layout.bytes >= HUGE_PAGE_BYTES) {
        snprintf(text, GX_MAP_TEXT_MAX,
                 "the arena has %" PRIu64 " bytes, the request says %" PRIu64
                 ", the schema needs %" PRIu64,
                 bytes, request->arena_bytes, layout.bytes);
        return -EINVAL;
    }
    return (int64_t)bytes;
}

static int header_check(const struct gx_map *map, char *text)
{
    const struct gx_arena_header *header = (const void *)map->base;

    /* Acquire: the version is written last. */
    if (__atomic_load_n(&header->version, __ATOMIC_ACQUIRE) != GX_ARENA_VERSION ||
        header->magic != GX_ARENA_MAGIC) {
        snprintf(
            text, GX_MAP_TEXT_MAX,
            "the arena has version %u, this gxd speaks %u: build trainer and gxd from one release",
            header->version, GX_ARENA_VERSION);
        return -EPROTO;
    }
    if (header->fragment_count != map->layout.fragment_count || header->bytes != map->layout.bytes)
        return refuse(text, -EINVAL, "the arena's header does not fit the schema");
    return 0;
}

int gx_map_open(struct gx_map *map, const struct gx_schema *schema, int fd, uint64_t bytes,
                char *text)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int ret;

    memset(map, 0, sizeof(*map));
    if (base == MAP_FAILED) {
        ret = -errno;
        snprintf(text, GX_MAP_TEXT_MAX, "cannot map the arena: %s", strerror(-ret));
        return ret;
    }
    map->base = base;
    map->bytes = bytes;
    gx_arena_layout(&map->layout, schema);
    map->guard = gx_guard_add(base, bytes);
    if (map->guard < 0) {
        ret = map->guard;
        munmap(base, bytes);
        map->base = NULL;
        return refuse(text, ret, "gxd serves as many arenas as it can");
    }
    ret = header_check(map, text);
    if (ret)
        gx_map_close(map);
    return ret;
}

int gx_map_populate(struct gx_map *map)
{
    uint64_t left = map->bytes - map->populated;
    uint64_t slice = left < GX_MAP_SLICE_BYTES ? left : GX_MAP_SLICE_BYTES;

    if (!left)
        return 0;
    if (madvise(map->base + map->populated, slice, MADV_POPULATE_WRITE)) {
        /* Linux before 5.14 has no such advice: pages then come with their first touch. */
        if (errno != EINVAL)
            return -errno;
    }
    map->populated += slice;
    return map->populated < map->bytes;
}

void gx_map_close(struct gx_map *map)
{
    if (!map->base)
        return;
    gx_guard_remove(map->guard);
    munmap(map->base, map->bytes);
    map->base = NULL;
}
