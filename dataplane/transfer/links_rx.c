/* What comes in: checks first, then one function per type of packet; links_feedback.c has feedback. */
#include <string.h>

#include "gx_assert.h"
#include "transfer/links.h"
#include "transfer/peer.h"
#include "wire/hello.h"

/* ---- hello ---- */

/* The same peer under new keys: transfers go on, but what is in flight may never be heard of. */
static void peer_rekey(struct gx_peer *peer, uint64_t now)
{
    for (uint32_t i = 0; i < GX_SENDS_MAX; i++)
        if (peer->sends[i].used && peer->sends[i].answer != GX_ANSWER_NOT_READY)
            gx_peer_send_pause(&peer->sends[i], now);
}

static void established(struct gx_links *links, struct gx_peer *peer,
                        const struct gx_replay *old_replay, uint64_t old_incarnation, uint64_t now)
{
    bool restarted = peer->handshake.incarnation != old_incarnation;

    GX_COUNT_LINK(links->config.counters, peer->idx, sessions_total, 1);
    links->config.counters->link[peer->idx][GX_LINK_refused] = GX_REASON_NONE;
    if (restarted && old_incarnation != 0 && links->config.lane == 0)
        GX_COUNT_LINK(links->config.counters, peer->idx, peer_restarts_total, 1);
    gx_peer_publish(links, peer);
    gx_lane_session(&peer->lane, old_replay, restarted, now);
    gx_mtu_session(&peer->mtu, now);
    peer->lane.hello_rtt_ns = peer->handshake.hello_rtt_ns;
    if (restarted)
        memset(&peer->published, 0, sizeof peer->published);
    if (restarted)
        gx_peer_reset(links, peer, now);
    else
        peer_rekey(peer, now);
    links->ops.on_peer(links->ctx, peer->idx, peer->handshake.incarnation, GX_REASON_NONE, now);
}

static void refused(struct gx_links *links, struct gx_peer *peer, uint64_t now)
{
    links->config.counters->link[peer->idx][GX_LINK_refused] = peer->handshake.refused;
    links->ops.on_peer(links->ctx, peer->idx, peer->handshake.incarnation, peer->handshake.refused,
                       now);
}

static struct gx_peer *peer_by_name(struct gx_links *links, const char *name)
{
    for (uint32_t i = 0; i < links->config.site_count; i++)
        if (gx_peer_is(links, i) && strcmp(links->config.names[i], name) == 0)
            return &links->peers[i];
    return NULL;
}

/* Two sites that were given one name, mostly by a copied config. Our own hellos may come back to us. */
static void rx_own_name(struct gx_links *links, const struct gx_addr *from,
                        const struct gx_hello *hello, uint64_t now)
{
    uint32_t site = 0;

    if (hello->incarnation == links->config.incarnation)
        return;
    while (site < links->config.site_count &&
           memcmp(&links->config.addrs[site], from, sizeof *from) != 0)
        site++;
    GX_COUNT(links->config.counters, own_name_hellos_total, 1);
    links->ops.on_own_name(links->ctx, site < links->config.site_count ? site : GX_SITES_MAX, now);
}

static void rx_hello(struct gx_links *links, const struct gx_addr *from, const uint8_t *packet,
                     size_t bytes, uint64_t now)
{
    const uint8_t *payload = packet + GX_HEADER_BYTES;
    size_t payload_bytes = bytes - GX_HEADER_BYTES;
    struct gx_hello hello;
    struct gx_peer *peer;
    struct gx_session *old;
    uint64_t old_incarnation;

    if (!gx_hello_parse(&hello, payload, payload_bytes) ||
        !gx_hello_plausible(&hello, packet, bytes)) {
        GX_COUNT(links->config.counters, packets_malformed_total, 1);
        return;
    }
    peer = peer_by_name(links, hello.name);
    if (peer == NULL || hello.lane != links->config.lane) {
        GX_COUNT(links->config.counters, packets_stranger_total, 1);
        if (strcmp(hello.name, links->config.names[links->config.self]) == 0)
            rx_own_name(links, from, &hello, now);
        return;
    }
    old = gx_handshake_current(&peer->handshake);
    old_incarnation = peer->handshake.incarnation;
    switch (gx_handshake_rx(&peer->handshake, &links->local, &hello, packet, bytes, from, now)) {
    case GX_HELLO_ESTABLISHED:
        established(links, peer, old != NULL ? &old->replay : NULL, old_incarnation, now);
        break;
    case GX_HELLO_REFUSED:
        gx_peer_reset(links, peer, now);
        refused(links, peer, now);
        break;
    case GX_HELLO_DOUBTED:
        refused(links, peer, now);
        break;
    case GX_HELLO_FORGED:
        GX_COUNT_LINK(links->config.counters, peer->idx, drop_checksum_total, 1);
        break;
    case GX_HELLO_NOTHING:
    case GX_HELLO_ANSWERED:
        break;
    }
}

