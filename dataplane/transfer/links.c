#include "transfer/links.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h> /* sodium_memzero() */

#include "fec/fec.h"
#include "gx_assert.h"
#include "transfer/peer.h"

#define SECOND_NS 1000000000ull
#define UP_NS (3 * SECOND_NS)
#define SILENT_NS SECOND_NS
/* Of packets in the port. */
#define PATIENCE_PER_RTT 50
#define PATIENCE_MAX_NS 1000000ull
#define PATIENCE_BITS (256 * 12000ull)

static uint32_t packet_bytes(const struct gx_links_config *config)
{
    return config->shard_bytes + GX_HEADER_BYTES + GX_FRAME_OVERHEAD_BYTES;
}

static uint32_t pool_buffer_bytes(const struct gx_links_config *config)
{
    uint32_t bytes = config->shard_bytes;

    if (bytes < GX_CONTROL_MAX_BYTES)
        bytes = GX_CONTROL_MAX_BYTES;
    if (bytes < GX_HELLO_MAX_BYTES)
        bytes = GX_HELLO_MAX_BYTES;
    return (bytes + 63) / 64 * 64;
}

static bool memory_get(struct gx_links *links, uint32_t ring_count)
{
    uint32_t sites = links->config.site_count;

    links->peers = aligned_alloc(_Alignof(struct gx_peer), sites * sizeof *links->peers);
    links->rings = calloc((size_t)sites * ring_count, sizeof *links->rings);
    links->blocks = calloc(links->block_count, sizeof *links->blocks);
    links->pool = aligned_alloc(64, (size_t)GX_POOL_BUFFERS * links->pool_bytes);
    links->scratch =
        aligned_alloc(64, (gx_fec_scratch_bytes(links->config.shard_bytes) + 63) / 64 * 64);
    links->plain = aligned_alloc(64, GX_PAYLOAD_MAX_BYTES);
    if (links->peers != NULL)
        memset(links->peers, 0, sites * sizeof *links->peers);
    if (links->config.stash_packets > 0) {
        links->stash = calloc(links->config.stash_packets, sizeof *links->stash);
        links->stash_bytes = malloc((size_t)links->config.stash_packets * links->pool_bytes);
    }
    return gx_parity_init(&links->parity, links->config.shard_bytes) &&
           (links->config.stash_packets == 0 || (links->stash && links->stash_bytes)) &&
           links->plain != NULL && links->peers != NULL && links->rings != NULL &&
           links->blocks != NULL && links->pool != NULL && links->scratch != NULL;
}

static void local_init(struct gx_links *links)
{
    struct gx_local *local = &links->local;

    local->self = links->config.self;
    local->site_count = links->config.site_count;
    local->names = links->config.names;
    local->incarnation = links->config.incarnation;
    local->mtu = links->config.mtu;
    local->workers = links->config.workers;
    local->lane = links->config.lane;
    local->secure = links->config.secure;
    if (local->secure)
        gx_psk_init(&local->psk, links->config.psk);
    gx_random_init_secret(&local->random, links->config.secret, links->config.seed);
    sodium_memzero(links->config.psk, sizeof links->config.psk);
    sodium_memzero(links->config.secret, sizeof links->config.secret);
    gx_hello_list_digest(local->names, local->site_count, local->list_digest);
}

static void recall(struct gx_lane *lane, const struct gx_known *known, uint64_t now)
{
    if (known->packets == 0)
        return;
    gx_estimate_recall(&lane->estimate, (double)known->packets, (double)known->loss_ppm / 1e6,
                       (double)known->burst_milli / 1e3);
    if (known->rate_bps > 0)
        gx_rate_recall(&lane->rate, known->rate_bps);
    gx_pace_rate(&lane->pace, lane->rate.bps, now);
}

