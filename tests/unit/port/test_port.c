/* Both kinds of kernel UDP port over loopback: the same tests, once per kind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "port/clock.h"
#include "port/port.h"

#define PAYLOAD 1408u
#define WAIT_NS (20 * GX_NS_PER_S) /* only a failure takes so long; a loaded machine, seconds */

struct world {
    struct gx_port *a, *b;
    struct gx_addr a_addr, b_addr;
    uint32_t released[2];
    uint8_t payload[GX_PORT_BURST][PAYLOAD];
};

static void count_release(void *ctx, uint32_t owner)
{
    (void)owner;
    ++*(uint32_t *)ctx;
}

static struct gx_port *port_open(const struct gx_port_ops *ops, const char *address,
                                 uint64_t buffer_bytes, uint32_t *released)
{
    struct gx_port_config config = {.address = address, .buffer_bytes = buffer_bytes};
    struct gx_port *port;
    char error[200] = "";

    if (ops->open(&config, &port, error, sizeof(error))) {
        print_message("%s: %s\n", ops->name, error);
        skip();
    }
    assert_int_equal(gx_port_start(port, count_release, released), 0);
    return port;
}

static void world_open(struct world *w, const struct gx_port_ops *ops)
{
    memset(w, 0, sizeof(*w));
    w->a = port_open(ops, "127.0.0.1:0", 0, &w->released[0]);
    w->b = port_open(ops, "127.0.0.1:0", 0, &w->released[1]);
    w->a_addr = ops->local(w->a);
    w->b_addr = ops->local(w->b);
    for (uint32_t i = 0; i < GX_PORT_BURST; i++)
        memset(w->payload[i], (int)i + 1, PAYLOAD);
}

static void world_close(struct world *w)
{
    w->a->ops->close(w->a);
    w->b->ops->close(w->b);
}

static void packet_make(struct world *w, struct gx_packet *packet, uint32_t i, uint32_t bytes)
{
    memset(packet, 0, sizeof(*packet));
    packet->to = w->b_addr;
    memset(packet->header, 0x80 | (int)i, sizeof(packet->header));
    packet->payload = w->payload[i];
    packet->payload_bytes = bytes;
    packet->owner = 1000 + i;
}

static void packet_check(const struct world *w, const struct gx_rx *rx, uint32_t i, uint32_t bytes)
{
    assert_int_equal(rx->byte_count, GX_HEADER_BYTES + bytes);
    for (uint32_t j = 0; j < GX_HEADER_BYTES; j++)
        assert_int_equal(rx->bytes[j], (0x80 | i) & 0xff);
    assert_memory_equal(rx->bytes + GX_HEADER_BYTES, w->payload[i], bytes);
    assert_memory_equal(&rx->from, &w->a_addr, sizeof(rx->from));
}

/* Receives until `count` packets came, at most WAIT_NS; hands each burst to `check` at once. */
static uint32_t receive(struct world *w, uint32_t count, const uint32_t *sizes)
{
    uint64_t end = gx_clock_ns() + WAIT_NS;
    struct gx_rx rx[GX_PORT_BURST];
    uint32_t n = 0;

    while (n < count && gx_clock_ns() < end) {
        uint32_t got = w->b->ops->rx(w->b, rx, 7);

        for (uint32_t i = 0; i < got; i++, n++)
            if (sizes)
                packet_check(w, &rx[i], n, sizes[n]);
        w->a->ops->rx(w->a, rx, GX_PORT_BURST);
        if (!got)
            w->b->ops->sleep(w->b, gx_clock_ns() + GX_NS_PER_MS);
    }
    return n;
}

static void sizes_travel(const struct gx_port_ops *ops, const uint32_t *sizes, uint32_t count)
{
    struct gx_packet packets[GX_PORT_BURST];
    struct world w;

    world_open(&w, ops);
    for (uint32_t i = 0; i < count; i++)
        packet_make(&w, &packets[i], i, sizes[i]);
    assert_true(ops->room(w.a) >= count);
    ops->tx(w.a, packets, count);
    assert_int_equal(receive(&w, count, sizes), count);
    assert_int_equal(w.released[0], count);
    assert_int_equal(w.a->stats.tx_packets, count);
    assert_int_equal(w.a->stats.tx_errors, 0);
    world_close(&w);
}

static void test_equal_packets_travel_whole_and_in_order(void **state)
{
    uint32_t sizes[40];

    for (int i = 0; i < 40; i++)
        sizes[i] = PAYLOAD;
    sizes_travel(*state, sizes, 40);
}

