/* What goes out: per peer hello, feedback, probe, OPEN, state messages; then shards, peer by peer in bursts. */
#include <string.h>

#include "gx_assert.h"
#include "transfer/links.h"
#include "transfer/peer.h"
#include "wire/feedback.h"
#include "wire/hello.h"

#define OPEN_AT_ONCE 3
#define OPEN_COPIES 5
#define OPEN_COPY_NS 5000000ull
#define OPEN_WAIT_MIN_NS 10000000ull
#define OPEN_WAIT_MAX_NS 200000000ull
#define CONTROL_MAX 8          /* state messages to one peer in one call */
#define ACTIVE_NS 200000000ull /* a sender counts as active so long after a shard */

struct out {
    struct gx_packet *packets;
    uint32_t count;
    uint32_t max;
};

/* ---- payload buffers ---- */

static uint8_t *pool_at(struct gx_links *links, uint32_t owner)
{
    return links->pool + (size_t)(owner & ~GX_OWNER_POOL) * links->pool_bytes;
}

/* There is one: the caller has looked. */
static uint32_t pool_take(struct gx_links *links)
{
    GX_ASSERT(links->pool_free_count > 0);
    return GX_OWNER_POOL | links->pool_free[--links->pool_free_count];
}

static bool has_room(const struct gx_links *links, const struct out *out)
{
    return out->count < out->max && links->pool_free_count > 0;
}

/* ---- packets ---- */

static void charge(struct gx_links *links, struct gx_peer *peer, uint32_t payload_bytes)
{
    uint64_t *counters = links->config.counters->link[peer->idx];
    uint32_t frame_bytes = payload_bytes + GX_HEADER_BYTES + GX_FRAME_OVERHEAD_BYTES;

    gx_pace_charge(&links->pace, frame_bytes);
    gx_pace_charge(&peer->lane.pace, frame_bytes);
    counters[GX_LINK_sent_packets_total]++;
    GX_COUNTER_ADD(counters[GX_LINK_sent_bytes_total], frame_bytes);
}

/* Seals the next packet of the lane and logs it. Where sessions encrypt, the owner is a buffer of the pool, and the
 * ciphertext goes there. */
static void emit(struct gx_links *links, struct gx_peer *peer, struct out *out,
                 struct gx_header *header, const uint8_t *payload, uint32_t owner,
                 struct gx_flight_entry entry, uint64_t now)
{
    struct gx_packet *packet = &out->packets[out->count++];
    struct gx_session *session = gx_handshake_current(&peer->handshake);
    uint8_t *room = owner & GX_OWNER_POOL ? pool_at(links, owner) : NULL;

    header->clock_us = (uint32_t)(now / 1000);
    packet->payload = gx_session_seal(session, header, packet->header, payload, room);
    packet->to = peer->handshake.addr;
    packet->payload_bytes = header->payload_bytes;
    packet->owner = owner;
    if (gx_flight_full(&peer->lane.flight))
        gx_peer_flight_drop_oldest(peer);
    entry.sent_ns = now;
    gx_flight_sent(&peer->lane.flight, header->number, &entry);
    charge(links, peer, header->payload_bytes);
}

static void emit_message(struct gx_links *links, struct gx_peer *peer, struct out *out,
                         enum gx_type type, uint32_t owner, size_t bytes, uint64_t now)
{
    struct gx_header header = {.type = (uint8_t)type, .payload_bytes = (uint16_t)bytes};
    struct gx_flight_entry entry = {.send = GX_FLIGHT_NO_SEND};
    const uint8_t *payload = owner == GX_OWNER_NONE ? NULL : pool_at(links, owner);

    emit(links, peer, out, &header, payload, owner, entry, now);
}

/* ---- control ---- */

static void tx_hello(struct gx_links *links, struct gx_peer *peer, struct out *out, uint64_t now)
{
    while (has_room(links, out) && gx_handshake_wake(&peer->handshake) <= now) {
        uint32_t owner = pool_take(links);
        struct gx_packet *packet = &out->packets[out->count];
        size_t bytes = gx_handshake_tx(&peer->handshake, &links->local, now, packet->header,
                                       pool_at(links, owner), &packet->to);

        GX_ASSERT(bytes > 0);
        packet->payload = pool_at(links, owner);
        packet->payload_bytes = (uint32_t)bytes;
        packet->owner = owner;
        out->count++;
        charge(links, peer, packet->payload_bytes);
    }
}

