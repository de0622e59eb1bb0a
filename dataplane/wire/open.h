/* gx_open: the message that opens a transfer. Travels in a control packet; acknowledged by its first feedback. */
#ifndef GX_WIRE_OPEN_H
#define GX_WIRE_OPEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gx.h"

/* First byte of a control packet's payload. */
enum gx_control { GX_CONTROL_OPEN = 1, GX_CONTROL_REPORT = 2, GX_CONTROL_STATUS = 3 };

#define GX_CONTROL_MAX_BYTES 1200

enum gx_kind { GX_KIND_CONTRIBUTION, GX_KIND_STATE, GX_KIND_COUNT };

/* What a transfer delivers. Everything is keyed by it, so two runs or two epochs never meet. */
struct gx_key {
    uint64_t run; /* gx_run_id() of the run's name */
    uint32_t epoch;
    uint32_t fragment;
    uint64_t round;
    uint8_t kind;  /* enum gx_kind */
    uint8_t owner; /* site index: of a contribution its author, of a state its sender */
};

struct gx_open {
    uint32_t transfer; /* set by the sender's transfer layer */
    struct gx_key key;
    uint64_t bytes; /* of the whole, of which this may be a part */
    uint64_t weight;
    uint8_t format;      /* enum gx_format; of a state GX_FP32 */
    uint8_t digest_kind; /* enum gx_digest_kind */
    uint8_t k_max;       /* data shards in a block, at most */
    uint16_t shard_bytes;
    uint8_t part;  /* which one of … */
    uint8_t parts; /* … so many this transfer carries; each has its own lane. 0 is read as 1 */
    struct gx_digest base;   /* of the state that the contribution starts from */
    struct gx_digest digest; /* of the bytes */
    uint64_t offered_ns;     /* the owner's CLOCK_MONOTONIC when its trainer offered */
};

bool gx_key_equal(const struct gx_key *a, const struct gx_key *b);

/* Writes the message, first byte GX_CONTROL_OPEN; returns its bytes. `out` has GX_CONTROL_MAX_BYTES. */
size_t gx_open_build(const struct gx_open *open, uint8_t *out);
/* False on a message that is truncated, oversized or has a field out of range. */
bool gx_open_parse(struct gx_open *open, const uint8_t *in, size_t bytes);

#endif