static void test_mixed_sizes_keep_their_borders(void **state)
{
    const uint32_t sizes[] = {PAYLOAD, PAYLOAD, 100, PAYLOAD, 0, 0, 7, 8,
                              8,       8,       3,   PAYLOAD, 1, 2, 3};

    sizes_travel(*state, sizes, sizeof(sizes) / sizeof(sizes[0]));
}

static void test_burst_over_64_kib_is_cut(void **state)
{
    uint32_t sizes[GX_PORT_BURST];

    for (uint32_t i = 0; i < GX_PORT_BURST; i++)
        sizes[i] = PAYLOAD; /* 93 KB in all */
    sizes_travel(*state, sizes, GX_PORT_BURST);
}

static void test_gso_sends_many_packets_at_once(void **state)
{
    const struct gx_port_ops *ops = *state;
    struct gx_packet packets[GX_PORT_BURST];
    char text[GX_PORT_TEXT_MAX];
    struct world w;

    world_open(&w, ops);
    ops->describe(w.a, text);
    if (!strstr(text, ", GSO")) {
        world_close(&w);
        print_message("skip: this kernel has no UDP GSO\n");
        skip();
    }
    for (uint32_t i = 0; i < 32; i++)
        packet_make(&w, &packets[i], i, PAYLOAD);
    ops->tx(w.a, packets, 32);
    assert_int_equal(receive(&w, 32, NULL), 32);
    assert_int_equal(w.a->stats.tx_bursts, 1);
    world_close(&w);
}

static void test_nobody_listens_is_no_error(void **state)
{
    const struct gx_port_ops *ops = *state;
    struct gx_packet packets[8];
    struct gx_rx rx[8];
    struct world w;

    world_open(&w, ops);
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 8; i++) {
            packet_make(&w, &packets[i], i, 200);
            gx_addr_parse(&packets[i].to, "127.0.0.1:9");
        }
        ops->tx(w.a, packets, 8);
        ops->rx(w.a, rx, 8);
    }
    assert_int_equal(w.released[0], 160);
    for (uint32_t i = 0; i < 8; i++)
        packet_make(&w, &packets[i], i, 200);
    ops->tx(w.a, packets, 8);
    assert_int_equal(receive(&w, 8, NULL), 8);
    world_close(&w);
}

static void test_unsendable_packet_is_counted_and_released(void **state)
{
    const struct gx_port_ops *ops = *state;
    struct gx_packet packet;
    struct gx_rx rx[1];
    struct world w;

    world_open(&w, ops);
    packet_make(&w, &packet, 0, 10);
    gx_addr_parse(&packet.to, "255.255.255.255:9"); /* broadcast is not allowed on this socket */
    ops->tx(w.a, &packet, 1);
    ops->rx(w.a, rx, 1);
    assert_int_equal(w.released[0], 1);
    assert_int_equal(w.a->stats.tx_errors, 1);
    assert_int_equal(w.a->stats.last_error, EACCES);
    world_close(&w);
}

static void test_100000_packets_leak_no_owner(void **state)
{
    const struct gx_port_ops *ops = *state;
    struct gx_packet packets[GX_PORT_BURST];
    struct gx_rx rx[GX_PORT_BURST];
    uint32_t sent = 0, received = 0;
    uint64_t end = gx_clock_ns() + WAIT_NS;
    struct world w;

    world_open(&w, ops);
    for (uint32_t i = 0; i < GX_PORT_BURST; i++)
        packet_make(&w, &packets[i], i, i % 16 == 15 ? 40 : PAYLOAD);
    while (sent < 100000 && gx_clock_ns() < end) {
        uint32_t room = ops->room(w.a), n = GX_PORT_BURST;

        if (n > room)
            n = room;
        if (n)
            ops->tx(w.a, packets, n);
        sent += n;
        for (uint32_t got = 1; got;) {
            got = ops->rx(w.b, rx, GX_PORT_BURST);
            received += got;
        }
        ops->rx(w.a, rx, GX_PORT_BURST);
    }
    received += receive(&w, sent - received, NULL);
    assert_int_equal(w.released[0], sent);
    assert_int_equal(w.a->stats.tx_packets, sent);
    /* The receiver keeps up: loopback loses only what a full buffer drops. */
    assert_int_equal(received, sent);
    world_close(&w);
}