/* Each of the peers that send to us may use its part of what we can receive. */
static uint64_t grant_bps(struct gx_links *links, const struct gx_peer *asking, uint64_t now)
{
    for (uint32_t i = 0; i < links->config.site_count; i++) {
        const struct gx_recv *recv = &links->peers[i].recv;
        bool is_active = false;

        for (uint32_t j = 0; j < GX_INCOMING_MAX && !is_active; j++)
            is_active = recv->incoming[j].used && now - recv->incoming[j].shard_ns < ACTIVE_NS;
        gx_grant_look(&links->uses[i], is_active,
                      links->config.counters->link[i][GX_LINK_received_bytes_total], now);
    }
    return gx_grant_bps(links->uses, links->config.site_count, asking->idx,
                        links->config.recv_rate_bps);
}

static void tx_feedback(struct gx_links *links, struct gx_peer *peer, struct out *out, uint64_t now)
{
    struct gx_lane *lane = &peer->lane;
    const struct gx_arrival *arrival = &lane->arrival;
    uint64_t held_us = (now - arrival->newest_ns) / 1000;
    uint32_t owner;
    uint8_t *payload;
    size_t bytes = GX_FEEDBACK_HEAD_BYTES;

    if (now < lane->feedback_due_ns || !has_room(links, out))
        return;
    owner = pool_take(links);
    payload = pool_at(links, owner);
    struct gx_feedback feedback = {
        .highest = gx_handshake_current(&peer->handshake)->replay.highest,
        .expected = arrival->expected,
        .lost = arrival->lost,
        .bursts = arrival->bursts,
        .echo_us = arrival->newest_clock_us,
        .held_us = held_us < UINT32_MAX ? (uint32_t)held_us : UINT32_MAX,
        .grant_bps = grant_bps(links, peer, now),
        .lateness_us = gx_arrival_lateness_us(arrival),
        .received = arrival->received,
    };
    bytes += gx_recv_entries(&peer->recv, payload + bytes,
                             gx_mtu_room(&peer->mtu, GX_CONTROL_MAX_BYTES) - bytes,
                             &feedback.entry_count);
    gx_feedback_build(&feedback, payload);
    emit_message(links, peer, out, GX_TYPE_FEEDBACK, owner, bytes, now);
    lane->feedback_sent_ns = now;
    lane->feedback_due_ns = GX_LANE_NEVER;
    if (peer->recv.answers_due > 0)
        gx_lane_feedback_soon(lane, now);
}

static void tx_probe(struct gx_links *links, struct gx_peer *peer, struct out *out, uint64_t now)
{
    if (out->count < out->max && gx_lane_probe(&peer->lane, now))
        emit_message(links, peer, out, GX_TYPE_PROBE, GX_OWNER_NONE, 0, now);
}

/* Padded probes, and the echoes of the peer's. */
static void tx_path(struct gx_links *links, struct gx_peer *peer, struct out *out, uint64_t now)
{
    struct gx_flight_entry entry = {.send = GX_FLIGHT_NO_SEND};
    uint64_t wait_ns = gx_lane_timeout_ns(&peer->lane);
    uint32_t token, bytes;

    if (out->count < out->max && gx_mtu_echo(&peer->mtu, &token, &bytes)) {
        struct gx_header header = {.type = GX_TYPE_PROBE, .transfer = token, .block = bytes};

        emit(links, peer, out, &header, NULL, GX_OWNER_NONE, entry, now);
    }
    while (has_room(links, out) && (bytes = gx_mtu_probe(&peer->mtu, wait_ns, now, &token)) > 0) {
        struct gx_header header = {
            .type = GX_TYPE_PROBE, .transfer = token, .payload_bytes = (uint16_t)bytes};
        uint32_t owner = pool_take(links);

        gx_path_fill(links, peer, pool_at(links, owner), bytes);
        emit(links, peer, out, &header, pool_at(links, owner), owner, entry, now);
    }
    gx_path_tell(links, peer, now);
}

/* Copies at once, since every shard that arrives before the first of them is lost; some a little later, in case a burst of losses took
 * those; then ever more seldom until there is an answer. */
static void open_schedule(struct gx_send *send, uint64_t now)
{
    send->open_count++;
    if (send->open_count < OPEN_AT_ONCE)
        return;
    if (send->open_count < OPEN_COPIES) {
        send->open_ns = now + OPEN_COPY_NS;
        return;
    }
    if (send->open_wait_ns == 0)
        send->open_wait_ns = OPEN_WAIT_MIN_NS;
    send->open_ns = now + send->open_wait_ns;
    send->open_wait_ns *= 2;
    if (send->open_wait_ns > OPEN_WAIT_MAX_NS)
        send->open_wait_ns = OPEN_WAIT_MAX_NS;
}

