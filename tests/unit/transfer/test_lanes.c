/* Two sites with two workers each, stepped by hand: what the workers tell each other, and what waits for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "transfer/digest.h"
#include "transfer/lanes.h"
#include "wire/header.h"

#define MS 1000000ull
#define SHARD 1024u
#define BYTES (300u * SHARD + 5)
#define WORKERS 2u
#define HELD_MAX 1024

struct end {
    struct gx_lanes *lanes;
    struct gx_counters counters[GX_WORKERS_MAX];
    struct gx_transfer *answered;
    enum gx_answer answer;
    uint32_t sinks, changes;
};

static struct end ends[2];
static uint64_t now;
static uint8_t bytes[BYTES], tail[SHARD], *staging;
static void *tables;
static struct gx_sink sink;
static struct gx_source source;
static struct gx_open wanted;
static bool asleep[2][WORKERS]; /* this worker does not poll */
static bool keeps;              /* the port of site 0's worker 1 keeps what it is given */
static uint32_t kept[HELD_MAX], kept_count;

static struct gx_addr addr_of(uint32_t site, uint32_t worker)
{
    return (struct gx_addr){.b = {(uint8_t)(site + 1), (uint8_t)worker}};
}

static enum gx_answer on_open(void *ctx, uint32_t peer, const struct gx_open *open,
                              struct gx_sink **out, enum gx_reason *reason, uint64_t at)
{
    (void)ctx;
    (void)peer;
    (void)at;
    *reason = GX_REASON_NONE;
    if (sink.state == GX_SINK_FREE)
        assert_true(gx_sink_open(&sink, open));
    *out = &sink;
    return sink.state == GX_SINK_CLOSING ? GX_ANSWER_NOT_READY : GX_ANSWER_OPEN;
}

static void on_sink(void *ctx, struct gx_sink *which, uint64_t at)
{
    (void)at;
    assert_ptr_equal(which, &sink);
    ((struct end *)ctx)->sinks++;
}

static void on_answer(void *ctx, uint32_t peer, struct gx_transfer *transfer, enum gx_answer answer,
                      enum gx_reason reason, uint64_t at)
{
    struct end *end = ctx;

    (void)peer;
    (void)reason;
    (void)at;
    end->answered = transfer;
    end->answer = answer;
}

static void on_control(void *ctx, uint32_t peer, const uint8_t *message, size_t count,
                       uint64_t order, uint64_t at)
{
    (void)ctx, (void)peer, (void)message, (void)count, (void)order, (void)at;
}

static void on_peer(void *ctx, uint32_t peer, uint64_t incarnation, enum gx_reason reason,
                    uint64_t at)
{
    (void)ctx, (void)peer, (void)incarnation, (void)reason, (void)at;
}

static size_t next_control(void *ctx, uint32_t peer, uint8_t *out, uint64_t at)
{
    (void)ctx, (void)peer, (void)out, (void)at;
    return 0;
}

static void on_change(void *ctx, uint64_t at)
{
    (void)at;
    ((struct end *)ctx)->changes++;
}

static void on_path(void *ctx, uint32_t peer, enum gx_path_state path, uint32_t size,
                    uint32_t full_bytes, uint64_t at)
{
    (void)ctx, (void)peer, (void)path, (void)size, (void)full_bytes, (void)at;
}

static void on_own_name(void *ctx, uint32_t site, uint64_t at)
{
    (void)ctx, (void)site, (void)at;
}

static const struct gx_lanes_ops ops = {on_open,      on_sink, on_answer,   on_control, on_peer,
                                        next_control, on_path, on_own_name, on_change};

static void end_start(uint32_t i, uint32_t workers)
{
    struct gx_links_config config = {
        .site_count = 2,
        .self = i,
        .names = {"a", "b"},
        .addrs = {addr_of(0, 0), addr_of(1, 0)},
        .rate_bps = 1000000000,
        .recv_rate_bps = 1000000000,
        .rate_algorithm = &gx_rate_fixed,
        .mtu = 1500,
        .shard_bytes = SHARD,
        .incarnation = 1000 + i,
        .seed = 7 + i,
        .send_blocks = 1024,
        .counters = ends[i].counters,
        .workers = workers,
    };
    struct gx_addr lane_addrs[GX_WORKERS_MAX - 1][GX_SITES_MAX] = {{addr_of(0, 1), addr_of(1, 1)}};

    memset(&ends[i], 0, sizeof ends[i]);
    ends[i].lanes = gx_lanes_create(&config, (const struct gx_addr(*)[GX_SITES_MAX])lane_addrs,
                                    &ops, &ends[i], now);
    assert_non_null(ends[i].lanes);
}

