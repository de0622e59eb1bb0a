/* FEEDBACK: round trip with two entries, and every truncation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "wire/feedback.h"

static const uint8_t lacks[3] = {1, 0, 9};

static size_t sample(uint8_t *out)
{
    struct gx_feedback feedback = {.highest = 1,
                                   .expected = 2,
                                   .lost = 3,
                                   .bursts = 4,
                                   .echo_us = 5,
                                   .held_us = 6,
                                   .grant_bps = 7,
                                   .ce_count = 8,
                                   .lateness_us = 9,
                                   .received = 10,
                                   .entry_count = 2};
    struct gx_feedback_entry first = {.transfer = 11,
                                      .answer = 0,
                                      .flags = GX_FEEDBACK_END,
                                      .done = 12,
                                      .first = 13,
                                      .lack_count = 3};
    struct gx_feedback_entry second = {.transfer = 21, .answer = 4, .reason = 2};
    size_t bytes = GX_FEEDBACK_HEAD_BYTES;

    gx_feedback_build(&feedback, out);
    gx_feedback_entry_build(&first, out + bytes);
    memcpy(out + bytes + GX_FEEDBACK_ENTRY_BYTES, lacks, 3);
    bytes += GX_FEEDBACK_ENTRY_BYTES + 3;
    gx_feedback_entry_build(&second, out + bytes);
    return bytes + GX_FEEDBACK_ENTRY_BYTES;
}

static void parse_gives_back_what_was_built(void **state)
{
    uint8_t out[200];
    size_t bytes = sample(out), at = GX_FEEDBACK_HEAD_BYTES;
    struct gx_feedback feedback;
    struct gx_feedback_entry entry;

    (void)state;
    assert_true(gx_feedback_parse(&feedback, out, bytes));
    assert_int_equal(feedback.highest, 1);
    assert_int_equal(feedback.expected, 2);
    assert_int_equal(feedback.lost, 3);
    assert_int_equal(feedback.bursts, 4);
    assert_int_equal(feedback.echo_us, 5);
    assert_int_equal(feedback.held_us, 6);
    assert_int_equal(feedback.grant_bps, 7);
    assert_int_equal(feedback.ce_count, 8);
    assert_int_equal(feedback.lateness_us, 9);
    assert_int_equal(feedback.received, 10);
    assert_true(gx_feedback_entry_parse(&entry, out, bytes, &at));
    assert_int_equal(entry.transfer, 11);
    assert_int_equal(entry.flags, GX_FEEDBACK_END);
    assert_int_equal(entry.done, 12);
    assert_int_equal(entry.first, 13);
    assert_int_equal(entry.lack_count, 3);
    assert_memory_equal(entry.lacks, lacks, 3);
    assert_true(gx_feedback_entry_parse(&entry, out, bytes, &at));
    assert_int_equal(entry.transfer, 21);
    assert_int_equal(entry.answer, 4);
    assert_int_equal(entry.reason, 2);
    assert_int_equal(at, bytes);
}

static void any_other_length_is_refused(void **state)
{
    uint8_t out[200] = {0};
    size_t bytes = sample(out);
    struct gx_feedback feedback;

    (void)state;
    for (size_t i = 0; i < sizeof out; i++)
        assert_int_equal(gx_feedback_parse(&feedback, out, i), i == bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_gives_back_what_was_built),
        cmocka_unit_test(any_other_length_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
