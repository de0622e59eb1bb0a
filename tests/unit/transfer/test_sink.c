/* Rebuilding from any rows in any order, and refusing what does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fec/fec.h"
#include "format/format.h"
#include "session/random.h"
#include "transfer/digest.h"
#include "transfer/sink.h"

#define SHARD 64
#define BYTES (150 * SHARD - 17)

static uint8_t bytes[151 * SHARD], *staging;
static void *tables, *scratch;
static struct gx_sink sink;
static struct gx_open opened;
static struct gx_random rng;

static int setup(void **state)
{
    (void)state;
    gx_fec_init();
    gx_random_init(&rng, 9);
    memset(bytes, 0, sizeof bytes);
    gx_random_fill(&rng, bytes, BYTES);
    memset(&opened, 0, sizeof opened);
    opened.transfer = 1;
    opened.bytes = BYTES;
    opened.shard_bytes = SHARD;
    opened.k_max = 64;
    gx_digest_bytes(GX_XXH3, bytes, BYTES, &opened.digest);
    tables = malloc(gx_sink_table_bytes(BYTES, SHARD, 64, 1));
    staging = malloc(gx_sink_staging_bytes(BYTES, SHARD));
    scratch = aligned_alloc(64, gx_fec_scratch_bytes(SHARD));
    memset(staging, 0xee, gx_sink_staging_bytes(BYTES, SHARD));
    gx_sink_init(&sink, BYTES, SHARD, 64, 1, tables, staging);
    assert_true(gx_sink_open(&sink, &opened));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(tables);
    free(staging);
    free(scratch);
    return 0;
}

static uint32_t last_rebuilt;
static uint8_t flags; /* of what is placed */
static bool in_room;  /* shards come to lie in their gx_part_room() where they have one */
static uint32_t room_count;

/* Bytes of a packet that was not authentic, then those that are. */
static const uint8_t *room_fill(const struct gx_header *header, const uint8_t *payload)
{
    uint8_t *room = gx_part_room(&sink.parts[0], header);

    if (room == NULL)
        return payload;
    room_count++;
    gx_random_fill(&rng, room, header->payload_bytes);
    if (gx_random_u64(&rng) % 4 == 0)
        return NULL;
    memcpy(room, payload, header->payload_bytes);
    return room;
}

static enum gx_sink_effect place(uint32_t block, uint32_t row)
{
    uint32_t k = gx_layout_k(&sink.parts[0].layout, block),
             first = gx_layout_first(&sink.parts[0].layout, block);
    const uint8_t *data[GX_K_SMALL], *from;
    enum gx_sink_effect effect;
    uint8_t payload[SHARD];
    struct gx_header header = {.flags = flags,
                               .block = block,
                               .shard = (uint8_t)row,
                               .k = (uint8_t)k,
                               .payload_bytes = SHARD};

    for (uint32_t i = 0; i < k; i++)
        data[i] = bytes + (first + i) * SHARD;
    if (row < k)
        memcpy(payload, data[row], SHARD);
    else
        gx_fec_row(k, row, data, SHARD, payload);
    if (row < k && first + row == sink.parts[0].layout.shard_count - 1)
        header.payload_bytes = (uint16_t)((sink.parts[0].layout.bytes - 1) % SHARD + 1);
    from = in_room ? room_fill(&header, payload) : payload;
    last_rebuilt = 0;
    if (from == NULL)
        return GX_SINK_MALFORMED;
    effect = gx_part_place(&sink.parts[0], &header, from, scratch, &last_rebuilt);
    if (gx_part_is_complete(&sink.parts[0]))
        gx_sink_finish(&sink, &sink.parts[0], 42);
    return effect;
}

static void data_alone_is_held_and_decodes_nothing(void **state)
{
    (void)state;
    for (uint32_t block = 0; block < sink.parts[0].layout.block_count; block++)
        for (uint32_t row = 0; row < gx_layout_k(&sink.parts[0].layout, block); row++) {
            assert_int_equal(sink.state, GX_SINK_OPEN);
            assert_int_equal(place(block, row), GX_SINK_PLACED);
            assert_int_equal(last_rebuilt, 0);
        }
    assert_int_equal(sink.state, GX_SINK_HELD);
    assert_int_equal(sink.held_ns, 42);
    assert_memory_equal(staging, bytes, BYTES);
}

static void any_rows_in_any_order_rebuild_the_bytes(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        uint32_t rebuilt = 0;

        assert_true(gx_sink_open(&sink, &opened));
        while (sink.state == GX_SINK_OPEN) {
            uint32_t block = (uint32_t)(gx_random_u64(&rng) % sink.parts[0].layout.block_count);

            place(block, (uint32_t)(gx_random_u64(&rng) % 256));
            rebuilt += last_rebuilt;
        }
        assert_int_equal(sink.state, GX_SINK_HELD);
        assert_true(rebuilt > 0);
        assert_memory_equal(staging, bytes, BYTES);
    }
}