static void transmit(uint32_t site, uint32_t worker)
{
    struct gx_packet packets[32];
    struct gx_addr from = addr_of(site, worker);
    struct gx_links *links = gx_lanes_links(ends[site].lanes, worker);
    uint32_t count = gx_links_tx(links, now, packets, 32);

    for (uint32_t i = 0; i < count; i++) {
        uint8_t packet[GX_HEADER_BYTES + 1500];
        uint32_t to = packets[i].to.b[0] - 1u, lane = packets[i].to.b[1];

        memcpy(packet, packets[i].header, GX_HEADER_BYTES);
        if (packets[i].payload_bytes)
            memcpy(packet + GX_HEADER_BYTES, packets[i].payload, packets[i].payload_bytes);
        gx_links_rx(gx_lanes_links(ends[to].lanes, lane), now, &from, packet,
                    GX_HEADER_BYTES + packets[i].payload_bytes);
        if (keeps && site == 0 && worker == 1 && kept_count < HELD_MAX)
            kept[kept_count++] = packets[i].owner;
        else
            gx_links_release(links, packets[i].owner);
    }
}

static void run(uint64_t duration_ns)
{
    for (uint64_t end_ns = now + duration_ns; now < end_ns; now += MS / 20)
        for (uint32_t i = 0; i < 2 * WORKERS; i++) {
            uint32_t site = i / WORKERS, worker = i % WORKERS;

            if (!asleep[site][worker])
                gx_lanes_poll(ends[site].lanes, worker, now);
            transmit(site, worker);
        }
}

