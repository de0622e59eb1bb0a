/* How bytes are cut into shards and blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "transfer/layout.h"

static void eleven_hundred_shards_are_18_balanced_blocks(void **state)
{
    struct gx_layout layout;

    (void)state;
    assert_true(gx_layout_init(&layout, 1100 * 1408, 1408, 64));
    assert_int_equal(layout.block_count, 18);
    assert_int_equal(gx_layout_k(&layout, 0), 62);
    assert_int_equal(gx_layout_k(&layout, 17), 61);
}

static void blocks_cover_every_shard_once_in_order(void **state)
{
    (void)state;
    for (uint32_t shards = 1; shards < 700; shards++) {
        struct gx_layout layout;
        uint32_t next = 0;

        assert_true(gx_layout_init(&layout, shards * 64ull - 63, 64, 64));
        assert_int_equal(layout.shard_count, shards);
        for (uint32_t block = 0; block < layout.block_count; block++) {
            uint32_t k = gx_layout_k(&layout, block);

            assert_in_range(k, 1, 64);
            assert_int_equal(gx_layout_first(&layout, block), next);
            assert_int_equal(gx_layout_block_of(&layout, next), block);
            assert_int_equal(gx_layout_block_of(&layout, next + k - 1), block);
            next += k;
        }
        assert_int_equal(next, shards);
    }
}

static void impossible_layouts_are_refused(void **state)
{
    struct gx_layout layout;

    (void)state;
    assert_false(gx_layout_init(&layout, 0, 1408, 64));
    assert_false(gx_layout_init(&layout, 1, 0, 64));
    assert_false(gx_layout_init(&layout, 1, 1400, 64));
    assert_false(gx_layout_init(&layout, 1, 1408, 0));
    assert_false(gx_layout_init(&layout, 1, 1408, 129));
    assert_false(gx_layout_init(&layout, UINT64_MAX, 64, 64));
}

static void small_transfers_have_larger_blocks(void **state)
{
    (void)state;
    assert_int_equal(gx_layout_k_max(1023 * 1408ull, 1408), GX_K_SMALL);
    assert_int_equal(gx_layout_k_max(1023 * 1408ull + 1, 1408), GX_K);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eleven_hundred_shards_are_18_balanced_blocks),
        cmocka_unit_test(blocks_cover_every_shard_once_in_order),
        cmocka_unit_test(impossible_layouts_are_refused),
        cmocka_unit_test(small_transfers_have_larger_blocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
