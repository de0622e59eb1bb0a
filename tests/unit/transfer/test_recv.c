/* What feedback says of incoming transfers and of those that are over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fec/fec.h"
#include "transfer/links.h"
#include "transfer/recv.h"
#include "wire/feedback.h"

#define SHARD 64

static struct gx_recv recv_;
static struct gx_sink sink;
static void *tables, *scratch;
static uint8_t *staging, out[1408];

static int setup(void **state)
{
    struct gx_open open = {.transfer = 9, .bytes = 100 * SHARD, .shard_bytes = SHARD, .k_max = 2};

    (void)state;
    gx_recv_init(&recv_);
    tables = malloc(gx_sink_table_bytes(open.bytes, SHARD, 2, 1));
    staging = malloc(gx_sink_staging_bytes(open.bytes, SHARD));
    gx_fec_init();
    scratch = aligned_alloc(64, gx_fec_scratch_bytes(SHARD));
    gx_sink_init(&sink, open.bytes, SHARD, 2, 1, tables, staging);
    assert_true(gx_sink_open(&sink, &open));
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

static void place(uint32_t block, uint32_t row)
{
    static const uint8_t payload[SHARD];
    struct gx_header header = {
        .block = block, .shard = (uint8_t)row, .k = 2, .payload_bytes = SHARD};
    uint32_t rebuilt;

    gx_part_place(&sink.parts[0], &header, payload, scratch, &rebuilt);
}

static struct gx_feedback_entry entry_of(size_t room, uint16_t expected_count)
{
    struct gx_feedback_entry entry;
    uint16_t count = 0;
    size_t at = 0, bytes = gx_recv_entries(&recv_, out, room, &count);

    memset(&entry, 0, sizeof entry);
    assert_int_equal(count, expected_count);
    assert_true(bytes <= room);
    if (count > 0)
        assert_true(gx_feedback_entry_parse(&entry, out, bytes, &at));
    return entry;
}

static void lacks_run_from_the_first_incomplete_to_the_last_touched(void **state)
{
    struct gx_feedback_entry entry;

    (void)state;
    gx_recv_add(&recv_, &sink.open, &sink.parts[0]);
    place(0, 0);
    place(0, 1);
    place(2, 0);
    entry = entry_of(sizeof out, 1);
    assert_int_equal(entry.answer, GX_ANSWER_OPEN);
    assert_int_equal(entry.done, 1);
    assert_int_equal(entry.first, 1);
    assert_int_equal(entry.lack_count, 2);
    assert_int_equal(entry.lacks[0], 2);
    assert_int_equal(entry.lacks[1], 1);
    assert_int_equal(entry.flags, GX_FEEDBACK_END);
}

static void what_does_not_fit_comes_in_the_next(void **state)
{
    struct gx_feedback_entry entry;

    (void)state;
    gx_recv_add(&recv_, &sink.open, &sink.parts[0]);
    place(49, 0);
    entry = entry_of(GX_FEEDBACK_ENTRY_BYTES + 30, 1);
    assert_int_equal(entry.first, 0);
    assert_int_equal(entry.lack_count, 30);
    assert_int_equal(entry.flags, 0);
    entry = entry_of(GX_FEEDBACK_ENTRY_BYTES + 30, 1);
    assert_int_equal(entry.first, 30);
    assert_int_equal(entry.lack_count, 20);
    assert_int_equal(entry.flags, GX_FEEDBACK_END);
    assert_int_equal(entry_of(GX_FEEDBACK_ENTRY_BYTES + 30, 1).first, 0);
}

static void answers_go_out_three_times_and_again_when_reminded(void **state)
{
    (void)state;
    gx_recv_answer(&recv_, 77, GX_ANSWER_REFUSED, GX_REASON_SCHEMA);
    for (int i = 0; i < GX_ANSWER_COPIES; i++) {
        struct gx_feedback_entry entry = entry_of(sizeof out, 1);

        assert_int_equal(entry.transfer, 77);
        assert_int_equal(entry.answer, GX_ANSWER_REFUSED);
        assert_int_equal(entry.reason, GX_REASON_SCHEMA);
    }
    entry_of(sizeof out, 0);
    assert_true(gx_recv_remind(&recv_, 77));
    entry_of(sizeof out, 1);
    assert_false(gx_recv_remind(&recv_, 78));
    assert_false(gx_recv_remind(&recv_, 0));
    gx_recv_forget(&recv_, 77);
    assert_false(gx_recv_remind(&recv_, 77));
}

static void more_entries_than_fit_take_turns(void **state)
{
    uint32_t seen = 0;

    (void)state;
    for (uint32_t i = 0; i < GX_INCOMING_MAX; i++) {
        struct gx_open open = sink.open;

        open.transfer = i;
        open.key.round = i;
        assert_non_null(gx_recv_add(&recv_, &open, &sink.parts[0]));
    }
    assert_null(gx_recv_add(&recv_, &sink.open, &sink.parts[0]));
    for (uint32_t i = 0; i < GX_INCOMING_MAX; i++)
        seen |= 1u << entry_of(GX_FEEDBACK_ENTRY_BYTES + 5, 1).transfer;
    assert_int_equal(seen, (1u << GX_INCOMING_MAX) - 1);
}

static void transfers_are_found_by_id_and_by_key(void **state)
{
    struct gx_incoming *incoming = gx_recv_add(&recv_, &sink.open, &sink.parts[0]);
    struct gx_open other = sink.open, part = sink.open;

    (void)state;
    other.key.round++;
    part.part++;
    assert_ptr_equal(gx_recv_find(&recv_, 9), incoming);
    assert_null(gx_recv_find(&recv_, 8));
    assert_ptr_equal(gx_recv_find_key(&recv_, &sink.open), incoming);
    assert_null(gx_recv_find_key(&recv_, &other));
    assert_null(gx_recv_find_key(&recv_, &part));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lacks_run_from_the_first_incomplete_to_the_last_touched),
        TEST(what_does_not_fit_comes_in_the_next),
        TEST(answers_go_out_three_times_and_again_when_reminded),
        TEST(more_entries_than_fit_take_turns),
        TEST(transfers_are_found_by_id_and_by_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
