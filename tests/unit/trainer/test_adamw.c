/* trainer/cpu/adamw.c and cpu/math.h against plain double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "cpu/adamw.h"
#include "cpu/math.h"
#include "philox.h"

#define COUNT 40001u /* some pieces and a rest */
#define UPDATES 5

static float params[COUNT], moment1[COUNT], moment2[COUNT], grads[COUNT];
static double p[COUNT], m[COUNT], v[COUNT];

static void start(void)
{
    memset(moment1, 0, sizeof(moment1));
    memset(moment2, 0, sizeof(moment2));
    memset(m, 0, sizeof(m));
    memset(v, 0, sizeof(v));
    for (uint32_t i = 0; i < COUNT; i++)
        p[i] = (double)(params[i] = gx_philox_normal(1, GX_PHILOX_INIT, i));
}

static void draw_grads(uint64_t update)
{
    for (uint32_t i = 0; i < COUNT; i++)
        grads[i] = 0.1f * gx_philox_normal(update, GX_PHILOX_BATCH, i);
}

/* Loshchilov and Hutter, algorithm 2, as PyTorch writes it. */
static void reference(double lr, double decay, double scale, double update)
{
    const double b1 = (double)0.9f, b2 = (double)0.95f, eps = 1e-8;
    for (uint32_t i = 0; i < COUNT; i++) {
        double g = (double)grads[i] * scale;
        p[i] -= lr * decay * p[i];
        m[i] = b1 * m[i] + (1 - b1) * g;
        v[i] = b2 * v[i] + (1 - b2) * g * g;
        double mean = m[i] / (1 - pow(b1, update)), square = v[i] / (1 - pow(b2, update));
        p[i] -= lr * mean / (sqrt(square) + eps);
    }
}

static double worst(void)
{
    double w = 0;
    for (uint32_t i = 0; i < COUNT; i++)
        w = fmax(w, fabs(p[i] - (double)params[i]));
    return w;
}

static void run_against_reference(bool decay)
{
    start();
    for (uint64_t update = 1; update <= UPDATES; update++) {
        draw_grads(update);
        const struct gx_adamw opt = {.lr = 0.01f,
                                     .beta1 = 0.9f,
                                     .beta2 = 0.95f,
                                     .epsilon = 1e-8f,
                                     .weight_decay = 0.1f,
                                     .grad_scale = 0.5f,
                                     .update = update};
        gx_adamw_step(&opt, params, moment1, moment2, grads, COUNT, decay);
        reference((double)0.01f, decay ? (double)0.1f : 0, 0.5, (double)update);
    }
    assert_true(worst() < 2e-6);
}

static void updates_equal_the_reference_with_decay(void **state)
{
    (void)state;
    run_against_reference(true);
}

static void updates_equal_the_reference_without_decay(void **state)
{
    (void)state;
    run_against_reference(false);
}

static void the_norm_is_that_of_all_gradients(void **state)
{
    (void)state;
    draw_grads(9);
    double sum = 0;
    for (uint32_t i = 0; i < COUNT; i++)
        sum += (double)grads[i] * (double)grads[i];
    assert_true(fabs(gx_global_norm(grads, COUNT) / sqrt(sum) - 1) < 1e-12);
}

static void only_a_norm_above_the_limit_is_clipped(void **state)
{
    (void)state;
    assert_true(gx_clip_scale(0.5, 1.0f) == 1.0f);
    assert_true(gx_clip_scale(1.0, 1.0f) == 1.0f);
    assert_true(gx_clip_scale(4.0, 1.0f) == 0.25f);
}

static void the_exponential_is_within_two_ulp(void **state)
{
    (void)state;
    for (int i = -870000; i <= 880000; i += 7) {
        float x = (float)i * 1e-4f;
        double exact = exp((double)x);
        assert_true(fabs((double)gx_expf(x) / exact - 1) < 2 * 1.2e-7);
    }
    assert_true(gx_expf(-1000.0f) < 2e-38f);
    assert_true(isfinite(gx_expf(1000.0f)));
    assert_true(isnan(gx_expf(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_equal_the_reference_with_decay),
        cmocka_unit_test(updates_equal_the_reference_without_decay),
        cmocka_unit_test(the_norm_is_that_of_all_gradients),
        cmocka_unit_test(only_a_norm_above_the_limit_is_clipped),
        cmocka_unit_test(the_exponential_is_within_two_ulp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
