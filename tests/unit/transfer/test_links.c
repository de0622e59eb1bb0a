/* Two sites back to back, no network between: the contract with the exchange layer. tests/sim/links_sim.c has the
 * network. */
#include <stdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "transfer/digest.h"
#include "transfer/links.h"
#include "transfer/peer.h"
#include "transfer/recv.h"
#include "transfer/send.h"

#define MS 1000000ull
#define SHARD 1408u
#define BYTES (200u * SHARD - 5)

struct end {
    struct gx_links *links;
    struct gx_counters counters;
    struct gx_links_config config;
    uint32_t self;
    uint64_t incarnation;
    uint32_t answers[8]; /* by enum gx_answer */
    uint32_t opens, sinks, controls, peers;
    uint32_t own_names, own_name_at;
    uint32_t paths[3], carries; /* by enum gx_path_state; the last told */
    uint32_t mtu;               /* IP bytes that pass on the way out; 0: any */
    bool deaf_to_paths;         /* as a gxd that knows nothing of padded probes */
    enum gx_reason refused;
    enum gx_answer says;
    uint32_t owed; /* state messages to send */
};

static struct end ends[2];
static uint64_t now;
static uint8_t bytes[BYTES], tail[SHARD], *staging;
static void *tables;
static struct gx_source source;
static struct gx_sink sink;
static struct gx_open wanted;
static struct gx_packet held[64]; /* not yet released */
static uint32_t held_count;
static bool holding, deaf;
static bool secure;
static uint8_t moved; /* not 0: where site 0's packets come from now */

static enum gx_answer on_open(void *ctx, uint32_t peer, const struct gx_open *open,
                              struct gx_sink **out, enum gx_reason *reason, uint64_t at)
{
    struct end *end = ctx;

    (void)at;
    assert_int_equal(peer, 1 - end->self);
    end->opens++;
    *reason = end->says == GX_ANSWER_REFUSED ? GX_REASON_SCHEMA : GX_REASON_NONE;
    if (end->says == GX_ANSWER_OPEN && sink.state == GX_SINK_FREE)
        assert_true(gx_sink_open(&sink, open));
    *out = &sink;
    return end->says;
}

static void on_sink(void *ctx, struct gx_sink *filled, uint64_t at)
{
    (void)filled;
    (void)at;
    ((struct end *)ctx)->sinks++;
}

static void on_answer(void *ctx, uint32_t peer, struct gx_send *send, enum gx_answer answer,
                      enum gx_reason reason, uint64_t at)
{
    (void)peer;
    (void)send;
    (void)at;
    ((struct end *)ctx)->answers[answer]++;
    ((struct end *)ctx)->refused = reason;
}

static void on_control(void *ctx, uint32_t peer, const uint8_t *message, size_t count,
                       uint64_t order, uint64_t at)
{
    (void)peer;
    (void)order;
    (void)at;
    assert_int_equal(count, 3);
    assert_int_equal(message[2], 0xaa);
    ((struct end *)ctx)->controls++;
}

static void on_peer(void *ctx, uint32_t peer, uint64_t incarnation, enum gx_reason reason,
                    uint64_t at)
{
    (void)peer;
    (void)at;
    (void)reason;
    ((struct end *)ctx)->peers++;
    ((struct end *)ctx)->incarnation = incarnation;
}

static void on_path(void *ctx, uint32_t peer, enum gx_path_state state, uint32_t carries,
                    uint32_t full, uint64_t at)
{
    struct end *end = ctx;

    (void)at;
    assert_int_equal(peer, 1 - end->self);
    assert_int_equal(full, SHARD + 76);
    end->paths[state]++;
    end->carries = carries;
}

static void on_own_name(void *ctx, uint32_t site, uint64_t at)
{
    (void)at;
    ((struct end *)ctx)->own_names++;
    ((struct end *)ctx)->own_name_at = site;
}

static size_t next_control(void *ctx, uint32_t peer, uint8_t *out, uint64_t at)
{
    struct end *end = ctx;

    (void)peer;
    (void)at;
    if (end->owed == 0)
        return 0;
    end->owed--;
    out[0] = GX_CONTROL_REPORT;
    out[1] = 0;
    out[2] = 0xaa;
    return 3;
}