/* ---- answers ---- */

static void answer(struct gx_peer *peer, uint32_t transfer, enum gx_answer what,
                   enum gx_reason reason, uint64_t now)
{
    struct gx_incoming *incoming = gx_recv_find(&peer->recv, transfer);

    if (incoming != NULL)
        incoming->used = false;
    gx_recv_answer(&peer->recv, transfer, (uint8_t)what, (uint8_t)reason);
    gx_lane_feedback_now(&peer->lane, now);
}

static void opened(struct gx_peer *peer, const struct gx_open *open, enum gx_answer what,
                   struct gx_sink *sink, enum gx_reason reason, uint64_t now)
{
    struct gx_recv *recv = &peer->recv;
    struct gx_incoming *incoming;

    if (what != GX_ANSWER_OPEN) {
        answer(peer, open->transfer, what, reason, now);
        return;
    }
    incoming = gx_recv_find(recv, open->transfer);
    if (incoming == NULL)
        incoming = gx_recv_add(recv, open, &sink->parts[open->part]);
    if (incoming == NULL) {
        answer(peer, open->transfer, GX_ANSWER_NOT_READY, GX_REASON_NONE, now);
        return;
    }
    incoming->part = &sink->parts[open->part];
    incoming->shard_ns = now;
    gx_recv_forget(recv, open->transfer);
    gx_lane_feedback_now(&peer->lane, now);
}

/* Of a sink in one part every transfer is over now, the owner's and a helper's. */
static void part_done(struct gx_links *links, struct gx_part *part, uint64_t now)
{
    struct gx_sink *sink = part->sink;

    if (links->ops.on_part != NULL) {
        links->ops.on_part(links->ctx, part, now);
    } else if (gx_sink_finish(sink, part, now)) {
        gx_links_sink_done(links, sink,
                           sink->state == GX_SINK_HELD ? GX_ANSWER_HELD : GX_ANSWER_BAD, now);
        links->ops.on_sink(links->ctx, sink, now);
    }
}

/* ---- shards ---- */

static void place(struct gx_links *links, struct gx_peer *peer, struct gx_incoming *incoming,
                  const struct gx_header *header, const uint8_t *payload, uint64_t now)
{
    struct gx_counters *counters = links->config.counters;
    struct gx_part *part = incoming->part;
    uint32_t rebuilt;

    incoming->shard_ns = now;
    switch (gx_part_place(part, header, payload, links->scratch, &rebuilt)) {
    case GX_SINK_PLACED:
        GX_COUNT_LINK(counters, peer->idx, received_shards_total, 1);
        GX_COUNT_LINK(counters, peer->idx, blocks_rebuilt_total, rebuilt > 0);
        GX_COUNT_LINK(counters, peer->idx, rebuilt_shards_total, rebuilt);
        if (rebuilt > 0)
            GX_COUNT_LINK(counters, peer->idx, rebuilt_asked_shards_total,
                          gx_part_asked(part, header->block));
        gx_lane_feedback_soon(&peer->lane, now);
        if (gx_part_is_complete(part))
            part_done(links, part, now);
        break;
    case GX_SINK_DUPLICATE:
        GX_COUNT_LINK(counters, peer->idx, shards_duplicate_total, 1);
        gx_lane_feedback_soon(&peer->lane, now);
        break;
    case GX_SINK_MALFORMED:
        GX_COUNT_LINK(counters, peer->idx, shards_malformed_total, 1);
        break;
    }
}

