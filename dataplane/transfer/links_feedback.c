/* Feedback that comes in: what of ours arrived and what is lost, how fast the lane may send, and how each send fares. */
#include "transfer/links.h"
#include "transfer/peer.h"
#include "wire/feedback.h"

#define RETRY_NS 200000000ull
#define RTT_MAX_US 30000000u

static struct gx_send *entry_send(struct gx_peer *peer, const struct gx_flight_entry *entry)
{
    struct gx_send *send;

    if (entry->send == GX_FLIGHT_NO_SEND)
        return NULL;
    send = &peer->sends[entry->send];
    return send->used && !send->closing && send->generation == entry->send_generation ? send : NULL;
}

static void flight_advance(struct gx_peer *peer, uint64_t highest)
{
    struct gx_flight *flight = &peer->lane.flight;
    uint64_t window_ns = gx_lane_window_ns(&peer->lane, peer->lane.peer_lateness_us);
    const struct gx_flight_entry *entry;
    struct gx_send *send;
    uint64_t seen_ns;

    while ((entry = gx_flight_see(flight, highest)) != NULL)
        if ((send = entry_send(peer, entry)) != NULL)
            gx_send_seen(send, entry->block);
    seen_ns = gx_flight_seen_sent_ns(flight);
    if (seen_ns < window_ns)
        return;
    while ((entry = gx_flight_judge(flight, seen_ns - window_ns)) != NULL)
        if ((send = entry_send(peer, entry)) != NULL)
            gx_send_judged(send, entry->block, true);
}

/* Something waits for the pace to let it go. */
static bool is_backlogged(const struct gx_peer *peer)
{
    for (uint32_t i = 0; i < GX_SENDS_MAX; i++)
        if (peer->sends[i].used && !peer->sends[i].closing && gx_send_pending(&peer->sends[i]))
            return true;
    return false;
}

static void lane_rate(struct gx_links *links, struct gx_peer *peer,
                      const struct gx_feedback *feedback, uint64_t now)
{
    struct gx_lane *lane = &peer->lane;
    const struct gx_estimate *estimate = &lane->estimate;
    struct gx_rate_sample sample = {
        .now = now,
        .rtt_ns = estimate->rtt_ns,
        .rtt_min_ns = gx_estimate_rtt_min_ns(estimate),
        .standing_ns = gx_estimate_standing_ns(estimate),
        .grant_bps = feedback->grant_bps,
        .loss = gx_estimate_loss(estimate),
        .ce_count = feedback->ce_count,
    };

    lane->backlogged &= is_backlogged(peer);
    sample.backlogged = lane->backlogged;
    sample.has_delivery = gx_delivery_feedback(
        &lane->delivery, feedback->highest, gx_flight_seen_sent_ns(&lane->flight),
        now - feedback->held_us * 1000ull, feedback->received, gx_lane_interval_ns(lane),
        links->config.shard_bytes + GX_HEADER_BYTES + GX_FRAME_OVERHEAD_BYTES, &sample.delivery);
    if (sample.has_delivery)
        lane->backlogged = is_backlogged(peer);
    lane->rate.algorithm->on_feedback(&lane->rate, &sample);
    if (lane->rate.bps != lane->pace.rate_bps)
        gx_pace_rate(&lane->pace, lane->rate.bps, now);
}

/* clock_us: the peer's, when it sent this. */
static void lane_feedback(struct gx_links *links, struct gx_peer *peer,
                          const struct gx_feedback *feedback, uint32_t clock_us, uint64_t now)
{
    struct gx_lane *lane = &peer->lane;
    struct gx_estimate *estimate = &lane->estimate;
    uint64_t *counters = links->config.counters->link[peer->idx];
    uint32_t rtt_us = (uint32_t)(now / 1000) - feedback->echo_us - feedback->held_us;

    if (feedback->highest != 0 && rtt_us < RTT_MAX_US)
        gx_estimate_rtt(estimate, rtt_us * 1000ull, (uint32_t)(now / 1000) - clock_us, now);
    gx_estimate_totals(estimate, feedback->expected, feedback->lost, feedback->bursts);
    lane->peer_lateness_us = feedback->lateness_us;
    if (gx_estimate_loss(estimate) > GX_MTU_LOSS)
        gx_mtu_doubt(&peer->mtu, now);
    gx_lane_feedback_heard(lane, now);
    flight_advance(peer, feedback->highest);
    lane_rate(links, peer, feedback, now);
    counters[GX_LINK_rtt_ns] = estimate->rtt_ns;
    counters[GX_LINK_rtt_ns_min] = gx_estimate_rtt_min_ns(estimate);
    counters[GX_LINK_loss_ppm] = (uint64_t)(gx_estimate_loss(estimate) * 1e6);
    counters[GX_LINK_allowed_bps] = lane->rate.bps;
    counters[GX_LINK_burst_milli] = (uint64_t)(gx_estimate_burst(estimate) * 1e3);
}