static void test_full_socket_is_back_pressure_not_loss(void **state)
{
    const struct gx_port_ops *ops = *state;
    struct gx_packet packets[GX_PORT_BURST];
    struct gx_rx rx[1];
    uint32_t sent = 0;
    uint64_t end = gx_clock_ns() + WAIT_NS;
    struct world w;

    world_open(&w, ops);
    ops->close(w.a);
    w.a = port_open(ops, "127.0.0.1:0", 4096, &w.released[0]); /* a tiny send buffer */
    for (uint32_t i = 0; i < GX_PORT_BURST; i++)
        packet_make(&w, &packets[i], i, PAYLOAD);
    while (sent < 2000 && gx_clock_ns() < end) {
        uint32_t room = ops->room(w.a), n = GX_PORT_BURST < room ? GX_PORT_BURST : room;

        if (n)
            ops->tx(w.a, packets, n);
        sent += n;
        ops->rx(w.a, rx, 1);
    }
    while (w.released[0] < sent && gx_clock_ns() < end)
        ops->rx(w.a, rx, 1);
    assert_int_equal(sent >= 2000, 1);
    assert_int_equal(w.released[0], sent);
    assert_int_equal(w.a->stats.tx_packets, sent);
    world_close(&w);
}

/* Sleeps to the end of `duration_ns`. A signal may end a sleep early; a port that does not sleep comes here often. */
static void sleep_whole(struct world *w, uint64_t duration_ns)
{
    uint64_t until = gx_clock_ns() + duration_ns;
    struct gx_rx rx[1];
    uint32_t sleeps = 0;

    for (; gx_clock_ns() < until; sleeps++) {
        w->a->ops->sleep(w->a, until);
        w->a->ops->rx(w->a, rx, 1);
    }
    assert_in_range(sleeps, 1, 5);
    assert_true(gx_clock_ns() < until + WAIT_NS);
}

static void test_sleep_ends_in_time(void **state)
{
    const struct gx_port_ops *ops = *state;
    struct gx_rx rx[1];
    struct world w;

    world_open(&w, ops);
    ops->rx(w.a, rx, 1);
    for (int i = 0; i < 20; i++)
        sleep_whole(&w, 2 * GX_NS_PER_MS);
    world_close(&w);
}

/* A few packets do not end a nap; what came is there after it. */
static void test_packets_wait_for_the_end_of_a_nap(void **state)
{
    const struct gx_port_ops *ops = *state;
    struct gx_packet packet;
    struct gx_rx rx[GX_PORT_BURST];
    uint64_t start;
    struct world w;

    world_open(&w, ops);
    ops->rx(w.b, rx, 1);
    packet_make(&w, &packet, 0, 100);
    assert_true(ops->room(w.a) > 0);
    ops->tx(w.a, &packet, 1);
    start = gx_clock_ns();
    ops->nap(w.b, start + 20 * GX_NS_PER_MS);
    assert_true(gx_clock_ns() >= start + 19 * GX_NS_PER_MS);
    assert_int_equal(ops->rx(w.b, rx, GX_PORT_BURST), 1);
    world_close(&w);
}

static void test_every_write_to_a_watched_eventfd_ends_one_sleep(void **state)
{
    const struct gx_port_ops *ops = *state;
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct gx_rx rx[1];
    struct world w;
    uint64_t start;

    world_open(&w, ops);
    assert_int_equal(ops->watch(w.a, fd), 0);
    ops->rx(w.a, rx, 1);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(eventfd_write(fd, 1), 0);
        start = gx_clock_ns();
        ops->sleep(w.a, start + WAIT_NS);
        assert_true(gx_clock_ns() < start + WAIT_NS / 2);
        ops->rx(w.a, rx, 1);
        /* Nobody read the eventfd; the next sleep must last all the same. */
        sleep_whole(&w, 5 * GX_NS_PER_MS);
    }
    ops->unwatch(w.a, fd);
    ops->rx(w.a, rx, 1);
    sleep_whole(&w, GX_NS_PER_MS);
    eventfd_write(fd, 1);
    sleep_whole(&w, 5 * GX_NS_PER_MS);
    close(fd);
    world_close(&w);
}

static void test_watch_is_bounded(void **state)
{
    const struct gx_port_ops *ops = *state;
    int fds[GX_PORT_WATCH_MAX + 1];
    struct world w;

    world_open(&w, ops);
    for (int i = 0; i <= GX_PORT_WATCH_MAX; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC);
        assert_int_equal(ops->watch(w.a, fds[i]), i < GX_PORT_WATCH_MAX ? 0 : -ENOSPC);
    }
    ops->unwatch(w.a, fds[3]);
    assert_int_equal(ops->watch(w.a, fds[GX_PORT_WATCH_MAX]), 0);
    for (int i = 0; i <= GX_PORT_WATCH_MAX; i++)
        close(fds[i]);
    world_close(&w);
}