static struct gx_open *asked_find(struct gx_peer *peer, uint32_t transfer)
{
    for (uint32_t i = 0; i < GX_INCOMING_MAX; i++)
        if (peer->asked[i].transfer == transfer)
            return &peer->asked[i];
    return NULL;
}

/* No room: its shards are not kept, and the next copy of the OPEN is another chance. */
static void asked_add(struct gx_peer *peer, const struct gx_open *open)
{
    struct gx_open *asked = asked_find(peer, open->transfer);

    if (asked == NULL)
        asked = asked_find(peer, 0);
    if (asked != NULL)
        *asked = *open;
}

static uint8_t *stash_at(struct gx_links *links, uint32_t i)
{
    return links->stash_bytes + (size_t)i * links->pool_bytes;
}

/* False: there is no room, or nobody asks about this transfer. */
static bool stash_keep(struct gx_links *links, struct gx_peer *peer,
                       const struct gx_rx_packet *packet)
{
    struct gx_stashed *stashed;

    if (links->stash_count == links->config.stash_packets ||
        packet->bytes > links->config.shard_bytes || packet->header.transfer == 0 ||
        asked_find(peer, packet->header.transfer) == NULL)
        return false;
    stashed = &links->stash[links->stash_count];
    stashed->header = packet->header;
    stashed->peer = peer->idx;
    memcpy(stash_at(links, links->stash_count++), packet->payload, packet->bytes);
    return true;
}

/* The transfer's shards leave the stash, into their places if it was opened. */
static void stash_place(struct gx_links *links, struct gx_peer *peer, uint32_t transfer,
                        uint64_t now)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < links->stash_count; i++) {
        struct gx_stashed *stashed = &links->stash[i];
        struct gx_incoming *incoming;

        if (stashed->peer != peer->idx || stashed->header.transfer != transfer) {
            links->stash[kept] = *stashed;
            if (kept != i)
                memcpy(stash_at(links, kept), stash_at(links, i), stashed->header.payload_bytes);
            kept++;
            continue;
        }
        incoming = gx_recv_find(&peer->recv, transfer);
        if (incoming != NULL)
            place(links, peer, incoming, &stashed->header, stash_at(links, i), now);
        else
            GX_COUNT_LINK(links->config.counters, peer->idx, shards_no_transfer_total, 1);
    }
    links->stash_count = kept;
}

static void rx_shard(struct gx_links *links, struct gx_peer *peer,
                     const struct gx_rx_packet *packet, uint64_t now)
{
    struct gx_incoming *incoming = gx_recv_find(&peer->recv, packet->header.transfer);

    if (incoming != NULL) {
        place(links, peer, incoming, &packet->header, packet->payload, now);
        return;
    }
    if (stash_keep(links, peer, packet))
        return;
    GX_COUNT_LINK(links->config.counters, peer->idx, shards_no_transfer_total, 1);
    if (gx_recv_remind(&peer->recv, packet->header.transfer))
        gx_lane_feedback_soon(&peer->lane, now);
}

/* ---- control ---- */

static bool is_same_code(const struct gx_sink *sink, const struct gx_open *open)
{
    return sink->open.bytes == open->bytes && sink->open.k_max == open->k_max &&
           sink->open.shard_bytes == open->shard_bytes && sink->open.parts == open->parts;
}

enum gx_answer gx_links_ask(const struct gx_links_ops *ops, void *ctx, uint32_t peer,
                            const struct gx_open *open, struct gx_sink **sink,
                            enum gx_reason *reason, uint64_t now)
{
    enum gx_answer what = ops->on_open(ctx, peer, open, sink, reason, now);

    if (what != GX_ANSWER_OPEN)
        return what;
    GX_ASSERT(*sink != NULL && (*sink)->state != GX_SINK_FREE);
    if ((*sink)->state == GX_SINK_HELD)
        return GX_ANSWER_HELD;
    if ((*sink)->state == GX_SINK_BAD)
        return GX_ANSWER_BAD;
    if ((*sink)->state == GX_SINK_CLOSING)
        return GX_ANSWER_NOT_READY;
    return is_same_code(*sink, open) ? what : GX_ANSWER_REFUSED;
}

