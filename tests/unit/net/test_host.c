#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port/net/checksum.h"
#include "port/net/host.h"
#include "port/port.h"

#define S 1000000000ull
#define NOW (1000 * S)
#define ROOM 2048

/* Two hosts on one link: what `a` sends, `b` gets. */
static struct gx_host a, b;
static uint8_t frame[ROOM];
static char error[256];

static void host_make(struct gx_host *host, const char *address, const char *gateway, uint8_t last)
{
    struct gx_host_config config = {
        .address = address, .gateway = gateway, .udp_port = 7440, .mac = {2, 0, 0, 0, 0, last}};

    assert_int_equal(gx_host_init(host, &config, NOW, error, sizeof(error)), 0);
    host->announces = 0;
}

static int v4(void **state)
{
    (void)state;
    host_make(&a, "10.0.0.1/24", "10.0.0.254", 1);
    host_make(&b, "10.0.0.2/24", NULL, 2);
    return 0;
}

static int v6(void **state)
{
    (void)state;
    host_make(&a, "fd00::1/64", "fd00::fe", 1);
    host_make(&b, "fd00::2/64", NULL, 2);
    return 0;
}

static struct gx_addr addr(const char *text)
{
    struct gx_addr out;

    assert_int_equal(gx_addr_parse(&out, text), 0);
    return out;
}

static struct gx_addr addr_of(const struct gx_host *host)
{
    return gx_host_local(host);
}

/* `from` asks for `to`, which answers. */
static void resolve(struct gx_host *from, struct gx_host *to)
{
    uint8_t headers[GX_HOST_HEADERS_MAX];
    struct gx_addr target = addr_of(to);
    struct gx_host_rx rx;
    uint32_t bytes;

    assert_int_equal(gx_host_headers(from, NOW, &target, 8, headers), 0);
    bytes = gx_host_poll(from, NOW, frame);
    assert_true(bytes > 0);
    assert_int_equal(gx_host_rx(to, NOW, frame, bytes, ROOM, &rx), GX_HOST_REPLY);
    assert_int_equal(gx_host_rx(from, NOW, frame, rx.reply_bytes, ROOM, &rx), GX_HOST_DONE);
}

/* A UDP frame from `from` to `to` in `frame`; returns its bytes. */
static uint32_t udp(struct gx_host *from, struct gx_host *to, const void *payload, uint32_t bytes)
{
    struct gx_addr target = addr_of(to);
    uint32_t head = gx_host_headers(from, NOW, &target, bytes, frame);

    assert_true(head > 0);
    memcpy(frame + head, payload, bytes);
    gx_host_checksum(from, frame, gx_checksum_add(0, payload, bytes));
    return head + bytes;
}

static void a_host_finds_its_neighbour_and_is_understood(void **state)
{
    struct gx_host_rx rx;
    struct gx_addr from = addr_of(&a);
    uint32_t bytes;

    (void)state;
    resolve(&a, &b);
    bytes = udp(&a, &b, "hello", 5);
    assert_int_equal(gx_host_rx(&b, NOW, frame, bytes, ROOM, &rx), GX_HOST_UDP);
    assert_memory_equal(&rx.from, &from, sizeof(from));
    assert_int_equal(rx.payload_bytes, 5);
    assert_memory_equal(rx.payload, "hello", 5);
    assert_int_equal(b.counts.answered, 1);
}

