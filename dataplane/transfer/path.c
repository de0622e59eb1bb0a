/* The size of packets that a path carries: lane/mtu.c asks, here that becomes packets, counters and words.
 *
 *   a probe of ours   transfer: which try; payload: what we know of this path (u32, IP bytes; 0: enough or not known),
 *                     then zeros up to the size that is asked about
 *   its echo          transfer: that try; block: payload bytes of its largest probe that arrived; no payload
 */
#include <string.h>

#include "transfer/links.h"
#include "transfer/peer.h"
#include "wire/le.h"

#define IPV4_UDP_BYTES 28

uint32_t gx_path_headers(const struct gx_links *links, const struct gx_peer *peer)
{
    uint32_t bytes = links->config.ip_udp_bytes[peer->idx];

    return (bytes != 0 ? bytes : IPV4_UDP_BYTES) + GX_HEADER_BYTES;
}

static uint32_t known_bytes(const struct gx_links *links, const struct gx_peer *peer)
{
    return gx_mtu_short(&peer->mtu) ? peer->mtu.low + gx_path_headers(links, peer) : 0;
}

void gx_path_fill(const struct gx_links *links, const struct gx_peer *peer, uint8_t *payload,
                  uint32_t bytes)
{
    memset(payload, 0, bytes);
    gx_put_u32(payload, known_bytes(links, peer));
}

void gx_path_tell(struct gx_links *links, struct gx_peer *peer, uint64_t now)
{
    uint64_t *counters = links->config.counters->link[peer->idx];
    bool found = peer->mtu.state == GX_MTU_SMALL;
    uint32_t bytes = found ? known_bytes(links, peer) : 0;
    uint32_t full = peer->mtu.full + gx_path_headers(links, peer);
    enum gx_path_state state = GX_PATH_WHOLE;

    counters[GX_LINK_path_needs_bytes] = full;
    if (peer->path.state == peer->mtu.state && peer->path.bytes == bytes)
        return;
    if (gx_mtu_short(&peer->mtu))
        state = found ? GX_PATH_SMALL : GX_PATH_LOSING;
    counters[GX_LINK_path_short] = state != GX_PATH_WHOLE;
    counters[GX_LINK_path_bytes] = bytes;
    if (state != GX_PATH_WHOLE || peer->path.state >= GX_MTU_SEARCH)
        links->ops.on_path(links->ctx, peer->idx, state, bytes, full, now);
    peer->path.state = peer->mtu.state;
    peer->path.bytes = bytes;
}

bool gx_path_rx(struct gx_links *links, struct gx_peer *peer, const struct gx_header *header,
                const uint8_t *payload, uint64_t now)
{
    if (header->payload_bytes >= GX_MTU_SMALL_BYTES) {
        peer->path.theirs = gx_get_u32(payload);
        links->config.counters->link[peer->idx][GX_LINK_path_back_bytes] = peer->path.theirs;
        gx_mtu_asked(&peer->mtu, header->transfer, header->payload_bytes);
        return true;
    }
    if (header->block == 0)
        return false;
    gx_mtu_echoed(&peer->mtu, header->transfer, header->block, now);
    gx_path_tell(links, peer, now);
    return true;
}