static const struct gx_links_ops ops = {.on_open = on_open,
                                        .on_sink = on_sink,
                                        .on_answer = on_answer,
                                        .on_control = on_control,
                                        .on_peer = on_peer,
                                        .on_path = on_path,
                                        .on_own_name = on_own_name,
                                        .next_control = next_control};

static void end_start(uint32_t self, uint64_t incarnation)
{
    struct end *end = &ends[self];

    memset(end, 0, sizeof *end);
    end->self = self;
    end->says = GX_ANSWER_OPEN;
    end->config.site_count = 2;
    end->config.self = self;
    for (uint8_t i = 0; i < 2; i++) {
        snprintf(end->config.names[i], GX_NAME_MAX, "s%d", i);
        end->config.addrs[i].b[0] = i;
    }
    end->config.rate_bps = end->config.recv_rate_bps = 1000000000;
    end->config.mtu = 1500;
    end->config.shard_bytes = SHARD;
    end->config.incarnation = incarnation;
    end->config.seed = incarnation * 77;
    end->config.secure = secure;
    end->config.counters = &end->counters;
    end->config.send_blocks = 64;
    end->links = gx_links_create(&end->config, &ops, end, now);
    assert_non_null(end->links);
}

static bool too_large(const struct end *from, const struct gx_packet *packet)
{
    return from->mtu != 0 && packet->payload_bytes + GX_HEADER_BYTES + 28 > from->mtu;
}

/* An earlier release answers a padded probe with feedback. */
static bool unheard(const struct end *to, const struct gx_packet *packet)
{
    return to->deaf_to_paths && (packet->header[0] & 15) == GX_TYPE_PROBE &&
           packet->payload_bytes > 0;
}

/* Everything that leaves arrives at once, unless it is too large, but at end 0 while it is `deaf`; packets stay in the port
 * while `holding`. */
static uint32_t exchange(void)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < 2; i++) {
        struct gx_packet packets[16];
        uint32_t count = gx_links_tx(ends[i].links, now, packets, 16);

        for (uint32_t p = 0; p < count; p++) {
            uint8_t copy[GX_HEADER_BYTES + SHARD];
            struct gx_addr from = {{i == 0 && moved ? moved : (uint8_t)i}};

            memcpy(copy, packets[p].header, GX_HEADER_BYTES);
            if (packets[p].payload_bytes > 0)
                memcpy(copy + GX_HEADER_BYTES, packets[p].payload, packets[p].payload_bytes);
            if ((!deaf || i == 0) && !too_large(&ends[i], &packets[p]) &&
                !unheard(&ends[packets[p].to.b[0] & 1], &packets[p]))
                gx_links_rx(ends[packets[p].to.b[0] & 1].links, now, &from, copy,
                            GX_HEADER_BYTES + packets[p].payload_bytes);
            if (holding && i == 0 && held_count < 64)
                held[held_count++] = packets[p];
            else
                gx_links_release(ends[i].links, packets[p].owner);
        }
        total += count;
    }
    return total;
}

static void run(uint64_t for_ns)
{
    for (uint64_t end = now + for_ns; now < end; now += MS)
        while (exchange() > 0)
            ;
}

static int setup(void **state)
{
    (void)state;
    now = 1000 * MS;
    held_count = 0;
    holding = deaf = false;
    moved = 0;
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    tables = malloc(gx_sink_table_bytes(BYTES, SHARD, 64, 1));
    staging = malloc(gx_sink_staging_bytes(BYTES, SHARD));
    gx_sink_init(&sink, BYTES, SHARD, 64, 1, tables, staging);
    gx_source_init(&source, bytes, BYTES, SHARD, tail);
    memset(&wanted, 0, sizeof wanted);
    wanted.bytes = BYTES;
    wanted.weight = 1;
    gx_digest_bytes(GX_XXH3, bytes, BYTES, &wanted.digest);
    end_start(0, 1000);
    end_start(1, 2000);
    run(5 * MS);
    return 0;
}

static int setup_psk(void **state)
{
    secure = true;
    return setup(state);
}

static int teardown(void **state)
{
    (void)state;
    secure = false;
    gx_links_destroy(ends[0].links);
    gx_links_destroy(ends[1].links);
    free(tables);
    free(staging);
    return 0;
}

