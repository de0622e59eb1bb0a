/* What links.c and the links_*.c share: struct gx_peer is one link, struct gx_links all of them. */
#ifndef GX_TRANSFER_PEER_H
#define GX_TRANSFER_PEER_H

#include "lane/lane.h"
#include "lane/mtu.h"
#include "session/session.h"
#include "transfer/grant.h"
#include "transfer/links.h"
#include "transfer/parity.h"
#include "transfer/recv.h"
#include "transfer/send.h"

#define GX_SOURCES_MAX 256        /* sources that sends or packets name */
#define GX_POOL_BUFFERS 1024      /* payloads that lie nowhere else: parity, control, feedback */
#define GX_POOL_RESERVE 128       /* of those, not for parity */
#define GX_OWNER_POOL 0x80000000u /* | buffer */
#define GX_OWNER_NONE 0x7fffffffu /* no payload; otherwise a source slot */
#define GX_BURST_PACKETS 8
#define GX_SEND_BLOCKS (256u * 1024)

/* What was told of the path's packet size, IP bytes; path.c. */
struct gx_path {
    enum gx_mtu_state state;
    uint32_t bytes;  /* of the largest packet that arrives, when full ones do not */
    uint32_t theirs; /* the same of the way back, as the peer says; 0: enough */
};

struct gx_peer {
    uint32_t idx;
    struct gx_handshake handshake;
    struct gx_lane lane;
    struct gx_mtu mtu; /* of the path to the peer */
    struct gx_path path;
    struct gx_policy policy; /* of the last feedback */
    struct gx_send sends[GX_SENDS_MAX];
    struct gx_recv recv;
    struct gx_open asked[GX_INCOMING_MAX]; /* on_open said ASKED; transfer 0: unused */
    uint32_t next_transfer;
    uint32_t turn; /* which send has the word */
    struct {
        uint64_t expected;
        uint64_t lost;
        uint64_t bursts;
    } published; /* what of the lane's counts is in the counters */
};

/* A shard that waits for the answer to its transfer's OPEN. */
struct gx_stashed {
    struct gx_header header; /* transfer 0: unused */
    uint32_t peer;
};

struct gx_links {
    struct gx_links_config config;
    struct gx_links_ops ops;
    void *ctx;
    struct gx_local local;
    struct gx_peer *peers; /* [site_count]; our own is unused */
    struct gx_pace pace;   /* of the site */
    uint32_t turn;         /* which peer sends shards … */
    uint32_t burst;        /* … and how many more before it is the next one's turn */
    struct gx_grant_use uses[GX_SITES_MAX]; /* of what we can receive, by peer */

    struct gx_source *sources[GX_SOURCES_MAX];
    struct gx_send_block *blocks;
    uint32_t block_count;

    uint8_t *pool;
    uint32_t pool_bytes; /* of one buffer */
    uint32_t pool_free[GX_POOL_BUFFERS];
    uint32_t pool_free_count;
    struct gx_parity parity;
    void *scratch;
    uint8_t *plain;           /* the payload of the packet at hand, decrypted */
    struct gx_stashed *stash; /* [config.stash_packets], their payloads in stash_bytes */
    uint8_t *stash_bytes;
    uint32_t stash_count;
    struct gx_flight_entry *rings;
};

/* One checked packet. */
struct gx_rx_packet {
    struct gx_header header;
    const uint8_t *payload;
    size_t bytes; /* of the payload */
    struct gx_session *session;
    bool current; /* it came in the newest session */
};

static inline bool gx_peer_is(const struct gx_links *links, uint32_t peer)
{
    return peer < links->config.site_count && peer != links->config.self;
}

static inline bool gx_send_finished(uint8_t answer)
{
    return answer == GX_ANSWER_HELD || answer == GX_ANSWER_NOT_NEEDED ||
           answer == GX_ANSWER_REFUSED || answer == GX_ANSWER_BAD;
}

/* Ends a send: its source is free of it before the upcall, its slot after it. */
void gx_peer_send_finish(struct gx_links *links, struct gx_peer *peer, struct gx_send *send,
                         enum gx_answer answer, enum gx_reason reason, uint64_t now);
/* The policy from what the lane knows now. */
void gx_peer_policy(struct gx_links *links, struct gx_peer *peer, const struct gx_send *send);
uint32_t gx_peer_transfer_id(struct gx_peer *peer);
/* Nothing of this send counts as in flight; it waits for feedback and asks for it. */
void gx_peer_send_pause(struct gx_send *send, uint64_t now);
/* Acts on a log entry whose fate is known without feedback (the log is full). */
void gx_peer_flight_drop_oldest(struct gx_peer *peer);

void gx_peer_rx_feedback(struct gx_links *links, struct gx_peer *peer,
                         const struct gx_rx_packet *packet, uint64_t now);

/* Bytes of IP and UDP headers to this peer, and ours. */
uint32_t gx_path_headers(const struct gx_links *links, const struct gx_peer *peer);
/* A probe came that is about the path's packet size. False: it is an ordinary one. */
bool gx_path_rx(struct gx_links *links, struct gx_peer *peer, const struct gx_header *header,
                const uint8_t *payload, uint64_t now);
/* The payload of a probe of ours, and its length: header.transfer gets its try. */
void gx_path_fill(const struct gx_links *links, const struct gx_peer *peer, uint8_t *payload,
                  uint32_t bytes);
/* Counters and upcall, when something has changed. */
void gx_path_tell(struct gx_links *links, struct gx_peer *peer, uint64_t now);

/* Carries the lane's counts into the counters. */
void gx_peer_publish(struct gx_links *links, struct gx_peer *peer);
/* All transfers of the peer end, as its gxd is another one or gone. */
void gx_peer_reset(struct gx_links *links, struct gx_peer *peer, uint64_t now);
/* Timers that need no packet: loss by time, silence. */
void gx_peer_tick(struct gx_links *links, struct gx_peer *peer, uint64_t now);

#endif
