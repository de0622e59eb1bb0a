/* OPEN: round trip, truncation, every field out of range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "wire/header.h"
#include "wire/open.h"

static struct gx_open sample(void)
{
    struct gx_open open = {.transfer = 17,
                           .key = {.run = 0x1234567890abcdefull,
                                   .epoch = 3,
                                   .fragment = 63,
                                   .round = 1ull << 40,
                                   .kind = GX_KIND_STATE,
                                   .owner = 15},
                           .bytes = 25000000,
                           .weight = GX_WEIGHT_MAX,
                           .format = GX_E3M0,
                           .digest_kind = GX_BLAKE2B,
                           .k_max = 128,
                           .shard_bytes = 1408,
                           .part = 6,
                           .parts = 7,
                           .offered_ns = 987654321};

    memset(open.base.b, 0x11, sizeof open.base.b);
    memset(open.digest.b, 0x22, sizeof open.digest.b);
    return open;
}

static void parse_gives_back_what_was_built(void **state)
{
    struct gx_open open = sample(), parsed;
    uint8_t out[GX_CONTROL_MAX_BYTES];
    size_t bytes = gx_open_build(&open, out);

    (void)state;
    assert_int_equal(out[0], GX_CONTROL_OPEN);
    assert_true(gx_open_parse(&parsed, out, bytes));
    assert_true(gx_key_equal(&open.key, &parsed.key));
    assert_int_equal(parsed.transfer, open.transfer);
    assert_int_equal(parsed.bytes, open.bytes);
    assert_int_equal(parsed.weight, open.weight);
    assert_int_equal(parsed.format, open.format);
    assert_int_equal(parsed.digest_kind, open.digest_kind);
    assert_int_equal(parsed.k_max, open.k_max);
    assert_int_equal(parsed.shard_bytes, open.shard_bytes);
    assert_int_equal(parsed.part, open.part);
    assert_int_equal(parsed.parts, open.parts);
    assert_int_equal(parsed.offered_ns, open.offered_ns);
    assert_memory_equal(&parsed.base, &open.base, sizeof open.base);
    assert_memory_equal(&parsed.digest, &open.digest, sizeof open.digest);
}

static void truncated_and_oversized_messages_are_refused(void **state)
{
    struct gx_open open = sample(), parsed;
    uint8_t out[GX_CONTROL_MAX_BYTES + 1] = {0};
    size_t bytes = gx_open_build(&open, out);

    (void)state;
    for (size_t i = 0; i < bytes; i++)
        assert_false(gx_open_parse(&parsed, out, i));
    assert_true(gx_open_parse(&parsed, out, bytes + 1));
    assert_false(gx_open_parse(&parsed, out, sizeof out));
}

#define REFUSES(change)                                                                            \
    do {                                                                                           \
        struct gx_open open = sample(), parsed;                                                    \
        uint8_t out[GX_CONTROL_MAX_BYTES];                                                         \
        change;                                                                                    \
        assert_false(gx_open_parse(&parsed, out, gx_open_build(&open, out)));                      \
    } while (0)

static void fields_out_of_range_are_refused(void **state)
{
    (void)state;
    REFUSES(open.transfer = 0);
    REFUSES(open.key.fragment = GX_FRAGMENTS_MAX);
    REFUSES(open.key.kind = GX_KIND_COUNT);
    REFUSES(open.key.owner = GX_SITES_MAX);
    REFUSES(open.bytes = 0);
    REFUSES(open.weight = GX_WEIGHT_MAX + 1);
    REFUSES(open.format = GX_FORMAT_COUNT);
    REFUSES(open.digest_kind = GX_DIGEST_KIND_COUNT);
    REFUSES(open.k_max = 0);
    REFUSES(open.k_max = 129);
    REFUSES(open.part = 7);
    REFUSES(open.parts = GX_WORKERS_MAX + 1);
    REFUSES(open.shard_bytes = 0);
    REFUSES(open.shard_bytes = 1400);
}

static void keys_differ_in_every_field(void **state)
{
    struct gx_open a = sample(), b = sample();

    (void)state;
    assert_true(gx_key_equal(&a.key, &b.key));
    b.key.run++;
    assert_false(gx_key_equal(&a.key, &b.key));
    b = sample();
    b.key.epoch++;
    assert_false(gx_key_equal(&a.key, &b.key));
    b = sample();
    b.key.fragment--;
    assert_false(gx_key_equal(&a.key, &b.key));
    b = sample();
    b.key.round++;
    assert_false(gx_key_equal(&a.key, &b.key));
    b = sample();
    b.key.kind = GX_KIND_CONTRIBUTION;
    assert_false(gx_key_equal(&a.key, &b.key));
    b = sample();
    b.key.owner--;
    assert_false(gx_key_equal(&a.key, &b.key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_gives_back_what_was_built),
        cmocka_unit_test(truncated_and_oversized_messages_are_refused),
        cmocka_unit_test(fields_out_of_range_are_refused),
        cmocka_unit_test(keys_differ_in_every_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