static void peer_init(struct gx_links *links, uint32_t idx, uint32_t ring_count, uint64_t now)
{
    struct gx_peer *peer = &links->peers[idx];

    peer->idx = idx;
    gx_handshake_init(&peer->handshake, idx, &links->config.addrs[idx], now);
    gx_lane_init(&peer->lane,
                 links->config.rate_algorithm != NULL ? links->config.rate_algorithm
                                                      : &gx_rate_path,
                 links->config.rate_bps, links->config.loss_floor, packet_bytes(&links->config),
                 links->rings + (size_t)idx * ring_count, ring_count, now);
    recall(&peer->lane, &links->config.known[idx], now);
    if (links->config.lane > 0)
        gx_handshake_dial(&peer->handshake, false, now);
    gx_recv_init(&peer->recv);
    gx_mtu_init(&peer->mtu, links->config.shard_bytes);
    peer->next_transfer = (uint32_t)gx_random_u64(&links->local.random);
    gx_peer_policy(links, peer, NULL);
}

struct gx_links *gx_links_create(const struct gx_links_config *config,
                                 const struct gx_links_ops *ops, void *ctx, uint64_t now)
{
    struct gx_links *links = calloc(1, sizeof *links);
    uint32_t ring_count = gx_flight_ring_count(config->rate_bps, packet_bytes(config));

    GX_ASSERT(config->site_count <= GX_SITES_MAX && config->self < config->site_count);
    GX_ASSERT(config->incarnation != 0 && config->shard_bytes % 64 == 0);
    GX_ASSERT(config->shard_bytes > 0 && config->shard_bytes <= GX_SHARD_MAX_BYTES);
    if (links == NULL)
        return NULL;
    gx_fec_init();
    links->config = *config;
    links->ops = *ops;
    links->ctx = ctx;
    links->block_count = config->send_blocks != 0 ? config->send_blocks : GX_SEND_BLOCKS;
    links->pool_bytes = pool_buffer_bytes(config);
    if (gx_aead_init() != 0 || !memory_get(links, ring_count)) {
        gx_links_destroy(links);
        return NULL;
    }
    for (uint32_t i = 0; i < GX_POOL_BUFFERS; i++)
        links->pool_free[i] = GX_POOL_BUFFERS - 1 - i;
    links->pool_free_count = GX_POOL_BUFFERS;
    local_init(links);
    gx_pace_init(&links->pace, config->rate_bps, packet_bytes(config), now);
    for (uint32_t i = 0; i < config->site_count; i++)
        if (gx_peer_is(links, i))
            peer_init(links, i, ring_count, now);
    return links;
}

void gx_links_destroy(struct gx_links *links)
{
    if (links == NULL)
        return;
    free(links->peers);
    free(links->rings);
    free(links->blocks);
    free(links->pool);
    gx_parity_fini(&links->parity);
    free(links->scratch);
    free(links->plain);
    free(links->stash);
    free(links->stash_bytes);
    free(links);
}

/* ---- sources and owners ---- */

static uint32_t source_slot(struct gx_links *links, struct gx_source *source)
{
    uint32_t free_slot = GX_SOURCES_MAX;

    for (uint32_t i = GX_SOURCES_MAX; i-- > 0;) {
        if (links->sources[i] == source)
            return i;
        if (links->sources[i] == NULL)
            free_slot = i;
    }
    return free_slot;
}

static void source_drop(struct gx_links *links, uint32_t slot)
{
    struct gx_source *source = links->sources[slot];

    if (source->packets > 0 || source->sends > 0)
        return;
    gx_parity_forget(&links->parity, source);
    links->sources[slot] = NULL;
}

void gx_links_release(struct gx_links *links, uint32_t owner)
{
    if (owner == GX_OWNER_NONE)
        return;
    if (owner & GX_OWNER_POOL) {
        GX_ASSERT(links->pool_free_count < GX_POOL_BUFFERS);
        links->pool_free[links->pool_free_count++] = owner & ~GX_OWNER_POOL;
        return;
    }
    GX_ASSERT(owner < GX_SOURCES_MAX && links->sources[owner] != NULL);
    GX_ASSERT(links->sources[owner]->packets > 0);
    links->sources[owner]->packets--;
    source_drop(links, owner);
}

