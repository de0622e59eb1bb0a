#include "wan/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PORTS 3
#define FRAME_BYTES 1000
#define MS 1000000ull

static struct gx_wan_network network;
static struct gx_wan_options options;
static uint8_t frame[FRAME_BYTES];

static int clean(void **state)
{
    (void)state;
    gx_wan_network_fini(&network);
    gx_wan_options_fini(&options);
    memset(&network, 0, sizeof(network));
    memset(&options, 0, sizeof(options));
    return 0;
}

/* Every port: 8 Mbit/s, so that a frame takes 1 ms; every path: 10 ms. */
static int prepare(void **state)
{
    clean(state);
    options.port_count = PORTS;
    options.worker_count = 1;
    options.spared_bytes = GX_WAN_ETHERNET_BYTES;
    for (uint32_t a = 0; a < PORTS; a++) {
        options.ports[a].up = (struct gx_impair_config){.rate_bps = 8000000, .queue_bytes = 5000};
        options.ports[a].down = options.ports[a].up;
        for (uint32_t b = 0; b < PORTS; b++)
            options.paths[a][b] = (struct gx_impair_config){
                .delay_ns = 10 * MS, .seed = 1, .header_bytes = GX_WAN_ETHERNET_BYTES};
    }
    for (size_t i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)i;
    return 0;
}

static void start(void)
{
    assert_int_equal(gx_wan_network_init(&network, &options, 0), 0);
}

static void enter(uint16_t from, uint32_t to_mask, uint64_t at_ns)
{
    struct gx_wan_arrival arrival = {.data = frame,
                                     .bytes = FRAME_BYTES,
                                     .frame_bytes = FRAME_BYTES,
                                     .from = from,
                                     .to_idx = (uint16_t)__builtin_ctz(to_mask),
                                     .to_mask = to_mask,
                                     .at_ns = at_ns};

    gx_wan_network_trace(&network, at_ns);
    gx_wan_network_enter(&network, &arrival);
}

/* The next packet that leaves, and when; NULL: none is left. */
static struct gx_wan_packet *leave(uint64_t *at_ns)
{
    struct gx_wan_packet *packet = NULL;

    while (!packet && gx_wan_network_due_ns(&network) != UINT64_MAX) {
        *at_ns = gx_wan_network_due_ns(&network);
        gx_wan_network_pass(&network, *at_ns);
        packet = gx_wan_network_next(&network, *at_ns);
    }
    return packet;
}

static void expect(uint16_t from, uint16_t to, uint64_t at_ns)
{
    uint64_t left_ns;
    struct gx_wan_packet *packet = leave(&left_ns);

    assert_non_null(packet);
    assert_int_equal(packet->from, from);
    assert_int_equal(packet->to, to);
    assert_int_equal(left_ns, at_ns);
    assert_int_equal(packet->bytes, FRAME_BYTES);
    assert_memory_equal(packet->data, frame, FRAME_BYTES);
    gx_wan_pool_give(&network.pool, packet);
}

static void expect_silence(void)
{
    uint64_t at_ns;

    assert_null(leave(&at_ns));
}

static void a_frame_passes_uplink_path_and_downlink(void **state)
{
    (void)state;
    start();
    enter(0, 1u << 2, 5 * MS);
    expect(0, 2, 17 * MS);
    expect_silence();
}

static void a_frame_for_all_uses_the_uplink_once(void **state)
{
    (void)state;
    start();
    enter(0, 0x6, 0);
    enter(0, 1u << 1, 0);
    expect(0, 1, 12 * MS);
    expect(0, 2, 12 * MS);
    expect(0, 1, 13 * MS);
    expect_silence();
    assert_int_equal(network.ports[0].up.counters.packets, 2);
    assert_int_equal(network.paths[0][2].counters.packets, 1);
}

static void senders_to_one_port_share_its_downlink(void **state)
{
    (void)state;
    start();
    enter(0, 1u << 2, 0);
    enter(1, 1u << 2, 0);
    expect(0, 2, 12 * MS);
    expect(1, 2, 13 * MS);
}

static void a_slow_path_serialises_too(void **state)
{
    (void)state;
    options.paths[0][1].rate_bps = 4000000;
    start();
    enter(0, 1u << 1, 0);
    enter(0, 1u << 1, 0);
    expect(0, 1, 14 * MS);
    expect(0, 1, 16 * MS);
}

static void a_full_queue_drops_the_tail(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 8; i++)
        enter(0, 1u << 1, 0);
    for (uint64_t i = 0; i < 5; i++)
        expect(0, 1, (12 + i) * MS);
    expect_silence();
    assert_int_equal(network.ports[0].up.counters.dropped[GX_IMPAIR_QUEUE], 3);
}

