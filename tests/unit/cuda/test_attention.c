/* trainer/cuda/attention.cu and attention_fp32.cu, at odd sizes, against plain C in double. */
#include "attention_case.h"
#include "device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

static uint64_t fresh_seed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
}

static void check(enum gx_dtype type, struct gx_gpu_attention_shape shape)
{
    struct attention_case c;
    uint64_t seed = fresh_seed();
    attention_case_init(&c, type, shape, seed);
    const char *wrong = attention_case_run(&c, 0, NULL);
    attention_case_fini(&c);
    if (wrong)
        fail_msg("%s, batch %u, context %u, heads %u of %u (seed %llu): %s",
                 type == GX_DTYPE_BF16 ? "bf16" : "FP32", shape.batch, shape.context, shape.heads,
                 shape.head_values, (unsigned long long)seed, wrong);
}

/* Contexts around the sizes of tiles (32, 64, 128), and small ones; few heads, in odd numbers. */
static void check_sizes(enum gx_dtype type, uint32_t head_values)
{
    static const uint32_t contexts[] = {1, 2, 17, 63, 64, 65, 127, 128, 129, 200, 257};
    for (size_t i = 0; i < sizeof(contexts) / sizeof(*contexts); i++)
        check(type, (struct gx_gpu_attention_shape){1, contexts[i], 1, head_values});
    check(type, (struct gx_gpu_attention_shape){3, 33, 1, head_values});
    check(type, (struct gx_gpu_attention_shape){2, 70, 3, head_values});
    if (!test_emulated())
        check(type, (struct gx_gpu_attention_shape){3, 777, 5, head_values});
}

static void test_bf16_heads_of_32(void **state)
{
    (void)state;
    check_sizes(GX_DTYPE_BF16, 32);
}

static void test_bf16_heads_of_64(void **state)
{
    (void)state;
    check_sizes(GX_DTYPE_BF16, 64);
}

static void test_bf16_heads_of_128(void **state)
{
    (void)state;
    check_sizes(GX_DTYPE_BF16, 128);
}

static void test_fp32_heads_of_32(void **state)
{
    (void)state;
    check_sizes(GX_DTYPE_FP32, 32);
}

static void test_fp32_heads_of_64(void **state)
{
    (void)state;
    check_sizes(GX_DTYPE_FP32, 64);
}

static void test_fp32_heads_of_128(void **state)
{
    (void)state;
    check_sizes(GX_DTYPE_FP32, 128);
}

/* Whatever the order of blocks and warps was. */
static void test_results_have_the_same_bits_every_time(void **state)
{
    (void)state;
    for (int type = GX_DTYPE_FP32; type <= GX_DTYPE_BF16; type++) {
        struct attention_case c;
        uint64_t first, again;
        attention_case_init(&c, (enum gx_dtype)type, (struct gx_gpu_attention_shape){1, 150, 2, 32},
                            fresh_seed());
        assert_null(attention_case_run(&c, 0, &first));
        for (int i = 0; i < 3; i++) {
            assert_null(attention_case_run(&c, 0, &again));
            assert_int_equal(first, again);
        }
        attention_case_fini(&c);
    }
}

static void test_shapes_without_a_kernel_are_known(void **state)
{
    (void)state;
    assert_true(gx_gpu_attention_has((struct gx_gpu_attention_shape){64, 1024, 12, 64}));
    assert_false(gx_gpu_attention_has((struct gx_gpu_attention_shape){64, 1024, 12, 48}));
    assert_false(gx_gpu_attention_has((struct gx_gpu_attention_shape){65536, 1024, 12, 64}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16_heads_of_32),
        cmocka_unit_test(test_bf16_heads_of_64),
        cmocka_unit_test(test_bf16_heads_of_128),
        cmocka_unit_test(test_fp32_heads_of_32),
        cmocka_unit_test(test_fp32_heads_of_64),
        cmocka_unit_test(test_fp32_heads_of_128),
        cmocka_unit_test(test_results_have_the_same_bits_every_time),
        cmocka_unit_test(test_shapes_without_a_kernel_are_known),
    };
    return cmocka_run_group_tests_name("cuda/attention", tests, NULL, NULL);
}