/* The checksum as RFC 768 has it, computed bytewise. */
static uint16_t udp_sum(bool six, const uint8_t *ip, const uint8_t *datagram, uint32_t bytes)
{
    const uint8_t *addresses = six ? ip + 8 : ip + 12;
    uint32_t sum = 17 + bytes;

    for (uint32_t i = 0; i < (six ? 32u : 8u); i++)
        sum += i & 1 ? addresses[i] : (uint32_t)addresses[i] << 8;
    for (uint32_t i = 0; i < bytes; i++)
        sum += i & 1 ? datagram[i] : (uint32_t)datagram[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static void the_udp_checksum_is_right_for_every_length(void **state)
{
    uint8_t payload[64];

    (void)state;
    resolve(&a, &b);
    for (uint32_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 37 + 200);
    for (uint32_t n = 0; n <= sizeof(payload); n++) {
        uint32_t head = a.v6 ? 54 : 34;

        udp(&a, &b, payload, n);
        assert_int_equal(udp_sum(a.v6, frame + 14, frame + head, 8 + n), 0xffff);
    }
}

static void other_networks_are_reached_by_the_gateway(void **state)
{
    struct gx_addr far = addr(a.v6 ? "[2001:db8::9]:7440" : "192.0.2.9:7440");
    uint8_t headers[GX_HOST_HEADERS_MAX];
    struct gx_host gateway;
    struct gx_host_rx rx;
    uint32_t bytes;

    (void)state;
    host_make(&gateway, a.v6 ? "fd00::fe/64" : "10.0.0.254/24", NULL, 9);
    assert_true(gx_host_reaches(&a, &far));
    assert_int_equal(gx_host_headers(&a, NOW, &far, 8, headers), 0);
    bytes = gx_host_poll(&a, NOW, frame);
    assert_int_equal(gx_host_rx(&gateway, NOW, frame, bytes, ROOM, &rx), GX_HOST_REPLY);
    gx_host_rx(&a, NOW, frame, rx.reply_bytes, ROOM, &rx);
    assert_true(gx_host_headers(&a, NOW, &far, 8, headers) > 0);
    assert_memory_equal(headers, gateway.mac, 6);
    assert_false(gx_host_reaches(&b, &far));
    assert_int_equal(gx_host_headers(&b, NOW, &far, 8, headers), 0);
    assert_int_equal(b.counts.unreachable, 1);
}

static void a_ping_comes_back_with_its_bytes(void **state)
{
    uint8_t *ip = frame + 14;
    struct gx_host_rx rx;
    uint16_t sum;

    (void)state;
    resolve(&a, &b);
    /* A UDP frame's IP header, turned into an echo request with 33 bytes. */
    udp(&a, &b, "0123456789abcdefghijklmnopqrstuvw", 33);
    ip[9] = 1;
    memset(ip + 10, 0, 2);
    sum = gx_checksum_finish(gx_checksum_add(0, ip, 20));
    memcpy(ip + 10, &sum, 2);
    memcpy(ip + 20, "\x08\0\0\0\x12\x34\0\x01", 8);
    sum = gx_checksum_finish(gx_checksum_add(0, ip + 20, 41));
    memcpy(ip + 22, &sum, 2);
    assert_int_equal(gx_host_rx(&b, NOW, frame, 14 + 61, ROOM, &rx), GX_HOST_REPLY);
    assert_int_equal(rx.reply_bytes, 14 + 61);
    assert_memory_equal(frame, a.mac, 6);
    assert_memory_equal(ip + 12, b.ip, 4);
    assert_memory_equal(ip + 16, a.ip, 4);
    assert_int_equal(ip[20], 0);
    assert_memory_equal(ip + 28, "0123456789abcdefghijklmnopqrstuvw", 33);
    assert_int_equal(gx_checksum_fold(gx_checksum_add(0, ip + 20, 41)), 0xffff);
    assert_int_equal(gx_checksum_fold(gx_checksum_add(0, ip, 20)), 0xffff);
}

static void a_v6_ping_comes_back_with_its_bytes(void **state)
{
    uint8_t *ip = frame + 14, pseudo[4] = {0, 58, 0, 16};
    struct gx_host_rx rx;
    uint16_t sum;

    (void)state;
    resolve(&a, &b);
    udp(&a, &b, "abcdefgh", 8);
    ip[6] = 58;
    memcpy(ip + 40, "\x80\0\0\0\x12\x34\0\x01", 8);
    sum = gx_checksum_finish(
        gx_checksum_add(gx_checksum_add(gx_checksum_add(0, ip + 8, 32), pseudo, 4), ip + 40, 16));
    memcpy(ip + 42, &sum, 2);
    assert_int_equal(gx_host_rx(&b, NOW, frame, 14 + 56, ROOM, &rx), GX_HOST_REPLY);
    assert_int_equal(ip[40], 129);
    assert_memory_equal(ip + 48, "abcdefgh", 8);
    assert_memory_equal(ip + 24, a.ip, 16);
}

static void a_changed_mac_is_learnt_from_its_announcement(void **state)
{
    uint8_t headers[GX_HOST_HEADERS_MAX];
    struct gx_addr to = addr_of(&b);
    struct gx_host_rx rx;
    uint32_t bytes;

    (void)state;
    resolve(&a, &b);
    b.mac[5] = 77;
    gx_host_announce(&b, NOW);
    bytes = gx_host_poll(&b, NOW, frame);
    assert_true(bytes > 0);
    assert_int_equal(gx_host_rx(&a, NOW, frame, bytes, ROOM, &rx), GX_HOST_DONE);
    assert_true(gx_host_headers(&a, NOW, &to, 8, headers) > 0);
    assert_int_equal(headers[5], 77);
    assert_int_equal(a.neighbors.changed, 1);
}

static void another_claim_to_our_address_is_counted_not_believed(void **state)
{
    struct gx_host_rx rx;
    struct gx_host thief;
    uint32_t bytes;

    (void)state;
    host_make(&thief, a.v6 ? "fd00::1/64" : "10.0.0.1/24", NULL, 66);
    gx_host_announce(&thief, NOW);
    bytes = gx_host_poll(&thief, NOW, frame);
    gx_host_rx(&a, NOW, frame, bytes, ROOM, &rx);
    assert_int_equal(a.counts.conflict, 1);
}

static void ipv4_is_checked(void **state)
{
    static const struct {
        uint32_t at;
        uint8_t value;
        const char *what;
        size_t counter;
    } cases[] = {
        {14, 0x65, "version", offsetof(struct gx_host_counts, malformed)},
        {14, 0x44, "header length", offsetof(struct gx_host_counts, malformed)},
        {16, 0xff, "total length", offsetof(struct gx_host_counts, malformed)},
        {24, 0x55, "checksum", offsetof(struct gx_host_counts, checksum)},
        {0, 0x04, "another's frame", offsetof(struct gx_host_counts, other)},
        {6, 0x03, "from a group", offsetof(struct gx_host_counts, malformed)},
        {12, 0x99, "ether type", offsetof(struct gx_host_counts, other)},
        {37, 0x11, "UDP port", offsetof(struct gx_host_counts, other)},
        {38, 0xff, "UDP length above", offsetof(struct gx_host_counts, malformed)},
        {39, 0x07, "UDP length below", offsetof(struct gx_host_counts, malformed)},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gx_host_rx rx;
        uint32_t bytes;
        uint64_t count;

        v4(state);
        resolve(&a, &b);
        bytes = udp(&a, &b, "hello", 5);
        frame[cases[i].at] = cases[i].value;
        if (gx_host_rx(&b, NOW, frame, bytes, ROOM, &rx) != GX_HOST_DROP)
            fail_msg("%s: not dropped", cases[i].what);
        memcpy(&count, (uint8_t *)&b.counts + cases[i].counter, sizeof(count));
        if (count != 1)
            fail_msg("%s: not counted", cases[i].what);
    }
}

static void a_fragment_is_dropped(void **state)
{
    struct gx_host_rx rx;
    uint16_t sum = 0;
    uint32_t bytes;

    (void)state;
    resolve(&a, &b);
    bytes = udp(&a, &b, "hello", 5);
    frame[20] = 0x20;
    memcpy(frame + 24, &sum, 2);
    sum = gx_checksum_finish(gx_checksum_add(0, frame + 14, 20));
    memcpy(frame + 24, &sum, 2);
    assert_int_equal(gx_host_rx(&b, NOW, frame, bytes, ROOM, &rx), GX_HOST_DROP);
    assert_int_equal(b.counts.fragment, 1);
}

/* Every cut and many changed bytes of every kind of frame, in a buffer of exactly its size: sanitizers watch. */
static void no_frame_is_read_beyond_its_end(void **state)
{
    uint8_t copies[3][ROOM];
    uint32_t sizes[3];
    struct gx_host_rx rx;

    (void)state;
    resolve(&a, &b);
    sizes[0] = udp(&a, &b, "hello, how are you today", 24);
    memcpy(copies[0], frame, sizes[0]);
    gx_host_announce(&a, NOW);
    sizes[1] = gx_host_poll(&a, NOW, copies[1]);
    memcpy(copies[2], copies[0], sizes[0]);
    copies[2][a.v6 ? 20 : 23] = a.v6 ? 58 : 1;
    sizes[2] = sizes[0];
    srand(1);
    for (int kind = 0; kind < 3; kind++)
        for (uint32_t i = 0; i < 20000; i++) {
            uint32_t n = i < sizes[kind] ? i : sizes[kind];
            uint8_t *exact = malloc(n ? n : 1);
            enum gx_host_verdict verdict;

            memcpy(exact, copies[kind], n);
            for (int change = rand() % 4; n && change > 0; change--)
                exact[(uint32_t)rand() % n] = (uint8_t)rand();
            verdict = gx_host_rx(&b, NOW, exact, n, n, &rx);
            if (verdict == GX_HOST_UDP)
                assert_true(rx.payload >= exact && rx.payload + rx.payload_bytes <= exact + n);
            if (verdict == GX_HOST_REPLY)
                assert_true(rx.reply_bytes <= n);
            free(exact);
        }
}

static void wrong_addresses_are_refused_by_name(void **state)
{
    static const char *const wrong[] = {"",          "10.0.0.1",   "10.0.0.1/33", "10.0.0/24",
                                        "10.0.0.1/", "10.0.0.1/0", "224.0.0.1/4", "fd00::1/129",
                                        "0.0.0.0/8", "ff02::1/64", "10.0.0.1/8x"};
    struct gx_host_config config = {.udp_port = 1};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        config.address = wrong[i];
        assert_int_equal(gx_host_init(&a, &config, NOW, error, sizeof(error)), -EINVAL);
        assert_non_null(strstr(error, wrong[i]));
    }
    config.address = "10.0.0.1/24";
    config.gateway = "10.0.1.1";
    assert_int_equal(gx_host_init(&a, &config, NOW, error, sizeof(error)), -EINVAL);
    assert_string_equal(error,
                        "port gateway '10.0.1.1': not an address of the network 10.0.0.1/24");
}

#define ON(setup, test) cmocka_unit_test_setup(test, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(v4, a_host_finds_its_neighbour_and_is_understood),
        ON(v6, a_host_finds_its_neighbour_and_is_understood),
        ON(v4, the_udp_checksum_is_right_for_every_length),
        ON(v6, the_udp_checksum_is_right_for_every_length),
        ON(v4, other_networks_are_reached_by_the_gateway),
        ON(v6, other_networks_are_reached_by_the_gateway),
        ON(v4, a_ping_comes_back_with_its_bytes),
        ON(v6, a_v6_ping_comes_back_with_its_bytes),
        ON(v4, a_changed_mac_is_learnt_from_its_announcement),
        ON(v6, a_changed_mac_is_learnt_from_its_announcement),
        ON(v4, another_claim_to_our_address_is_counted_not_believed),
        ON(v6, another_claim_to_our_address_is_counted_not_believed),
        ON(v4, ipv4_is_checked),
        ON(v4, a_fragment_is_dropped),
        ON(v4, no_frame_is_read_beyond_its_end),
        ON(v6, no_frame_is_read_beyond_its_end),
        cmocka_unit_test(wrong_addresses_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