static uint32_t receive_one(const struct gx_port_ops *ops, struct gx_port *port, struct gx_rx *rx)
{
    uint64_t end = gx_clock_ns() + WAIT_NS;
    uint32_t n = 0;

    while (!n && gx_clock_ns() < end) {
        ops->sleep(port, gx_clock_ns() + GX_NS_PER_MS);
        n = ops->rx(port, rx, 1);
    }
    return n;
}

static void test_v6_port_talks_to_v4_and_v6(void **state)
{
    const struct gx_port_ops *ops = *state;
    struct gx_packet packet;
    uint32_t released = 0;
    struct gx_rx rx[1];
    struct gx_port *six;
    struct world w;

    world_open(&w, ops);
    six = port_open(ops, "[::]:0", 0, &released);
    packet_make(&w, &packet, 0, 100);
    ops->tx(six, &packet, 1); /* an IPv4 address from a v6 socket */
    assert_int_equal(receive_one(ops, w.b, rx), 1);
    assert_false(gx_addr_is_v6(&rx[0].from));
    packet.to = rx[0].from;
    ops->tx(w.b, &packet, 1);
    assert_int_equal(receive_one(ops, six, rx), 1);
    assert_memory_equal(&rx[0].from, &w.b_addr, sizeof(w.b_addr));
    gx_addr_parse(&packet.to, "[::1]:7440");
    assert_true(ops->reaches(six, &packet.to));
    assert_false(ops->reaches(w.a, &packet.to));
    ops->close(six);
    world_close(&w);
}

static void test_taken_address_is_refused_by_name(void **state)
{
    const struct gx_port_ops *ops = *state;
    struct gx_port_config config = {0};
    char error[200], text[GX_PORT_TEXT_MAX];
    struct gx_port *port;
    struct world w;

    world_open(&w, ops);
    config.address = gx_addr_format(&w.a_addr, text);
    assert_int_equal(ops->open(&config, &port, error, sizeof(error)), -EADDRINUSE);
    assert_non_null(strstr(error, text));
    config.address = "localhost:1";
    assert_int_equal(ops->open(&config, &port, error, sizeof(error)), -EINVAL);
    assert_non_null(strstr(error, "localhost:1"));
    world_close(&w);
}

static void test_addresses_parse_and_format(void **state)
{
    static const char *const good[] = {"127.0.0.1:7440", "[::1]:7440", "0.0.0.0:0",
                                       "[2001:db8::5]:65535"};
    static const char *const bad[] = {"",          "127.0.0.1",  "127.0.0.1:", "127.0.0.1:65536",
                                      "host:1",    "::1:7440",   "[::1]7440",  "[127.0.0.1]:1",
                                      "1.2.3.4:x", "1.2.3.4:1 ", "1.2.3.4:-1", "[::1:7440",
                                      ":7440",     "[]:1",       "1.2.3.4.5:1"};
    char text[GX_PORT_TEXT_MAX];
    struct gx_addr addr;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(gx_addr_parse(&addr, good[i]), 0);
        assert_string_equal(gx_addr_format(&addr, text), good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(gx_addr_parse(&addr, bad[i]), -EINVAL);
}

#define KIND(test, kind)                                                                           \
    {                                                                                              \
        .name = #test " (" #kind ")", .test_func = test,                                           \
        .initial_state = (void *)(uintptr_t)&gx_port_##kind                                        \
    }
#define BOTH(test) KIND(test, uring), KIND(test, socket)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_equal_packets_travel_whole_and_in_order),
        BOTH(test_mixed_sizes_keep_their_borders),
        BOTH(test_burst_over_64_kib_is_cut),
        BOTH(test_gso_sends_many_packets_at_once),
        BOTH(test_nobody_listens_is_no_error),
        BOTH(test_unsendable_packet_is_counted_and_released),
        BOTH(test_100000_packets_leak_no_owner),
        BOTH(test_full_socket_is_back_pressure_not_loss),
        BOTH(test_sleep_ends_in_time),
        KIND(test_packets_wait_for_the_end_of_a_nap, uring),
        BOTH(test_every_write_to_a_watched_eventfd_ends_one_sleep),
        BOTH(test_watch_is_bounded),
        BOTH(test_v6_port_talks_to_v4_and_v6),
        BOTH(test_taken_address_is_refused_by_name),
        cmocka_unit_test(test_addresses_parse_and_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
