/* gx_source: bytes at this site that transfers send from: an offered contribution in a trainer's arena, a held one in
 * staging, or a pinned state.
 *
 * Memory    not owned. It must stay in place while a transfer that names it is open or gx_source_busy(): some port still
 *           points into it. `tail` holds the padded copy of the short last shard, from which parity is coded.
 */
#ifndef GX_TRANSFER_SOURCE_H
#define GX_TRANSFER_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#define GX_SHARD_MAX_BYTES 8960

struct gx_source {
    const uint8_t *bytes;
    uint64_t byte_count;
    uint32_t packets; /* handed to the port and not yet released */
    uint32_t sends;   /* transfers open on it */
    uint32_t
        away;    /* parts of transfers with other workers, until their packets are released, too */
    bool closed; /* nothing is sent from it yet: transfers are opened, and learn what is lacking */
    uint8_t *tail; /* [shard bytes], filled by gx_source_init() */
};

/* `tail` has shard_bytes bytes and lives as long as the source. */
void gx_source_init(struct gx_source *source, const uint8_t *bytes, uint64_t byte_count,
                    uint32_t shard_bytes, uint8_t *tail);
/* From here on it is sent from; its bytes need not have been all there before. */
void gx_source_open(struct gx_source *source, uint32_t shard_bytes);

static inline bool gx_source_busy(const struct gx_source *source)
{
    return source->packets > 0 || source->away > 0;
}

#endif
