/* What a byte costs, beside what it must cost: AES-128-GCM, parity and a copy alone, then the links of two sites back to
 * back, without a network, with and without a key; sender and receiver are timed apart. Rates are payload bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <isa-l/erasure_code.h>

#include "fec/fec.h"
#include "session/aead.h"
#include "session/random.h"
#include "transfer/digest.h"
#include "transfer/links.h"

#define SHARD 1408u
#define BYTES (64u << 20)
#define BUFFERS 896u /* of the links' pool, as many as may be in flight */
#define BURST 32u
#define K 64u
#define PARITY 8u
#define RATE_BPS 40000000000ull
#define STEP_NS 9000 /* for a burst at that rate */
#define ROUNDS 5
#define ROUNDS_MAX 400u /* of a transfer; the parts alone take the best of ROUNDS */

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
static uint64_t clock_cost;
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

/* Reading it takes a system call, twice for every burst: that is not the links' time. */
static uint64_t clock_cost_ns(void)
{
    uint64_t start = clock_ns(), count = 100000;

    for (uint64_t i = 0; i < count; i++)
        clock_ns();
    return (clock_ns() - start) / count;
}

/* ---- the parts alone ---- */

enum place { CACHE, MEMORY, PLACES };
static const char *const place_names[PLACES] = {"from cache", "from memory"};

/* GB/s: of data encrypted, covered by PARITY rows per block, copied. */
struct anchors {
    double aead, parity, copy;
};

/* A byte encrypted with its part of the parity, the parity made, a copy: nothing overlaps. */
static double bound(const struct anchors *a)
{
    return 1 / ((1 + (double)PARITY / K) / a->aead + 1 / a->parity + 1 / a->copy);
}

static void seal_all(uint64_t span, uint8_t *pool)
{
    static const uint8_t key[GX_AEAD_KEY_BYTES] = {1}, iv[GX_AEAD_IV_BYTES] = {2};
    static struct gx_aead aead;
    uint8_t header[48] = {0}, tag[GX_AEAD_TAG_BYTES];

    gx_aead_key(&aead, key, iv);
    for (uint64_t i = 0; i < BYTES / SHARD; i++)
        gx_aead_seal(&aead, i, header, 32, bytes + i * SHARD % span, SHARD,
                     pool + i % BUFFERS * SHARD, tag);
}

static void copy_all(uint64_t span, uint8_t *pool)
{
    for (uint64_t i = 0; i < BYTES / SHARD; i++)
        memcpy(pool + i % BUFFERS * SHARD, bytes + i * SHARD % span, SHARD);
}

typedef void isal_fn(int, int, int, unsigned char *, unsigned char **, unsigned char **);
static isal_fn *isal; /* NULL: gx_fec_rows() */
static uint32_t row_count;

/* ISA-L gets its tables ready made, which is more than a caller with changing rows could give it. */
static void parity_all(uint64_t span, uint8_t *pool)
{
    static uint8_t coefficients[PARITY * K], tables_isal[PARITY * K * 32];
    uint8_t rows[PARITY], *out[PARITY];
    const uint8_t *data[K];

    for (uint32_t i = 0; i < row_count; i++) {
        rows[i] = (uint8_t)(K + i);
        out[i] = pool + i * SHARD;
        for (uint32_t j = 0; j < K; j++)
            coefficients[i * K + j] = gf_inv((uint8_t)(rows[i] ^ j));
    }
    ec_init_tables(K, (int)row_count, coefficients, tables_isal);
    for (uint64_t block = 0; block < BYTES / SHARD / K; block++) {
        for (uint32_t j = 0; j < K; j++)
            data[j] = bytes + (block * K * SHARD % span) + j * SHARD;
        if (isal == NULL)
            gx_fec_rows(K, row_count, rows, data, SHARD, out);
        else
            isal(SHARD, K, (int)row_count, tables_isal, (uint8_t **)(uintptr_t)data, out);
    }
}

/* From a region of one block, again and again, or from all bytes; into as many buffers as links have. */
static double alone(void (*work)(uint64_t span, uint8_t *pool), enum place place)
{
    uint8_t *pool = must(aligned_alloc(64, (size_t)BUFFERS * SHARD));
    uint64_t span = place == CACHE ? K * SHARD : BYTES / SHARD / K * K * SHARD, best = UINT64_MAX;

    memset(pool, 0, (size_t)BUFFERS * SHARD);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = clock_ns();

        work(span, pool);
        start = clock_ns() - start;
        best = start < best ? start : best;
    }
    free(pool);
    return gb_per_s(BYTES, best);
}

