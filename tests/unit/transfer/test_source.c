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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tail_is_the_last_shard_padded_with_zeros),
        cmocka_unit_test(full_last_shard_is_copied_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
