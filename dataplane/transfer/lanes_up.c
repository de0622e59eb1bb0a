/* Which lanes there are: they follow lane 0, come up and go, and share the site's rates. */
#include "transfer/lanes_state.h"
#include "transfer/peer.h"

#define SECOND_NS 1000000000ull
#define ALIVE_NS (3 * SECOND_NS)
#define LANE_LACKS_NS (3 * SECOND_NS)

/* ---- coming and going ---- */

/* Lanes to the peer that are up, without a gap from lane 0 on. */
uint32_t gx_lanes_up(const struct gx_lanes *lanes, uint32_t peer)
{
    const struct gx_links *first = lanes->workers[0].links;
    uint32_t count = 1;

    if (!gx_links_up(first, peer))
        return 0;
    while (count < lanes->worker_count &&
           lanes->workers[count].views[peer].incarnation == gx_links_incarnation(first, peer))
        count++;
    return count;
}

uint32_t gx_lanes_wanted(const struct gx_lanes *lanes, uint32_t peer)
{
    uint32_t theirs = gx_links_peer_workers(lanes->workers[0].links, peer);

    return theirs < lanes->worker_count ? theirs : lanes->worker_count;
}

/* The other lanes follow lane 0. */
void gx_lanes_dial(struct gx_lanes *lanes, uint32_t peer, uint64_t incarnation)
{
    for (uint32_t w = 1; w < lanes->worker_count; w++) {
        struct gx_lane_message *message = gx_lanes_order(lanes, w, GX_LANE_DIAL);

        if (message == NULL)
            continue; /* its own silence makes it dial, too */
        message->peer = peer;
        message->value = w < gx_lanes_wanted(lanes, peer) ? incarnation : 0;
        gx_lanes_order_send(lanes, w);
    }
}

/* Lane 0 lives and this one does not: something between lets only some ports pass. */
bool gx_lanes_lack(struct gx_lanes *lanes, uint32_t w, uint32_t peer, uint64_t now)
{
    struct gx_lane_view *view = &lanes->workers[w].views[peer];
    const struct gx_links *first = lanes->workers[0].links;

    if (view->incarnation != 0 || !gx_links_up(first, peer) ||
        now > gx_links_heard_ns(first, peer) + SECOND_NS)
        view->lacks_ns = 0;
    else if (view->lacks_ns == 0)
        view->lacks_ns = now;
    return view->lacks_ns != 0 && now > view->lacks_ns + LANE_LACKS_NS;
}

/* ---- rates ---- */

/* Who is silent takes no part of the rates. */
static bool is_alive(const struct gx_lanes *lanes, uint32_t peer, uint64_t now)
{
    const struct gx_links *first = lanes->workers[0].links;

    return gx_links_up(first, peer) && now < gx_links_heard_ns(first, peer) + ALIVE_NS;
}

/* A peer's part of the site's rate is spread over its lanes, so a worker's share is the sum of what they carry. */
void gx_lanes_rates_share(struct gx_lanes *lanes, uint64_t now)
{
    double share[GX_WORKERS_MAX] = {0}, peers = 0;

    if (lanes->worker_count == 1)
        return;
    for (uint32_t i = 0; i < lanes->config.site_count; i++) {
        uint32_t up = is_alive(lanes, i, now) ? gx_lanes_up(lanes, i) : 0;
        uint32_t wanted = gx_lanes_wanted(lanes, i), count = up < wanted ? up : wanted;

        for (uint32_t w = 0; w < count; w++)
            share[w] += 1.0 / count;
        peers += count > 0;
    }
    if (peers == 0)
        peers = 1;
    for (uint32_t w = 0; w < lanes->worker_count; w++) {
        /* Nothing flows there yet; what does first begins with what it will get. */
        if (share[w] == 0)
            share[w] = peers / lanes->worker_count;
    }
    for (uint32_t w = 0; w < lanes->worker_count; w++) {
        struct gx_lanes_worker *worker = &lanes->workers[w];
        uint64_t rate_bps = (uint64_t)((double)lanes->config.rate_bps * share[w] / peers);
        uint64_t recv_bps = (uint64_t)((double)lanes->config.recv_rate_bps * share[w] / peers);
        struct gx_lane_message *message;

        if (rate_bps == worker->rate_bps && recv_bps == worker->recv_rate_bps)
            continue;
        message = w > 0 ? gx_lanes_order(lanes, w, GX_LANE_RATE) : NULL;
        if (w > 0 && message == NULL)
            continue; /* the next look tries again */
        worker->rate_bps = rate_bps;
        worker->recv_rate_bps = recv_bps;
        if (w == 0) {
            gx_links_set_rate(worker->links, rate_bps, recv_bps, now);
            continue;
        }
        message->value = rate_bps;
        message->recv_rate_bps = recv_bps;
        gx_lanes_order_send(lanes, w);
    }
}

void gx_lanes_set_rate(struct gx_lanes *lanes, uint64_t rate_bps, uint64_t recv_rate_bps,
                       uint64_t now)
{
    lanes->config.rate_bps = rate_bps;
    lanes->config.recv_rate_bps = recv_rate_bps;
    if (lanes->worker_count == 1)
        gx_links_set_rate(lanes->workers[0].links, rate_bps, recv_rate_bps, now);
    else
        gx_lanes_rates_share(lanes, now);
}