static void rx_open(struct gx_links *links, struct gx_peer *peer, const struct gx_rx_packet *packet,
                    uint64_t now)
{
    struct gx_recv *recv = &peer->recv;
    struct gx_sink *sink = NULL;
    enum gx_reason reason = GX_REASON_NONE;
    enum gx_answer what;
    struct gx_incoming *incoming;
    struct gx_open open;

    /* A part is its lane's worker's alone. */
    if (!gx_open_parse(&open, packet->payload, packet->bytes) || open.part != links->config.lane) {
        GX_COUNT_LINK(links->config.counters, peer->idx, drop_message_total, 1);
        return;
    }
    if (gx_send_finished(gx_recv_answered(recv, open.transfer))) {
        /* The sender is about to hear that it is over: what would be taken now never came. */
        gx_recv_remind(recv, open.transfer);
        gx_lane_feedback_soon(&peer->lane, now);
        return;
    }
    incoming = gx_recv_find_key(recv, &open);
    if (incoming != NULL && incoming->transfer != open.transfer) {
        if ((int32_t)(open.transfer - incoming->transfer) < 0)
            return; /* a late copy of an OPEN that the sender has given up */
        incoming->used = false;
    }
    what = gx_links_ask(&links->ops, links->ctx, peer->idx, &open, &sink, &reason, now);
    if (what == GX_ANSWER_ASKED)
        asked_add(peer, &open);
    else
        opened(peer, &open, what, sink, reason, now);
}

void gx_links_opened(struct gx_links *links, uint32_t idx, const struct gx_open *open,
                     enum gx_answer what, struct gx_sink *sink, enum gx_reason reason, uint64_t now)
{
    struct gx_peer *peer = &links->peers[idx];
    struct gx_open *asked = asked_find(peer, open->transfer);
    struct gx_incoming *incoming;

    /* Another gxd, or a newer OPEN of the same, has come meanwhile. */
    if (asked == NULL || !gx_key_equal(&asked->key, &open->key))
        return;
    asked->transfer = 0;
    incoming = gx_recv_find_key(&peer->recv, open);
    if (incoming != NULL && (int32_t)(open->transfer - incoming->transfer) < 0)
        return;
    opened(peer, open, what, sink, reason, now);
    stash_place(links, peer, open->transfer, now);
}

static void rx_control(struct gx_links *links, struct gx_peer *peer,
                       const struct gx_rx_packet *packet, uint64_t now)
{
    uint64_t order = packet->session->generation << 48 | packet->header.number;

    if (packet->bytes == 0 || packet->bytes > GX_CONTROL_MAX_BYTES) {
        GX_COUNT_LINK(links->config.counters, peer->idx, drop_message_total, 1);
        return;
    }
    switch (packet->payload[0]) {
    case GX_CONTROL_OPEN:
        rx_open(links, peer, packet, now);
        break;
    case GX_CONTROL_REPORT:
    case GX_CONTROL_STATUS:
        links->ops.on_control(links->ctx, peer->idx, packet->payload, packet->bytes, order, now);
        break;
    default:
        GX_COUNT_LINK(links->config.counters, peer->idx, drop_message_total, 1);
    }
}

/* ---- every packet ---- */

static bool comes_from(const struct gx_peer *peer, const struct gx_addr *from)
{
    return memcmp(from, &peer->handshake.addr, sizeof *from) == 0;
}

/* What the packet is decrypted into: a shard comes to lie where it belongs at once. */
static uint8_t *room_find(struct gx_links *links, struct gx_peer *peer,
                          const struct gx_header *header)
{
    struct gx_incoming *incoming = NULL;
    uint8_t *room = NULL;

    if (header->type == GX_TYPE_SHARD)
        incoming = gx_recv_find(&peer->recv, header->transfer);
    if (incoming != NULL)
        room = gx_part_room(incoming->part, header);
    return room != NULL ? room : links->plain;
}

