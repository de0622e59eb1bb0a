/* trainer/data.c */
#include "fixture.h"

#include <errno.h>

#define COUNT 100

static uint16_t numbers[COUNT];

static void write_numbers(const char *path)
{
    for (uint16_t i = 0; i < COUNT; i++)
        numbers[i] = i;
    fixture_write(path, GX_TOKENS_MAGIC, GX_TOKENS_VERSION, COUNT, numbers, COUNT);
}

static void refuse(const char *path, uint32_t vocab, uint32_t context, int error, const char *word)
{
    struct gx_tokens tokens;
    struct gx_failure failure = {""};
    assert_int_equal(gx_tokens_open(&tokens, path, vocab, context, &failure), error);
    if (!strstr(failure.text, path) || !strstr(failure.text, word))
        fail_msg("'%s' names not both %s and %s", failure.text, path, word);
}

static void a_good_file_gives_its_tokens(void **state)
{
    struct fixture *f = *state;
    struct gx_tokens tokens;
    struct gx_failure failure;
    write_numbers(f->train_path);
    assert_int_equal(gx_tokens_open(&tokens, f->train_path, 256, 8, &failure), 0);
    assert_int_equal(tokens.count, COUNT);
    assert_memory_equal(tokens.tokens, numbers, sizeof(numbers));
    gx_tokens_close(&tokens);
}

static void a_truncated_file_is_named(void **state)
{
    struct fixture *f = *state;
    fixture_write(f->train_path, GX_TOKENS_MAGIC, GX_TOKENS_VERSION, COUNT, numbers, COUNT - 1);
    refuse(f->train_path, 256, 8, -EINVAL, "truncated");
    FILE *file = fopen(f->train_path, "wb");
    fputs("short", file);
    fclose(file);
    refuse(f->train_path, 256, 8, -EINVAL, "truncated");
}

static void a_file_longer_than_its_header_says_is_named(void **state)
{
    struct fixture *f = *state;
    fixture_write(f->train_path, GX_TOKENS_MAGIC, GX_TOKENS_VERSION, COUNT - 1, numbers, COUNT);
    refuse(f->train_path, 256, 8, -EINVAL, "too long");
}

static void another_kind_or_version_is_named(void **state)
{
    struct fixture *f = *state;
    fixture_write(f->train_path, 20240326, GX_TOKENS_VERSION, COUNT, numbers, COUNT);
    refuse(f->train_path, 256, 8, -EINVAL, "20240326");
    fixture_write(f->train_path, GX_TOKENS_MAGIC, 2, COUNT, numbers, COUNT);
    refuse(f->train_path, 256, 8, -EINVAL, "version 2");
    fixture_write(f->train_path, GX_TOKENS_MAGIC, GX_TOKENS_VERSION, -1, numbers, COUNT);
    refuse(f->train_path, 256, 8, -EINVAL, "negative");
    refuse(f->dir, 256, 8, -EINVAL, "not a regular file");
    refuse("/nonexistent/train.bin", 256, 8, -ENOENT, "No such file");
}

static void too_few_tokens_are_named(void **state)
{
    struct fixture *f = *state;
    struct gx_tokens tokens;
    struct gx_failure failure;
    write_numbers(f->train_path);
    refuse(f->train_path, 256, COUNT, -EINVAL, "101");
    assert_int_equal(gx_tokens_open(&tokens, f->train_path, 256, COUNT - 1, &failure), 0);
    gx_tokens_close(&tokens);
}

static void a_token_outside_the_vocabulary_is_named(void **state)
{
    struct fixture *f = *state;
    write_numbers(f->train_path);
    refuse(f->train_path, 50, 8, -EINVAL, "token 50 is 50");
}

static void targets_are_inputs_one_later(void **state)
{
    struct fixture *f = *state;
    struct gx_tokens tokens;
    struct gx_failure failure;
    uint16_t in[4 * 8], out[4 * 8];
    write_numbers(f->train_path);
    assert_int_equal(gx_tokens_open(&tokens, f->train_path, 256, 8, &failure), 0);
    bool first_seen = false, last_seen = false;
    for (uint64_t step = 0; step < 500; step++) {
        gx_tokens_batch(&tokens, in, out, 4, 8, 1, step);
        for (int i = 0; i < 32; i++) {
            assert_int_equal(out[i], in[i] + 1);
            assert_true(i % 8 == 0 || in[i] == in[i - 1] + 1);
            first_seen = first_seen || in[i] == 0;
            last_seen = last_seen || out[i] == COUNT - 1;
        }
    }
    assert_true(first_seen && last_seen);
    gx_tokens_close(&tokens);
}

static void a_batch_depends_on_seed_and_step_only(void **state)
{
    struct fixture *f = *state;
    struct gx_tokens tokens;
    struct gx_failure failure;
    uint16_t a[32], b[32], targets[32];
    assert_int_equal(gx_tokens_open(&tokens, f->train_path, 256, 8, &failure), 0);
    gx_tokens_batch(&tokens, a, targets, 4, 8, 1, 17);
    gx_tokens_batch(&tokens, b, targets, 4, 8, 1, 18);
    assert_memory_not_equal(a, b, sizeof(a));
    gx_tokens_batch(&tokens, b, targets, 4, 8, 2, 17);
    assert_memory_not_equal(a, b, sizeof(a));
    gx_tokens_batch(&tokens, b, targets, 4, 8, 1, 17);
    assert_memory_equal(a, b, sizeof(a));
    gx_tokens_close(&tokens);
}

static void validation_spreads_over_the_file(void **state)
{
    struct fixture *f = *state;
    struct gx_tokens tokens;
    struct gx_failure failure;
    uint16_t in[2 * 4], out[2 * 4];
    write_numbers(f->train_path);
    assert_int_equal(gx_tokens_open(&tokens, f->train_path, 256, 4, &failure), 0);
    gx_tokens_validation_batch(&tokens, in, out, 2, 4, 0, 3);
    assert_int_equal(in[0], 0);
    assert_int_equal(in[4], 16);
    gx_tokens_validation_batch(&tokens, in, out, 2, 4, 2, 3);
    assert_int_equal(in[4], 80);
    assert_int_equal(out[7], 84);
    gx_tokens_close(&tokens);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_file_gives_its_tokens),
        TEST(a_truncated_file_is_named),
        TEST(a_file_longer_than_its_header_says_is_named),
        TEST(another_kind_or_version_is_named),
        TEST(too_few_tokens_are_named),
        TEST(a_token_outside_the_vocabulary_is_named),
        TEST(targets_are_inputs_one_later),
        TEST(a_batch_depends_on_seed_and_step_only),
        TEST(validation_spreads_over_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
