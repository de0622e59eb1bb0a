/* One site of this world, as a gxd would drive its links: starts, restarts, sends, and upcalls with their checks. */
#include <stdio.h>
#include <string.h>

#include "links_world.h"

#define CONTROL_NS 200000000ull

struct upcall_ctx {
    struct world *world;
    uint32_t self;
};

static struct upcall_ctx contexts[WORLD_SITES_MAX];

/* ---- upcalls ---- */

static struct delivery *delivery_of(struct world *world, const struct gx_key *key)
{
    for (uint32_t i = 0; i < world->delivery_count; i++)
        if (world->deliveries[i].helper_of < 0 && gx_key_equal(&world->deliveries[i].open.key, key))
            return &world->deliveries[i];
    return NULL;
}

static enum gx_answer on_open(void *ctx, uint32_t peer, const struct gx_open *open,
                              struct gx_sink **sink, enum gx_reason *reason, uint64_t now)
{
    struct upcall_ctx *at = ctx;
    struct world *world = at->world;
    struct delivery *delivery = delivery_of(world, &open->key);

    (void)peer;
    (void)reason;
    world->sites[at->self].upcalls++;
    if (delivery == NULL || delivery->to != at->self) {
        links_fail(world, "OPEN of an unknown key", open->key.round, at->self);
        return GX_ANSWER_REFUSED;
    }
    if (now < delivery->ready_ns)
        return GX_ANSWER_NOT_READY;
    if (delivery->sink.state == GX_SINK_FREE && !gx_sink_open(&delivery->sink, open))
        links_fail(world, "sink does not open", open->bytes, 0);
    *sink = &delivery->sink;
    return delivery->sink.state == GX_SINK_HELD ? GX_ANSWER_HELD : GX_ANSWER_OPEN;
}

static void on_sink(void *ctx, struct gx_sink *sink, uint64_t now)
{
    struct upcall_ctx *at = ctx;
    struct world *world = at->world;
    struct delivery *delivery = delivery_of(world, &sink->open.key);

    world->sites[at->self].upcalls++;
    if (sink->state != GX_SINK_HELD ||
        memcmp(delivery->staging, delivery->copy, delivery->open.bytes) != 0)
        links_fail(world, "held bytes differ", delivery->open.key.round, sink->state);
    delivery->held_ns = now;
}

static void on_answer(void *ctx, uint32_t peer, struct gx_send *send, enum gx_answer answer,
                      enum gx_reason reason, uint64_t now)
{
    struct upcall_ctx *at = ctx;
    struct world *world = at->world;

    (void)reason;
    (void)now;
    world->sites[at->self].upcalls++;
    for (uint32_t i = 0; i < world->delivery_count; i++) {
        struct delivery *delivery = &world->deliveries[i];

        if (delivery->send != send || delivery->from != at->self)
            continue;
        if (delivery->to != peer)
            links_fail(world, "answer from the wrong peer", i, peer);
        if (answer == GX_ANSWER_REFUSED || answer == GX_ANSWER_BAD)
            links_fail(world, "answer refused or bad", i, answer);
        if (answer == GX_ANSWER_HELD || answer == GX_ANSWER_NOT_NEEDED)
            delivery->send = NULL;
        return;
    }
    links_fail(world, "answer of an unknown send", peer, answer);
}

static void on_control(void *ctx, uint32_t peer, const uint8_t *message, size_t bytes,
                       uint64_t order, uint64_t now)
{
    struct upcall_ctx *at = ctx;
    struct site *site = &at->world->sites[at->self];

    (void)now;
    site->upcalls++;
    if (bytes != 100 || message[0] != GX_CONTROL_REPORT || message[1] != peer)
        links_fail(at->world, "state message differs", bytes, message[0]);
    if (order == site->order[peer])
        links_fail(at->world, "state message twice", peer, order);
    if (order > site->order[peer])
        site->order[peer] = order;
}

static void on_peer(void *ctx, uint32_t peer, uint64_t incarnation, enum gx_reason reason,
                    uint64_t now)
{
    struct upcall_ctx *at = ctx;

    (void)incarnation;
    (void)now;
    if (reason == GX_REASON_KEY && at->world->config.secure)
        return; /* several damaged hellos in a row: nothing ends by it */
    at->world->sites[at->self].upcalls++;
    if (reason != GX_REASON_NONE)
        links_fail(at->world, "link refused", peer, reason);
}

/* Told of a small path only where there is one, and never of more than it carries. */
static void on_path(void *ctx, uint32_t peer, enum gx_path_state state, uint32_t bytes,
                    uint32_t full_bytes, uint64_t now)
{
    struct upcall_ctx *at = ctx;
    const struct world_config *config = &at->world->config;

    (void)now;
    at->world->sites[at->self].upcalls++;
    if (config->mtu == 0 || at->self > 1 || peer > 1 || full_bytes != WORLD_SHARD_BYTES + 76)
        links_fail(at->world, "a path without a limit is called small", at->self, peer);
    if (state == GX_PATH_SMALL && bytes > config->mtu && at->world->now < config->mtu_end_ns)
        links_fail(at->world, "a path is said to carry more than it does", bytes, config->mtu);
    at->world->told_small += state == GX_PATH_SMALL;
}

