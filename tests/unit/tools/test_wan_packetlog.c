#include "wan/packetlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TIME_NS 1722470400123456789ull

static char line[512];

/* The line about the first `bytes` of a frame. Its memory ends where the frame does, so that a
 * sanitizer sees what reads on. */
static const char *log_frame(const uint8_t *frame, uint32_t bytes, int to)
{
    uint8_t *copy = malloc(bytes ? bytes : 1);
    FILE *log;

    memset(line, 0, sizeof(line));
    log = fmemopen(line, sizeof(line), "w");
    assert_non_null(log);
    assert_non_null(copy);
    memcpy(copy, frame, bytes);
    gx_wan_packetlog_write_frame(log, TIME_NS, 0, to, copy, bytes, "pass");
    fclose(log);
    free(copy);
    return line;
}

/* Ethernet, `tag` bytes of VLAN, IPv4, UDP and a gx packet of 60 bytes of that type. */
static uint32_t make_ipv4(uint8_t *frame, uint32_t tag, uint8_t type)
{
    uint8_t *ip = frame + 14 + tag, *udp = ip + 20, *gx = udp + 8;

    memset(frame, 0, 200);
    if (tag) {
        frame[12] = 0x81;
        ip[-2] = 0x08;
    } else {
        frame[12] = 0x08;
    }
    ip[0] = 0x45;
    ip[9] = 17;
    udp[5] = 8 + 60;
    gx[0] = (uint8_t)(0x10 | type);
    gx[8] = 42;
    gx[48] = 0xab;
    return (uint32_t)(gx - frame) + 60;
}

static void a_gx_packet_is_found_in_its_frame(void **state)
{
    (void)state;
    uint8_t frame[200];
    uint32_t bytes = make_ipv4(frame, 0, 1);

    assert_string_equal(log_frame(frame, bytes, 1), "1722470400.123456 0 1 60 1 pass 42\n");
    bytes = make_ipv4(frame, 4, 3);
    assert_string_equal(log_frame(frame, bytes, 1),
                        "1722470400.123456 0 1 60 3 pass 42 ab0000000000000000000000\n");
}

static void padding_is_not_payload(void **state)
{
    (void)state;
    uint8_t frame[200];
    uint32_t bytes = make_ipv4(frame, 0, 1);

    assert_string_equal(log_frame(frame, bytes + 10, 1), "1722470400.123456 0 1 60 1 pass 42\n");
}

static void ipv6_is_read_too(void **state)
{
    (void)state;
    uint8_t frame[200] = {[12] = 0x86, [13] = 0xdd, [14 + 6] = 17, [14 + 40 + 5] = 8 + 3};

    assert_string_equal(log_frame(frame, 14 + 40 + 8 + 3, 1), "1722470400.123456 0 1 3 0 pass -\n");
}

static void other_frames_are_named(void **state)
{
    (void)state;
    uint8_t arp[60] = {[12] = 0x08, [13] = 0x06}, tcp[60] = {[12] = 0x08, [14] = 0x45, [23] = 6};
    uint8_t unknown[60] = {[12] = 0x88, [13] = 0xcc}, fragment[200];
    uint32_t bytes = make_ipv4(fragment, 0, 1);

    fragment[14 + 7] = 5;
    assert_string_equal(log_frame(arp, 60, -1), "1722470400.123456 0 - 60 arp pass -\n");
    assert_string_equal(log_frame(tcp, 60, 1), "1722470400.123456 0 1 60 tcp pass -\n");
    assert_string_equal(log_frame(unknown, 60, 1), "1722470400.123456 0 1 60 other pass -\n");
    assert_string_equal(log_frame(fragment, bytes, 1), "1722470400.123456 0 1 102 ip pass -\n");
}

/* Any prefix of any frame: one line at most, and no byte behind it is read. */
static void cut_and_random_frames_are_safe(void **state)
{
    (void)state;
    uint8_t frame[200];

    srand(1);
    for (int i = 0; i < 20000; i++) {
        uint32_t bytes = make_ipv4(frame, i % 2 ? 4 : 0, (uint8_t)(i % 5));
        for (int flips = i % 8; flips > 0; flips--)
            frame[12 + rand() % 60] = (uint8_t)rand();
        log_frame(frame, (uint32_t)rand() % (bytes + 1), 1);
        char *end = strchr(line, '\n');
        assert_true(end ? end[1] == '\0' : line[0] == '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gx_packet_is_found_in_its_frame),
        cmocka_unit_test(padding_is_not_payload),
        cmocka_unit_test(ipv6_is_read_too),
        cmocka_unit_test(other_frames_are_named),
        cmocka_unit_test(cut_and_random_frames_are_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