static void corruption_flips_one_bit_behind_the_ethernet_header(void **state)
{
    (void)state;
    options.paths[0][1].corrupt = 1;
    start();
    for (int i = 0; i < 200; i++) {
        uint64_t at_ns;
        uint32_t flipped = 0;
        enter(0, 1u << 1, (uint64_t)i * 20 * MS);
        struct gx_wan_packet *packet = leave(&at_ns);
        assert_non_null(packet);
        assert_memory_equal(packet->data, frame, GX_WAN_ETHERNET_BYTES);
        for (size_t b = 0; b < FRAME_BYTES; b++)
            flipped += (uint32_t)__builtin_popcount(packet->data[b] ^ frame[b]);
        assert_int_equal(flipped, 1);
        gx_wan_pool_give(&network.pool, packet);
    }
}

static void add_line(struct gx_wan_trace_line line)
{
    options.trace.lines =
        realloc(options.trace.lines, (options.trace.count + 1) * sizeof(*options.trace.lines));
    assert_non_null(options.trace.lines);
    options.trace.lines[options.trace.count++] = line;
}

static void a_trace_changes_rate_delay_and_loss(void **state)
{
    (void)state;
    add_line((struct gx_wan_trace_line){.from_ns = 100 * MS,
                                        .rate_bps = 4000000,
                                        .has_rate = true,
                                        .delay_ns = 20 * MS,
                                        .has_delay = true});
    add_line((struct gx_wan_trace_line){.from_ns = 200 * MS, .loss = 1, .has_loss = true});
    add_line((struct gx_wan_trace_line){.from_ns = 300 * MS, .loss = 0, .has_loss = true});
    start();
    enter(0, 1u << 1, 99 * MS);
    expect(0, 1, 111 * MS);
    enter(0, 1u << 1, 120 * MS);
    expect(0, 1, 144 * MS);
    enter(0, 1u << 1, 250 * MS);
    expect_silence();
    assert_int_equal(network.paths[0][1].counters.dropped[GX_IMPAIR_LOSS], 1);
    enter(0, 1u << 1, 310 * MS);
    expect(0, 1, 334 * MS);
}

static void a_trace_leaves_what_a_path_and_a_site_own(void **state)
{
    (void)state;
    options.own[0][1].delay = true;
    options.ports[0].own_rate = true;
    add_line((struct gx_wan_trace_line){
        .rate_bps = 4000000, .has_rate = true, .delay_ns = 20 * MS, .has_delay = true});
    start();
    enter(0, 1u << 1, 0);
    expect(0, 1, 13 * MS);
    enter(0, 1u << 2, 50 * MS);
    expect(0, 2, 73 * MS);
}

/* What waits when the rate rises keeps its times; what follows does not overtake it, and does not
 * find the queue fuller than it is. */
static void a_rising_rate_keeps_the_order(void **state)
{
    (void)state;
    add_line((struct gx_wan_trace_line){.from_ns = 1, .rate_bps = 80000000, .has_rate = true});
    start();
    enter(0, 1u << 1, 0);
    enter(0, 1u << 1, 0);
    enter(0, 1u << 1, 1);
    expect(0, 1, 11 * MS + 100000);
    expect(0, 1, 12 * MS + 100000);
    expect(0, 1, 12 * MS + 200000);
    assert_int_equal(network.ports[0].up.counters.dropped[GX_IMPAIR_QUEUE], 0);
}

static void a_falling_rate_delays_what_follows(void **state)
{
    (void)state;
    add_line((struct gx_wan_trace_line){.from_ns = 1 * MS, .rate_bps = 4000000, .has_rate = true});
    start();
    for (int i = 0; i < 3; i++)
        enter(0, 1u << 1, 0);
    /* 2,000 bytes wait, and take 4 ms now; then these 1,000 bytes take 2 ms, and 2 ms below. */
    enter(0, 1u << 1, 1 * MS);
    expect(0, 1, 13 * MS);
    expect(0, 1, 15 * MS);
    expect(0, 1, 17 * MS);
    expect(0, 1, 19 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_frame_passes_uplink_path_and_downlink, prepare, clean),
        cmocka_unit_test_setup_teardown(a_frame_for_all_uses_the_uplink_once, prepare, clean),
        cmocka_unit_test_setup_teardown(senders_to_one_port_share_its_downlink, prepare, clean),
        cmocka_unit_test_setup_teardown(a_slow_path_serialises_too, prepare, clean),
        cmocka_unit_test_setup_teardown(a_full_queue_drops_the_tail, prepare, clean),
        cmocka_unit_test_setup_teardown(corruption_flips_one_bit_behind_the_ethernet_header,
                                        prepare, clean),
        cmocka_unit_test_setup_teardown(a_trace_changes_rate_delay_and_loss, prepare, clean),
        cmocka_unit_test_setup_teardown(a_trace_leaves_what_a_path_and_a_site_own, prepare, clean),
        cmocka_unit_test_setup_teardown(a_rising_rate_keeps_the_order, prepare, clean),
        cmocka_unit_test_setup_teardown(a_falling_rate_delays_what_follows, prepare, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
