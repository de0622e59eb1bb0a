/* trainer/cuda/attention_cudnn.h against plain C in double: cuDNN itself on a GPU that has it, its twin on the emulation. */
#include "attention_case.h"
#include "device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <time.h>

static void check(struct gx_gpu_attention_shape shape)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const uint64_t seed = (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
    struct attention_case c;
    const char *why;
    attention_case_init(&c, GX_DTYPE_BF16, shape, seed);
    if (gx_cudnn_attention_create(&c.cudnn, shape, &why) != 0)
        fail_msg("heads of %u: %s", shape.head_values, why);
    why = attention_case_run(&c, 0, NULL);
    gx_cudnn_attention_destroy(c.cudnn);
    attention_case_fini(&c);
    if (why)
        fail_msg("batch %u, context %u, heads %u of %u (seed %llu): %s", shape.batch, shape.context,
                 shape.heads, shape.head_values, (unsigned long long)seed, why);
}

static void test_every_size_of_heads(void **state)
{
    (void)state;
    for (uint32_t size = 32; size <= 128; size *= 2) {
        check((struct gx_gpu_attention_shape){1, 64, 1, size});
        check((struct gx_gpu_attention_shape){2, 40, 3, size});
        if (!test_emulated())
            check((struct gx_gpu_attention_shape){3, 776, 5, size});
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_size_of_heads)};
    struct gx_cudnn_attention *attention;
    const char *why;
    test_stream();
    if (gx_cudnn_attention_create(&attention, (struct gx_gpu_attention_shape){1, 64, 1, 64},
                                  &why) != 0) {
        printf("skip: %s\n", why);
        return 77;
    }
    gx_cudnn_attention_destroy(attention);
    return cmocka_run_group_tests_name("cuda/attention_cudnn", tests, NULL, NULL);
}