/* ---- sends ---- */

uint32_t gx_peer_transfer_id(struct gx_peer *peer)
{
    if (++peer->next_transfer == 0)
        peer->next_transfer = 1;
    return peer->next_transfer;
}

/* The first stretch of `count` records that no send uses; NULL: there is none. */
static struct gx_send_block *blocks_find(const struct gx_links *links, uint32_t count)
{
    struct gx_send_block *at = links->blocks;
    bool moved = true;

    while (moved) {
        moved = false;
        for (uint32_t i = 0; i < links->config.site_count * GX_SENDS_MAX; i++) {
            const struct gx_send *send = &links->peers[i / GX_SENDS_MAX].sends[i % GX_SENDS_MAX];

            if (send->used && at < send->blocks + send->layout.block_count &&
                send->blocks < at + count) {
                at = send->blocks + send->layout.block_count;
                moved = true;
            }
        }
    }
    return at + count <= links->blocks + links->block_count ? at : NULL;
}

static struct gx_send *send_find_free(struct gx_peer *peer)
{
    for (uint32_t i = 0; i < GX_SENDS_MAX; i++)
        if (!peer->sends[i].used)
            return &peer->sends[i];
    return NULL;
}

struct gx_send *gx_links_send(struct gx_links *links, uint32_t peer_idx, const struct gx_open *what,
                              struct gx_source *source, bool helper, uint32_t holder,
                              uint32_t holders, uint64_t now)
{
    struct gx_peer *peer = &links->peers[peer_idx];
    struct gx_open open = *what;
    struct gx_send *send;
    struct gx_send_block *blocks;
    struct gx_layout layout;
    uint32_t slot = source_slot(links, source);
    uint64_t start;

    GX_ASSERT(gx_peer_is(links, peer_idx) && holders > 0 && holder < holders);
    open.shard_bytes = (uint16_t)links->config.shard_bytes;
    if (open.parts == 0)
        open.parts = 1;
    /* That of the largest part, so that all have the same. */
    open.k_max =
        (uint8_t)gx_layout_k_max((open.bytes + open.parts - 1) / open.parts, open.shard_bytes);
    send = send_find_free(peer);
    if (send == NULL || slot == GX_SOURCES_MAX || gx_handshake_current(&peer->handshake) == NULL ||
        !gx_send_layout(&layout, &open, &start))
        return NULL;
    blocks = blocks_find(links, layout.block_count);
    if (blocks == NULL)
        return NULL;
    open.transfer = gx_peer_transfer_id(peer);
    send->used = true;
    send->closing = false;
    send->slot = (uint16_t)(send - peer->sends);
    send->source_slot = (uint16_t)slot;
    send->peer = peer_idx;
    send->helper = helper || holder > 0;
    send->holder = holder;
    send->holders = holders;
    send->user = NULL;
    gx_send_init(send, &open, source, blocks, now);
    links->sources[slot] = source;
    source->sends++;
    /* The lane of the first part counts for the whole. */
    if (open.part == 0)
        GX_COUNT_LINK(links->config.counters, peer_idx, transfers_open, 1);
    return send;
}

static void send_detach(struct gx_links *links, struct gx_send *send)
{
    send->source->sends--;
    source_drop(links, send->source_slot);
    send->generation++; /* what is in flight means nothing any more */
    if (send->open.part == 0)
        GX_COUNT_LINK(links->config.counters, send->peer, transfers_open, (uint64_t)-1);
}

void gx_peer_send_finish(struct gx_links *links, struct gx_peer *peer, struct gx_send *send,
                         enum gx_answer answer, enum gx_reason reason, uint64_t now)
{
    send->closing = true;
    send->answer = (uint8_t)answer;
    send_detach(links, send);
    if (answer == GX_ANSWER_HELD && send->open.part == 0)
        GX_COUNT_LINK(links->config.counters, peer->idx, transfers_held_total, 1);
    links->ops.on_answer(links->ctx, peer->idx, send, answer, reason, now);
    send->used = false;
}