static void parity_compare(void)
{
    static const struct {
        const char *name;
        isal_fn *encode;
    } codes[] = {
        {"gx", NULL},
        {"ISA-L's choice", ec_encode_data},
#ifdef __x86_64__
        {"avx2", ec_encode_data_avx2},
        {"avx", ec_encode_data_avx},
        {"sse", ec_encode_data_sse},
#endif
    };
    static const uint32_t counts[] = {1, 2, 4, PARITY};
    double rates[sizeof codes / sizeof codes[0]];

    printf("parity rows of %u shards of %u bytes, GB/s of data; gx has chosen '%s'\n", K, SHARD,
           gx_fec_kernel_name());
    for (enum place place = CACHE; place < PLACES; place++)
        for (uint32_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            row_count = counts[i];
            printf("  %-12s %u rows ", place_names[place], row_count);
            for (uint32_t c = 0; c < sizeof codes / sizeof codes[0]; c++) {
                isal = codes[c].encode;
                rates[c] = alone(parity_all, place);
                printf("  %s %.1f", codes[c].name, rates[c]);
            }
            isal = NULL;
            printf("   gx / ISA-L %.2f\n", rates[0] / rates[1]);
        }
}

static void anchors_measure(struct anchors anchors[PLACES])
{
    row_count = PARITY;
    for (enum place place = CACHE; place < PLACES; place++) {
        anchors[place] = (struct anchors){alone(seal_all, place), alone(parity_all, place),
                                          alone(copy_all, place)};
        printf("alone, %-12s AES-128-GCM %.2f, %u parity rows %.2f, copy %.2f GB/s: bound %.2f\n",
               place_names[place], anchors[place].aead, PARITY, anchors[place].parity,
               anchors[place].copy, bound(&anchors[place]));
    }
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

    from->spent_ns += clock_ns() - start - clock_cost;
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
    to->spent_ns += clock_ns() - start - clock_cost;
    for (uint32_t i = 0; i < count; i++)
        gx_links_release(from->links, packets[i].owner);
    return count;
}

struct cost {
    double sender, receiver, parity; /* GB/s; parity shards per data shard */
};

/* Contributions that lie in cache, or that come from memory and go there. Both have 1,024 shards and more, below which blocks
 * have up to 128: twice the rows, each of twice the data. */
static const uint64_t sizes[PLACES] = {1536u << 10, BYTES};
static const uint32_t rounds[PLACES] = {ROUNDS_MAX, 10};

static int ns_compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* The fastest round would be the one whose dice lost least. */
static uint64_t median(uint64_t *ns, uint32_t count)
{
    qsort(ns, count, sizeof *ns, ns_compare);
    return ns[count / 2];
}

static struct cost transfer(bool secure, double loss, enum place place)
{
    uint64_t size = sizes[place];
    struct gx_open open = {.key = {.run = 1, .round = 1}, .bytes = size, .weight = 1};
    static uint64_t spent_ns[2][ROUNDS_MAX];
    uint64_t now = 1000000000;
    struct cost cost;

    gx_digest_bytes(GX_XXH3, bytes, size, &open.digest);
    for (uint32_t i = 0; i < 2; i++)
        end_start(i, secure, now);
    for (uint32_t round = 0; round < rounds[place]; round++) {
        done = false;
        gx_source_init(&source, bytes, size, SHARD, tail);
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
            spent_ns[i][round] = ends[i].spent_ns;
    }
    cost.sender = gb_per_s(size, median(spent_ns[0], rounds[place]));
    cost.receiver = gb_per_s(size, median(spent_ns[1], rounds[place]));
    cost.parity = (double)ends[0].counters.link[1][GX_LINK_sent_parity_shards_total] /
                  (double)ends[0].counters.link[1][GX_LINK_sent_data_shards_total];
    gx_links_destroy(ends[0].links);
    gx_links_destroy(ends[1].links);
    return cost;
}

static void compare(const struct anchors anchors[PLACES], double loss, enum place place)
{
    struct cost none = transfer(false, loss, place), psk = transfer(true, loss, place);
    double limit = bound(&anchors[place]);

    printf("  %-12s loss %4.1f%%, %.2f parity rows per %u   sender %.2f GB/s, %.2f of the bound   "
           "receiver %.2f, %.2f   with CRC32C %.2f, %.2f\n",
           place_names[place], 100 * loss, psk.parity * K, K, psk.sender, psk.sender / limit,
           psk.receiver, psk.receiver / limit, none.sender, none.receiver);
}

int main(void)
{
    /* The last one makes PARITY rows a block. */
    static const double losses[] = {0, 0.05, (double)PARITY / (K + PARITY)};
    struct anchors anchors[PLACES];

    gx_random_init(&dice, 1);
    bytes = must(aligned_alloc(64, BYTES));
    tail = must(aligned_alloc(64, SHARD));
    tables = must(malloc(gx_sink_table_bytes(BYTES, SHARD, K, 1)));
    staging = must(aligned_alloc(64, (gx_sink_staging_bytes(BYTES, SHARD) + 63) / 64 * 64));
    memset(staging, 0, gx_sink_staging_bytes(BYTES, SHARD));
    gx_random_fill(&dice, bytes, BYTES);
    gx_sink_init(&sink, BYTES, SHARD, K, 1, tables, staging);
    gx_fec_init();
    if (gx_aead_init() != 0)
        return 1;
    clock_cost = clock_cost_ns();
    parity_compare();
    anchors_measure(anchors);
    for (enum place place = CACHE; place < PLACES; place++)
        for (int i = 0; i < 3; i++)
            compare(anchors, losses[i], place);
    free(bytes);
    free(tail);
    free(tables);
    free(staging);
    return 0;
}
