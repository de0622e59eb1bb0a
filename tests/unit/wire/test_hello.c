/* HELLO: round trip, skipped fields, every truncation, and random bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "session/random.h"
#include "wire/hello.h"

static struct gx_hello sample(void)
{
    struct gx_hello hello = {.version_min = 1,
                             .version_max = 3,
                             .mode = GX_HELLO_PSK,
                             .flags = GX_HELLO_WANT_REPLY,
                             .session = 77,
                             .incarnation = 1234,
                             .name = "paris",
                             .site_idx = 1,
                             .site_count = 2,
                             .mtu = 9000,
                             .workers = 4,
                             .lane = 3,
                             .names = {"oslo", "paris"}};

    memset(hello.key, 1, sizeof hello.key);
    memset(hello.cookie, 2, sizeof hello.cookie);
    gx_hello_list_digest(hello.names, 2, hello.list_digest);
    return hello;
}

static void parse_gives_back_what_was_built(void **state)
{
    struct gx_hello hello = sample(), parsed;
    uint8_t out[GX_HELLO_MAX_BYTES];
    size_t bytes = gx_hello_build(&hello, out);

    (void)state;
    assert_true(gx_hello_parse(&parsed, out, bytes));
    assert_memory_equal(&parsed, &hello, sizeof hello);
}

static void longest_hello_fits(void **state)
{
    struct gx_hello hello = sample(), parsed;
    uint8_t out[GX_HELLO_MAX_BYTES];

    (void)state;
    hello.site_count = GX_SITES_MAX;
    memset(hello.name, 'n', GX_NAME_MAX - 1);
    for (int i = 0; i < GX_SITES_MAX; i++)
        memset(hello.names[i], 'a' + i, GX_NAME_MAX - 1);
    assert_true(gx_hello_parse(&parsed, out, gx_hello_build(&hello, out)));
    assert_memory_equal(&parsed, &hello, sizeof hello);
}

static void unknown_fields_are_skipped(void **state)
{
    struct gx_hello hello = sample(), parsed;
    uint8_t out[GX_HELLO_MAX_BYTES];
    size_t bytes = gx_hello_build(&hello, out);
    static const uint8_t extra[] = {0x99, 0x99, 3, 0, 7, 7, 7};

    (void)state;
    memcpy(out + bytes, extra, sizeof extra);
    assert_true(gx_hello_parse(&parsed, out, bytes + sizeof extra));
    assert_memory_equal(&parsed, &hello, sizeof hello);
}

static void truncation_inside_a_field_is_refused(void **state)
{
    struct gx_hello hello = sample(), parsed;
    uint8_t out[GX_HELLO_MAX_BYTES];
    size_t bytes = gx_hello_build(&hello, out);
    uint32_t accepted = 0;

    (void)state;
    for (size_t i = 0; i < bytes; i++)
        accepted += gx_hello_parse(&parsed, out, i);
    /* Only after the digest, between two optional fields. */
    assert_int_equal(accepted, 3);
}

static void impossible_fields_are_refused(void **state)
{
    struct gx_hello hello = sample(), parsed;
    uint8_t out[GX_HELLO_MAX_BYTES];

    (void)state;
    hello.session = 0;
    assert_false(gx_hello_parse(&parsed, out, gx_hello_build(&hello, out)));
    hello = sample();
    hello.incarnation = 0;
    assert_false(gx_hello_parse(&parsed, out, gx_hello_build(&hello, out)));
    hello = sample();
    hello.version_min = 4;
    assert_false(gx_hello_parse(&parsed, out, gx_hello_build(&hello, out)));
    hello = sample();
    hello.name[0] = 0;
    assert_false(gx_hello_parse(&parsed, out, gx_hello_build(&hello, out)));
}

static void random_bytes_do_no_harm(void **state)
{
    struct gx_hello hello = sample(), parsed;
    uint8_t out[GX_HELLO_MAX_BYTES];
    size_t bytes = gx_hello_build(&hello, out);
    struct gx_random random;

    (void)state;
    gx_random_init(&random, 1);
    for (int i = 0; i < 20000; i++) {
        uint8_t copy[GX_HELLO_MAX_BYTES];

        memcpy(copy, out, bytes);
        for (int j = 0; j < 3; j++)
            copy[gx_random_u64(&random) % bytes] = (uint8_t)gx_random_u64(&random);
        if (gx_hello_parse(&parsed, copy, bytes)) {
            assert_true(parsed.site_count <= GX_SITES_MAX);
            assert_non_null(memchr(parsed.name, 0, sizeof parsed.name));
        }
    }
}

static void list_digest_knows_order_and_borders(void **state)
{
    char a[2][GX_NAME_MAX] = {"ab", "c"}, b[2][GX_NAME_MAX] = {"a", "bc"},
         c[2][GX_NAME_MAX] = {"c", "ab"};
    uint8_t of_a[GX_HELLO_DIGEST_BYTES], of_b[GX_HELLO_DIGEST_BYTES], of_c[GX_HELLO_DIGEST_BYTES];

    (void)state;
    gx_hello_list_digest(a, 2, of_a);
    gx_hello_list_digest(b, 2, of_b);
    gx_hello_list_digest(c, 2, of_c);
    assert_memory_not_equal(of_a, of_b, sizeof of_a);
    assert_memory_not_equal(of_a, of_c, sizeof of_a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_gives_back_what_was_built),
        cmocka_unit_test(longest_hello_fits),
        cmocka_unit_test(unknown_fields_are_skipped),
        cmocka_unit_test(truncation_inside_a_field_is_refused),
        cmocka_unit_test(impossible_fields_are_refused),
        cmocka_unit_test(random_bytes_do_no_harm),
        cmocka_unit_test(list_digest_knows_order_and_borders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
