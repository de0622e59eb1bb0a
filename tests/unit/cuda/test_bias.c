/* trainer/cuda/bias.cu and columns.cu against plain C. */
#include "arrays.h"
#include "device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "cuda/bias.h"

struct shape {
    uint32_t rows, width, shift;
};

static const struct shape shapes[] = {
    {1, 1, 0},    {3, 7, 0},    {33, 40, 0},   {65, 264, 0},
    {65, 264, 1}, {130, 33, 0}, {17, 1032, 0}, {4300, 8, 0},
};
#define EACH_CASE(type, i)                                                                         \
    for (enum gx_dtype type = GX_DTYPE_FP32; type <= GX_DTYPE_BF16; type++)                        \
        for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)

static void add_of(enum gx_dtype type, struct shape s)
{
    const uint64_t count = (uint64_t)s.rows * s.width;
    struct array y = array_random(type, count, s.shift, 1.0f);
    struct array b = array_random(GX_DTYPE_FP32, s.width, 0, 1.0f);
    float *want = calloc(count, sizeof(float));
    for (uint64_t i = 0; i < count; i++)
        want[i] = dtype_rounded(type, y.values[i] + b.values[i % s.width]);
    gx_gpu_bias_add(type, y.at, b.at, s.rows, s.width, test_stream());
    array_equal(&y, want, "y");
    array_free(&y), array_free(&b);
    free(want);
}

static void backward_of(enum gx_dtype type, struct shape s, bool add)
{
    const uint64_t count = (uint64_t)s.rows * s.width;
    struct array dy = array_random(type, count, s.shift, 1.0f);
    struct array db = array_random(GX_DTYPE_FP32, s.width, 0, 1.0f);
    struct array scratch = array_bytes(gx_gpu_bias_scratch_bytes(s.rows, s.width));
    float *want = calloc(s.width, sizeof(float));
    for (uint32_t c = 0; c < s.width; c++) {
        double sum = add ? (double)db.values[c] : 0;
        for (uint32_t r = 0; r < s.rows; r++)
            sum += (double)dy.values[(uint64_t)r * s.width + c];
        want[c] = (float)sum;
    }
    gx_gpu_bias_backward(type, db.at, dy.at, scratch.at, s.rows, s.width, add, test_stream());
    array_near(&db, want, 2e-5f + 2e-8f * (float)s.rows, 2e-6f, "db");
    array_free(&scratch);
    array_free(&dy), array_free(&db);
    free(want);
}

static void a_bias_is_added_to_every_row(void **state)
{
    (void)state;
    EACH_CASE(type, i)
    add_of(type, shapes[i]);
}

static void its_gradient_is_the_sum_of_rows(void **state)
{
    (void)state;
    EACH_CASE(type, i)
    {
        backward_of(type, shapes[i], false);
        backward_of(type, shapes[i], true);
    }
}

int main(int argc, char **argv)
{
    arrays_seed(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bias_is_added_to_every_row),
        cmocka_unit_test(its_gradient_is_the_sum_of_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
