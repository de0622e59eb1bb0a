/* gx_mtu: does the path to a peer carry full packets, and if not, which size does it carry? Asked with probes that are
 * padded, authenticated and never fragmented; a path that swallows large packets mostly does so in silence.
 *
 * A try     is a large probe and a small one, sent together, and the peer's echoes. Only a try whose small probe was
 *           echoed and whose large one was not speaks against the large size: an outage speaks against nothing.
 *           While full packets are lost a try has one of the full size as well, so that a path which is good again is
 *           noticed at once.
 * States    UNKNOWN  no echo yet; a peer of an earlier release never sends one
 *           FULL     a full packet arrived; asked again every 10 s, or at once when most packets get lost
 *           SEARCH   8 tries spoke against full packets: the largest size that passes is bisected (4 tries a step)
 *           SMALL    it is known: `low`; asked every 500 ms, as the full size is, until that passes
 *           In SEARCH and SMALL no shard is sent: none would arrive.
 * Echo      an echo names a try and the largest size of it that arrived: { token, bytes }.
 * Units     bytes of payload behind the 48-byte header; ns of the lane's clock.
 * Threads   one, its lane's. No I/O.
 */
#ifndef GX_LANE_MTU_H
#define GX_LANE_MTU_H

#include <stdbool.h>
#include <stdint.h>

#define GX_MTU_SMALL_BYTES 8u /* payload of a small probe */
#define GX_MTU_LOSS 0.5       /* more loss than this is reason to ask at once */

enum gx_mtu_state { GX_MTU_UNKNOWN, GX_MTU_FULL, GX_MTU_SEARCH, GX_MTU_SMALL };

struct gx_mtu {
    enum gx_mtu_state state;
    uint32_t full; /* what has to pass */
    uint32_t low;  /* the largest that is known to pass, 0: none yet */
    uint32_t high; /* the smallest that is known not to */
    /* The try under way. */
    uint32_t token;
    uint32_t asked;      /* its large probe; 0: there is none, or it was echoed */
    uint32_t parts;      /* its probes that are still to be sent */
    bool heard;          /* a smaller one was echoed */
    uint32_t missed;     /* tries that spoke against this size */
    uint32_t unanswered; /* tries without any echo, in a row */
    uint64_t due_ns;     /* the next try */
    /* The peer's try that we owe an echo; token 0: none. */
    uint32_t echo_token, echo_bytes;
};

void gx_mtu_init(struct gx_mtu *mtu, uint32_t full);
/* A session came up: asks at once. What was known holds until something else is known. */
void gx_mtu_session(struct gx_mtu *mtu, uint64_t now);

/* Payload bytes and try of the next probe that is due, 0: none. `wait_ns`: how long an echo may take. */
uint32_t gx_mtu_probe(struct gx_mtu *mtu, uint64_t wait_ns, uint64_t now, uint32_t *token);
/* The peer echoed. */
void gx_mtu_echoed(struct gx_mtu *mtu, uint32_t token, uint32_t bytes, uint64_t now);

/* The peer's probe arrived: an echo is due. */
void gx_mtu_asked(struct gx_mtu *mtu, uint32_t token, uint32_t bytes);
/* The echo to be sent now; false: none. */
bool gx_mtu_echo(struct gx_mtu *mtu, uint32_t *token, uint32_t *bytes);

/* Most of what is sent gets lost. */
void gx_mtu_doubt(struct gx_mtu *mtu, uint64_t now);

/* Full packets get lost, and all shards with them. */
static inline bool gx_mtu_short(const struct gx_mtu *mtu)
{
    return mtu->state >= GX_MTU_SEARCH;
}

/* What may be sent in one packet with a hope that it arrives; `least` is hoped for whatever is known. */
static inline uint32_t gx_mtu_room(const struct gx_mtu *mtu, uint32_t least)
{
    if (!gx_mtu_short(mtu) || mtu->full <= least)
        return mtu->full;
    return mtu->low > least ? mtu->low : least;
}

uint64_t gx_mtu_wake(const struct gx_mtu *mtu);

#endif
