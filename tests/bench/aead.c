/* What encryption costs: AES-128-GCM alone, then the links of two sites back to back, without a network, with and without
 * a key; sender and receiver are timed apart. Rates are payload bytes; the shares are of the same process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "session/aead.h"
#include "session/random.h"
#include "transfer/digest.h"
#include "transfer/links.h"

#define SHARD 1408u
#define BYTES (64u << 20)
#define BUFFERS 896u /* of the links' pool, as many as may be in flight */
#define BURST 32u
#define RATE_BPS 40000000000ull
#define STEP_NS 9000 /* for a burst at that rate */
#define ROUNDS 5

struct end {
    struct gx_links *links;
    struct gx_counters counters;
    uint64_t spent_ns;
};

static struct end ends[2];
static uint8_t *bytes, *tail, *staging;
static void *tables;
static struct gx_source source;
static struct gx_sink sink;
static struct gx_random dice;
static bool done;

/* Of this thread, so that others on its core do not count. */
static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static double gb_per_s(uint64_t count, uint64_t ns)
{
    return (double)count / (double)ns;
}

/* ---- the parts alone ---- */

/* From a region of `span` bytes, again and again, into as many buffers as links have. */
static double aead_alone(uint64_t span, bool copy_only)
{
    static const uint8_t key[GX_AEAD_KEY_BYTES] = {1}, iv[GX_AEAD_IV_BYTES] = {2};
    static struct gx_aead aead;
    uint8_t header[48] = {0}, tag[GX_AEAD_TAG_BYTES];
    uint8_t *pool = must(aligned_alloc(64, (size_t)BUFFERS * SHARD));
    uint64_t count = BYTES / SHARD, best = UINT64_MAX;

    gx_aead_key(&aead, key, iv);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = clock_ns();

        for (uint64_t i = 0; i < count; i++) {
            const uint8_t *from = bytes + i * SHARD % span / SHARD * SHARD;
            uint8_t *to = pool + i % BUFFERS * SHARD;

            if (copy_only)
                memcpy(to, from, SHARD);
            else
                gx_aead_seal(&aead, i, header, 32, from, SHARD, to, tag);
        }
        start = clock_ns() - start;
        best = start < best ? start : best;
    }
    free(pool);
    return gb_per_s(count * SHARD, best);
}

/* ---- two sites ---- */

static enum gx_answer on_open(void *ctx, uint32_t peer, const struct gx_open *open,
                              struct gx_sink **out, enum gx_reason *reason, uint64_t now)
{
    (void)ctx;
    (void)peer;
    (void)reason;
    (void)now;
    if (sink.state == GX_SINK_FREE && !gx_sink_open(&sink, open))
        abort();
    *out = &sink;
    return GX_ANSWER_OPEN;
}

static void on_sink(void *ctx, struct gx_sink *filled, uint64_t now)
{
    (void)ctx;
    (void)now;
    if (filled->state != GX_SINK_HELD)
        abort();
}

static void on_answer(void *ctx, uint32_t peer, struct gx_send *send, enum gx_answer answer,
                      enum gx_reason reason, uint64_t now)
{
    (void)ctx;
    (void)peer;
    (void)send;
    (void)reason;
    (void)now;
    done |= answer == GX_ANSWER_HELD;
}

static void on_control(void *ctx, uint32_t peer, const uint8_t *message, size_t count,
                       uint64_t order, uint64_t now)
{
    (void)ctx;
    (void)peer;
    (void)message;
    (void)count;
    (void)order;
    (void)now;
}

static void on_peer(void *ctx, uint32_t peer, uint64_t incarnation, enum gx_reason reason,
                    uint64_t now)
{
    (void)ctx;
    (void)peer;
    (void)incarnation;
    (void)reason;
    (void)now;
}

static size_t next_control(void *ctx, uint32_t peer, uint8_t *out, uint64_t now)
{
    (void)ctx;
    (void)peer;
    (void)out;
    (void)now;
    return 0;
}

static const struct gx_links_ops ops = {.on_open = on_open,
                                        .on_sink = on_sink,
                                        .on_answer = on_answer,
                                        .on_control = on_control,
                                        .on_peer = on_peer,
                                        .next_control = next_control};

static void end_start(uint32_t self, bool secure, uint64_t now)
{
    struct gx_links_config config = {.site_count = 2,
                                     .self = self,
                                     .names = {"a", "b"},
                                     .addrs = {{{1}}, {{2}}},
                                     .rate_bps = RATE_BPS,
                                     .recv_rate_bps = RATE_BPS,
                                     .rate_algorithm = &gx_rate_fixed,
                                     .mtu = 1500,
                                     .shard_bytes = SHARD,
                                     .incarnation = self + 1,
                                     .seed = self,
                                     .secure = secure,
                                     .counters = &ends[self].counters};

    memset(&ends[self], 0, sizeof ends[self]);
    ends[self].links = must(gx_links_create(&config, &ops, NULL, now));
}

