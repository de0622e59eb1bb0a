#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "exchange/journal.h"

static struct gx_journal_entry record_entry(void)
{
    struct gx_journal_entry e;
    memset(&e, 0, sizeof(e));
    e.type = GX_JOURNAL_RECORD;
    strcpy(e.run, "run");
    e.fragment = 63;
    e.record = (struct gx_record){.epoch = 2, .round = 5, .members = 0xffff};
    for (int i = 0; i < GX_SITES_MAX; i++)
        e.record.divisor += e.record.weights[i] = GX_WEIGHT_MAX;
    return e;
}

static struct gx_journal_entry epoch_entry(uint32_t fragments)
{
    struct gx_journal_entry e;
    memset(&e, 0, sizeof(e));
    e.type = GX_JOURNAL_EPOCH;
    strcpy(e.run, "run");
    e.epoch = 4;
    e.fragment_count = fragments;
    for (uint32_t f = 0; f < fragments; f++) {
        e.starts[f].round = f * 10;
        memset(&e.starts[f].state, (int)f, sizeof(e.starts[f].state));
    }
    return e;
}

static void check_round_trip(const struct gx_journal_entry *in)
{
    uint8_t bytes[GX_JOURNAL_ENTRY_MAX_BYTES];
    struct gx_journal_entry out;
    size_t size = gx_journal_build(in, bytes);
    assert_true(size <= sizeof(bytes));
    assert_int_equal(gx_journal_parse(bytes, size, &out), 0);
    assert_memory_equal(in, &out, sizeof(out));
}

static void the_largest_record_comes_back(void **state)
{
    (void)state;
    struct gx_journal_entry e = record_entry();
    check_round_trip(&e);
}

static void an_epoch_of_the_largest_schema_comes_back(void **state)
{
    (void)state;
    struct gx_journal_entry e = epoch_entry(GX_FRAGMENTS_MAX);
    check_round_trip(&e);
}

static void a_torn_entry_is_no_entry(void **state)
{
    (void)state;
    uint8_t bytes[GX_JOURNAL_ENTRY_MAX_BYTES];
    struct gx_journal_entry e = record_entry(), out;
    size_t size = gx_journal_build(&e, bytes);
    for (size_t n = 0; n < size; n++)
        assert_int_equal(gx_journal_parse(bytes, n, &out), -EBADMSG);
    for (size_t n = size / 2; n < size; n++) { /* zeros where the last sectors were not written */
        uint8_t torn[GX_JOURNAL_ENTRY_MAX_BYTES] = {0};
        memcpy(torn, bytes, n);
        if (memcmp(torn, bytes, size) != 0)
            assert_int_equal(gx_journal_parse(torn, size, &out), -EBADMSG);
    }
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    uint8_t bytes[GX_JOURNAL_ENTRY_MAX_BYTES];
    struct gx_journal_entry e = epoch_entry(3), out;
    size_t size = gx_journal_build(&e, bytes);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        /* The version's own bits make it another version: refused, never taken for a torn end. */
        assert_int_equal(gx_journal_parse(bytes, size, &out),
                         bit > 0 && bit < 16 ? -EPROTO : -EBADMSG);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_record_comes_back),
        cmocka_unit_test(an_epoch_of_the_largest_schema_comes_back),
        cmocka_unit_test(a_torn_entry_is_no_entry),
        cmocka_unit_test(every_flipped_bit_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
