/* Digests: fixed values, the piecewise form against the one-shot form, and what must make a difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "transfer/digest.h"

#define BYTES_MAX (3 * GX_PIECE_BYTES + 100)

static uint8_t bytes[BYTES_MAX];
static const uint64_t sizes[] = {
    0,        1, 1408, GX_PIECE_BYTES - 1, GX_PIECE_BYTES, GX_PIECE_BYTES + 1, 2 * GX_PIECE_BYTES,
    BYTES_MAX};
#define SIZE_COUNT (sizeof(sizes) / sizeof(sizes[0]))

static int fill(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < BYTES_MAX; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    return 0;
}

/* Pieces in falling order, as they may arrive. */
static void digest_by_pieces(enum gx_digest_kind kind, uint64_t total, struct gx_digest *out)
{
    uint8_t hashes[4 * 32 + 1];
    uint32_t hash_bytes = gx_digest_piece_bytes(kind);
    uint64_t count = gx_digest_piece_count(total);
    memset(hashes, 0xa5, sizeof(hashes));
    for (uint64_t i = count; i-- > 0;) {
        uint64_t at = i * GX_PIECE_BYTES, left = total - at;
        gx_digest_piece(kind, bytes + at, left < GX_PIECE_BYTES ? left : GX_PIECE_BYTES,
                        hashes + i * hash_bytes);
    }
    assert_int_equal(hashes[count * hash_bytes], 0xa5);
    gx_digest_final(kind, hashes, total, out);
}

static void pieces_in_any_order_give_the_digest_of_the_bytes(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < GX_DIGEST_KIND_COUNT; kind++)
        for (uint32_t s = 0; s < SIZE_COUNT; s++) {
            struct gx_digest whole, pieces;
            memset(&whole, 0x5a, sizeof(whole));
            memset(&pieces, 0xa5, sizeof(pieces));
            gx_digest_bytes((enum gx_digest_kind)kind, bytes, sizes[s], &whole);
            digest_by_pieces((enum gx_digest_kind)kind, sizes[s], &pieces);
            assert_true(gx_digest_equal(&whole, &pieces));
        }
}

static void piece_counts_round_up(void **state)
{
    (void)state;
    assert_int_equal(gx_digest_piece_count(0), 0);
    assert_int_equal(gx_digest_piece_count(1), 1);
    assert_int_equal(gx_digest_piece_count(GX_PIECE_BYTES), 1);
    assert_int_equal(gx_digest_piece_count(GX_PIECE_BYTES + 1), 2);
    assert_int_equal(gx_digest_piece_bytes(GX_XXH3), 16);
    assert_int_equal(gx_digest_piece_bytes(GX_BLAKE2B), 32);
}

static void every_size_has_a_digest_of_its_own(void **state)
{
    (void)state;
    /* Zeros, so that only the length tells the sizes apart. */
    memset(bytes, 0, sizeof(bytes));
    for (uint32_t kind = 0; kind < GX_DIGEST_KIND_COUNT; kind++) {
        struct gx_digest digests[SIZE_COUNT];
        for (uint32_t s = 0; s < SIZE_COUNT; s++) {
            gx_digest_bytes((enum gx_digest_kind)kind, bytes, sizes[s], &digests[s]);
            for (uint32_t t = 0; t < s; t++)
                assert_false(gx_digest_equal(&digests[s], &digests[t]));
        }
    }
    fill(NULL);
}

static void the_length_itself_counts(void **state)
{
    (void)state;
    uint8_t hashes[64] = {1, 2, 3};
    for (uint32_t kind = 0; kind < GX_DIGEST_KIND_COUNT; kind++) {
        struct gx_digest a, b;
        gx_digest_final((enum gx_digest_kind)kind, hashes, GX_PIECE_BYTES + 1, &a);
        gx_digest_final((enum gx_digest_kind)kind, hashes, GX_PIECE_BYTES + 2, &b);
        assert_false(gx_digest_equal(&a, &b));
    }
}