static struct gx_send *send_it(void)
{
    return gx_links_send(ends[0].links, 1, &wanted, &source, false, 0, 1, now);
}

static void sessions_come_up_with_each_others_incarnation(void **state)
{
    (void)state;
    assert_true(gx_links_up(ends[0].links, 1));
    assert_int_equal(gx_links_incarnation(ends[0].links, 1), 2000);
    assert_int_equal(ends[1].incarnation, 1000);
    assert_int_equal(ends[0].peers, 1);
    assert_true(gx_links_heard_ns(ends[0].links, 1) > 0);
    assert_true(gx_links_rtt_ns(ends[0].links, 1) > 0);
}

static void transfer_is_held_and_everything_let_go(void **state)
{
    (void)state;
    assert_non_null(send_it());
    assert_int_equal(source.sends, 1);
    run(50 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_memory_equal(staging, bytes, BYTES);
    assert_int_equal(ends[1].sinks, 1);
    assert_int_equal(ends[0].answers[GX_ANSWER_HELD], 1);
    assert_int_equal(source.sends, 0);
    assert_int_equal(source.packets, 0);
    assert_int_equal(ends[0].counters.link[1][GX_LINK_sent_data_shards_total], 200);
    assert_int_equal(ends[0].counters.link[1][GX_LINK_sent_redundant_bytes_total], 0);
    assert_int_equal(ends[0].counters.link[1][GX_LINK_transfers_held_total], 1);
    assert_int_equal(ends[0].counters.link[1][GX_LINK_transfers_open], 0);
}

/* It is more often the way back that is gone for a moment than that nobody wants the data. */
static void data_goes_on_for_a_second_before_the_first_answer(void **state)
{
    (void)state;
    gx_links_set_rate(ends[0].links, 4000000, 1000000000, now); /* 0.6 s for all of it */
    deaf = true;
    send_it();
    run(800 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_int_equal(ends[0].answers[GX_ANSWER_OPEN], 0);
}

static void source_counts_packets_in_the_port(void **state)
{
    (void)state;
    holding = true;
    assert_non_null(send_it());
    run(50 * MS);
    assert_int_equal(source.sends, 0);
    assert_in_range(source.packets, 1, 64);
    for (uint32_t i = 0; i < held_count; i++)
        gx_links_release(ends[0].links, held[i].owner);
    assert_int_equal(source.packets, 0);
}

static void not_ready_waits_and_goes_on_when_told(void **state)
{
    struct gx_send *send;
    uint64_t shards;

    (void)state;
    ends[1].says = GX_ANSWER_NOT_READY;
    send = send_it();
    run(100 * MS);
    assert_int_equal(ends[0].answers[GX_ANSWER_NOT_READY], 1);
    shards = ends[0].counters.link[1][GX_LINK_sent_data_shards_total];
    run(1000 * MS);
    assert_int_equal(ends[0].counters.link[1][GX_LINK_sent_data_shards_total], shards);
    assert_true(ends[1].opens >= 5);
    ends[1].says = GX_ANSWER_OPEN;
    gx_links_send_retry(ends[0].links, send, now);
    run(50 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_int_equal(ends[0].answers[GX_ANSWER_HELD], 1);
}

static void final_answers_end_the_send(void **state)
{
    static const enum gx_answer answers[] = {GX_ANSWER_HELD, GX_ANSWER_NOT_NEEDED,
                                             GX_ANSWER_REFUSED};

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        ends[1].says = answers[i];
        assert_non_null(send_it());
        run(50 * MS);
        assert_int_equal(ends[0].answers[answers[i]], 1);
        assert_int_equal(source.sends + source.packets, 0);
    }
    assert_int_equal(ends[0].refused, GX_REASON_SCHEMA);
}

/* The owner of the sink may have come to want it meanwhile, but the sender is about to stop. */
static void late_copies_of_an_open_get_its_final_answer(void **state)
{
    (void)state;
    ends[1].says = GX_ANSWER_NOT_NEEDED;
    deaf = true;
    send_it();
    exchange();
    assert_int_equal(ends[1].opens, 1);
    ends[1].says = GX_ANSWER_OPEN;
    run(20 * MS);
    deaf = false;
    run(100 * MS);
    assert_int_equal(ends[0].answers[GX_ANSWER_NOT_NEEDED], 1);
    assert_int_equal(sink.state, GX_SINK_FREE);
    assert_int_equal(ends[1].opens, 1);
    send_it();
    run(100 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
}

static void bytes_of_another_digest_are_answered_bad(void **state)
{
    (void)state;
    wanted.digest.b[0] ^= 1;
    send_it();
    run(50 * MS);
    assert_int_equal(sink.state, GX_SINK_BAD);
    assert_int_equal(ends[0].answers[GX_ANSWER_BAD], 1);
    assert_int_equal(ends[1].sinks, 1);
}

static void stopped_send_gets_no_upcall(void **state)
{
    struct gx_send *send = send_it();

    (void)state;
    exchange();
    gx_links_send_stop(ends[0].links, send);
    run(500 * MS);
    assert_int_equal(ends[0].answers[GX_ANSWER_HELD], 0);
    assert_int_equal(source.sends + source.packets, 0);
    assert_int_equal(sink.state, GX_SINK_OPEN);
}

static void stopped_sink_is_asked_about_anew(void **state)
{
    (void)state;
    send_it();
    exchange();
    assert_int_equal(sink.state, GX_SINK_OPEN);
    gx_links_sink_stop(ends[1].links, &sink);
    gx_sink_free(&sink);
    run(1000 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_memory_equal(staging, bytes, BYTES);
}

static void restarted_peer_ends_sends_as_not_needed(void **state)
{
    (void)state;
    ends[1].says = GX_ANSWER_NOT_READY;
    send_it();
    run(100 * MS);
    gx_links_destroy(ends[1].links);
    end_start(1, 2001);
    run(10 * MS);
    assert_int_equal(ends[0].answers[GX_ANSWER_NOT_NEEDED], 1);
    assert_int_equal(ends[0].incarnation, 2001);
    assert_int_equal(source.sends, 0);
    send_it();
    run(100 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
}

static void silent_link_makes_a_new_session_and_goes_on(void **state)
{
    struct gx_packet packets[16];

    (void)state;
    send_it();
    exchange();
    for (uint64_t end = now + 1500 * MS; now < end; now += MS)
        for (uint32_t i = 0; i < 2; i++)
            for (uint32_t p = gx_links_tx(ends[i].links, now, packets, 16); p-- > 0;)
                gx_links_release(ends[i].links, packets[p].owner);
    run(2000 * MS);
    assert_int_equal(ends[0].counters.link[1][GX_LINK_peer_restarts_total], 0);
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_int_equal(ends[0].answers[GX_ANSWER_HELD], 1);
}

static uint64_t link_counter(uint32_t end, enum gx_link_counter counter)
{
    return ends[end].counters.link[1 - end][counter];
}

static void shards_wait_while_the_path_is_too_small_and_go_on_after(void **state)
{
    uint64_t shards;

    (void)state;
    ends[0].mtu = 1436;
    send_it();
    run(20000 * MS);
    assert_int_equal(ends[0].paths[GX_PATH_LOSING], 1);
    assert_int_equal(ends[0].paths[GX_PATH_SMALL], 1);
    assert_int_equal(ends[0].carries, 1436);
    assert_int_equal(link_counter(0, GX_LINK_path_short), 1);
    assert_int_equal(link_counter(0, GX_LINK_path_bytes), 1436);
    assert_int_equal(link_counter(0, GX_LINK_path_needs_bytes), 1484);
    assert_int_equal(link_counter(0, GX_LINK_up), 1);
    /* The other way is whole, and its end knows of ours. */
    assert_int_equal(link_counter(1, GX_LINK_path_short), 0);
    assert_int_equal(link_counter(1, GX_LINK_path_back_bytes), 1436);
    assert_int_equal(ends[1].paths[GX_PATH_LOSING] + ends[1].paths[GX_PATH_SMALL], 0);
    shards = link_counter(0, GX_LINK_sent_data_shards_total) +
             link_counter(0, GX_LINK_sent_parity_shards_total);
    run(5000 * MS);
    assert_int_equal(link_counter(0, GX_LINK_sent_data_shards_total) +
                         link_counter(0, GX_LINK_sent_parity_shards_total),
                     shards);
    assert_int_equal(sink.state, GX_SINK_OPEN);
    ends[0].mtu = 0;
    run(1000 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_memory_equal(staging, bytes, BYTES);
    assert_int_equal(ends[0].paths[GX_PATH_WHOLE], 1);
    assert_int_equal(link_counter(0, GX_LINK_path_short), 0);
    assert_int_equal(link_counter(0, GX_LINK_path_bytes), 0);
    assert_int_equal(link_counter(1, GX_LINK_path_back_bytes), 0);
}

static void a_path_too_small_for_the_way_back_does_not_stop_a_transfer(void **state)
{
    (void)state;
    ends[1].mtu = 1300;
    run(20000 * MS);
    assert_int_equal(link_counter(1, GX_LINK_path_bytes), 1300);
    send_it();
    run(100 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
}

static void a_peer_of_an_earlier_release_gets_its_shards(void **state)
{
    (void)state;
    ends[1].deaf_to_paths = true;
    gx_links_destroy(ends[0].links);
    end_start(0, 1001);
    run(20000 * MS);
    assert_int_equal(ends[0].paths[GX_PATH_LOSING], 0);
    send_it();
    run(100 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
}

static void another_gxd_of_our_name_is_told(void **state)
{
    (void)state;
    gx_links_destroy(ends[1].links);
    end_start(1, 2001);
    gx_links_destroy(ends[1].links);
    snprintf(ends[1].config.names[1], GX_NAME_MAX, "s0");
    snprintf(ends[1].config.names[0], GX_NAME_MAX, "s1");
    ends[1].links = gx_links_create(&ends[1].config, &ops, &ends[1], now);
    run(2000 * MS);
    assert_true(ends[0].own_names > 0);
    assert_int_equal(ends[0].own_name_at, 1);
    assert_int_equal(ends[0].counters.site[GX_SITE_own_name_hellos_total], ends[0].own_names);
}

static void our_own_hello_that_comes_back_is_nobody_else(void **state)
{
    struct gx_packet packets[16];
    uint32_t hellos = 0;

    (void)state;
    for (uint64_t end = now + 3000 * MS; now < end; now += MS)
        for (uint32_t p = gx_links_tx(ends[0].links, now, packets, 16); p-- > 0;) {
            uint8_t copy[GX_HEADER_BYTES + SHARD];
            struct gx_addr from = {{1}};

            memcpy(copy, packets[p].header, GX_HEADER_BYTES);
            if (packets[p].payload_bytes > 0)
                memcpy(copy + GX_HEADER_BYTES, packets[p].payload, packets[p].payload_bytes);
            hellos += (copy[0] & 15) == GX_TYPE_HELLO;
            gx_links_rx(ends[0].links, now, &from, copy,
                        GX_HEADER_BYTES + packets[p].payload_bytes);
            gx_links_release(ends[0].links, packets[p].owner);
        }
    assert_true(hellos > 0);
    assert_int_equal(ends[0].own_names, 0);
}

static void state_messages_arrive(void **state)
{
    (void)state;
    ends[0].owed = 20;
    run(5 * MS);
    assert_int_equal(ends[1].controls, 20);
}

static void slots_and_records_are_bounded(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < GX_SENDS_MAX; i++) {
        wanted.key.round = i;
        assert_non_null(send_it());
    }
    assert_null(send_it());
    wanted.bytes = source.byte_count = 1000000000;
    assert_null(gx_links_send(ends[1].links, 0, &wanted, &source, false, 0, 1, now));
}

static void idle_links_wake_seldom_and_stay_up(void **state)
{
    uint32_t wakes = 0;

    (void)state;
    for (uint64_t end = now + 10000 * MS; now < end; wakes++) {
        uint64_t a = gx_links_wake(ends[0].links, now), b = gx_links_wake(ends[1].links, now);

        now = a < b ? a : b;
        while (exchange() > 0)
            ;
    }
    assert_in_range(wakes, 10, 400);
    assert_int_equal(ends[0].counters.link[1][GX_LINK_sessions_total], 1);
    assert_int_equal(ends[0].counters.link[1][GX_LINK_up], 1);
    assert_int_equal(ends[0].counters.link[1][GX_LINK_lost_packets_total], 0);
}

static void packets_wait_a_fiftieth_of_a_round_trip_in_the_port(void **state)
{
    struct gx_links *links = ends[0].links;

    (void)state;
    assert_int_equal(gx_links_patience_ns(links), 0); /* the round trip is not known */
    links->peers[1].lane.estimate.rtt_ns = 20 * MS;
    assert_int_equal(gx_links_patience_ns(links), 400000);
    links->peers[1].lane.estimate.rtt_ns = 200 * MS;
    assert_int_equal(gx_links_patience_ns(links), 1000000);
    gx_links_set_rate(links, 10000000000ull, 10000000000ull, now);
    assert_in_range(gx_links_patience_ns(links), 300000, 310000); /* 256 packets */
}

/* ---- security: psk ---- */

static void encrypted_shards_leave_the_source_alone(void **state)
{
    (void)state;
    holding = true;
    assert_non_null(send_it());
    run(50 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_memory_equal(staging, bytes, BYTES);
    assert_int_equal(source.packets, 0);
    for (uint32_t i = 0; i < held_count; i++) {
        assert_true(held[i].payload < bytes || held[i].payload >= bytes + BYTES);
        gx_links_release(ends[0].links, held[i].owner);
    }
    assert_int_equal(ends[0].counters.link[1][GX_LINK_copied_encrypt_bytes_total], BYTES);
}

static void address_follows_the_newest_packet_only(void **state)
{
    uint64_t sessions = ends[1].counters.link[0][GX_LINK_sessions_total];

    (void)state;
    moved = 64; /* its lowest bit still names the site */
    assert_non_null(send_it());
    run(50 * MS);
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_int_equal(ends[1].counters.link[0][GX_LINK_sessions_total], sessions);
    assert_int_equal(ends[1].counters.site[GX_SITE_packets_stranger_total], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_PSK(name)                                                                             \
    {                                                                                              \
#name "_psk", name, setup_psk, teardown, NULL                                              \
    }

/* Parts belong to the worker of their lane alone. */
static void a_part_of_another_lane_is_dropped(void **state)
{
    (void)state;
    wanted.part = 1;
    wanted.parts = 2;
    assert_non_null(send_it());
    run(20 * MS);
    assert_int_equal(sink.state, GX_SINK_FREE);
    assert_true(ends[1].counters.link[0][GX_LINK_drop_message_total] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_part_of_another_lane_is_dropped),
        TEST(sessions_come_up_with_each_others_incarnation),
        TEST(transfer_is_held_and_everything_let_go),
        TEST(data_goes_on_for_a_second_before_the_first_answer),
        TEST(source_counts_packets_in_the_port),
        TEST(not_ready_waits_and_goes_on_when_told),
        TEST(final_answers_end_the_send),
        TEST(late_copies_of_an_open_get_its_final_answer),
        TEST(bytes_of_another_digest_are_answered_bad),
        TEST(stopped_send_gets_no_upcall),
        TEST(stopped_sink_is_asked_about_anew),
        TEST(restarted_peer_ends_sends_as_not_needed),
        TEST(silent_link_makes_a_new_session_and_goes_on),
        TEST(shards_wait_while_the_path_is_too_small_and_go_on_after),
        TEST(a_path_too_small_for_the_way_back_does_not_stop_a_transfer),
        TEST(a_peer_of_an_earlier_release_gets_its_shards),
        TEST(another_gxd_of_our_name_is_told),
        TEST(our_own_hello_that_comes_back_is_nobody_else),
        TEST(state_messages_arrive),
        TEST(slots_and_records_are_bounded),
        TEST(idle_links_wake_seldom_and_stay_up),
        TEST(packets_wait_a_fiftieth_of_a_round_trip_in_the_port),
        TEST_PSK(sessions_come_up_with_each_others_incarnation),
        TEST_PSK(transfer_is_held_and_everything_let_go),
        TEST_PSK(not_ready_waits_and_goes_on_when_told),
        TEST_PSK(restarted_peer_ends_sends_as_not_needed),
        TEST_PSK(silent_link_makes_a_new_session_and_goes_on),
        TEST_PSK(state_messages_arrive),
        TEST_PSK(idle_links_wake_seldom_and_stay_up),
        TEST_PSK(encrypted_shards_leave_the_source_alone),
        TEST_PSK(address_follows_the_newest_packet_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
