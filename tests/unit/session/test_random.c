/* The generator: the same from the same seed, another from another seed or secret, and nothing stays behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "session/random.h"

static struct gx_random one, two;

static void same_seed_gives_the_same_bytes_in_any_pieces(void **state)
{
    uint8_t whole[3000], pieces[3000];

    (void)state;
    gx_random_init(&one, 5);
    gx_random_init(&two, 5);
    gx_random_fill(&one, whole, sizeof whole);
    for (size_t at = 0, piece = 1; at < sizeof pieces; at += piece, piece = piece * 3 % 701 + 1) {
        if (piece > sizeof pieces - at)
            piece = sizeof pieces - at;
        gx_random_fill(&two, pieces + at, piece);
    }
    assert_memory_equal(whole, pieces, sizeof whole);
}

static void seed_and_secret_both_matter(void **state)
{
    uint8_t secret[GX_RANDOM_SECRET_BYTES] = {0};

    (void)state;
    gx_random_init(&one, 5);
    gx_random_init(&two, 6);
    assert_int_not_equal(gx_random_u64(&one), gx_random_u64(&two));
    gx_random_init(&one, 5);
    secret[31] = 1;
    gx_random_init_secret(&two, secret, 5);
    assert_int_not_equal(gx_random_u64(&one), gx_random_u64(&two));
}

static void what_was_drawn_is_wiped(void **state)
{
    uint8_t drawn[16];

    (void)state;
    gx_random_init(&one, 5);
    for (int i = 0; i < 100; i++) {
        gx_random_fill(&one, drawn, sizeof drawn);
        for (size_t at = 0; at + sizeof drawn <= sizeof one; at++)
            assert_memory_not_equal((uint8_t *)&one + at, drawn, sizeof drawn);
    }
}

static void bits_are_even(void **state)
{
    uint32_t ones[64] = {0};

    (void)state;
    gx_random_init(&one, 5);
    for (uint32_t i = 0; i < 10000; i++) {
        uint64_t word = gx_random_u64(&one);

        for (int bit = 0; bit < 64; bit++)
            ones[bit] += (uint32_t)(word >> bit & 1);
    }
    for (int bit = 0; bit < 64; bit++)
        assert_in_range(ones[bit], 4700, 5300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_gives_the_same_bytes_in_any_pieces),
        cmocka_unit_test(seed_and_secret_both_matter),
        cmocka_unit_test(what_was_drawn_is_wiped),
        cmocka_unit_test(bits_are_even),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
