/* gx_links: all links of this site: per peer a session, a lane and the transfers on it. Bytes and a clock go in;
 * packets and upcalls come out. No I/O, no clock, no allocation after create.
 *
 * Threads   one (the worker). Upcalls run inside gx_links_rx() and gx_links_tx().
 * Units     ns of one monotonic clock; bit/s of Ethernet frames without FCS.
 */
#ifndef GX_TRANSFER_LINKS_H
#define GX_TRANSFER_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gx.h"
#include "lane/rate.h"
#include "session/psk.h"
#include "session/random.h"
#include "stat/counters.h"
#include "stat/known.h"
#include "transfer/sink.h"
#include "transfer/source.h"
#include "wire/address.h"
#include "wire/header.h"
#include "wire/open.h"

#define GX_PAYLOAD_MAX_BYTES GX_SHARD_MAX_BYTES

struct gx_links_config {
    uint32_t site_count;
    uint32_t self; /* own index */
    char names[GX_SITES_MAX][GX_NAME_MAX];
    struct gx_addr addrs[GX_SITES_MAX];
    uint64_t rate_bps;      /* ceiling of what this site sends to all peers together */
    uint64_t recv_rate_bps; /* what all peers together may send to it */
    const struct gx_rate_algorithm *rate_algorithm; /* NULL: gx_rate_path */
    double loss_floor;                              /* loss that does not slow a lane, 0 to 1 */
    uint32_t mtu;                       /* IP packet bytes; shard_bytes follows from it */
    uint32_t shard_bytes;               /* largest multiple of 64 in mtu − 20 − 8 − 48 */
    uint8_t ip_udp_bytes[GX_SITES_MAX]; /* headers of IP and UDP to that site; 0: 28 (IPv4) */
    uint64_t incarnation;               /* random, not 0, new at every start */
    uint64_t seed;                      /* of session indices, keys and transfer ids … */
    uint8_t secret
        [GX_RANDOM_SECRET_BYTES]; /* … with this, which nobody else may know; zeros: a simulation */
    bool secure;                  /* `security: psk` */
    uint8_t psk[GX_PSK_BYTES];
    uint32_t send_blocks; /* records of blocks, 16 bytes each, for all sends; 0: 262,144 */
    struct gx_known known[GX_SITES_MAX]; /* of an earlier process, aged */
    struct gx_counters *counters;
    /* With several workers each has links of its own. */
    uint32_t workers; /* 0: 1 */
    uint32_t lane; /* of these links; the others but lane 0 dial when told to (gx_links_dial()) */
    uint32_t stash_packets; /* shards kept while on_open asks; 0 where it answers at once */
};

/* What the port sends: header, then payload. The payload lies where it lies (arena, staging or a pool of links) and
 * must not change or vanish until gx_links_release(owner). */
struct gx_packet {
    struct gx_addr to;
    uint8_t header[GX_HEADER_BYTES];
    const uint8_t *payload;
    uint32_t payload_bytes;
    uint32_t owner;
};

/* The receiver's answer to an OPEN, repeated in feedback while it stands. */
enum gx_answer {
    GX_ANSWER_OPEN,       /* send: lacks follow */
    GX_ANSWER_HELD,       /* rebuilt and verified */
    GX_ANSWER_NOT_READY,  /* hold on, spend no rows; try again when told */
    GX_ANSWER_NOT_NEEDED, /* of no use any more: close */
    GX_ANSWER_REFUSED,    /* never: reason says why */
    GX_ANSWER_BAD,        /* rebuilt, but the bytes are not those of the opened digest */
    /* Never on the wire: */
    GX_ANSWER_ASKED, /* of on_open: gx_links_opened() will say */
    GX_ANSWER_AGAIN, /* of on_answer: the lane is gone: to be sent anew */
};

struct gx_send; /* one outgoing transfer */

/* Does the path to a peer carry full packets? */
enum gx_path_state {
    GX_PATH_WHOLE,
    GX_PATH_LOSING, /* no: shards wait, and the size that it does carry is looked for */
    GX_PATH_SMALL,  /* no, and the size is known: shards wait until it has changed */
};

struct gx_links_ops {
    /* A peer opens a transfer (and again on every copy of OPEN and, while NOT_READY, on every look): with
     * GX_ANSWER_OPEN *sink is the sink, opened by the callee with gx_sink_open() or already open for this key and
     * digest. With HELD, REFUSED etc. no sink is needed. */
    enum gx_answer (*on_open)(void *ctx, uint32_t peer, const struct gx_open *open,
                              struct gx_sink **sink, enum gx_reason *reason, uint64_t now);
    /* The sink became HELD or BAD. */
    void (*on_sink)(void *ctx, struct gx_sink *sink, uint64_t now);
    /* Instead of that, where a sink has several parts: this one is complete. */
    void (*on_part)(void *ctx, struct gx_part *part, uint64_t now);
    /* The peer's answer to a send changed. After HELD, NOT_NEEDED, REFUSED, BAD the send is finished: its source is
     * no longer used and the callee must drop its pointer. Also called with NOT_NEEDED when the peer's session ended
     * with a new incarnation. */
    void (*on_answer)(void *ctx, uint32_t peer, struct gx_send *send, enum gx_answer answer,
                      enum gx_reason reason, uint64_t now);
    /* A REPORT or STATUS arrived. `order` grows with the sender's packet numbers within one session and is larger in a
     * newer session: the largest is the newest. */
    void (*on_control)(void *ctx, uint32_t peer, const uint8_t *message, size_t bytes,
                       uint64_t order, uint64_t now);
    /* The session with the peer came up, with this incarnation (again with the same one after a rekey), or was
     * refused (`reason`): it has ended, or gx_links_up() says that it goes on, should the peer be heard in it again. */
    void (*on_peer)(void *ctx, uint32_t peer, uint64_t incarnation, enum gx_reason reason,
                    uint64_t now);
    /* Asks for the next REPORT or STATUS for this peer; returns its bytes, 0 when there is none. Called when the
     * session is up; goes out before shards. */
    size_t (*next_control)(void *ctx, uint32_t peer, uint8_t *out, uint64_t now);
    /* The path to the peer has come into this state (first told when it is not WHOLE): IP bytes of what it carries, 0
     * when that is not known, and of a full packet. */
    void (*on_path)(void *ctx, uint32_t peer, enum gx_path_state state, uint32_t bytes,
                    uint32_t full_bytes, uint64_t now);
    /* A hello came from another gxd that has our own name; `site`: whose address it came from, ours even;
     * GX_SITES_MAX: nobody's. */
    void (*on_own_name)(void *ctx, uint32_t site, uint64_t now);
};

