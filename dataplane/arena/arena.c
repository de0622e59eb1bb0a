#include "arena.h"

#include <errno.h>
#include <string.h>

#define PARAMS_MAX (1ull << 48) /* a fragment's, so that no sum below can overflow */

static uint64_t align_up(uint64_t bytes)
{
    return (bytes + GX_ARENA_ALIGN - 1) & ~(uint64_t)(GX_ARENA_ALIGN - 1);
}

static uint64_t take(uint64_t *cursor, uint64_t bytes)
{
    uint64_t offset = *cursor;

    *cursor = align_up(offset + bytes);
    return offset;
}

static bool name_valid(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = name ? strnlen(name, GX_NAME_MAX) : 0;

    return length > 0 && length < GX_NAME_MAX && strspn(name, allowed) == length;
}

int gx_arena_layout(struct gx_arena_layout *layout, const struct gx_schema *schema)
{
    uint64_t cursor = 0;

    if (!name_valid(schema->run) || (unsigned)schema->format >= GX_FORMAT_COUNT ||
        (unsigned)schema->digest >= GX_DIGEST_KIND_COUNT || schema->fragment_count == 0 ||
        schema->fragment_count > GX_FRAGMENTS_MAX || !schema->param_counts)
        return -EINVAL;
    memset(layout, 0, sizeof(*layout));
    layout->fragment_count = schema->fragment_count;
    take(&cursor, sizeof(struct gx_arena_header));
    layout->commands = take(&cursor, GX_RING_ENTRIES * sizeof(struct gx_command));
    layout->events = take(&cursor, GX_RING_ENTRIES * sizeof(struct gx_event));
    for (uint32_t f = 0; f < schema->fragment_count; f++) {
        struct gx_arena_fragment *fragment = &layout->fragments[f];
        uint64_t params = schema->param_counts[f];

        if (params == 0 || params > PARAMS_MAX)
            return -EINVAL;
        fragment->param_count = params;
        fragment->wire_bytes = gx_wire_bytes(schema->format, params);
        fragment->contribution[0] = take(&cursor, fragment->wire_bytes);
        fragment->contribution[1] = take(&cursor, fragment->wire_bytes);
        fragment->result = take(&cursor, params * sizeof(float));
        fragment->state = take(&cursor, params * 2 * sizeof(float));
    }
    layout->bytes = cursor;
    return 0;
}