static void shards_that_lie_in_their_place_already_rebuild_the_bytes(void **state)
{
    in_room = true;
    room_count = 0;
    any_rows_in_any_order_rebuild_the_bytes(state);
    in_room = false;
    assert_true(room_count > BYTES / SHARD);
}

static void a_shard_without_a_place_of_its_own_gets_none(void **state)
{
    struct gx_part *part = &sink.parts[0];
    struct gx_header header = {.k = (uint8_t)gx_layout_k(&part->layout, 0), .payload_bytes = SHARD};

    (void)state;
    assert_ptr_equal(gx_part_room(part, &header), staging);
    place(0, 255); /* lies in slot 0 */
    assert_null(gx_part_room(part, &header));
    header.shard = 254;
    assert_ptr_equal(gx_part_room(part, &header), staging + SHARD);
    header.shard = 255; /* is there */
    assert_null(gx_part_room(part, &header));
    header.shard = 1;
    header.block = part->layout.block_count;
    assert_null(gx_part_room(part, &header));
    header.block = 0;
    header.payload_bytes--;
    assert_null(gx_part_room(part, &header));
    header.payload_bytes++;
    for (uint32_t row = 1; row < header.k; row++)
        place(0, row);
    header.shard = 0; /* of a block that is whole */
    assert_null(gx_part_room(part, &header));
}

static void parity_gives_way_to_the_data_in_whose_place_it_waits(void **state)
{
    uint32_t k = gx_layout_k(&sink.parts[0].layout, 0);

    (void)state;
    for (uint32_t row = k; row < k + 10; row++)
        assert_int_equal(place(0, row), GX_SINK_PLACED);
    for (uint32_t row = 0; row < k - 10; row++)
        assert_int_equal(place(0, row), GX_SINK_PLACED);
    assert_int_equal(gx_part_lack(&sink.parts[0], 0), 0);
    assert_int_equal(last_rebuilt, 10);
    assert_memory_equal(staging, bytes, k * SHARD);
}

static void parity_that_was_asked_for_is_told_from_parity_in_advance(void **state)
{
    uint32_t k = gx_layout_k(&sink.parts[0].layout, 0);

    (void)state;
    for (uint32_t row = 3; row < k; row++)
        place(0, row);
    place(0, k);
    flags = GX_HEADER_ASKED;
    place(0, k + 1);
    place(0, k + 2);
    flags = 0;
    assert_int_equal(last_rebuilt, 3);
    assert_int_equal(gx_part_asked(&sink.parts[0], 0), 2);
    assert_int_equal(gx_part_asked(&sink.parts[0], 1), 0);
}

static void second_arrival_of_a_row_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(place(1, 3), GX_SINK_PLACED);
    assert_int_equal(place(1, 3), GX_SINK_DUPLICATE);
    assert_int_equal(place(1, 255), GX_SINK_PLACED);
    assert_int_equal(place(1, 255), GX_SINK_DUPLICATE);
    assert_int_equal(gx_part_lack(&sink.parts[0], 1), gx_layout_k(&sink.parts[0].layout, 1) - 2);
}

static void shards_that_do_not_fit_are_malformed(void **state)
{
    uint8_t payload[2 * SHARD] = {0};
    struct gx_header good = {.block = 0,
                             .shard = 0,
                             .k = (uint8_t)gx_layout_k(&sink.parts[0].layout, 0),
                             .payload_bytes = SHARD};
    struct gx_header bad[] = {good, good, good, good};

    (void)state;
    bad[0].block = sink.parts[0].layout.block_count;
    bad[1].k++;
    bad[2].payload_bytes--;
    bad[3].payload_bytes = 2 * SHARD;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(gx_part_place(&sink.parts[0], &bad[i], payload, scratch, &last_rebuilt),
                         GX_SINK_MALFORMED);
}

static void other_bytes_than_the_digest_names_are_bad(void **state)
{
    (void)state;
    bytes[100] ^= 1;
    for (uint32_t block = 0; block < sink.parts[0].layout.block_count; block++)
        for (uint32_t row = 0; row < gx_layout_k(&sink.parts[0].layout, block); row++)
            place(block, row);
    assert_int_equal(sink.state, GX_SINK_BAD);
}

/* The opened bytes as BF16, all of them finite but for value `bad`. */
static enum gx_sink_state state_of_values(uint64_t bad, bool check)
{
    const uint16_t infinity = 0x7f80;
    uint64_t count = BYTES / 2;

    for (uint64_t i = 0; i < count; i++)
        bytes[2 * i + 1] = (uint8_t)(bytes[2 * i + 1] & 0x3f);
    if (bad < count)
        memcpy(bytes + 2 * bad, &infinity, sizeof infinity);
    bytes[2 * count] = 0; /* parity is coded from a padded copy */
    opened.bytes = 2 * count;
    opened.format = GX_BF16;
    gx_digest_bytes(GX_XXH3, bytes, 2 * count, &opened.digest);
    assert_true(gx_sink_open(&sink, &opened));
    if (check)
        gx_sink_check(&sink, count);
    for (uint32_t block = 0; block < sink.parts[0].layout.block_count; block++)
        for (uint32_t row = 1; row <= gx_layout_k(&sink.parts[0].layout, block); row++)
            place(block, row); /* the first data shard is rebuilt */
    return sink.state;
}

