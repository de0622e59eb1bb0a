#include "links_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS_TABLE (1u << 16)
#define APP_NS 20000000ull /* how often a site looks whether it can start a send */
#define STUCK_CALLS 100000

/* ---- helpers ---- */

uint64_t links_random_below(struct world *world, uint64_t n)
{
    return n == 0 ? 0 : gx_random_u64(&world->random) % n;
}

void links_fail(struct world *world, const char *what, uint64_t a, uint64_t b)
{
    if (world->failure[0] == 0)
        snprintf(world->failure, sizeof world->failure, "%s (%llu, %llu) at %.6f s", what,
                 (unsigned long long)a, (unsigned long long)b, (double)world->now / 1e9);
}

void *links_must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/* Of this thread: other load on the host does not count. 0 where nobody wants to know: it is a system call. */
static uint64_t cpu_now(const struct world *world)
{
    struct timespec t;

    if (!world->config.measure)
        return 0;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void cpu_add(struct world *world, uint64_t start)
{
    uint64_t took = cpu_now(world) - start;

    world->cpu_ns += took > world->cpu_call_ns ? took - world->cpu_call_ns : 0;
}

/* What two looks at the clock cost by themselves. */
static void cpu_calibrate(struct world *world)
{
    world->cpu_call_ns = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t start = cpu_now(world), took = cpu_now(world) - start;

        if (took < world->cpu_call_ns)
            world->cpu_call_ns = took;
    }
}

struct gx_addr links_addr_of(uint32_t site)
{
    struct gx_addr addr = {{0}};

    addr.b[0] = (uint8_t)(site + 1);
    return addr;
}

/* ---- the wire ---- */

static void put_on_wire(struct world *world, uint32_t from, uint32_t to, uint64_t deliver_ns,
                        const uint8_t *packet, uint32_t bytes)
{
    struct on_wire item = {.deliver_ns = deliver_ns, .from = from, .to = to, .bytes = bytes};

    item.packet = links_must(malloc(bytes > 0 ? bytes : 1));
    memcpy(item.packet, packet, bytes);
    links_heap_push(world, item);
}

/* ---- checks on what leaves ---- */

static void check_rows(struct world *world, uint32_t from, uint32_t to,
                       const struct gx_header *header)
{
    uint32_t at = (header->transfer * 2654435761u ^ header->block * 40503u ^ from * 97 ^ to * 31) %
                  world->rows_count;
    struct rows_sent *rows = &world->rows[at];

    while (rows->count > 0 &&
           (rows->from != from || rows->to != to || rows->transfer != header->transfer ||
            rows->block != header->block)) {
        at = (at + 1) % world->rows_count;
        rows = &world->rows[at];
    }
    if (rows->count == 0)
        *rows = (struct rows_sent){
            .from = from, .to = to, .transfer = header->transfer, .block = header->block};
    if (rows->count % 256 == 0)
        memset(rows->seen, 0, sizeof rows->seen);
    if (rows->seen[header->shard / 64] >> header->shard % 64 & 1)
        links_fail(world, "I8: row sent twice", header->block, header->shard);
    rows->seen[header->shard / 64] |= 1ull << header->shard % 64;
    rows->count++;
}

static bool target_hits(struct world *world, const struct gx_header *header)
{
    struct target *target = &world->config.target;

    if (!target->on || header->block != target->block)
        return false;
    if (header->shard == target->row)
        return true;
    if (header->shard < header->k || target->repairs == 0)
        return false;
    target->repairs--;
    return true;
}

static void check_payload(struct world *world, const struct gx_packet *packet)
{
    for (uint32_t i = 0; i < world->delivery_count; i++) {
        const struct delivery *delivery = &world->deliveries[i];

        if (packet->payload >= delivery->bytes &&
            packet->payload < delivery->bytes + delivery->open.bytes &&
            (!delivery->source_live || world->config.secure))
            links_fail(world, "payload of a released source, or not encrypted", i, 0);
    }
}

/* Between sites 0 and 1, one way or both, for a while. */
static uint32_t mtu_now(const struct world *world, uint32_t from, uint32_t to)
{
    const struct world_config *config = &world->config;

    if (from + to != 1 || !(config->mtu_ways >> from & 1) || world->now < config->mtu_begin_ns ||
        world->now >= config->mtu_end_ns)
        return 0;
    return config->mtu;
}

