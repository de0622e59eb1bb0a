#include "sim/watch.h"

#include <stdlib.h>
#include <string.h>

#include "sim/heap.h"
#include "sim/ledger.h"
#include "wire/open.h"
#include "wire/state.h"

#define BUCKETS 4096
#define ROWS 256

struct block {
    uint64_t rows[ROWS / 64];
    uint32_t count; /* rows used in this pass over the code */
};

struct transfer {
    struct transfer *next;
    uint32_t from, to, lane, life, id;
    bool helps; /* with another site's contribution … */
    bool lies;  /* … and its bytes are others */
    uint32_t block_count;
    struct block *blocks;
};

/* What the coordinator last said of a round that is open. */
struct said {
    uint64_t life; /* of its gxd; 0: nothing yet */
    uint32_t epoch;
    uint64_t decided;
    uint32_t offers;
    uint64_t prefix[GX_SITES_MAX];
};

#define SESSIONS 8
#define HEAD_BYTES 16

/* The newest sessions that a site sends in to another, by their receive index, which a receiver that has not heard of the
 * sender's end hands to the sender's next gxd, too: under other keys. */
struct numbered {
    uint32_t session[SESSIONS];
    uint32_t life[SESSIONS]; /* of the sender's gxd */
    uint64_t highest[SESSIONS];
    uint32_t next;
};

/* What a control packet of a pair of sites, either way, began with under this number. */
struct head {
    uint64_t number;
    uint32_t low, high, session;
    uint8_t bytes[HEAD_BYTES];
};

struct sim_watch {
    struct numbered numbered[GX_SITES_MAX][GX_SITES_MAX];
    struct head heads[BUCKETS];
    struct said said[SIM_RUNS_MAX][SIM_FRAGMENTS_MAX];
    uint32_t life[GX_SITES_MAX];
    struct transfer *buckets[BUCKETS];
};

static void watch_number(struct sim_world *world, struct numbered *numbered, uint32_t from,
                         uint32_t life, uint32_t session, uint64_t number)
{
    uint32_t at = 0;

    while (at < SESSIONS && (numbered->session[at] != session || numbered->life[at] != life))
        at++;
    if (at == SESSIONS) {
        at = numbered->next++ % SESSIONS;
        numbered->session[at] = session;
        numbered->life[at] = life;
        numbered->highest[at] = 0;
    }
    if (number <= numbered->highest[at])
        sim_fail(world, "NONCE", "site %u sends number %llu after %llu in session %08x", from,
                 (unsigned long long)number, (unsigned long long)numbered->highest[at], session);
    numbered->highest[at] = number;
}

static void watch_head(struct sim_world *world, struct sim_watch *watch, uint32_t from, uint32_t to,
                       uint32_t session, uint64_t number, const uint8_t *payload)
{
    struct head now = {number, from < to ? from : to, from < to ? to : from, session, {0}};
    struct head *head =
        &watch->heads[sim_mix(number ^ (uint64_t)now.low << 40 ^ (uint64_t)now.high << 48) %
                      BUCKETS];

    memcpy(now.bytes, payload, HEAD_BYTES);
    if (head->number == number && head->low == now.low && head->high == now.high &&
        head->session != session && memcmp(head->bytes, now.bytes, HEAD_BYTES) == 0)
        sim_fail(world, "NONCE", "sites %u and %u: sessions %08x and %08x share a keystream", from,
                 to, head->session, session);
    *head = now;
}

static uint32_t load32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

struct sim_watch *sim_watch_create(void)
{
    return sim_alloc(sizeof(struct sim_watch));
}

void sim_watch_destroy(struct sim_watch *watch)
{
    for (uint32_t i = 0; i < BUCKETS; i++) {
        while (watch->buckets[i]) {
            struct transfer *transfer = watch->buckets[i];
            watch->buckets[i] = transfer->next;
            free(transfer->blocks);
            free(transfer);
        }
    }
    free(watch);
}

void sim_watch_restarted(struct sim_watch *watch, uint32_t site)
{
    watch->life[site]++;
}

static struct transfer *transfer_find(struct sim_watch *watch, uint32_t from, uint32_t to,
                                      uint32_t lane, uint32_t id)
{
    uint32_t life = watch->life[from];
    struct transfer **at = &watch->buckets[sim_mix(id ^ (uint64_t)from << 40 ^ (uint64_t)to << 48 ^
                                                   (uint64_t)lane << 56) %
                                           BUCKETS];

    for (struct transfer *transfer = *at; transfer; transfer = transfer->next)
        if (transfer->from == from && transfer->to == to && transfer->life == life &&
            transfer->lane == lane && transfer->id == id)
            return transfer;
    struct transfer *transfer = sim_alloc(sizeof(*transfer));
    *transfer = (struct transfer){
        .next = *at, .from = from, .to = to, .lane = lane, .life = life, .id = id};
    *at = transfer;
    return transfer;
}

