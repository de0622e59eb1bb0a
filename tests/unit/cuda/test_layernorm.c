/* trainer/cuda/layernorm.cu against trainer/cpu/layers.c. */
#include "arrays.h"
#include "device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/layers.h"
#include "cuda/layernorm.h"

struct shape {
    uint32_t rows, width, shift; /* shift: of activations, off the alignment of vectors */
};

/* Every kernel: rows kept in registers or read again, vectors or single values, one or several packs a thread; rows
 * that end inside a group, and more of them than blocks take at once. */
static const struct shape shapes[] = {
    {1, 1, 0},    {3, 7, 0},    {9, 33, 1},     {5, 64, 0},   {5, 64, 1},
    {7, 264, 0},  {2, 1025, 0}, {3, 1056, 0},   {3, 2304, 0}, {1, 4096, 0},
    {2, 2053, 1}, {2101, 8, 0}, {1030, 131, 0},
};
#define SHAPES (sizeof(shapes) / sizeof(*shapes))

/* What one call works on. */
struct norm {
    enum gx_dtype type;
    struct shape shape;
    uint64_t count;
    struct array x, w, b, mean, rstd;
    float *want, *want_mean, *want_rstd; /* the CPU's */
};

static float *zeros(uint64_t count)
{
    float *values = calloc(count, sizeof(float));
    assert_non_null(values);
    return values;
}

static void norm_init(struct norm *n, enum gx_dtype type, struct shape shape)
{
    n->type = type;
    n->shape = shape;
    n->count = (uint64_t)shape.rows * shape.width;
    n->x = array_random(type, n->count, shape.shift, 2.0f);
    n->w = array_random(GX_DTYPE_FP32, shape.width, 0, 1.0f);
    n->b = array_random(GX_DTYPE_FP32, shape.width, 0, 1.0f);
    n->mean = array_output(GX_DTYPE_FP32, shape.rows, 0);
    n->rstd = array_output(GX_DTYPE_FP32, shape.rows, 0);
    n->want = zeros(n->count);
    n->want_mean = zeros(shape.rows);
    n->want_rstd = zeros(shape.rows);
}

static void norm_fini(struct norm *n)
{
    array_free(&n->x), array_free(&n->w), array_free(&n->b);
    array_free(&n->mean), array_free(&n->rstd);
    free(n->want), free(n->want_mean), free(n->want_rstd);
}

/* Of a row of one value the variance is 0 and rstd large: nothing is near then but mean and y. */
static void compare(struct norm *n, struct array *y, const float *x)
{
    const float error = dtype_error(n->type);
    gx_layernorm_forward(n->want, n->want_mean, n->want_rstd, x, n->w.values, n->b.values,
                         n->shape.rows, n->shape.width);
    array_near(&n->mean, n->want_mean, 2e-6f, 0, "mean");
    array_near(&n->rstd, n->want_rstd, 0, 1e-5f, "rstd");
    array_near(y, n->want, 2e-5f, error, "y");
}

static void forward_of(enum gx_dtype type, struct shape shape)
{
    struct norm n;
    norm_init(&n, type, shape);
    struct array y = array_output(type, n.count, shape.shift);
    gx_gpu_layernorm_forward(type, y.at, n.mean.at, n.rstd.at, n.x.at, n.w.at, n.b.at, shape.rows,
                             shape.width, test_stream());
    compare(&n, &y, n.x.values);
    array_free(&y);
    norm_fini(&n);
}

static void residual_of(enum gx_dtype type, struct shape shape, bool in_place)
{
    struct norm n;
    norm_init(&n, type, shape);
    struct array residual = array_random(type, n.count, shape.shift, 2.0f);
    struct array y = array_output(type, n.count, shape.shift), sum = residual;
    if (!in_place)
        sum = array_output(type, n.count, shape.shift);
    float *want = zeros(n.count);
    for (uint64_t i = 0; i < n.count; i++)
        want[i] = dtype_rounded(type, n.x.values[i] + residual.values[i]);
    gx_gpu_residual_layernorm_forward(type, sum.at, y.at, n.mean.at, n.rstd.at, n.x.at, residual.at,
                                      n.w.at, n.b.at, shape.rows, shape.width, test_stream());
    array_equal(&sum, want, "residual sum");
    compare(&n, &y, want);
    if (!in_place)
        array_free(&sum);
    array_free(&residual), array_free(&y);
    free(want);
    norm_fini(&n);
}

enum residual { NONE, BESIDE, IN_PLACE };

