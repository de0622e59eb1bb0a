/* The 48 bytes before every payload: fixed bytes, every truncation, every flipped bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "wire/header.h"

static void built_header_has_the_documented_bytes(void **state)
{
    struct gx_header header = {.type = GX_TYPE_SHARD,
                               .shard = 5,
                               .k = 64,
                               .payload_bytes = 0x0102,
                               .session = 0x11121314,
                               .number = 0x2122232425262728,
                               .transfer = 0x31323334,
                               .block = 0x41424344,
                               .clock_us = 0x51525354};
    static const uint8_t expected[32] = {0x11, 0,    0x02, 0x01, 0x14, 0x13, 0x12, 0x11,
                                         0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21,
                                         0x34, 0x33, 0x32, 0x31, 0x44, 0x43, 0x42, 0x41,
                                         5,    64,   0,    0,    0x54, 0x53, 0x52, 0x51};
    uint8_t out[GX_HEADER_BYTES];

    (void)state;
    gx_header_build(&header, out);
    assert_memory_equal(out, expected, sizeof expected);
}

static void parse_gives_back_what_was_built(void **state)
{
    struct gx_header header = {.type = GX_TYPE_FEEDBACK,
                               .flags = GX_HEADER_ASKED,
                               .payload_bytes = 7,
                               .session = 9,
                               .number = 77,
                               .transfer = 3,
                               .block = 4,
                               .shard = 200,
                               .k = 128,
                               .clock_us = 123456};
    struct gx_header parsed;
    uint8_t packet[GX_HEADER_BYTES + 7] = {0};

    (void)state;
    gx_header_build(&header, packet);
    assert_int_equal(gx_header_parse(&parsed, packet, sizeof packet), GX_HEADER_OK);
    assert_int_equal(parsed.version, GX_VERSION);
    assert_int_equal(parsed.type, header.type);
    assert_int_equal(parsed.flags, header.flags);
    assert_int_equal(parsed.payload_bytes, header.payload_bytes);
    assert_int_equal(parsed.session, header.session);
    assert_int_equal(parsed.number, header.number);
    assert_int_equal(parsed.transfer, header.transfer);
    assert_int_equal(parsed.block, header.block);
    assert_int_equal(parsed.shard, header.shard);
    assert_int_equal(parsed.k, header.k);
    assert_int_equal(parsed.clock_us, header.clock_us);
}

static void wrong_length_type_or_version_is_refused(void **state)
{
    struct gx_header header = {.type = GX_TYPE_SHARD, .payload_bytes = 7};
    struct gx_header parsed;
    uint8_t packet[GX_HEADER_BYTES + 8] = {0};

    (void)state;
    gx_header_build(&header, packet);
    for (size_t bytes = 0; bytes <= sizeof packet; bytes++)
        assert_int_equal(gx_header_parse(&parsed, packet, bytes),
                         bytes == GX_HEADER_BYTES + 7 ? GX_HEADER_OK : GX_HEADER_MALFORMED);
    packet[0] = GX_VERSION << 4 | GX_TYPE_COUNT;
    assert_int_equal(gx_header_parse(&parsed, packet, GX_HEADER_BYTES + 7), GX_HEADER_MALFORMED);
    packet[0] = 2 << 4 | GX_TYPE_SHARD;
    assert_int_equal(gx_header_parse(&parsed, packet, GX_HEADER_BYTES + 7), GX_HEADER_VERSION);
    packet[0] = 2 << 4 | GX_TYPE_HELLO;
    assert_int_equal(gx_header_parse(&parsed, packet, GX_HEADER_BYTES + 7), GX_HEADER_OK);
}

static void checksum_is_crc32c(void **state)
{
    /* CRC32C of 32 zeros is 0x8a9136aa (RFC 3720, B.4). */
    uint8_t packet[GX_HEADER_BYTES] = {0};
    static const uint8_t expected[16] = {0xaa, 0x36, 0x91, 0x8a};

    (void)state;
    gx_header_checksum(packet, packet, 0);
    assert_memory_equal(packet + GX_TAG_OFFSET, expected, sizeof expected);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct gx_header header = {.type = GX_TYPE_SHARD, .payload_bytes = 64, .number = 5};
    uint8_t packet[GX_HEADER_BYTES + 64];

    (void)state;
    memset(packet, 0xa5, sizeof packet);
    gx_header_build(&header, packet);
    gx_header_checksum(packet, packet + GX_HEADER_BYTES, 64);
    assert_true(gx_header_checksum_fits(packet, packet + GX_HEADER_BYTES, 64));
    for (size_t bit = 0; bit < 8 * sizeof packet; bit++) {
        packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(gx_header_checksum_fits(packet, packet + GX_HEADER_BYTES, 64));
        packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_header_has_the_documented_bytes),
        cmocka_unit_test(parse_gives_back_what_was_built),
        cmocka_unit_test(wrong_length_type_or_version_is_refused),
        cmocka_unit_test(checksum_is_crc32c),
        cmocka_unit_test(every_flipped_bit_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