/* A burst of one end's to the other; `loss` of the shards is lost. */
static uint32_t step(uint32_t self, double loss, uint64_t now)
{
    static uint8_t copies[BURST][GX_HEADER_BYTES + SHARD];
    struct end *from = &ends[self], *to = &ends[1 - self];
    struct gx_packet packets[BURST];
    struct gx_addr addr = {{(uint8_t)(self + 1)}};
    uint64_t start = clock_ns();
    uint32_t count = gx_links_tx(from->links, now, packets, BURST);

    from->spent_ns += clock_ns() - start;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(copies[i], packets[i].header, GX_HEADER_BYTES);
        if (packets[i].payload_bytes > 0)
            memcpy(copies[i] + GX_HEADER_BYTES, packets[i].payload, packets[i].payload_bytes);
    }
    start = clock_ns();
    for (uint32_t i = 0; i < count; i++)
        if ((packets[i].header[0] & 15) != GX_TYPE_SHARD ||
            (double)(gx_random_u64(&dice) % 10000) >= loss * 10000)
            gx_links_rx(to->links, now, &addr, copies[i],
                        GX_HEADER_BYTES + packets[i].payload_bytes);
    to->spent_ns += clock_ns() - start;
    for (uint32_t i = 0; i < count; i++)
        gx_links_release(from->links, packets[i].owner);
    return count;
}

struct cost {
    double sender, receiver, parity; /* GB/s; parity shards per data shard */
};

static struct cost transfer(bool secure, double loss)
{
    struct gx_open open = {.key = {.run = 1, .round = 1}, .bytes = BYTES, .weight = 1};
    uint64_t now = 1000000000, best[2] = {UINT64_MAX, UINT64_MAX};
    struct cost cost;

    gx_digest_bytes(GX_XXH3, bytes, BYTES, &open.digest);
    for (uint32_t i = 0; i < 2; i++)
        end_start(i, secure, now);
    for (int round = 0; round < ROUNDS; round++) {
        done = false;
        gx_source_init(&source, bytes, BYTES, SHARD, tail);
        gx_sink_free(&sink);
        open.key.round++;
        while (gx_links_send(ends[0].links, 1, &open, &source, false, 0, 1, now) == NULL) {
            now += 1000000;
            step(0, 0, now);
            step(1, 0, now);
        }
        ends[0].spent_ns = ends[1].spent_ns = 0;
        while (!done) {
            now += STEP_NS;
            step(0, loss, now);
            step(1, 0, now);
        }
        for (uint32_t i = 0; i < 2; i++)
            best[i] = ends[i].spent_ns < best[i] ? ends[i].spent_ns : best[i];
    }
    cost.sender = gb_per_s(BYTES, best[0]);
    cost.receiver = gb_per_s(BYTES, best[1]);
    cost.parity = (double)ends[0].counters.link[1][GX_LINK_sent_parity_shards_total] /
                  (double)ends[0].counters.link[1][GX_LINK_sent_data_shards_total];
    gx_links_destroy(ends[0].links);
    gx_links_destroy(ends[1].links);
    return cost;
}

static void compare(double aead, double loss)
{
    struct cost none = transfer(false, loss), psk = transfer(true, loss);

    printf("loss %.2f   sender    CRC32C %6.2f GB/s   AEAD %6.2f GB/s   ratio %.2f, of AEAD alone "
           "%.2f\n",
           loss, none.sender, psk.sender, psk.sender / none.sender, psk.sender / aead);
    printf("            receiver  CRC32C %6.2f GB/s   AEAD %6.2f GB/s   ratio %.2f, of AEAD alone "
           "%.2f\n",
           none.receiver, psk.receiver, psk.receiver / none.receiver, psk.receiver / aead);
    printf("            parity per data shard %.3f, %.3f\n", none.parity, psk.parity);
}

int main(void)
{
    double hot, memory, copy;

    gx_random_init(&dice, 1);
    bytes = must(aligned_alloc(64, BYTES));
    tail = must(aligned_alloc(64, SHARD));
    tables = must(malloc(gx_sink_table_bytes(BYTES, SHARD, 64, 1)));
    staging = must(aligned_alloc(64, (gx_sink_staging_bytes(BYTES, SHARD) + 63) / 64 * 64));
    memset(staging, 0, gx_sink_staging_bytes(BYTES, SHARD));
    gx_random_fill(&dice, bytes, BYTES);
    gx_sink_init(&sink, BYTES, SHARD, 64, 1, tables, staging);
    if (gx_aead_init() != 0)
        return 1;
    hot = aead_alone(16 * SHARD, false);
    memory = aead_alone(BYTES / SHARD * SHARD, false);
    copy = aead_alone(BYTES / SHARD * SHARD, true);
    printf(
        "AES-128-GCM alone, %u B   from cache %.2f GB/s, from memory %.2f GB/s; a copy %.2f GB/s\n",
        SHARD, hot, memory, copy);
    compare(memory, 0);
    compare(memory, 0.05);
    free(bytes);
    free(tail);
    free(tables);
    free(staging);
    return 0;
}
