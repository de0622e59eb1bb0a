#include "transfer/source.h"

#include <string.h>

void gx_source_init(struct gx_source *source, const uint8_t *bytes, uint64_t byte_count,
                    uint32_t shard_bytes, uint8_t *tail)
{
    uint64_t tail_bytes = byte_count == 0 ? 0 : (byte_count - 1) % shard_bytes + 1;

    source->bytes = bytes;
    source->byte_count = byte_count;
    source->packets = 0;
    source->sends = 0;
    source->away = 0;
    source->tail = tail;
    memcpy(tail, bytes + byte_count - tail_bytes, tail_bytes);
    memset(tail + tail_bytes, 0, shard_bytes - tail_bytes);
}
