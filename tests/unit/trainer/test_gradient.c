/* trainer/cpu in double against finite differences, and in float against double. */
#define GX_REAL_DOUBLE
#include "cpu/gemm.c"
#include "cpu/layers.c"
#include "cpu/linear.c"
#include "cpu/attention.c"
#include "cpu/gpt2.c"
#undef GX_REAL_DOUBLE

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "device.h"
#include "philox.h"

#define BATCH 2
#define TIME 5
#define ROWS (BATCH * TIME)
#define DELTA 1e-5

static const struct gx_gpt2_config tiny = {
    .vocab = 11, .context = TIME, .layers = 2, .heads = 2, .width = 8};

struct setup {
    struct gx_gpt2 model;
    struct gx_gpt2_activations *acts;
    double *params, *grads;
    uint16_t inputs[ROWS], targets[ROWS];
};

/* Parameters far from the usual start, so that every term of every gradient matters. */
static int set_up(void **state)
{
    struct setup *s = calloc(1, sizeof(*s));
    struct gx_failure failure;
    if (!s || gx_gpt2_init(&s->model, &tiny, &failure) != 0)
        return -1;
    s->acts = gx_gpt2_activations_create(&s->model, BATCH);
    s->params = calloc(s->model.param_count, sizeof(double));
    s->grads = calloc(s->model.param_count, sizeof(double));
    if (!s->acts || !s->params || !s->grads)
        return -1;
    for (uint64_t i = 0; i < s->model.param_count; i++)
        s->params[i] = 0.3 * (double)gx_philox_normal(3, GX_PHILOX_INIT, i);
    for (uint32_t i = 0; i < ROWS; i++) {
        s->inputs[i] = (uint16_t)gx_philox_below(tiny.vocab, 4, GX_PHILOX_BATCH, i);
        s->targets[i] = (uint16_t)gx_philox_below(tiny.vocab, 5, GX_PHILOX_BATCH, i);
    }
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct setup *s = *state;
    gx_gpt2_activations_destroy(s->acts);
    free(s->params);
    free(s->grads);
    free(s);
    return 0;
}

static double loss_at(struct setup *s)
{
    gx_gpt2_forward(s->acts, s->params, s->inputs, BATCH, TIME);
    return gx_gpt2_loss(s->acts, s->targets);
}

static void backward(struct setup *s)
{
    loss_at(s);
    gx_gpt2_backward(s->acts, s->params, s->grads, s->inputs, s->targets);
}

static double difference_at(struct setup *s, uint64_t i)
{
    double start = s->params[i];
    s->params[i] = start + DELTA;
    double above = loss_at(s);
    s->params[i] = start - DELTA;
    double below = loss_at(s);
    s->params[i] = start;
    return (above - below) / (2 * DELTA);
}

static void every_parameters_gradient_is_the_slope_of_the_loss(void **state)
{
    struct setup *s = *state;
    backward(s);
    for (int t = 0; t < GX_GPT2_TENSOR_COUNT; t++) {
        const struct gx_tensor *tensor = &s->model.tensors[t];
        double worst = 0, largest_grad = 0;
        for (uint64_t i = tensor->offset; i < tensor->offset + tensor->count; i++) {
            double slope = difference_at(s, i);
            worst = fmax(worst, fabs(slope - s->grads[i]));
            largest_grad = fmax(largest_grad, fabs(s->grads[i]));
        }
        if (worst > 1e-8 || largest_grad < 1e-4)
            fail_msg("%s: difference %g, largest gradient %g", tensor->name, worst, largest_grad);
    }
}

static void a_token_does_not_see_later_ones(void **state)
{
    struct setup *s = *state;
    double first[11];
    const double *logits = gx_gpt2_forward(s->acts, s->params, s->inputs, BATCH, TIME);
    memcpy(first, logits + 2 * tiny.vocab, sizeof(first));
    s->inputs[3] = (uint16_t)((s->inputs[3] + 1) % tiny.vocab);
    logits = gx_gpt2_forward(s->acts, s->params, s->inputs, BATCH, TIME);
    assert_memory_equal(first, logits + 2 * tiny.vocab, sizeof(first));
    s->inputs[2] = (uint16_t)((s->inputs[2] + 1) % tiny.vocab);
    logits = gx_gpt2_forward(s->acts, s->params, s->inputs, BATCH, TIME);
    assert_memory_not_equal(first, logits + 2 * tiny.vocab, sizeof(first));
}

static void a_shorter_sequence_gives_the_same_logits(void **state)
{
    struct setup *s = *state;
    double whole[11];
    const double *logits = gx_gpt2_forward(s->acts, s->params, s->inputs, BATCH, TIME);
    memcpy(whole, logits + 2 * tiny.vocab, sizeof(whole));
    logits = gx_gpt2_forward(s->acts, s->params, s->inputs, 1, 3);
    for (uint32_t i = 0; i < tiny.vocab; i++)
        assert_true(fabs(whole[i] - logits[2 * tiny.vocab + i]) < 1e-12);
}

/* The real device: its loss, and through one AdamW step without decay or clipping the sign of its gradient. */
static void the_float_device_agrees_with_double(void **state)
{
    struct setup *s = *state;
    const uint64_t count = s->model.param_count;
    const struct gx_device_config config = {.batch = BATCH,
                                            .threads = 1,
                                            .beta1 = 0.9f,
                                            .beta2 = 0.95f,
                                            .epsilon = 1e-8f,
                                            .clip_norm = 1e9f};
    void *device;
    assert_int_equal(gx_cpu_device.create(&s->model, &config, &device), 0);
    float *p = calloc(count, sizeof(float)), *m = calloc(count, sizeof(float)), loss;
    for (uint64_t i = 0; i < count; i++) {
        p[i] = (float)s->params[i];
        s->params[i] = (double)p[i];
    }
    backward(s);
    assert_int_equal(gx_cpu_device.set(device, GX_PARAMS, p), 0);
    assert_int_equal(gx_cpu_device.step(device, s->inputs, s->targets, 0.0f, 1, &loss), 0);
    assert_true(fabs((double)loss - loss_at(s)) < 1e-5);
    /* With lr 0 only the moments moved: the first one is a tenth of the gradient. */
    assert_int_equal(gx_cpu_device.get(device, GX_MOMENT1, m), 0);
    double worst = 0;
    for (uint64_t i = 0; i < count; i++)
        worst = fmax(worst, fabs(10 * (double)m[i] - s->grads[i]));
    assert_true(worst < 2e-6);
    gx_cpu_device.destroy(device);
    free(p);
    free(m);
}

int main(void)
{
    gx_parallel_set_threads(1); /* the matrices are far too small to share */
    openblas_set_num_threads(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_parameters_gradient_is_the_slope_of_the_loss, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_token_does_not_see_later_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_shorter_sequence_gives_the_same_logits, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_float_device_agrees_with_double, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