static void tx_open(struct gx_links *links, struct gx_peer *peer, struct out *out,
                    struct gx_send *send, uint64_t now)
{
    while (now >= send->open_ns && has_room(links, out)) {
        uint32_t owner = pool_take(links);

        if (send->answer == GX_ANSWER_NOT_READY)
            gx_send_reopen(send, gx_peer_transfer_id(peer), now);
        emit_message(links, peer, out, GX_TYPE_CONTROL, owner,
                     gx_open_build(&send->open, pool_at(links, owner)), now);
        open_schedule(send, now);
    }
}

static void tx_opens(struct gx_links *links, struct gx_peer *peer, struct out *out, uint64_t now)
{
    for (uint32_t i = 0; i < GX_SENDS_MAX; i++)
        if (peer->sends[i].used && !peer->sends[i].closing)
            tx_open(links, peer, out, &peer->sends[i], now);
}

static void tx_state(struct gx_links *links, struct gx_peer *peer, struct out *out, uint64_t now)
{
    for (uint32_t i = 0; i < CONTROL_MAX && has_room(links, out); i++) {
        uint32_t owner = pool_take(links);
        size_t bytes = links->ops.next_control(links->ctx, peer->idx, pool_at(links, owner), now);

        if (bytes == 0) {
            gx_links_release(links, owner);
            return;
        }
        GX_ASSERT(bytes <= GX_CONTROL_MAX_BYTES);
        emit_message(links, peer, out, GX_TYPE_CONTROL, owner, bytes, now);
    }
}

/* ---- shards ---- */

/* In `room`, or, where it is encrypted on its way there, wherever it was made. */
static const uint8_t *parity_row(struct gx_links *links, const struct gx_send *send,
                                 const struct gx_row *row, uint8_t *room)
{
    uint32_t wanted = send->blocks[row->block].want + 1u;
    const uint8_t *made = gx_parity_row(&links->parity, send->source, send->start, &send->layout,
                                        row->block, row->row, wanted, room);

    if (made == room || links->local.secure)
        return made;
    memcpy(room, made, send->layout.shard_bytes);
    return room;
}

static void count_shard(struct gx_links *links, uint32_t peer, const struct gx_row *row,
                        uint32_t payload_bytes)
{
    uint64_t *counters = links->config.counters->link[peer];
    bool is_data = row->row < row->k;

    counters[GX_LINK_sent_data_shards_total] += is_data && !row->repeat;
    counters[GX_LINK_sent_parity_shards_total] += !is_data && !row->repeat;
    counters[GX_LINK_sent_asked_shards_total] += row->asked;
    counters[GX_LINK_sent_repeat_shards_total] += row->repeat;
    if (!is_data || row->repeat)
        GX_COUNTER_ADD(counters[GX_LINK_sent_redundant_bytes_total],
                       payload_bytes + GX_HEADER_BYTES + GX_FRAME_OVERHEAD_BYTES);
    if (!is_data)
        counters[GX_LINK_copied_bytes_total] += payload_bytes;
    else if (links->local.secure)
        counters[GX_LINK_copied_encrypt_bytes_total] += payload_bytes;
}

/* The same block's next shard is due a round of blocks later: from memory to the cache takes about as long. Shards of one
 * block after the other lie far apart, which the CPU's own prefetching does not see. It comes after this shard's
 * sealing, which would wait behind so many requests. */
static void shard_prefetch(const uint8_t *payload, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(payload + i);
}

static void tx_shard(struct gx_links *links, struct gx_peer *peer, struct out *out,
                     struct gx_send *send, const struct gx_row *row, uint64_t now)
{
    const struct gx_layout *layout = &send->layout;
    uint32_t shard = gx_layout_first(layout, row->block) + row->row;
    uint32_t bytes = layout->shard_bytes;
    uint32_t owner = send->source_slot;
    const uint8_t *payload, *next = NULL;
    struct gx_header header = {
        .type = GX_TYPE_SHARD,
        .transfer = send->open.transfer,
        .block = row->block,
        .flags = row->asked ? GX_HEADER_ASKED : 0,
        .shard = (uint8_t)row->row,
        .k = (uint8_t)row->k,
    };
    struct gx_flight_entry entry = {
        .block = row->block,
        .send = send->slot,
        .send_generation = send->generation,
    };

