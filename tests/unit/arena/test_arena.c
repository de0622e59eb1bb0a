#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arena.h"

static struct gx_schema schema_of(const uint64_t *counts, uint32_t count)
{
    return (struct gx_schema){.run = "r-1._",
                              .format = GX_FP32,
                              .digest = GX_XXH3,
                              .fragment_count = count,
                              .param_counts = counts};
}

static void test_areas_are_aligned_and_apart(void **state)
{
    const uint64_t counts[] = {1, 1000, 1024, 4097};
    struct gx_schema schema = schema_of(counts, 4);
    struct gx_arena_layout layout;
    uint64_t end;

    (void)state;
    for (int format = 0; format < GX_FORMAT_COUNT; format++) {
        schema.format = (enum gx_format)format;
        assert_int_equal(gx_arena_layout(&layout, &schema), 0);
        assert_true(layout.commands >= sizeof(struct gx_arena_header));
        assert_true(layout.events >= layout.commands + GX_RING_ENTRIES * sizeof(struct gx_command));
        end = layout.events + GX_RING_ENTRIES * sizeof(struct gx_event);
        for (uint32_t f = 0; f < 4; f++) {
            const struct gx_arena_fragment *fragment = &layout.fragments[f];
            const uint64_t starts[] = {fragment->contribution[0], fragment->contribution[1],
                                       fragment->result, fragment->state};
            const uint64_t sizes[] = {fragment->wire_bytes, fragment->wire_bytes, 4 * counts[f],
                                      8 * counts[f]};

            assert_int_equal(fragment->param_count, counts[f]);
            assert_int_equal(fragment->wire_bytes, gx_wire_bytes(schema.format, counts[f]));
            for (int i = 0; i < 4; i++) {
                assert_int_equal(starts[i] % GX_ARENA_ALIGN, 0);
                assert_true(starts[i] >= end);
                end = starts[i] + sizes[i];
            }
        }
        assert_true(layout.bytes >= end && layout.bytes - end < GX_ARENA_ALIGN);
    }
}

static void test_impossible_schemas_are_refused(void **state)
{
    uint64_t counts[GX_FRAGMENTS_MAX + 1];
    struct gx_arena_layout layout;
    struct gx_schema good, bad;

    (void)state;
    for (int i = 0; i <= GX_FRAGMENTS_MAX; i++)
        counts[i] = 10;
    good = schema_of(counts, GX_FRAGMENTS_MAX);
    assert_int_equal(gx_arena_layout(&layout, &good), 0);
    bad = schema_of(counts, GX_FRAGMENTS_MAX + 1);
    assert_int_equal(gx_arena_layout(&layout, &bad), -EINVAL);
    bad = schema_of(counts, 0);
    assert_int_equal(gx_arena_layout(&layout, &bad), -EINVAL);
    bad = good;
    bad.format = GX_FORMAT_COUNT;
    assert_int_equal(gx_arena_layout(&layout, &bad), -EINVAL);
    bad = good;
    bad.digest = (enum gx_digest_kind) - 1;
    assert_int_equal(gx_arena_layout(&layout, &bad), -EINVAL);
    bad = good;
    bad.param_counts = NULL;
    assert_int_equal(gx_arena_layout(&layout, &bad), -EINVAL);
}

static void test_impossible_counts_are_refused(void **state)
{
    static const uint64_t bad[] = {0,          UINT64_MAX,      UINT64_MAX / 4, UINT64_MAX / 8 + 1,
                                   1ull << 62, (1ull << 48) + 1};
    uint64_t counts[2] = {5, 0};
    struct gx_schema schema = schema_of(counts, 2);
    struct gx_arena_layout layout;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        counts[1] = bad[i];
        assert_int_equal(gx_arena_layout(&layout, &schema), -EINVAL);
    }
}

static void test_largest_schema_does_not_overflow(void **state)
{
    uint64_t counts[GX_FRAGMENTS_MAX];
    struct gx_schema schema = schema_of(counts, GX_FRAGMENTS_MAX);
    struct gx_arena_layout layout;

    (void)state;
    for (int i = 0; i < GX_FRAGMENTS_MAX; i++)
        counts[i] = 1ull << 48;
    assert_int_equal(gx_arena_layout(&layout, &schema), 0);
    assert_true(layout.bytes > layout.fragments[GX_FRAGMENTS_MAX - 1].state);
    assert_true(layout.bytes >= 64 * (1ull << 48) * 20);
}

static void test_bad_names_are_refused(void **state)
{
    static const char *const bad[] = {
        "", "a b", "a/b", "a\n", "\xc3\xa4", "../x/", "12345678901234567890123456789012"};
    const uint64_t counts[] = {1};
    struct gx_schema schema = schema_of(counts, 1);
    struct gx_arena_layout layout;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        schema.run = bad[i];
        assert_int_equal(gx_arena_layout(&layout, &schema), -EINVAL);
    }
    schema.run = NULL;
    assert_int_equal(gx_arena_layout(&layout, &schema), -EINVAL);
    schema.run = "1234567890123456789012345678901";
    assert_int_equal(gx_arena_layout(&layout, &schema), 0);
}

static void test_every_reason_has_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < GX_REASON_COUNT; i++)
        assert_true(strlen(gx_reason_text((enum gx_reason)i)) > 5);
    assert_non_null(strstr(gx_reason_text((enum gx_reason)GX_REASON_COUNT), "not know"));
    assert_non_null(strstr(gx_reason_text((enum gx_reason) - 1), "not know"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_areas_are_aligned_and_apart),
        cmocka_unit_test(test_impossible_schemas_are_refused),
        cmocka_unit_test(test_impossible_counts_are_refused),
        cmocka_unit_test(test_largest_schema_does_not_overflow),
        cmocka_unit_test(test_bad_names_are_refused),
        cmocka_unit_test(test_every_reason_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
