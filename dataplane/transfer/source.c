#include "transfer/source.h"

#include <string.h>

void gx_source_init(struct gx_source *source, const uint8_t *bytes, uint64_t byte_count,
                    uint32_t shard_bytes, uint8_t *tail)
{
    source->bytes = bytes;
    source->byte_count = byte_count;
    source->packets = 0;
    source->sends = 0;
    source->away = 0;
    source->tail = tail;
    gx_source_open(source, shard_bytes);
}

void gx_source_open(struct gx_source *source, uint32_t shard_bytes)
{
    uint64_t tail_bytes = source->byte_count == 0 ? 0 : (source->byte_count - 1) % shard_bytes + 1;

    source->closed = false;
    memcpy(source->tail, source->bytes + source->byte_count - tail_bytes, tail_bytes);
    memset(source->tail + tail_bytes, 0, shard_bytes - tail_bytes);
}