void gx_links_send_stop(struct gx_links *links, struct gx_send *send)
{
    if (!send->used || send->closing)
        return;
    send_detach(links, send);
    send->used = false;
}

void gx_links_send_retry(struct gx_links *links, struct gx_send *send, uint64_t now)
{
    if (!send->used || send->closing || send->answer != GX_ANSWER_NOT_READY)
        return;
    gx_send_reopen(send, gx_peer_transfer_id(&links->peers[send->peer]), now);
}

void gx_peer_send_pause(struct gx_send *send, uint64_t now)
{
    gx_send_all_judged(send);
    send->paused = true;
    send->armed_ns = 0;
    send->open_ns = now;
    send->open_wait_ns = 0;
}

void gx_peer_policy(struct gx_links *links, struct gx_peer *peer, const struct gx_send *send)
{
    const struct gx_estimate *estimate = &peer->lane.estimate;
    uint64_t frame_bits = 8ull * packet_bytes(&links->config);
    uint64_t rate_bps = peer->lane.rate.bps > 0 ? peer->lane.rate.bps : 1;
    uint64_t shards = send != NULL ? send->layout.shard_count : 0;
    uint64_t shard_ns = frame_bits * SECOND_NS / rate_bps;

    bool cold = gx_estimate_cold(estimate);

    gx_policy_init(&peer->policy, gx_estimate_loss_likely(estimate), gx_estimate_burst(estimate),
                   cold, estimate->rtt_ns, shards * shard_ns, GX_K * shard_ns);
    peer->policy.orderly = peer->lane.peer_lateness_us == 0;
}

void gx_peer_flight_drop_oldest(struct gx_peer *peer)
{
    struct gx_flight *flight = &peer->lane.flight;
    bool seen = flight->judged < flight->seen;
    const struct gx_flight_entry *entry = gx_flight_drop(flight);

    if (entry->send == GX_FLIGHT_NO_SEND)
        return;
    struct gx_send *send = &peer->sends[entry->send];

    if (send->used && !send->closing && send->generation == entry->send_generation)
        gx_send_judged(send, entry->block, seen);
}

/* ---- counters ---- */

void gx_peer_publish(struct gx_links *links, struct gx_peer *peer)
{
    const struct gx_arrival *arrival = &peer->lane.arrival;
    uint64_t *counters = links->config.counters->link[peer->idx];

    /* Differences, so that a counter goes on when the peer has started anew. */
    GX_COUNTER_ADD(counters[GX_LINK_expected_packets_total],
                   arrival->expected - peer->published.expected);
    GX_COUNTER_ADD(counters[GX_LINK_lost_packets_total], arrival->lost - peer->published.lost);
    GX_COUNTER_ADD(counters[GX_LINK_loss_bursts_total], arrival->bursts - peer->published.bursts);
    peer->published.expected = arrival->expected;
    peer->published.lost = arrival->lost;
    peer->published.bursts = arrival->bursts;
}

/* How long a transfer goes on without feedback. Data that has to be sent anyway may be sent into silence: it is more
 * often the way back that is gone for a moment. What a silent peer lacks is anybody's guess. */
static uint64_t send_timeout_ns(const struct gx_peer *peer, const struct gx_send *send)
{
    uint64_t timeout = gx_lane_timeout_ns(&peer->lane);

    if (!gx_send_pending(send) ||
        (send->answer != GX_ANSWER_OPEN && send->answer != GX_ANSWER_NONE) || timeout > SILENT_NS)
        return timeout;
    return SILENT_NS;
}