    if (row->row >= row->k) {
        owner = pool_take(links);
        payload = parity_row(links, send, row, pool_at(links, owner));
    } else {
        payload = send->source->bytes + send->start + (uint64_t)shard * bytes;
        if (shard == layout->shard_count - 1)
            bytes = (uint32_t)((layout->bytes - 1) % layout->shard_bytes + 1);
        if (links->local.secure)
            owner = pool_take(links);
        else
            send->source->packets++;
        if (shard + 2 < layout->shard_count) /* the last one may be shorter */
            next = payload + bytes;
    }
    header.payload_bytes = (uint16_t)bytes;
    emit(links, peer, out, &header, payload, owner, entry, now);
    if (next != NULL)
        shard_prefetch(next, bytes);
    count_shard(links, peer->idx, row, bytes);
    gx_lane_shard_sent(&peer->lane, now);
    if (send->armed_ns == 0)
        send->armed_ns = now;
}

/* Contributions before states; among equals a burst each. */
static struct gx_send *send_pick(struct gx_peer *peer)
{
    struct gx_send *state = NULL;

    for (uint32_t i = 0; i < GX_SENDS_MAX; i++) {
        struct gx_send *send = &peer->sends[(peer->turn + i) % GX_SENDS_MAX];

        if (!send->used || send->closing || !gx_send_pending(send))
            continue;
        if (send->open.key.kind == GX_KIND_CONTRIBUTION)
            return send;
        if (state == NULL)
            state = send;
    }
    return state;
}

/* What goes to this peer next, NULL: nothing now. */
static struct gx_send *peer_can_send(struct gx_peer *peer, uint64_t now)
{
    struct gx_send *send;

    if (gx_handshake_current(&peer->handshake) == NULL || gx_mtu_short(&peer->mtu))
        return NULL;
    send = send_pick(peer);
    return send != NULL && gx_pace_allows(&peer->lane.pace, now) ? send : NULL;
}

/* A shard's transfer, and the peer that it goes to. */
struct pick {
    struct gx_peer *peer;
    struct gx_send *send; /* NULL: nobody has anything to send */
};

/* Within a burst the pick stays while it can: what could not be sent before it cannot now either. */
static bool pick_stays(const struct gx_links *links, const struct pick *pick, uint64_t now)
{
    return pick->send != NULL && links->burst > 0 && gx_send_pending(pick->send) &&
           gx_pace_allows(&pick->peer->lane.pace, now);
}

/* The peer whose turn it is; the next one when its burst is over or it has nothing to send. */
static struct pick peer_pick(struct gx_links *links, uint64_t now)
{
    uint32_t sites = links->config.site_count;

    if (links->burst == 0) {
        struct gx_peer *over = &links->peers[links->turn];

        over->turn = (over->turn + 1) % GX_SENDS_MAX;
        links->turn = (links->turn + 1) % sites;
        links->burst = GX_BURST_PACKETS;
    }
    for (uint32_t i = 0; i < sites; i++) {
        uint32_t idx = (links->turn + i) % sites;
        struct gx_send *send =
            gx_peer_is(links, idx) ? peer_can_send(&links->peers[idx], now) : NULL;

        if (send == NULL)
            continue;
        if (i > 0) {
            links->turn = idx;
            links->burst = GX_BURST_PACKETS;
        }
        return (struct pick){&links->peers[idx], send};
    }
    return (struct pick){NULL, NULL};
}

static void tx_shards(struct gx_links *links, struct out *out, uint64_t now)
{
    const struct gx_send *last = NULL; /* its policy is known: only feedback changes it */
    struct pick pick = {NULL, NULL};

    while (out->count < out->max && links->pool_free_count > GX_POOL_RESERVE &&
           gx_pace_allows(&links->pace, now)) {
        struct gx_row row;

        if (!pick_stays(links, &pick, now))
            pick = peer_pick(links, now);
        if (pick.send == NULL)
            return;
        if (pick.send != last)
            gx_peer_policy(links, pick.peer, pick.send);
        last = pick.send;
        if (!gx_send_next(pick.send, &pick.peer->policy, &row))
            continue;
        tx_shard(links, pick.peer, out, pick.send, &row, now);
        links->burst--;
    }
}

uint32_t gx_links_tx(struct gx_links *links, uint64_t now, struct gx_packet *packets, uint32_t max)
{
    struct out out = {.packets = packets, .max = max};

    for (uint32_t i = 0; i < links->config.site_count; i++) {
        struct gx_peer *peer = &links->peers[i];

        if (!gx_peer_is(links, i))
            continue;
        gx_peer_tick(links, peer, now);
        tx_hello(links, peer, &out, now);
        if (gx_handshake_current(&peer->handshake) == NULL)
            continue;
        tx_feedback(links, peer, &out, now);
        tx_probe(links, peer, &out, now);
        tx_path(links, peer, &out, now);
        tx_opens(links, peer, &out, now);
        tx_state(links, peer, &out, now);
    }
    tx_shards(links, &out, now);
    return out.count;
}