static void a_value_that_is_not_finite_is_bad_where_it_is_checked(void **state)
{
    (void)state;
    assert_int_equal(state_of_values(UINT64_MAX, true), GX_SINK_HELD);
    assert_int_equal(state_of_values(5, true), GX_SINK_BAD);
    assert_int_equal(state_of_values(5, false), GX_SINK_HELD);
}

static void progress_is_told_by_below_and_touched(void **state)
{
    (void)state;
    for (uint32_t row = 0; row < gx_layout_k(&sink.parts[0].layout, 0); row++)
        place(0, row);
    assert_int_equal(sink.parts[0].blocks_below, 1);
    assert_int_equal(sink.parts[0].blocks_touched, 1);
    place(2, 200);
    assert_int_equal(sink.parts[0].blocks_below, 1);
    assert_int_equal(sink.parts[0].blocks_touched, 3);
}

static void opens_that_exceed_the_tables_are_refused(void **state)
{
    struct gx_open open = opened;

    (void)state;
    open.bytes = BYTES + 1;
    assert_false(gx_sink_open(&sink, &open));
    open = opened;
    open.k_max = 1; /* more blocks than there are records */
    assert_false(gx_sink_open(&sink, &open));
    open = opened;
    open.shard_bytes = 2 * SHARD;
    assert_false(gx_sink_open(&sink, &open));
    open = opened;
    open.bytes = 1;
    open.k_max = 128;
    assert_true(gx_sink_open(&sink, &open));
}

/* Pieces that end one part and begin the next are hashed last, those of a single part as its blocks complete. */
static void parts_in_any_order_make_the_whole(void **state)
{
    static uint8_t whole[500 * 1024 + 7];
    struct gx_open open = {.transfer = 1, .bytes = sizeof whole, .shard_bytes = 1024, .k_max = 64};
    void *part_tables = malloc(gx_sink_table_bytes(sizeof whole, 1024, 64, 8));
    uint8_t *part_staging = malloc(gx_sink_staging_bytes(sizeof whole, 1024));
    void *part_scratch = aligned_alloc(64, gx_fec_scratch_bytes(1024));
    struct gx_sink parted;
    uint32_t rebuilt;

    (void)state;
    gx_random_fill(&rng, whole, sizeof whole);
    gx_digest_bytes(GX_XXH3, whole, sizeof whole, &open.digest);
    gx_sink_init(&parted, sizeof whole, 1024, 64, 8, part_tables, part_staging);
    for (open.parts = 1; open.parts <= 8; open.parts++) {
        memset(part_staging, 0, sizeof whole);
        assert_true(gx_sink_open(&parted, &open));
        for (uint32_t p = open.parts; p-- > 0;) {
            struct gx_part *part = &parted.parts[p];
            struct gx_header header = {0};

            for (uint32_t shard = 0; shard < part->layout.shard_count; shard++) {
                uint64_t at = part->start + 1024ull * shard;

                header.block = gx_layout_block_of(&part->layout, shard);
                header.shard = (uint8_t)(shard - gx_layout_first(&part->layout, header.block));
                header.k = (uint8_t)gx_layout_k(&part->layout, header.block);
                header.payload_bytes =
                    (uint16_t)(sizeof whole - at < 1024 ? sizeof whole - at : 1024);
                assert_false(gx_part_is_complete(part));
                assert_int_equal(gx_part_place(part, &header, whole + at, part_scratch, &rebuilt),
                                 GX_SINK_PLACED);
            }
            assert_true(gx_part_is_complete(part));
            assert_int_equal(gx_sink_finish(&parted, part, 5), p == 0);
            assert_false(gx_sink_finish(&parted, part, 6));
        }
        assert_int_equal(parted.state, GX_SINK_HELD);
        assert_memory_equal(part_staging, whole, sizeof whole);
    }
    open.parts = 9;
    assert_false(gx_sink_open(&parted, &open));
    open.parts = 8;
    open.bytes = 7 * 1024;
    assert_false(gx_sink_open(&parted, &open));
    free(part_tables);
    free(part_staging);
    free(part_scratch);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(data_alone_is_held_and_decodes_nothing),
        TEST(any_rows_in_any_order_rebuild_the_bytes),
        TEST(shards_that_lie_in_their_place_already_rebuild_the_bytes),
        TEST(a_shard_without_a_place_of_its_own_gets_none),
        TEST(parity_gives_way_to_the_data_in_whose_place_it_waits),
        TEST(parity_that_was_asked_for_is_told_from_parity_in_advance),
        TEST(second_arrival_of_a_row_changes_nothing),
        TEST(shards_that_do_not_fit_are_malformed),
        TEST(other_bytes_than_the_digest_names_are_bad),
        TEST(a_value_that_is_not_finite_is_bad_where_it_is_checked),
        TEST(progress_is_told_by_below_and_touched),
        TEST(opens_that_exceed_the_tables_are_refused),
        TEST(parts_in_any_order_make_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