void gx_peer_tick(struct gx_links *links, struct gx_peer *peer, uint64_t now)
{
    struct gx_lane *lane = &peer->lane;
    struct gx_session *session = gx_handshake_current(&peer->handshake);
    uint64_t window_ns = gx_lane_window_ns(lane, gx_arrival_lateness_us(&lane->arrival));
    bool up = session != NULL && now - peer->handshake.heard_ns < UP_NS;

    links->config.counters->link[peer->idx][GX_LINK_up] = up;
    links->config.counters->link[peer->idx][GX_LINK_refused] = peer->handshake.refused;
    if (session == NULL)
        return;
    gx_arrival_tick(&lane->arrival, &session->replay, window_ns, now);
    gx_peer_publish(links, peer);
    for (uint32_t i = 0; i < GX_SENDS_MAX; i++) {
        struct gx_send *send = &peer->sends[i];

        if (send->used && !send->closing && send->armed_ns != 0 &&
            now >= send->armed_ns + send_timeout_ns(peer, send))
            gx_peer_send_pause(send, now);
    }
}

/* ---- sinks ---- */

void gx_links_sink_stop(struct gx_links *links, struct gx_sink *sink)
{
    for (uint32_t i = 0; i < links->config.site_count; i++) {
        if (!gx_peer_is(links, i))
            continue;
        for (uint32_t j = 0; j < GX_INCOMING_MAX; j++) {
            struct gx_incoming *incoming = &links->peers[i].recv.incoming[j];

            if (incoming->used && incoming->part->sink == sink)
                incoming->used = false;
        }
    }
}

void gx_links_sink_done(struct gx_links *links, const struct gx_sink *sink, enum gx_answer answer,
                        uint64_t now)
{
    for (uint32_t i = 0; i < links->config.site_count; i++) {
        struct gx_peer *peer = &links->peers[i];

        if (!gx_peer_is(links, i))
            continue;
        for (uint32_t j = 0; j < GX_INCOMING_MAX; j++) {
            struct gx_incoming *incoming = &peer->recv.incoming[j];

            if (!incoming->used || incoming->part->sink != sink)
                continue;
            incoming->used = false;
            gx_recv_answer(&peer->recv, incoming->transfer, (uint8_t)answer, GX_REASON_NONE);
            gx_lane_feedback_now(&peer->lane, now);
        }
    }
}

/* ---- lanes but the first ---- */

/* What is kept for this peer. */
static void stash_drop(struct gx_links *links, uint32_t peer)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < links->stash_count; i++) {
        if (links->stash[i].peer == peer)
            continue;
        links->stash[kept] = links->stash[i];
        if (kept != i)
            memcpy(links->stash_bytes + (size_t)kept * links->pool_bytes,
                   links->stash_bytes + (size_t)i * links->pool_bytes,
                   links->stash[i].header.payload_bytes);
        kept++;
    }
    links->stash_count = kept;
}

void gx_peer_reset(struct gx_links *links, struct gx_peer *peer, uint64_t now)
{
    bool ends[GX_SENDS_MAX];

    gx_recv_init(&peer->recv);
    memset(peer->asked, 0, sizeof peer->asked);
    stash_drop(links, peer->idx);
    for (uint32_t i = 0; i < GX_SENDS_MAX; i++)
        ends[i] = peer->sends[i].used && !peer->sends[i].closing;
    /* The upcall may start new ones. */
    for (uint32_t i = 0; i < GX_SENDS_MAX; i++)
        if (ends[i])
            gx_peer_send_finish(links, peer, &peer->sends[i], GX_ANSWER_NOT_NEEDED, GX_REASON_NONE,
                                now);
}

void gx_links_dial(struct gx_links *links, uint32_t idx, uint64_t incarnation, uint64_t now)
{
    struct gx_peer *peer = &links->peers[idx];
    struct gx_handshake *handshake = &peer->handshake;

    if (incarnation != 0 && handshake->incarnation == incarnation &&
        handshake->current != GX_SESSION_NONE)
        return;
    gx_handshake_end(handshake);
    gx_peer_reset(links, peer, now);
    gx_handshake_dial(handshake, incarnation != 0, now);
}

/* ---- rates ---- */

