/* gx_sink: one contribution or state being rebuilt in staging, by one or several transfers (its owner's, a helper's).
 * It is cut into as many parts as the transfer has lanes.
 *
 * Threads   a part is written by the worker of its lane only, the rest by worker 0 only; a part becomes known to its
 *           worker, and complete to worker 0, by a message between them. Pieces that lie in several parts are worker 0's.
 * Memory    `staging` (capacity rounded up to whole shards) and the block tables are handed in by the exchange layer,
 *           allocated once when a schema is registered. Nothing is allocated per packet.
 * Placement a data shard goes to its final place, once. A parity shard waits in the place of a data shard that is
 *           missing: while a block lacks shards there are always enough such places.
 * Digest    64 KiB pieces are hashed as blocks complete; when all parts are complete, gx_sink_finish() compares the
 *           digest with the opened one.
 */
#ifndef GX_TRANSFER_SINK_H
#define GX_TRANSFER_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gx.h"
#include "transfer/layout.h"
#include "wire/header.h"
#include "wire/open.h"

enum gx_sink_state {
    GX_SINK_FREE,
    GX_SINK_OPEN, /* some shards are missing */
    GX_SINK_HELD, /* rebuilt, digest verified */
    GX_SINK_BAD, /* rebuilt, but the digest differs from the opened one, or a value is not finite */
    GX_SINK_CLOSING, /* to be free once every worker has let go of its part */
};

struct gx_sink_block;
struct gx_sink;

/* A range of whole shards. */
struct gx_part {
    struct gx_sink *sink;
    uint64_t start; /* its first byte in the sink */
    struct gx_layout layout;
    struct gx_sink_block *blocks;
    uint32_t blocks_done;
    uint32_t blocks_below;   /* all blocks below are complete */
    uint32_t blocks_touched; /* of blocks from here on nothing has arrived */
    uint32_t shards_here;    /* rows that count, of all blocks */
    bool finite;             /* so far */
    bool complete;           /* as worker 0 knows it */
};

struct gx_sink {
    enum gx_sink_state state;
    struct gx_open open; /* as first opened */
    uint8_t *staging;
    uint64_t capacity_bytes; /* largest `open.bytes` it can take */
    struct gx_part *parts;
    uint32_t part_count;
    struct gx_sink_block *blocks;
    uint8_t *piece_hashes;
    uint16_t *piece_blocks; /* blocks still incomplete that touch a piece */
    uint32_t shard_bytes;   /* as given to gx_sink_init(), like the next three */
    uint32_t block_max;
    uint32_t piece_max;
    uint32_t part_max;
    uint64_t held_ns; /* when it became HELD */
    uint64_t
        param_count; /* of a contribution, whose values are checked piece by piece; 0: not checked */
    uint32_t pins;   /* used by the exchange layer: sources and reductions that read it */
    uint32_t feeder;             /* used by the exchange layer: the peer that opened it … */
    uint64_t feeder_incarnation; /* … and its gxd */
    uint32_t away,
        stopping; /* used by lanes: workers, a bit each, that may know a part; that are to let go of it */
};

/* Bytes of tables that a sink of this capacity in up to `part_max` parts needs beside its staging, and of staging. */
size_t gx_sink_table_bytes(uint64_t capacity_bytes, uint32_t shard_bytes, uint32_t k_max,
                           uint32_t part_max);
size_t gx_sink_staging_bytes(uint64_t capacity_bytes, uint32_t shard_bytes);
void gx_sink_init(struct gx_sink *sink, uint64_t capacity_bytes, uint32_t shard_bytes,
                  uint32_t k_max, uint32_t part_max, void *tables, uint8_t *staging);

/* FREE → OPEN for these bytes. False when they exceed the capacity or the layout is impossible. */
bool gx_sink_open(struct gx_sink *sink, const struct gx_open *open);
/* After open: have each piece checked for values that are not finite. */
void gx_sink_check(struct gx_sink *sink, uint64_t param_count);
void gx_sink_free(struct gx_sink *sink);

enum gx_sink_effect {
    GX_SINK_PLACED,
    GX_SINK_DUPLICATE, /* it is there already, or its block is complete */
    GX_SINK_MALFORMED, /* block, row, k or length does not fit the layout */
};

/* Where the shard that this header names would lie, for whoever is about to decrypt it, no matter whether it turns out to
 * be authentic: the place holds nothing before gx_part_place() has been told of it. NULL: its place is in use, or there is
 * none. */
uint8_t *gx_part_room(const struct gx_part *part, const struct gx_header *header);

/* Takes one authenticated shard, of any content, from anywhere or from its gx_part_room(). `scratch` has
 * gx_fec_scratch_bytes(). *rebuilt: how many data shards parity has rebuilt, when this shard completed a block that
 * needed it. The part may be complete after it. */
enum gx_sink_effect gx_part_place(struct gx_part *part, const struct gx_header *header,
                                  const uint8_t *payload, void *scratch, uint32_t *rebuilt);
bool gx_part_is_complete(const struct gx_part *part);

/* Of the parity rows of a block, those that were asked for, as their sender says. */
uint32_t gx_part_asked(const struct gx_part *part, uint32_t block);
/* How many more rows the block needs; 0: it is complete. */
uint32_t gx_part_lack(const struct gx_part *part, uint32_t block);

/* A part is complete, as its worker says. True: it was the last one, and the sink is HELD or BAD now. */
bool gx_sink_finish(struct gx_sink *sink, struct gx_part *part, uint64_t now);

/* Complete blocks of all parts, for whoever looks whether it moves; from worker 0. */
uint32_t gx_sink_blocks_done(const struct gx_sink *sink);
/* How many rows are here, and of how many. */
uint32_t gx_sink_shards_here(const struct gx_sink *sink, uint32_t *all);

#endif