static void any_flipped_bit_changes_the_digest(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < GX_DIGEST_KIND_COUNT; kind++) {
        struct gx_digest before, after;
        gx_digest_bytes((enum gx_digest_kind)kind, bytes, BYTES_MAX, &before);
        for (uint32_t at = 0; at < BYTES_MAX; at += 9973) {
            bytes[at] ^= (uint8_t)(1u << at % 8);
            gx_digest_bytes((enum gx_digest_kind)kind, bytes, BYTES_MAX, &after);
            assert_false(gx_digest_equal(&before, &after));
            bytes[at] ^= (uint8_t)(1u << at % 8);
        }
    }
}

static void exchanged_pieces_change_the_digest(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < GX_DIGEST_KIND_COUNT; kind++) {
        struct gx_digest a, b;
        uint8_t hashes[2 * 32], swapped[2 * 32];
        uint32_t n = gx_digest_piece_bytes((enum gx_digest_kind)kind);
        gx_digest_piece((enum gx_digest_kind)kind, bytes, GX_PIECE_BYTES, hashes);
        gx_digest_piece((enum gx_digest_kind)kind, bytes + 1, GX_PIECE_BYTES, hashes + n);
        memcpy(swapped, hashes + n, n);
        memcpy(swapped + n, hashes, n);
        gx_digest_final((enum gx_digest_kind)kind, hashes, 2 * GX_PIECE_BYTES, &a);
        gx_digest_final((enum gx_digest_kind)kind, swapped, 2 * GX_PIECE_BYTES, &b);
        assert_false(gx_digest_equal(&a, &b));
    }
}

static void xxh3_is_padded_with_zeros(void **state)
{
    (void)state;
    static const uint8_t zeros[16];
    struct gx_digest digest;
    memset(&digest, 0xff, sizeof(digest));
    gx_digest_bytes(GX_XXH3, bytes, BYTES_MAX, &digest);
    assert_memory_equal(digest.b + 16, zeros, 16);
    assert_memory_not_equal(digest.b, zeros, 16);
}

/* Computed apart, with Python (hashlib, and XXH3_128bits over the pieces' hashes and the length as one string). */
static void digests_are_those_of_the_page(void **state)
{
    (void)state;
    static const char *const expected[GX_DIGEST_KIND_COUNT] = {
        "71efed339a43b514789d68fe75cfdeac00000000000000000000000000000000",
        "6de9368210f9cd7f8c69dcbca5769f3fa9b0e68d3633b5113868d1350c177bb6",
    };
    for (uint32_t kind = 0; kind < GX_DIGEST_KIND_COUNT; kind++) {
        struct gx_digest digest;
        char hex[GX_DIGEST_HEX_BYTES];
        gx_digest_bytes((enum gx_digest_kind)kind, bytes, BYTES_MAX, &digest);
        assert_string_equal(gx_digest_hex(&digest, hex), expected[kind]);
    }
}

static void hex_has_64_digits(void **state)
{
    (void)state;
    struct gx_digest digest = {{0x00, 0x9f, 0xff}};
    char hex[GX_DIGEST_HEX_BYTES];
    assert_ptr_equal(gx_digest_hex(&digest, hex), hex);
    assert_int_equal(strlen(hex), 64);
    assert_memory_equal(hex, "009fff0000", 10);
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(gx_digest_kind_name(GX_XXH3), "xxh3");
    assert_string_equal(gx_digest_kind_name(GX_BLAKE2B), "blake2b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_in_any_order_give_the_digest_of_the_bytes),
        cmocka_unit_test(piece_counts_round_up),
        cmocka_unit_test(every_size_has_a_digest_of_its_own),
        cmocka_unit_test(the_length_itself_counts),
        cmocka_unit_test(any_flipped_bit_changes_the_digest),
        cmocka_unit_test(exchanged_pieces_change_the_digest),
        cmocka_unit_test(xxh3_is_padded_with_zeros),
        cmocka_unit_test(digests_are_those_of_the_page),
        cmocka_unit_test(hex_has_64_digits),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