static bool entry_open(struct gx_links *links, struct gx_peer *peer, struct gx_send *send,
                       const struct gx_feedback_entry *entry, uint64_t now)
{
    /* What was complete is not any more: the receiver has begun anew, maybe in other parts meanwhile. So does the send. */
    if (entry->done < send->below) {
        gx_send_reopen(send, gx_peer_transfer_id(peer), now);
        return true;
    }
    gx_peer_policy(links, peer, send);
    if (!gx_send_feedback(send, entry, &peer->policy))
        return false;
    send->hold = false;
    send->paused = false;
    send->open_ns = GX_LANE_NEVER;
    /* Silence says nothing while only our own pacing holds shards back. */
    send->armed_ns = send->flight_total > 0 || !gx_send_pending(send) ? now : 0;
    return true;
}

/* False: no such answer. */
static bool rx_entry(struct gx_links *links, struct gx_peer *peer,
                     const struct gx_feedback_entry *entry, uint64_t now)
{
    struct gx_send *send = NULL;
    uint8_t what = entry->answer;
    enum gx_reason reason =
        entry->reason < GX_REASON_COUNT ? (enum gx_reason)entry->reason : GX_REASON_NONE;

    for (uint32_t i = 0; i < GX_SENDS_MAX; i++)
        if (peer->sends[i].used && !peer->sends[i].closing &&
            peer->sends[i].open.transfer == entry->transfer)
            send = &peer->sends[i];
    if (what > GX_ANSWER_BAD)
        return false;
    if (send == NULL)
        return true;
    if (gx_send_finished(what)) {
        gx_peer_send_finish(links, peer, send, what, reason, now);
        return true;
    }
    if (what == GX_ANSWER_OPEN && !entry_open(links, peer, send, entry, now))
        return false;
    if (what == GX_ANSWER_NOT_READY && send->answer != what) {
        gx_send_all_judged(send);
        send->armed_ns = 0;
        send->hold = true;
        send->open_ns = now + RETRY_NS;
    }
    send->answer = what;
    if (send->told != what) {
        send->told = what;
        links->ops.on_answer(links->ctx, peer->idx, send, what, reason, now);
    }
    return true;
}

void gx_peer_rx_feedback(struct gx_links *links, struct gx_peer *peer,
                         const struct gx_rx_packet *packet, uint64_t now)
{
    struct gx_feedback feedback;
    struct gx_feedback_entry entry;
    size_t at = GX_FEEDBACK_HEAD_BYTES;
    bool fits = gx_feedback_parse(&feedback, packet->payload, packet->bytes);

    /* Numbers of an older session mean other packets; an older packet tells less than a newer one did. */
    if (fits && (!packet->current || packet->header.number < peer->lane.feedback_number))
        return;
    if (!fits || feedback.highest > peer->lane.flight.sent) {
        GX_COUNT_LINK(links->config.counters, peer->idx, drop_message_total, 1);
        return;
    }
    peer->lane.feedback_number = packet->header.number;
    lane_feedback(links, peer, &feedback, packet->header.clock_us, now);
    for (uint32_t i = 0; i < feedback.entry_count; i++) {
        gx_feedback_entry_parse(&entry, packet->payload, packet->bytes, &at);
        if (!rx_entry(links, peer, &entry, now)) {
            GX_COUNT_LINK(links->config.counters, peer->idx, drop_message_total, 1);
            return;
        }
    }
}