struct gx_links;

/* NULL when memory is short. Allocates everything that links will ever use. */
struct gx_links *gx_links_create(const struct gx_links_config *config,
                                 const struct gx_links_ops *ops, void *ctx, uint64_t now);
void gx_links_destroy(struct gx_links *links);

/* One packet from the wire; any bytes. A packet that fails a check is counted and dropped. */
void gx_links_rx(struct gx_links *links, uint64_t now, const struct gx_addr *from,
                 const uint8_t *packet, size_t bytes);

/* Fills up to `max` packets that may leave now, control first, then shards as pacing allows; returns how many. */
uint32_t gx_links_tx(struct gx_links *links, uint64_t now, struct gx_packet *packets, uint32_t max);

/* The port has finished with a packet of this owner. */
void gx_links_release(struct gx_links *links, uint32_t owner);

/* When gx_links_tx() should be called again at the latest; now or earlier: at once; UINT64_MAX: never. Newly queued
 * control (a change in exchange) needs a call of its own. */
uint64_t gx_links_wake(const struct gx_links *links, uint64_t now);
/* How long packets may lie in the port, so that many are taken at once: a fiftieth of the shortest round trip, no longer
 * than 256 packets take to come. 0: not at all. */
uint64_t gx_links_patience_ns(const struct gx_links *links);

/* Starts to send the part of `source` that `open` names to `peer` (transfer, shard bytes and k_max are filled in). The first row of
 * parity is `holder` of `holders`' range (0 of 1 for the owner); a helper (`holder` > 0 or `helper`) sends nothing
 * before the first feedback. NULL when all slots of the link are used or its session is down. */
struct gx_send *gx_links_send(struct gx_links *links, uint32_t peer, const struct gx_open *open,
                              struct gx_source *source, bool helper, uint32_t holder,
                              uint32_t holders, uint64_t now);
/* Stops and forgets a send (no upcall). */
void gx_links_send_stop(struct gx_links *links, struct gx_send *send);
/* Asks again at once where the peer's last answer was NOT_READY. */
void gx_links_send_retry(struct gx_links *links, struct gx_send *send, uint64_t now);

/* on_open said ASKED, and this is the answer: `sink` with OPEN. Shards that came meanwhile are placed. */
void gx_links_opened(struct gx_links *links, uint32_t peer, const struct gx_open *open,
                     enum gx_answer answer, struct gx_sink *sink, enum gx_reason reason,
                     uint64_t now);
/* What is answered to an open, and the sink with OPEN: asks on_open of `ops` and checks that the sink fits. */
enum gx_answer gx_links_ask(const struct gx_links_ops *ops, void *ctx, uint32_t peer,
                            const struct gx_open *open, struct gx_sink **sink,
                            enum gx_reason *reason, uint64_t now);
/* The sink that such a part is of is HELD or BAD: every transfer that fills it is answered so. No upcall. */
void gx_links_sink_done(struct gx_links *links, const struct gx_sink *sink, enum gx_answer answer,
                        uint64_t now);

/* Forgets every incoming transfer that fills `sink`; later OPENs of it are asked about anew. Call before
 * gx_sink_free(). */
void gx_links_sink_stop(struct gx_links *links, struct gx_sink *sink);

/* The config's rates from here on. */
void gx_links_set_rate(struct gx_links *links, uint64_t rate_bps, uint64_t recv_rate_bps,
                       uint64_t now);

/* A lane other than the first: dial the peer whose gxd has this incarnation, or (0) end what there is and only answer.
 * A session with another incarnation ends. */
void gx_links_dial(struct gx_links *links, uint32_t peer, uint64_t incarnation, uint64_t now);

/* Is the session up, and when was the last authenticated packet heard (0: never). */
bool gx_links_up(const struct gx_links *links, uint32_t peer);
/* What differs, for people, when the link is refused. */
const char *gx_links_difference(const struct gx_links *links, uint32_t peer);
uint64_t gx_links_heard_ns(const struct gx_links *links, uint32_t peer);
uint64_t gx_links_incarnation(const struct gx_links *links, uint32_t peer);
uint32_t gx_links_peer_workers(const struct gx_links *links, uint32_t peer); /* as its hello says */
uint64_t gx_links_rtt_ns(const struct gx_links *links, uint32_t peer); /* smoothed; 0: unknown */

#endif