/* Finds peer and session, checks tag and number. NULL: counted and dropped. */
static struct gx_peer *check(struct gx_links *links, struct gx_rx_packet *packet,
                             const struct gx_addr *from, const uint8_t *bytes, size_t byte_count,
                             uint64_t now)
{
    struct gx_counters *counters = links->config.counters;
    uint32_t idx = gx_session_peer(packet->header.session);
    struct gx_peer *peer;

    if (!gx_peer_is(links, idx)) {
        GX_COUNT(counters, packets_stranger_total, 1);
        return NULL;
    }
    peer = &links->peers[idx];
    packet->session = gx_handshake_find(&peer->handshake, packet->header.session, now);
    if (packet->session == NULL) {
        if (gx_handshake_was(&peer->handshake, packet->header.session))
            GX_COUNT_LINK(counters, idx, drop_session_total, 1);
        else
            GX_COUNT(counters, packets_stranger_total, 1);
        return NULL;
    }
    packet->current = packet->session == gx_handshake_current(&peer->handshake);
    if (packet->current && !packet->session->sealed && !comes_from(peer, from)) {
        GX_COUNT(counters, packets_stranger_total, 1);
        return NULL;
    }
    packet->payload = gx_session_open(packet->session, packet->header.number, bytes, byte_count,
                                      room_find(links, peer, &packet->header));
    if (packet->payload == NULL) {
        GX_COUNT_LINK(counters, idx, drop_checksum_total, 1);
        return NULL;
    }
    if (gx_replay_seen(&packet->session->replay, packet->header.number)) {
        GX_COUNT_LINK(counters, idx, drop_replay_total, 1);
        return NULL;
    }
    return peer;
}

static void accept(struct gx_links *links, struct gx_peer *peer, const struct gx_rx_packet *packet,
                   const struct gx_addr *from, uint64_t now)
{
    struct gx_replay *replay = &packet->session->replay;
    uint64_t *counters = links->config.counters->link[peer->idx];

    /* The newest packet says where the peer is now; an older one may have been held back by somebody. */
    if (packet->current && packet->header.number > replay->highest)
        peer->handshake.addr = *from;
    if (packet->current)
        gx_arrival_packet(&peer->lane.arrival, replay, packet->header.number,
                          packet->header.clock_us, now);
    gx_replay_mark(replay, packet->header.number);
    gx_handshake_heard(&peer->handshake, packet->session, now);
    counters[GX_LINK_received_packets_total]++;
    GX_COUNTER_ADD(counters[GX_LINK_received_bytes_total],
                   packet->bytes + GX_HEADER_BYTES + GX_FRAME_OVERHEAD_BYTES);
    counters[GX_LINK_heard_ns] = now;
}

void gx_links_rx(struct gx_links *links, uint64_t now, const struct gx_addr *from,
                 const uint8_t *bytes, size_t byte_count)
{
    struct gx_counters *counters = links->config.counters;
    struct gx_rx_packet packet;
    struct gx_peer *peer;

    GX_COUNT(counters, packets_received_total, 1);
    switch (gx_header_parse(&packet.header, bytes, byte_count)) {
    case GX_HEADER_OK:
        if (packet.header.payload_bytes <= GX_PAYLOAD_MAX_BYTES)
            break;
        GX_COUNT(counters, packets_malformed_total, 1);
        return;
    case GX_HEADER_MALFORMED:
        GX_COUNT(counters, packets_malformed_total, 1);
        return;
    case GX_HEADER_VERSION:
        GX_COUNT(counters, packets_version_total, 1);
        return;
    }
    if (packet.header.type == GX_TYPE_HELLO) {
        rx_hello(links, from, bytes, byte_count, now);
        return;
    }
    peer = check(links, &packet, from, bytes, byte_count, now);
    if (peer == NULL)
        return;
    packet.bytes = packet.header.payload_bytes;
    accept(links, peer, &packet, from, now);
    switch (packet.header.type) {
    case GX_TYPE_SHARD:
        rx_shard(links, peer, &packet, now);
        break;
    case GX_TYPE_FEEDBACK:
        gx_peer_rx_feedback(links, peer, &packet, now);
        break;
    case GX_TYPE_CONTROL:
        rx_control(links, peer, &packet, now);
        break;
    case GX_TYPE_PROBE:
        if (!gx_path_rx(links, peer, &packet.header, packet.payload, now))
            gx_lane_feedback_now(&peer->lane, now);
        break;
    default:
        break;
    }
}
