/* The arena: shared memory between one trainer and gxd. libgx creates it as a memfd, sizes and seals it; gxd checks
 * the seals and the size, and maps it. Everything in it may be wrong or hostile as seen from gxd: every value is
 * checked before use. Offsets are bytes from the arena's start.
 *
 * Order     header | command ring | event ring | per fragment: contribution[2], result, state (theta, then momentum,
 *           contiguous: 8 bytes a parameter). Every area starts at a multiple of GX_ARENA_ALIGN.
 * Life      format (libgx; version written last, with release) → register (gxd) → detach or hang-up. A restarted gxd is
 *           handed the same fd after libgx has emptied the rings.
 */
#ifndef GX_ARENA_H
#define GX_ARENA_H

#include <stdbool.h>
#include <stdint.h>

#include "gx.h"

#define GX_ARENA_MAGIC 0x3130616e65726178ull /* "xarena01" */
#define GX_ARENA_VERSION 1u
#define GX_ARENA_ALIGN 4096u
#define GX_RING_ENTRIES 1024u

enum gx_command_type {
    GX_COMMAND_PUBLISH = 1, /* the state area holds the state after `round` */
    GX_COMMAND_OFFER,       /* `bytes` at `offset` are the contribution to `round` */
    GX_COMMAND_ACCEPT, /* the trainer's hands are off the state area: write the fetched state */
};

#define GX_CLAIM_BYTES 16

struct gx_command {
    uint32_t type;
    uint32_t fragment;
    uint64_t round;
    uint64_t weight;
    uint64_t offset;
    uint64_t bytes;
    uint64_t time_ns; /* CLOCK_MONOTONIC of the call */
    /* Of an offer under GX_XXH3: the first half of its digest as the trainer's side computed it, so that gxd can send at once
     * and digest on the way; zeros: gxd digests first. */
    uint8_t claim[GX_CLAIM_BYTES];
};
_Static_assert(sizeof(struct gx_command) == 64, "shared with the other process");
_Static_assert(sizeof(struct gx_event) == 88, "shared with the other process");

/* A bounded ring between one producer and one consumer. Positions count up for ever; entry = position % entries. */
struct gx_ring {
    _Alignas(64) uint64_t head; /* written by the producer, release */
    _Alignas(64) uint64_t tail; /* written by the consumer, release */
};

struct gx_arena_header {
    uint64_t magic;
    uint32_t version; /* written last, with release */
    uint32_t fragment_count;
    uint64_t bytes;
    struct gx_ring commands; /* trainer → gxd */
    struct gx_ring events;   /* gxd → trainer */
    /* Odd while the trainer writes the fragment's state: gxd does not copy it then. */
    _Alignas(64) uint32_t state_sequence[GX_FRAGMENTS_MAX];
    /* Packets that still point into contribution[round & 1]: written by gxd, not 0 means keep off. */
    uint32_t contribution_busy[GX_FRAGMENTS_MAX][2];
};

struct gx_arena_fragment {
    uint64_t param_count;
    uint64_t wire_bytes; /* of one contribution */
    uint64_t contribution[2];
    uint64_t result;
    uint64_t state;
};

struct gx_arena_layout {
    uint64_t commands; /* offset of struct gx_command[GX_RING_ENTRIES] */
    uint64_t events;   /* offset of struct gx_event[GX_RING_ENTRIES] */
    uint32_t fragment_count;
    struct gx_arena_fragment fragments[GX_FRAGMENTS_MAX];
    uint64_t bytes; /* of the whole arena */
};

/* Both sides compute the layout from the schema. -EINVAL when a count is out of range or the sum overflows. */
int gx_arena_layout(struct gx_arena_layout *layout, const struct gx_schema *schema);

/* Messages on the attach socket (SOCK_SEQPACKET), then hang-up is death. Little-endian, as in memory.
 *   trainer → gxd   gx_attach_request with three descriptors: arena memfd, eventfd to wake gxd, eventfd to wake the
 *                   trainer
 *   gxd → trainer   gx_attach_reply */
#define GX_ATTACH_VERSION 1u

struct gx_attach_request {
    uint32_t version_min, version_max;
    char run[GX_NAME_MAX];
    uint32_t format;
    uint32_t digest_kind;
    uint32_t fragment_count;
    uint32_t again; /* 1: re-attach of an arena that another gxd knew */
    uint64_t arena_bytes;
    uint64_t param_counts[GX_FRAGMENTS_MAX];
};

struct gx_attach_reply {
    uint32_t version;
    int32_t error;   /* 0 or -errno */
    uint32_t reason; /* enum gx_reason */
    uint32_t site_index, site_count;
    char site_names[GX_SITES_MAX][GX_NAME_MAX];
    char text[256]; /* what was wrong and what to do */
};

#endif
