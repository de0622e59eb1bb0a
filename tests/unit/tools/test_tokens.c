/* tools/gx-tokens/tokens.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data.h"
#include "gx-tokens/tokens.h"

static void every_byte_becomes_a_token(void **state)
{
    (void)state;
    char path[] = "/tmp/gx-tokens-XXXXXX";
    close(mkstemp(path));
    uint8_t bytes[10000];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    assert_int_equal(gx_tokens_write(path, bytes, sizeof(bytes)), 0);
    struct gx_tokens tokens;
    struct gx_failure failure;
    assert_int_equal(gx_tokens_open(&tokens, path, 256, 64, &failure), 0);
    assert_int_equal(tokens.count, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        assert_int_equal(tokens.tokens[i], bytes[i]);
    gx_tokens_close(&tokens);
    unlink(path);
}

static void the_header_is_llm_cs(void **state)
{
    (void)state;
    char path[] = "/tmp/gx-tokens-XXXXXX";
    close(mkstemp(path));
    assert_int_equal(gx_tokens_write(path, (const uint8_t *)"ab", 2), 0);
    uint8_t file[1100];
    FILE *in = fopen(path, "rb");
    assert_int_equal(fread(file, 1, sizeof(file), in), 1024 + 4);
    fclose(in);
    int32_t header[3];
    memcpy(header, file, sizeof(header));
    assert_int_equal(header[0], 20240520);
    assert_int_equal(header[1], 1);
    assert_int_equal(header[2], 2);
    for (size_t i = 12; i < 1024; i++)
        assert_int_equal(file[i], 0);
    assert_memory_equal(file + 1024, "a\0b\0", 4);
    unlink(path);
}

static void parts_divide_the_text_and_share_the_validation(void **state)
{
    (void)state;
    size_t next = 0;
    for (uint32_t part = 1; part <= 3; part++) {
        struct gx_split s;
        assert_int_equal(gx_split_compute(&s, 1000, 0.1, part, 3), 0);
        assert_int_equal(s.train_first, next);
        next += s.train_count;
        assert_int_equal(s.val_first, 900);
        assert_int_equal(s.val_count, 100);
        assert_in_range(s.train_count, 300, 300);
    }
    assert_int_equal(next, 900);
}

static void an_empty_piece_is_refused(void **state)
{
    (void)state;
    struct gx_split s;
    assert_int_equal(gx_split_compute(&s, 0, 0.1, 1, 1), -EINVAL);
    assert_int_equal(gx_split_compute(&s, 5, 0.1, 1, 1), -EINVAL);
    assert_int_equal(gx_split_compute(&s, 20, 0.1, 1, 30), -EINVAL);
    assert_int_equal(gx_split_compute(&s, 100, 0.1, 3, 2), -EINVAL);
    assert_int_equal(gx_split_compute(&s, 100, 0.1, 0, 2), -EINVAL);
}

static size_t told;

static void remember(size_t bytes)
{
    told = bytes;
}

static void a_stream_is_read_to_its_end(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    const size_t count = (17u << 20) + 3;
    uint8_t *block = malloc(count);
    for (size_t i = 0; i < count; i++)
        block[i] = (uint8_t)(i >> 3);
    assert_int_equal(fwrite(block, 1, count, file), count);
    rewind(file);
    struct gx_text text;
    assert_int_equal(gx_text_read(&text, file, remember), 0);
    assert_int_equal(text.count, count);
    assert_memory_equal(text.bytes, block, count);
    assert_int_equal(told, 16u << 20);
    free(text.bytes);
    free(block);
    fclose(file);
}

static void an_unwritable_place_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(gx_tokens_write("/nonexistent/x.bin", (const uint8_t *)"ab", 2), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_becomes_a_token),
        cmocka_unit_test(the_header_is_llm_cs),
        cmocka_unit_test(parts_divide_the_text_and_share_the_validation),
        cmocka_unit_test(an_empty_piece_is_refused),
        cmocka_unit_test(a_stream_is_read_to_its_end),
        cmocka_unit_test(an_unwritable_place_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