static void on_own_name(void *ctx, uint32_t site, uint64_t now)
{
    struct upcall_ctx *at = ctx;

    (void)now;
    if (!at->world->config.hostile) /* anybody may forge a hello */
        links_fail(at->world, "a name is said to be had twice", at->self, site);
}

static size_t next_control(void *ctx, uint32_t peer, uint8_t *out, uint64_t now)
{
    struct upcall_ctx *at = ctx;
    struct site *site = &at->world->sites[at->self];

    if (now < site->control_ns[peer])
        return 0;
    site->control_ns[peer] = now + CONTROL_NS;
    memset(out, 0, 100);
    out[0] = GX_CONTROL_REPORT;
    out[1] = (uint8_t)at->self;
    return 100;
}

static const struct gx_links_ops ops = {
    .on_open = on_open,
    .on_sink = on_sink,
    .on_answer = on_answer,
    .on_control = on_control,
    .on_peer = on_peer,
    .on_path = on_path,
    .on_own_name = on_own_name,
    .next_control = next_control,
};

/* ---- sites ---- */

void links_site_start(struct world *world, uint32_t i)
{
    struct site *site = &world->sites[i];
    struct gx_links_config *config = &site->config;

    memset(config, 0, sizeof *config);
    config->site_count = world->config.sites;
    config->self = i;
    for (uint32_t j = 0; j < world->config.sites; j++) {
        snprintf(config->names[j], sizeof config->names[j], "site%u", j);
        config->addrs[j] = links_addr_of(j);
    }
    config->rate_bps = world->config.site_rate_bps;
    config->recv_rate_bps = world->config.site_rate_bps;
    config->rate_algorithm =
        world->config.rate_algorithm != NULL ? world->config.rate_algorithm : &gx_rate_fixed;
    config->loss_floor = 0.15;
    config->mtu = 1500;
    config->shard_bytes = WORLD_SHARD_BYTES;
    config->incarnation = gx_random_u64(&world->random) | 1;
    config->seed = gx_random_u64(&world->random);
    config->secure = world->config.secure;
    config->counters = &site->counters;
    config->send_blocks = 32768;
    for (uint32_t j = 0; j < world->config.sites; j++)
        config->known[j] = world->config.known;
    site->incarnation++;
    contexts[i] = (struct upcall_ctx){.world = world, .self = i};
    site->links = links_must(gx_links_create(config, &ops, &contexts[i], world->now));
    memset(site->order, 0, sizeof site->order);
}

void links_source_start(struct delivery *delivery)
{
    memcpy(delivery->bytes, delivery->copy, delivery->open.bytes);
    gx_source_init(&delivery->source, delivery->bytes, delivery->open.bytes, WORLD_SHARD_BYTES,
                   delivery->tail);
    delivery->source_live = true;
}

void links_site_restart(struct world *world, uint32_t i)
{
    struct site *site = &world->sites[i];

    gx_links_destroy(site->links);
    site->port_count = 0;
    site->restart_ns = UINT64_MAX;
    for (uint32_t d = 0; d < world->delivery_count; d++) {
        struct delivery *delivery = &world->deliveries[d];

        if (delivery->from == i) {
            delivery->send = NULL;
            links_source_start(delivery);
        }
        if (delivery->to == i && delivery->helper_of < 0) {
            gx_sink_free(&delivery->sink);
            delivery->held_ns = 0;
        }
    }
    memset(site->control_ns, 0, sizeof site->control_ns);
    for (uint32_t j = 0; j < world->config.sites; j++)
        world->sites[j].order[i] = 0;
    links_site_start(world, i);
}

static struct delivery *keyed(struct world *world, struct delivery *delivery)
{
    return delivery->helper_of < 0 ? delivery : &world->deliveries[delivery->helper_of];
}

void links_site_app(struct world *world, uint32_t i)
{
    for (uint32_t d = 0; d < world->delivery_count; d++) {
        struct delivery *delivery = &world->deliveries[d];
        bool helper = delivery->helper_of >= 0;

        if (delivery->from != i)
            continue;
        if (delivery->source_live && delivery->source.sends == 0 && delivery->source.packets == 0 &&
            keyed(world, delivery)->held_ns != 0) {
            memset(delivery->bytes, 0xee, delivery->open.bytes);
            memset(delivery->tail, 0xee, WORLD_SHARD_BYTES);
            delivery->source_live = false;
        }
        if (delivery->send != NULL || keyed(world, delivery)->held_ns != 0 ||
            world->now < delivery->start_ns)
            continue;
        if (!delivery->source_live)
            links_source_start(delivery);
        delivery->send =
            gx_links_send(world->sites[i].links, delivery->to, &delivery->open, &delivery->source,
                          helper, helper ? 1 : 0, helper ? 2 : 1, world->now);
        if (delivery->send != NULL && delivery->first_sent_ns == 0)
            delivery->first_sent_ns = world->now;
    }
}