void gx_links_set_rate(struct gx_links *links, uint64_t rate_bps, uint64_t recv_rate_bps,
                       uint64_t now)
{
    links->config.rate_bps = rate_bps;
    links->config.recv_rate_bps = recv_rate_bps;
    gx_pace_rate(&links->pace, rate_bps, now);
    for (uint32_t i = 0; i < links->config.site_count; i++) {
        struct gx_lane *lane = &links->peers[i].lane;

        if (!gx_peer_is(links, i))
            continue;
        gx_rate_ceiling(&lane->rate, rate_bps);
        gx_pace_rate(&lane->pace, lane->rate.bps, now);
    }
}

/* ---- what others ask ---- */

bool gx_links_up(const struct gx_links *links, uint32_t peer)
{
    return gx_peer_is(links, peer) && links->peers[peer].handshake.current != GX_SESSION_NONE;
}

const char *gx_links_difference(const struct gx_links *links, uint32_t peer)
{
    return gx_peer_is(links, peer) ? links->peers[peer].handshake.difference : "";
}

uint64_t gx_links_heard_ns(const struct gx_links *links, uint32_t peer)
{
    return gx_peer_is(links, peer) ? links->peers[peer].handshake.heard_ns : 0;
}

uint64_t gx_links_incarnation(const struct gx_links *links, uint32_t peer)
{
    return gx_peer_is(links, peer) ? links->peers[peer].handshake.incarnation : 0;
}

uint32_t gx_links_peer_workers(const struct gx_links *links, uint32_t peer)
{
    return gx_links_up(links, peer) ? links->peers[peer].handshake.peer_workers : 0;
}

uint64_t gx_links_rtt_ns(const struct gx_links *links, uint32_t peer)
{
    return gx_peer_is(links, peer) ? links->peers[peer].lane.estimate.rtt_ns : 0;
}

/* ---- when to wake ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t send_wake(const struct gx_peer *peer, const struct gx_send *send)
{
    uint64_t wake = send->open_ns;

    if (send->armed_ns != 0)
        wake = earlier(wake, send->armed_ns + send_timeout_ns(peer, send));
    return wake;
}

static uint64_t peer_wake(const struct gx_peer *peer, const struct gx_links *links)
{
    const struct gx_lane *lane = &peer->lane;
    uint64_t wake = gx_handshake_wake(&peer->handshake);
    bool pending = false;

    if (peer->handshake.current == GX_SESSION_NONE)
        return wake;
    wake = earlier(wake, gx_lane_wake(lane));
    wake = earlier(wake, gx_mtu_wake(&peer->mtu));
    wake = earlier(
        wake, gx_arrival_wake(&lane->arrival,
                              gx_lane_window_ns(lane, gx_arrival_lateness_us(&lane->arrival))));
    for (uint32_t i = 0; i < GX_SENDS_MAX; i++) {
        if (!peer->sends[i].used)
            continue;
        wake = earlier(wake, send_wake(peer, &peer->sends[i]));
        pending |= gx_send_pending(&peer->sends[i]);
    }
    if (pending && !gx_mtu_short(&peer->mtu) && links->pool_free_count > GX_POOL_RESERVE) {
        uint64_t site = gx_pace_when(&links->pace);
        uint64_t link = gx_pace_when(&lane->pace);

        wake = earlier(wake, site > link ? site : link);
    }
    return wake;
}

uint64_t gx_links_wake(const struct gx_links *links, uint64_t now)
{
    uint64_t wake = UINT64_MAX;

    (void)now;
    for (uint32_t i = 0; i < links->config.site_count; i++)
        if (gx_peer_is(links, i))
            wake = earlier(wake, peer_wake(&links->peers[i], links));
    return wake;
}

uint64_t gx_links_patience_ns(const struct gx_links *links)
{
    uint64_t patience = PATIENCE_MAX_NS;

    for (uint32_t i = 0; i < links->config.site_count; i++)
        if (gx_peer_is(links, i) && links->peers[i].handshake.current != GX_SESSION_NONE)
            patience = earlier(patience, links->peers[i].lane.estimate.rtt_ns / PATIENCE_PER_RTT);
    return earlier(patience, PATIENCE_BITS * 1000000000ull / (links->config.recv_rate_bps + 1));
}
