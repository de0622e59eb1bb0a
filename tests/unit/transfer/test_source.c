/* The padded copy of the short last shard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "transfer/source.h"

static void tail_is_the_last_shard_padded_with_zeros(void **state)
{
    uint8_t bytes[300], tail[128];
    struct gx_source source;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i + 1);
    memset(tail, 0xee, sizeof tail);
    gx_source_init(&source, bytes, 300, 128, tail);
    assert_memory_equal(tail, bytes + 256, 44);
    for (size_t i = 44; i < sizeof tail; i++)
        assert_int_equal(tail[i], 0);
}

static void full_last_shard_is_copied_whole(void **state)
{
    uint8_t bytes[256], tail[128];
    struct gx_source source;

    (void)state;
    memset(bytes, 7, sizeof bytes);
    gx_source_init(&source, bytes, 256, 128, tail);
    assert_memory_equal(tail, bytes + 128, 128);
    assert_int_equal(source.sends + source.packets, 0);
}

static void what_comes_while_it_is_closed_is_in_the_tail_when_it_opens(void **state)
{
    uint8_t bytes[300] = {0}, tail[128];
    struct gx_source source;

    (void)state;
    gx_source_init(&source, bytes, 300, 128, tail);
    assert_false(source.closed);
    source.closed = true;
    source.sends = 2;
    memset(bytes, 9, sizeof bytes);
    gx_source_open(&source, 128);
    assert_false(source.closed);
    assert_int_equal(source.sends, 2);
    assert_memory_equal(tail, bytes + 256, 44);
    assert_int_equal(tail[44], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tail_is_the_last_shard_padded_with_zeros),
        cmocka_unit_test(full_last_shard_is_copied_whole),
        cmocka_unit_test(what_comes_while_it_is_closed_is_in_the_tail_when_it_opens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
