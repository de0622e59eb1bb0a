/* The attention kernels as they are, with one barrier, one wait or one shared value fewer: test_attention.c's comparison
 * notices each. */
#include "attention_case.h"
#include "fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct trial {
    struct attention_case attention;
    size_t short_bytes;
};

static bool check(void *arg)
{
    struct trial *t = arg;
    return attention_case_run(&t->attention, t->short_bytes, NULL) == NULL;
}

static void check_places(enum gx_dtype type, enum gx_simt_fault fault, const char *file)
{
    struct trial t = {.short_bytes = 0};
    unsigned found;
    attention_case_init(&t.attention, type, (struct gx_gpu_attention_shape){1, 150, 1, 32}, 7);
    assert_true(fault_each(fault, file, check, &t, &found));
    assert_true(found > 0);
    attention_case_fini(&t.attention);
}

static void test_bf16_needs_every_barrier(void **state)
{
    (void)state;
    check_places(GX_DTYPE_BF16, GX_SIMT_NO_BARRIER, "attention.cu");
}

static void test_bf16_needs_every_wait(void **state)
{
    (void)state;
    check_places(GX_DTYPE_BF16, GX_SIMT_NO_WAIT, "attention.cu");
}

static void test_bf16_needs_every_shared_value(void **state)
{
    (void)state;
    check_places(GX_DTYPE_BF16, GX_SIMT_SHORT_SHARED, "attention.cu");
}

static void test_fp32_needs_every_barrier(void **state)
{
    (void)state;
    check_places(GX_DTYPE_FP32, GX_SIMT_NO_BARRIER, "attention_fp32.cu");
}

static void test_fp32_needs_every_warp_barrier(void **state)
{
    (void)state;
    check_places(GX_DTYPE_FP32, GX_SIMT_NO_WARP_BARRIER, "attention_fp32.cu");
}

static void test_fp32_needs_every_shared_value(void **state)
{
    (void)state;
    check_places(GX_DTYPE_FP32, GX_SIMT_SHORT_SHARED, "attention_fp32.cu");
}

static void test_global_memory_short_by_a_value_is_noticed(void **state)
{
    (void)state;
    for (int type = GX_DTYPE_FP32; type <= GX_DTYPE_BF16; type++) {
        struct trial t = {.short_bytes = gx_dtype_bytes((enum gx_dtype)type)};
        attention_case_init(&t.attention, (enum gx_dtype)type,
                            (struct gx_gpu_attention_shape){1, 70, 1, 32}, 8);
        assert_int_equal(fault_seeds(check, &t), 1);
        attention_case_fini(&t.attention);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16_needs_every_barrier),
        cmocka_unit_test(test_bf16_needs_every_wait),
        cmocka_unit_test(test_bf16_needs_every_shared_value),
        cmocka_unit_test(test_fp32_needs_every_barrier),
        cmocka_unit_test(test_fp32_needs_every_warp_barrier),
        cmocka_unit_test(test_fp32_needs_every_shared_value),
        cmocka_unit_test(test_global_memory_short_by_a_value_is_noticed),
    };
    return cmocka_run_group_tests_name("cuda/attention_faults", tests, NULL, NULL);
}
