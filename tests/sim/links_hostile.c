/* Packets that must have no effect: noise, replays, mutations, strangers' hellos. */
#include <stdio.h>
#include <string.h>

#include "links_world.h"
#include "wire/hello.h"

/* What may change by a packet that must have no effect: counters of drops, and at most an answer to a hello. */
static uint64_t effects(const struct world *world, uint32_t i)
{
    const struct site *site = &world->sites[i];
    uint64_t sum = site->upcalls;

    for (uint32_t j = 0; j < world->config.sites; j++) {
        const uint64_t *link = site->counters.link[j];
        /* Damaged hellos in a row look like another key, and are reported as that; nothing ends by it. */
        uint64_t refused = link[GX_LINK_refused] == GX_REASON_KEY ? 0 : link[GX_LINK_refused];

        sum += link[GX_LINK_received_packets_total] + link[GX_LINK_received_shards_total] +
               link[GX_LINK_sessions_total] + link[GX_LINK_peer_restarts_total] + refused +
               gx_links_heard_ns(site->links, j);
    }
    return sum;
}

static void hostile_hello(struct world *world, uint8_t *bytes, uint32_t *count)
{
    struct gx_hello hello = {.version_min = 1,
                             .version_max = 1,
                             .flags = (uint8_t)links_random_below(world, 2),
                             .session = (uint32_t)gx_random_u64(&world->random) | 1,
                             .incarnation = gx_random_u64(&world->random) | 1,
                             .site_count = 1};
    struct gx_header header = {.type = GX_TYPE_HELLO, .number = 1};

    gx_random_fill(&world->random, hello.key, sizeof hello.key);
    gx_random_fill(&world->random, hello.cookie, sizeof hello.cookie);
    snprintf(hello.name, sizeof hello.name, "%s",
             links_random_below(world, 2) ? "stranger" : "site0");
    snprintf(hello.names[0], sizeof hello.names[0], "stranger");
    if (hello.name[1] == 'i')
        memcpy(hello.list_digest, "0123456789abcdef", 16);
    header.payload_bytes = (uint16_t)gx_hello_build(&hello, bytes + GX_HEADER_BYTES);
    gx_header_build(&header, bytes);
    gx_header_checksum(bytes, bytes + GX_HEADER_BYTES, header.payload_bytes);
    *count = GX_HEADER_BYTES + header.payload_bytes;
}

void links_hostile_packet(struct world *world)
{
    uint8_t bytes[WORLD_PACKET_MAX];
    uint32_t kind = (uint32_t)links_random_below(world, 5);
    uint32_t to = (uint32_t)links_random_below(world, world->config.sites);
    uint32_t count = (uint32_t)links_random_below(world, 200);
    struct gx_addr from =
        links_addr_of((uint32_t)links_random_below(world, world->config.sites + 1));
    uint64_t was;

    gx_random_fill(&world->random, bytes, count);
    if (kind > 0 && world->capture_count > 0 && kind < 4) {
        const struct on_wire *capture =
            &world->captures[links_random_below(world, world->capture_count)];

        to = capture->to;
        count = capture->bytes;
        memcpy(bytes, capture->packet, count);
        if (kind == 1)
            from = links_addr_of(capture->from); /* a replay */
        if (kind == 2)
            bytes[links_random_below(world, count)] ^=
                (uint8_t)(1 + links_random_below(world, 255));
        if (kind == 3)
            count = (uint32_t)links_random_below(world, count);
    }
    if (kind == 4) {
        from = links_addr_of(
            world->config.sites); /* what names the wrong list, from the right address, counts */
        hostile_hello(world, bytes, &count);
    }
    was = effects(world, to);
    gx_links_rx(world->sites[to].links, world->now, &from, bytes, count);
    if (effects(world, to) != was)
        links_fail(world, "a hostile packet had an effect", kind, bytes[0]);
}
