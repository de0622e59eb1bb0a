/* Rows made several at once, kept and given later are the rows that the code defines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "session/random.h"
#include "transfer/parity.h"

#define SHARD 128u
#define K 8u
#define BLOCKS (2 * GX_PARITY_GROUPS + 3)
#define BYTES (BLOCKS * K * SHARD - 50)

static uint8_t bytes[2][BLOCKS * K * SHARD], tails[2][SHARD];
static struct gx_source sources[2];
static struct gx_parity parity;
static struct gx_random dice;

static void source_fill(uint32_t i)
{
    gx_random_fill(&dice, bytes[i], BYTES);
    gx_source_init(&sources[i], bytes[i], BYTES, SHARD, tails[i]);
}

static int setup(void **state)
{
    (void)state;
    gx_fec_init();
    gx_random_init(&dice, 5);
    source_fill(0);
    source_fill(1);
    assert_true(gx_parity_init(&parity, SHARD));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gx_parity_fini(&parity);
    return 0;
}

static void row_expect(uint32_t source, uint32_t part, uint32_t parts, uint32_t block, uint32_t row,
                       uint32_t wanted)
{
    const uint8_t *data[GX_K_SMALL];
    uint8_t expected[SHARD], room[SHARD];
    struct gx_layout layout;
    uint64_t part_bytes;
    uint64_t start = gx_layout_part(BYTES, SHARD, part, parts, &part_bytes);

    assert_true(gx_layout_init(&layout, part_bytes, SHARD, K));
    block %= layout.block_count;
    for (uint32_t i = 0; i < gx_layout_k(&layout, block); i++) {
        uint64_t at = start + (uint64_t)(gx_layout_first(&layout, block) + i) * SHARD;

        data[i] = BYTES - at < SHARD ? tails[source] : bytes[source] + at;
    }
    memset(room, 0xee, sizeof room);
    gx_fec_row(gx_layout_k(&layout, block), row, data, SHARD, expected);
    assert_memory_equal(
        gx_parity_row(&parity, &sources[source], start, &layout, block, row, wanted, room),
        expected, SHARD);
}

static void a_block_served_to_its_end_gets_its_rows(void **state)
{
    (void)state;
    for (uint32_t row = K; row < GX_FEC_ROWS; row++)
        row_expect(0, 0, 1, BLOCKS - 1, row, GX_FEC_ROWS - row);
}

static void more_blocks_in_turn_than_groups_get_their_rows(void **state)
{
    (void)state;
    for (uint32_t row = K; row < 30; row++)
        for (uint32_t block = 0; block < BLOCKS; block++)
            row_expect(0, 0, 1, block, row, 30 - row);
}

static void any_requests_of_any_sources_and_parts_get_their_rows(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t roll = gx_random_u64(&dice);
        uint32_t parts = 1 + (uint32_t)(roll >> 8) % 3, row = K + (uint32_t)(roll >> 16) % 12;

        if (roll >> 60 == 0)
            row = GX_FEC_ROWS - 1 - (uint32_t)(roll >> 20) % 3;
        row_expect(roll & 1, (uint32_t)(roll >> 30) % parts, parts, (uint32_t)(roll >> 40) % 9, row,
                   1 + (uint32_t)(roll >> 50) % 12);
    }
}

static void other_bytes_in_a_source_have_other_rows(void **state)
{
    (void)state;
    row_expect(0, 0, 1, 1, K, 8);
    row_expect(1, 0, 1, 2, K, 8);
    gx_parity_forget(&parity, &sources[0]);
    source_fill(0);
    row_expect(0, 0, 1, 1, K, 8);
    row_expect(1, 0, 1, 2, K + 1, 7);
}

static void rows_that_nobody_asks_for_make_room(void **state)
{
    (void)state;
    row_expect(0, 0, 1, 0, K, 8);
    for (uint32_t i = 0; i < 64 * GX_PARITY_GROUPS; i++)
        row_expect(0, 0, 1, 1, K + i % 8, 8);
    row_expect(0, 0, 1, GX_PARITY_GROUPS, K, 8);
    assert_int_equal(parity.groups[0].first, K);
    assert_int_equal(parity.groups[0].start, (uint64_t)GX_PARITY_GROUPS * K * SHARD);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_block_served_to_its_end_gets_its_rows),
        TEST(more_blocks_in_turn_than_groups_get_their_rows),
        TEST(any_requests_of_any_sources_and_parts_get_their_rows),
        TEST(other_bytes_in_a_source_have_other_rows),
        TEST(rows_that_nobody_asks_for_make_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