static void watch_shard(struct sim_world *world, struct sim_watch *watch, uint32_t from,
                        uint32_t to, uint32_t lane, struct sim_shard *shard)
{
    if (shard->block > 1u << 16 || shard->k == 0) {
        sim_fail(world, "I8", "site %u sends a shard of block %u with k %u", from, shard->block,
                 shard->k);
        return;
    }
    struct transfer *transfer = transfer_find(watch, from, to, lane, shard->transfer);
    shard->lie = transfer->lies;
    if (shard->block >= transfer->block_count) {
        transfer->blocks = sim_grow(transfer->blocks, shard->block + 1, sizeof(*transfer->blocks));
        memset(transfer->blocks + transfer->block_count, 0,
               (shard->block + 1 - transfer->block_count) * sizeof(*transfer->blocks));
        transfer->block_count = shard->block + 1;
    }
    struct block *block = &transfer->blocks[shard->block];
    uint64_t bit = 1ull << (shard->index & 63);
    if (block->rows[shard->index / 64] & bit)
        sim_fail(
            world, "I8",
            "site %u sends row %u of block %u of transfer %u to site %u again after %u of %u rows",
            from, shard->index, shard->block, shard->transfer, to, block->count, ROWS);
    block->rows[shard->index / 64] |= bit;
    if (++block->count == ROWS)
        memset(block, 0, sizeof(*block));
}

/* R2: what this incarnation of the coordinator has recorded for an open round stands. */
static void watch_offers(struct sim_world *world, struct sim_watch *watch, uint32_t run,
                         const struct gx_status *status)
{
    struct said *said = &watch->said[run][status->fragment];
    struct said now = {world->sites[0].life, status->epoch, status->decided, status->offers, {0}};

    memcpy(now.prefix, status->offer_prefix, sizeof(now.prefix));
    if (said->life == now.life && said->epoch == now.epoch && said->decided == now.decided) {
        for (uint32_t i = 0; i < world->params.site_count; i++)
            if (said->offers >> i & 1 &&
                (!(now.offers >> i & 1) || said->prefix[i] != now.prefix[i]))
                sim_fail(world, "R2", "%s/%u: the recorded offer of site %u to round %llu changes",
                         sim_run_name(run), status->fragment, i,
                         (unsigned long long)status->decided + 1);
    }
    *said = now;
}

static void watch_status(struct sim_world *world, struct sim_watch *watch, uint32_t from,
                         const uint8_t *message, size_t bytes)
{
    struct gx_status status;

    if (!gx_status_parse(&status, message, bytes)) {
        sim_fail(world, "WIRE", "site %u sends a STATUS of %zu bytes that cannot be parsed", from,
                 bytes);
        return;
    }
    for (uint32_t i = 0; i < status.record_count; i++)
        sim_ledger_seen(world, status.run, status.fragment, &status.records[i]);
    for (uint32_t run = 0; run < world->params.run_count; run++)
        if (gx_run_id(sim_run_name(run)) == status.run &&
            status.fragment < world->params.fragment_count[run])
            watch_offers(world, watch, run, &status);
}

/* A part travels on the lane of its number; REPORT and STATUS on lane 0. */
static void watch_help(struct sim_world *world, struct transfer *transfer)
{
    if (transfer->helps)
        return;
    transfer->helps = true;
    transfer->lies = world->params.lies > 0;
    world->params.lies -= transfer->lies;
    world->stats.helps++;
    world->stats.lies += transfer->lies;
}

static void watch_open(struct sim_world *world, struct sim_watch *watch, uint32_t from, uint32_t to,
                       const struct sim_content *content)
{
    struct gx_open open;

    if (!gx_open_parse(&open, content->data + GX_HEADER_BYTES, content->bytes - GX_HEADER_BYTES))
        sim_fail(world, "WIRE", "site %u sends an OPEN that cannot be parsed", from);
    else if (open.part != content->lane)
        sim_fail(world, "WIRE", "site %u opens part %u on lane %u", from, open.part, content->lane);
    else if (open.parts > 1)
        world->stats.parts++;
    if (!world->failed && open.key.kind == GX_KIND_CONTRIBUTION && open.key.owner != from)
        watch_help(world, transfer_find(watch, from, to, content->lane, open.transfer));
}

bool sim_watch_packet(struct sim_world *world, struct sim_watch *watch, uint32_t from, uint32_t to,
                      const struct sim_content *content, struct sim_shard *shard)
{
    const uint8_t *header = content->data;
    size_t payload_bytes = content->bytes - GX_HEADER_BYTES;
    unsigned type = header[0] & 15;

    if (world->params.secure && type != 0) {
        uint64_t number = load32(header + 8) | (uint64_t)load32(header + 12) << 32;

        watch_number(world, &watch->numbered[from][to], from, watch->life[from], load32(header + 4),
                     number);
        if (type == 3 && payload_bytes >= HEAD_BYTES)
            watch_head(world, watch, from, to, load32(header + 4), number,
                       header + GX_HEADER_BYTES);
    }
    if (!world->params.secure && type == 3 && payload_bytes > 0 &&
        header[GX_HEADER_BYTES] == GX_CONTROL_STATUS)
        watch_status(world, watch, from, header + GX_HEADER_BYTES, payload_bytes);
    if (!world->params.secure && type == 3 && payload_bytes > 0 &&
        header[GX_HEADER_BYTES] == GX_CONTROL_OPEN)
        watch_open(world, watch, from, to, content);
    if (type != 1)
        return false;
    *shard =
        (struct sim_shard){load32(header + 16), load32(header + 20), header[24], header[25], false};
    watch_shard(world, watch, from, to, content->lane, shard);
    return true;
}
