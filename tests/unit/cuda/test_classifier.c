/* trainer/cuda/classifier.cu against plain C in double. */
#include "arrays.h"
#include "device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/classifier.h"

struct shape {
    uint32_t rows, vocab, stride, shift;
};

/* Padding of a part of a vector, of several, of none; a row longer than what a block takes at once (16,384 bf16 values). */
static const struct shape shapes[] = {
    {3, 1, 8, 0},     {2, 5, 5, 0},     {3, 257, 264, 0},   {3, 257, 320, 0},
    {2, 257, 259, 0}, {2, 256, 256, 1}, {2, 1003, 1008, 0}, {1, 16411, 16448, 0},
};
#define EACH_CASE(type, i)                                                                         \
    for (enum gx_dtype type = GX_DTYPE_FP32; type <= GX_DTYPE_BF16; type++)                        \
        for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)

/* Turns logits into their gradient, padding into zeros. */
static float row_in_double(float *row, uint32_t target, const struct shape *s, float scale)
{
    double max = (double)row[0], sum = 0;
    const double right = (double)row[target];
    for (uint32_t i = 0; i < s->vocab; i++)
        max = fmax(max, (double)row[i]);
    for (uint32_t i = 0; i < s->vocab; i++)
        sum += exp((double)row[i] - max);
    for (uint32_t i = 0; i < s->stride; i++) {
        const double p = i < s->vocab ? exp((double)row[i] - max) / sum : 0;
        row[i] = (float)((p - (i == target)) * (double)scale);
    }
    return (float)(log(sum) - (right - max));
}

static void classify(enum gx_dtype type, const struct shape *s, float spread)
{
    const uint64_t count = (uint64_t)s->rows * s->stride;
    const float scale = 1.0f / (float)s->rows;
    struct array random = array_random(GX_DTYPE_FP32, count, 0, spread);
    uint16_t *targets = malloc(s->rows * sizeof(*targets));
    float *want = malloc(count * sizeof(float)), *losses = malloc(s->rows * sizeof(float));
    for (uint64_t i = 0; i < count; i++)
        random.values[i] = i % s->stride < s->vocab ? random.values[i] : NAN;
    struct array logits = array_of(type, random.values, count, s->shift);
    struct array got = array_output(GX_DTYPE_FP32, s->rows, 0);
    memcpy(want, logits.values, count * sizeof(float));
    for (uint32_t r = 0; r < s->rows; r++) {
        targets[r] = (uint16_t)(r == 0 ? s->vocab - 1 : arrays_below(s->vocab));
        losses[r] = row_in_double(want + (uint64_t)r * s->stride, targets[r], s, scale);
    }
    struct array on_device = {.memory = test_upload(targets, s->rows * sizeof(*targets))};
    gx_gpu_classifier_loss(type, logits.at, got.at, on_device.memory, s->rows, s->vocab, s->stride,
                           test_stream());
    array_near(&got, losses, 2e-5f, 1e-6f, "loss alone");
    gx_gpu_classifier(type, logits.at, got.at, on_device.memory, s->rows, s->vocab, s->stride,
                      scale, test_stream());
    array_near(&got, losses, 2e-5f, 1e-6f, "loss");
    array_near(&logits, want, scale * 1e-6f, dtype_error(type) + 2e-5f, "gradient");
    for (uint64_t i = 0; i < count; i++)
        if (i % s->stride >= s->vocab)
            assert_true(logits.values[i] == 0.0f);
    array_free(&random), array_free(&logits), array_free(&got), array_free(&on_device);
    free(targets), free(want), free(losses);
}

static void loss_and_gradient_are_right(void **state)
{
    (void)state;
    EACH_CASE(type, i)
    classify(type, &shapes[i], 1.0f);
}

static void large_logits_do_not_overflow(void **state)
{
    (void)state;
    EACH_CASE(type, i)
    classify(type, &shapes[i], 60.0f);
}

/* A loss that is not finite must not look finite. */
static void what_is_not_finite_shows_in_the_loss(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY};
    for (int i = 0; i < 2; i++) {
        float values[264] = {0};
        const uint16_t target = 3;
        values[arrays_below(257)] = bad[i];
        struct array logits = array_of(GX_DTYPE_BF16, values, 264, 0);
        struct array loss = array_output(GX_DTYPE_FP32, 1, 0);
        struct array targets = {.memory = test_upload(&target, sizeof(target))};
        gx_gpu_classifier(GX_DTYPE_BF16, logits.at, loss.at, targets.memory, 1, 257, 264, 1.0f,
                          test_stream());
        assert_true(!isfinite(array_read(&loss)[0]));
        array_free(&logits), array_free(&loss), array_free(&targets);
    }
}

static void losses_are_summed(void **state)
{
    (void)state;
    const uint32_t rows[] = {1, 31, 512, 2000};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct array losses = array_random(GX_DTYPE_FP32, rows[i], 0, 3.0f);
        struct array loss = array_random(GX_DTYPE_FP32, 1, 0, 1.0f);
        const float scale = 1.0f / (float)rows[i], before = loss.values[0];
        double sum = 0;
        for (uint32_t r = 0; r < rows[i]; r++)
            sum += (double)losses.values[r];
        const float mean = (float)(sum * (double)scale), both = before + mean;
        gx_gpu_loss_sum(loss.at, losses.at, rows[i], scale, true, test_stream());
        array_near(&loss, &both, 1e-6f, 1e-6f, "added");
        gx_gpu_loss_sum(loss.at, losses.at, rows[i], scale, false, test_stream());
        array_near(&loss, &mean, 1e-7f, 1e-6f, "overwritten");
        array_free(&losses), array_free(&loss);
    }
}

int main(int argc, char **argv)
{
    arrays_seed(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_and_gradient_are_right),
        cmocka_unit_test(large_logits_do_not_overflow),
        cmocka_unit_test(what_is_not_finite_shows_in_the_loss),
        cmocka_unit_test(losses_are_summed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