static int setup(void **state)
{
    (void)state;
    now = 1000 * MS;
    keeps = false;
    kept_count = 0;
    memset(asleep, 0, sizeof asleep);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    tables = malloc(gx_sink_table_bytes(BYTES, SHARD, 64, WORKERS));
    staging = calloc(1, gx_sink_staging_bytes(BYTES, SHARD));
    gx_sink_init(&sink, BYTES, SHARD, 64, WORKERS, tables, staging);
    gx_source_init(&source, bytes, BYTES, SHARD, tail);
    wanted = (struct gx_open){.bytes = BYTES, .weight = 1};
    gx_digest_bytes(GX_XXH3, bytes, BYTES, &wanted.digest);
    end_start(0, WORKERS);
    end_start(1, WORKERS);
    run(20 * MS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gx_lanes_destroy(ends[0].lanes);
    gx_lanes_destroy(ends[1].lanes);
    free(tables);
    free(staging);
    return 0;
}

static struct gx_transfer *send_it(void)
{
    return gx_lanes_send(ends[0].lanes, 1, &wanted, &source, false, 0, 1, now);
}

static void a_transfer_goes_in_two_parts_and_is_held_once(void **state)
{
    struct gx_transfer *transfer = send_it();

    (void)state;
    assert_non_null(transfer);
    assert_int_equal(source.away, 1);
    run(30 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_int_equal(sink.part_count, 2);
    assert_memory_equal(staging, bytes, BYTES);
    assert_int_equal(ends[1].sinks, 1);
    assert_ptr_equal(ends[0].answered, transfer);
    assert_int_equal(ends[0].answer, GX_ANSWER_HELD);
    assert_false(gx_source_busy(&source));
    for (uint32_t w = 0; w < WORKERS; w++) {
        uint64_t shards = ends[0].counters[w].link[1][GX_LINK_sent_data_shards_total];

        assert_true(shards == 150 || shards == 151);
    }
    assert_int_equal(ends[0].counters[1].link[1][GX_LINK_transfers_held_total], 0);
    assert_int_equal(ends[0].counters[0].link[1][GX_LINK_transfers_held_total], 1);
}

static uint64_t shards_sent(uint32_t w)
{
    const uint64_t *counters = ends[0].counters[w].link[1];

    return counters[GX_LINK_sent_data_shards_total] + counters[GX_LINK_sent_parity_shards_total];
}

static void a_closed_source_is_opened_at_the_peer_and_sent_when_told(void **state)
{
    struct gx_transfer *transfer;

    (void)state;
    memset(tail, 0xee, sizeof tail); /* its bytes come while it is closed */
    source.closed = true;
    transfer = gx_lanes_send(ends[0].lanes, 1, &wanted, &source, true, 1, 2, now);
    assert_non_null(transfer);
    run(50 * MS);
    assert_int_equal(sink.state, GX_SINK_OPEN);
    assert_int_equal(shards_sent(0) + shards_sent(1), 0);

    gx_source_open(&source, SHARD);
    assert_true(gx_lanes_send_go(ends[0].lanes, transfer));
    run(10 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_memory_equal(staging, bytes, BYTES);
    assert_true(shards_sent(0) >= 150 && shards_sent(1) >= 150);
}

static void a_source_is_busy_until_the_other_workers_port_has_let_go(void **state)
{
    (void)state;
    keeps = true;
    assert_non_null(send_it());
    run(30 * MS);
    assert_int_equal(ends[0].answer, GX_ANSWER_HELD);
    assert_true(gx_source_busy(&source));
    keeps = false;
    for (uint32_t i = 0; i < kept_count; i++)
        gx_links_release(gx_lanes_links(ends[0].lanes, 1), kept[i]);
    assert_true(gx_source_busy(&source));
    run(MS);
    assert_false(gx_source_busy(&source));
}

static void a_sink_is_free_when_the_other_worker_has_let_go(void **state)
{
    uint32_t changes;

    (void)state;
    assert_non_null(send_it());
    run(MS / 10);
    assert_int_equal(sink.state, GX_SINK_OPEN);
    asleep[1][1] = true;
    assert_false(gx_lanes_sink_free(ends[1].lanes, &sink));
    assert_int_equal(sink.state, GX_SINK_CLOSING);
    run(MS);
    assert_false(gx_lanes_sink_free(ends[1].lanes, &sink));
    changes = ends[1].changes;
    asleep[1][1] = false;
    run(1500 * MS); /* and then the transfer is asked about anew */
    assert_true(ends[1].changes > changes);
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_memory_equal(staging, bytes, BYTES);
}

static void shards_that_come_before_the_answer_are_kept(void **state)
{
    (void)state;
    asleep[1][0] = true; /* it answers what worker 1 asks */
    assert_non_null(send_it());
    run(MS / 5);
    assert_true(ends[1].counters[1].link[0][GX_LINK_received_packets_total] > 20);
    assert_int_equal(ends[1].counters[1].link[0][GX_LINK_received_shards_total], 0);
    asleep[1][0] = false;
    run(30 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_int_equal(ends[1].counters[1].link[0][GX_LINK_shards_no_transfer_total], 0);
}

static void a_stopped_transfer_stops_at_every_worker(void **state)
{
    struct gx_transfer *transfer = send_it();
    uint64_t shards;

    (void)state;
    run(MS / 10);
    gx_lanes_send_stop(ends[0].lanes, transfer);
    run(MS);
    assert_false(gx_source_busy(&source));
    shards = ends[0].counters[1].link[1][GX_LINK_sent_data_shards_total];
    run(20 * MS);
    assert_int_equal(ends[0].counters[1].link[1][GX_LINK_sent_data_shards_total], shards);
    assert_null(ends[0].answered);
}

static void a_site_with_one_worker_gets_one_part_and_all_of_the_rate(void **state)
{
    (void)state;
    gx_lanes_destroy(ends[1].lanes);
    end_start(1, 1);
    ends[1].counters[1] = (struct gx_counters){0};
    now += 4000 * MS;
    for (uint64_t end_ns = now + 2000 * MS; now < end_ns; now += MS / 20)
        for (uint32_t w = 0; w < WORKERS; w++) {
            gx_lanes_poll(ends[0].lanes, w, now);
            if (w == 0) {
                gx_lanes_poll(ends[1].lanes, 0, now);
                transmit(0, 0);
                transmit(1, 0);
            }
        }
    assert_non_null(send_it());
    assert_int_equal(source.away, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_transfer_goes_in_two_parts_and_is_held_once),
        TEST(a_closed_source_is_opened_at_the_peer_and_sent_when_told),
        TEST(a_source_is_busy_until_the_other_workers_port_has_let_go),
        TEST(a_sink_is_free_when_the_other_worker_has_let_go),
        TEST(shards_that_come_before_the_answer_are_kept),
        TEST(a_stopped_transfer_stops_at_every_worker),
        TEST(a_site_with_one_worker_gets_one_part_and_all_of_the_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