/* False: the shared bottleneck dropped it. */
static bool enter(struct world *world, uint32_t from, uint32_t to, uint32_t frame_bytes,
                  struct gx_verdict *verdict)
{
    uint64_t at_ns = world->now;

    if (world->config.neck.rate_bps > 0 && from % 2 == 0) {
        gx_impair_packet(&world->neck, at_ns, frame_bytes, verdict);
        if (verdict->copies == 0)
            return false;
        at_ns = verdict->deliver_ns[0];
    }
    gx_impair_packet(&world->paths[from][to], at_ns, frame_bytes, verdict);
    if (world->config.on_frame && verdict->cause != GX_IMPAIR_QUEUE)
        world->config.on_frame(from, to, verdict->left_ns, frame_bytes);
    return true;
}

static void send_packet(struct world *world, uint32_t from, const struct gx_packet *packet)
{
    uint32_t to = packet->to.b[0] - 1u;
    uint8_t bytes[WORLD_PACKET_MAX];
    uint32_t count = GX_HEADER_BYTES + packet->payload_bytes;
    struct gx_header header;
    struct gx_verdict verdict;

    if (to >= world->config.sites)
        return; /* an answer to a stranger */
    memcpy(bytes, packet->header, GX_HEADER_BYTES);
    if (packet->payload_bytes > 0)
        memcpy(bytes + GX_HEADER_BYTES, packet->payload, packet->payload_bytes);
    gx_header_parse(&header, bytes, count);
    if (header.type == GX_TYPE_SHARD) {
        check_payload(world, packet);
        check_rows(world, from, to, &header);
        if (target_hits(world, &header))
            return;
    }
    world->paths[from][to].config.mtu = mtu_now(world, from, to);
    if (!enter(world, from, to, count + GX_FRAME_OVERHEAD_BYTES, &verdict))
        return;
    for (uint32_t i = 0; i < verdict.copies; i++) {
        if (i == 0 && verdict.corrupt_bit >= 0) {
            uint64_t bit = (uint64_t)verdict.corrupt_bit % (count * 8ull);

            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        put_on_wire(world, from, to, verdict.deliver_ns[i], bytes, count);
        if (i == 0 && verdict.corrupt_bit >= 0) {
            uint64_t bit = (uint64_t)verdict.corrupt_bit % (count * 8ull);

            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

/* ---- ports ---- */

/* A site at 10 Gbit/s that was idle sends 5 ms of packets at once. */
static void port_keep(struct world *world, struct site *site, uint32_t owner)
{
    if (site->port_count == site->port_max) {
        site->port_max = site->port_max * 2 + 4096;
        site->port = links_must(realloc(site->port, site->port_max * sizeof *site->port));
    }
    site->port[site->port_count++] = (struct in_port){
        .owner = owner,
        .incarnation = site->incarnation,
        .release_ns = world->now + links_random_below(world, world->config.hold_ns_max + 1),
    };
}

static void site_tx(struct world *world, uint32_t i)
{
    struct site *site = &world->sites[i];
    struct gx_packet packets[64];
    uint32_t calls = 0;

    for (;;) {
        uint64_t start = cpu_now(world);
        uint32_t count = gx_links_tx(site->links, world->now, packets, world->config.tx_max);

        cpu_add(world, start);
        for (uint32_t p = 0; p < count; p++) {
            send_packet(world, i, &packets[p]);
            port_keep(world, site, packets[p].owner);
        }
        if (count < world->config.tx_max)
            return;
        if (++calls > STUCK_CALLS) {
            links_fail(world, "tx does not end", i, 0);
            return;
        }
    }
}

static uint64_t site_release(struct world *world, uint32_t i)
{
    struct site *site = &world->sites[i];
    uint64_t next = UINT64_MAX;

    for (uint32_t p = 0; p < site->port_count;) {
        if (site->port[p].release_ns <= world->now) {
            gx_links_release(site->links, site->port[p].owner);
            site->port[p] = site->port[--site->port_count];
            continue;
        }
        if (site->port[p].release_ns < next)
            next = site->port[p].release_ns;
        p++;
    }
    return next;
}

/* ---- the loop ---- */

static void capture(struct world *world, const struct on_wire *item)
{
    uint32_t at = world->capture_count < WORLD_CAPTURES
                      ? world->capture_count++
                      : (uint32_t)links_random_below(world, WORLD_CAPTURES);

    free(world->captures[at].packet);
    world->captures[at] = *item;
}

static void deliver(struct world *world)
{
    struct on_wire item = links_heap_pop(world);
    struct gx_addr from = links_addr_of(item.from);
    const uint64_t *accepted =
        &world->sites[item.to].counters.link[item.from][GX_LINK_received_packets_total];
    uint64_t was = *accepted;
    uint64_t start = cpu_now(world);

    gx_links_rx(world->sites[item.to].links, world->now, &from, item.packet, item.bytes);
    cpu_add(world, start);
    world->packets++;
    /* Only what was taken once is a replay the next time; a hello always is. */
    if (world->config.hostile && (*accepted > was || (item.packet[0] & 15) == GX_TYPE_HELLO))
        capture(world, &item);
    else
        free(item.packet);
    links_site_app(world, item.to);
    if (gx_links_wake(world->sites[item.to].links, world->now) <= world->now)
        site_tx(world, item.to);
}

static bool all_held(const struct world *world)
{
    for (uint32_t i = 0; i < world->delivery_count; i++)
        if (world->deliveries[i].helper_of < 0 && world->deliveries[i].held_ns == 0)
            return false;
    return true;
}

static uint64_t sites_serve(struct world *world)
{
    uint64_t next = world->now + APP_NS;

    for (uint32_t i = 0; i < world->config.sites; i++) {
        struct site *site = &world->sites[i];
        uint64_t wake;

        if (site->restart_ns <= world->now)
            links_site_restart(world, i);
        wake = site_release(world, i);
        next = wake < next ? wake : next;
        links_site_app(world, i);
        wake = gx_links_wake(site->links, world->now);
        if (wake <= world->now)
            site_tx(world, i);
        wake = gx_links_wake(site->links, world->now);
        next = wake < next ? wake : next;
    }
    return next;
}

bool links_world_run(struct world *world, uint64_t limit_ns)
{
    uint32_t stuck = 0;
    uint64_t end_ns = world->now + limit_ns;

    while (world->failure[0] == 0) {
        uint64_t next = sites_serve(world);

        if (world->pause_ns != 0 && world->now >= world->pause_ns)
            return true;
        if (world->pause_ns == 0 && all_held(world) && world->now >= world->config.fault_end_ns)
            return world->failure[0] == 0;
        if (world->config.hostile && world->now >= world->hostile_ns) {
            links_hostile_packet(world);
            world->hostile_ns = world->now + 1 + links_random_below(world, 2000000);
        }
        if (world->config.hostile && world->hostile_ns < next)
            next = world->hostile_ns;
        if (world->heap_count > 0 && world->heap[0].deliver_ns < next)
            next = world->heap[0].deliver_ns;
        stuck = next > world->now ? 0 : stuck + 1;
        if (stuck > STUCK_CALLS)
            links_fail(world, "time stands still", next, world->heap_count);
        if (world->pause_ns > world->now && next > world->pause_ns)
            next = world->pause_ns;
        if (next > world->now)
            world->now = next;
        if (world->now > end_ns) {
            links_fail(world, "not all held", world->delivery_count, 0);
            break;
        }
        while (world->heap_count > 0 && world->heap[0].deliver_ns <= world->now)
            deliver(world);
    }
    return false;
}

/* ---- making and unmaking ---- */

static uint32_t delivery_add(struct world *world, uint32_t from, uint32_t to, uint64_t bytes,
                             uint64_t start_ns)
{
    struct delivery *delivery = &world->deliveries[world->delivery_count];

    memset(delivery, 0, sizeof *delivery);
    delivery->from = from;
    delivery->to = to;
    delivery->helper_of = -1;
    delivery->start_ns = start_ns;
    delivery->bytes = links_must(malloc(bytes));
    delivery->copy = links_must(malloc(bytes));
    delivery->tail = links_must(malloc(WORLD_SHARD_BYTES));
    delivery->open.bytes = bytes;
    return world->delivery_count++;
}

uint32_t links_world_deliver(struct world *world, uint32_t from, uint32_t to, uint64_t bytes,
                             uint64_t start_ns)
{
    uint32_t idx = delivery_add(world, from, to, bytes, start_ns);
    struct delivery *delivery = &world->deliveries[idx];
    struct gx_open *open = &delivery->open;
    size_t table_bytes = gx_sink_table_bytes(bytes, WORLD_SHARD_BYTES, GX_K, 1);

    gx_random_fill(&world->random, delivery->copy, bytes);
    open->key.run = 7;
    open->key.round = world->rounds++;
    open->key.owner = (uint8_t)from;
    open->key.kind = links_random_below(world, 4) == 0 ? GX_KIND_STATE : GX_KIND_CONTRIBUTION;
    open->weight = 1;
    gx_digest_bytes(GX_XXH3, delivery->copy, bytes, &open->digest);
    delivery->tables = links_must(malloc(table_bytes));
    delivery->staging = links_must(malloc(gx_sink_staging_bytes(bytes, WORLD_SHARD_BYTES)));
    memset(delivery->staging, 0xdd, gx_sink_staging_bytes(bytes, WORLD_SHARD_BYTES));
    gx_sink_init(&delivery->sink, bytes, WORLD_SHARD_BYTES, GX_K, 1, delivery->tables,
                 delivery->staging);
    links_source_start(delivery);
    return idx;
}

uint32_t links_world_help(struct world *world, uint32_t of, uint32_t from, uint64_t start_ns)
{
    uint64_t bytes = world->deliveries[of].open.bytes;
    uint32_t idx = delivery_add(world, from, world->deliveries[of].to, bytes, start_ns);
    struct delivery *delivery = &world->deliveries[idx];

    delivery->helper_of = (int)of;
    delivery->open = world->deliveries[of].open;
    memcpy(delivery->copy, world->deliveries[of].copy, bytes);
    links_source_start(delivery);
    return idx;
}

void links_world_cut(struct world *world, uint32_t from, uint32_t to, uint64_t after_ns)
{
    struct gx_impair_config *config = &world->paths[from][to].config;

    config->outages[config->outage_count++] =
        (struct gx_impair_outage){.from_ns = after_ns, .to_ns = UINT64_MAX};
}

uint64_t links_world_sum(const struct world *world, enum gx_link_counter counter)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < world->config.sites; i++)
        for (uint32_t j = 0; j < world->config.sites; j++)
            sum += world->sites[i].counters.link[j][counter];
    return sum;
}

void links_world_init(struct world *world, const struct world_config *config)
{
    memset(world, 0, sizeof *world);
    world->config = *config;
    world->now = 1000000000000ull;
    gx_random_init(&world->random, config->seed);
    world->rows_count = ROWS_TABLE;
    world->rows = links_must(calloc(ROWS_TABLE, sizeof *world->rows));
    if (gx_impair_init(&world->neck, &config->neck, world->now) != 0)
        abort();
    for (uint32_t i = 0; i < config->sites; i++) {
        world->sites[i].restart_ns = UINT64_MAX;
        for (uint32_t j = 0; j < config->sites; j++) {
            struct gx_impair_config impair = config->impair;

            impair.seed = config->seed;
            impair.stream = i * WORLD_SITES_MAX + j + 1;
            if (i != j && gx_impair_init(&world->paths[i][j], &impair, world->now) != 0)
                abort();
        }
        links_site_start(world, i);
    }
    if (config->restart_ns > 0)
        world->sites[1].restart_ns = world->now + config->restart_ns;
    world->config.fault_end_ns += world->now;
    cpu_calibrate(world);
}

static void deliveries_free(struct world *world)
{
    for (uint32_t i = 0; i < world->delivery_count; i++) {
        free(world->deliveries[i].bytes);
        free(world->deliveries[i].copy);
        free(world->deliveries[i].tail);
        free(world->deliveries[i].tables);
        free(world->deliveries[i].staging);
    }
    world->delivery_count = 0;
}

void links_world_clear(struct world *world)
{
    for (uint32_t i = 0; i < world->delivery_count; i++) {
        struct delivery *delivery = &world->deliveries[i];

        if (delivery->source.packets > 0 || delivery->send != NULL)
            links_fail(world, "cleared too early", i, delivery->source.packets);
        gx_links_sink_stop(world->sites[delivery->to].links, &delivery->sink);
    }
    deliveries_free(world);
    memset(world->rows, 0, world->rows_count * sizeof *world->rows);
}

void links_world_fini(struct world *world)
{
    for (uint32_t i = 0; i < world->config.sites; i++) {
        gx_links_destroy(world->sites[i].links);
        free(world->sites[i].port);
    }
    deliveries_free(world);
    for (uint32_t i = 0; i < world->heap_count; i++)
        free(world->heap[i].packet);
    for (uint32_t i = 0; i < world->capture_count; i++)
        free(world->captures[i].packet);
    free(world->heap);
    free(world->rows);
}