static void backward_of(enum gx_dtype type, struct shape shape, enum residual residual, bool add)
{
    struct norm n;
    norm_init(&n, type, shape);
    const uint32_t rows = shape.rows, width = shape.width;
    struct array dy = array_random(type, n.count, shape.shift, 1.0f);
    struct array dx = residual == IN_PLACE ? array_random(type, n.count, shape.shift, 1.0f)
                                           : array_output(type, n.count, shape.shift);
    struct array beside = array_random(type, n.count, shape.shift, 1.0f);
    struct array dw = array_random(GX_DTYPE_FP32, width, 0, 1.0f);
    struct array db = array_random(GX_DTYPE_FP32, width, 0, 1.0f);
    struct array scratch = array_bytes(gx_gpu_layernorm_scratch_bytes(rows, width));
    float *want_dx = zeros(n.count), *want_dw = zeros(width), *want_db = zeros(width);
    if (residual != NONE)
        memcpy(want_dx, residual == BESIDE ? beside.values : dx.values, n.count * sizeof(float));
    if (add) {
        memcpy(want_dw, dw.values, width * sizeof(float));
        memcpy(want_db, db.values, width * sizeof(float));
    }
    gx_layernorm_forward(n.want, n.want_mean, n.want_rstd, n.x.values, n.w.values, n.b.values, rows,
                         width);
    struct array mean = array_of(GX_DTYPE_FP32, n.want_mean, rows, 0);
    struct array rstd = array_of(GX_DTYPE_FP32, n.want_rstd, rows, 0);
    const void *from = residual == NONE ? NULL : residual == BESIDE ? beside.at : dx.at;
    gx_gpu_layernorm_backward(type, dx.at, from, dw.at, db.at, dy.at, n.x.at, n.w.at, mean.at,
                              rstd.at, scratch.at, rows, width, add, test_stream());
    gx_layernorm_backward(want_dx, want_dw, want_db, dy.values, n.x.values, n.w.values, n.want_mean,
                          n.want_rstd, rows, width);
    const float spread = (float)rows * 2e-7f; /* the CPU adds row after row in FP32 */
    /* A row of one value: its gradient is a difference of equals, times a large rstd. */
    array_near(&dx, want_dx, width < 4 ? 2e-3f : 1e-5f, dtype_error(type), "dx");
    array_near(&dw, want_dw, 5e-6f + spread, 1e-5f, "dw");
    array_near(&db, want_db, 5e-6f + spread, 1e-5f, "db");
    array_free(&scratch);
    array_free(&dy), array_free(&dx), array_free(&beside), array_free(&dw), array_free(&db);
    array_free(&mean), array_free(&rstd);
    free(want_dx), free(want_dw), free(want_db);
    norm_fini(&n);
}

#define EACH_CASE(type, i)                                                                         \
    for (enum gx_dtype type = GX_DTYPE_FP32; type <= GX_DTYPE_BF16; type++)                        \
        for (size_t i = 0; i < SHAPES; i++)

static void forward_is_the_cpus(void **state)
{
    (void)state;
    EACH_CASE(type, i)
    forward_of(type, shapes[i]);
}

static void forward_adds_the_residual_first(void **state)
{
    (void)state;
    EACH_CASE(type, i)
    residual_of(type, shapes[i], i % 2);
}

static void backward_is_the_cpus(void **state)
{
    (void)state;
    EACH_CASE(type, i)
    backward_of(type, shapes[i], (enum residual)((i + type) % 3), (i / 2 + type) % 2);
}

/* Twice the same bits, whatever order threads ran in. */
static void sums_have_one_order(void **state)
{
    (void)state;
    const struct shape shape = {37, 72, 0};
    struct norm n;
    norm_init(&n, GX_DTYPE_BF16, shape);
    gx_layernorm_forward(n.want, n.want_mean, n.want_rstd, n.x.values, n.w.values, n.b.values,
                         shape.rows, shape.width);
    struct array mean = array_of(GX_DTYPE_FP32, n.want_mean, shape.rows, 0);
    struct array rstd = array_of(GX_DTYPE_FP32, n.want_rstd, shape.rows, 0);
    struct array dy = array_random(GX_DTYPE_BF16, n.count, 0, 1.0f);
    struct array dx = array_output(GX_DTYPE_BF16, n.count, 0), dw[2], db[2];
    for (int i = 0; i < 2; i++) {
        struct array scratch = array_bytes(gx_gpu_layernorm_scratch_bytes(shape.rows, shape.width));
        dw[i] = array_output(GX_DTYPE_FP32, shape.width, 0);
        db[i] = array_output(GX_DTYPE_FP32, shape.width, 0);
        gx_gpu_layernorm_backward(GX_DTYPE_BF16, dx.at, NULL, dw[i].at, db[i].at, dy.at, n.x.at,
                                  n.w.at, mean.at, rstd.at, scratch.at, shape.rows, shape.width,
                                  false, test_stream());
        array_read(&dw[i]), array_read(&db[i]);
        array_free(&scratch);
    }
    array_equal(&dw[0], dw[1].values, "dw");
    array_equal(&db[0], db[1].values, "db");
    for (int i = 0; i < 2; i++)
        array_free(&dw[i]), array_free(&db[i]);
    array_free(&mean), array_free(&rstd), array_free(&dy), array_free(&dx);
    norm_fini(&n);
}

int main(int argc, char **argv)
{
    arrays_seed(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_the_cpus),
        cmocka_unit_test(forward_adds_the_residual_first),
        cmocka_unit_test(backward_is_the_cpus),
        cmocka_unit_test(sums_have_one_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
