/* trainer/cuda/adamw.cu against trainer/cpu/adamw.c. */
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

#include "cpu/adamw.h"
#include "cuda/adamw.h"
#include "philox.h"

static const uint64_t counts[] = {1, 5, 8, 511, 2049, 20011};
#define EACH_COUNT(i) for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)

/* What gx_gpu_norm_compute() leaves. */
static struct gx_gpu_norm norm_of(const struct array *grads, const struct array *loss, float clip)
{
    struct array scratch = array_bytes(gx_gpu_norm_scratch_bytes(grads->count));
    struct array out = array_bytes(sizeof(struct gx_gpu_norm));
    struct gx_gpu_norm norm;
    gx_gpu_norm_compute(out.at, grads->at, loss ? loss->at : NULL, scratch.at, grads->count, clip,
                        test_stream());
    test_download(&norm, out.at, sizeof(norm));
    array_free(&scratch), array_free(&out);
    return norm;
}

static void the_norm_is_the_cpus(void **state)
{
    (void)state;
    EACH_COUNT(i)
    for (uint32_t shift = 0; shift < 2; shift++) {
        struct array grads = array_random(GX_DTYPE_FP32, counts[i], shift, i % 2 ? 1e20f : 1e-3f);
        const double want = gx_global_norm(grads.values, counts[i]);
        const float clip = (float)want * 0.3f;
        const struct gx_gpu_norm norm = norm_of(&grads, NULL, clip);
        assert_true(fabs(norm.norm - want) <= want * 1e-12);
        assert_true(fabsf(norm.grad_scale - gx_clip_scale(want, clip)) < 1e-6f);
        assert_int_equal(norm.finite, 1);
        assert_true(norm_of(&grads, NULL, (float)want * 1.01f).grad_scale == 1.0f);
        array_free(&grads);
    }
}

static void a_value_that_is_not_finite_is_noticed(void **state)
{
    (void)state;
    const float one = 1.0f, nan = NAN, bad[] = {NAN, INFINITY, -INFINITY};
    struct array good = array_random(GX_DTYPE_FP32, 2049, 0, 1.0f);
    struct array loss = array_of(GX_DTYPE_FP32, &one, 1, 0);
    struct array no_loss = array_of(GX_DTYPE_FP32, &nan, 1, 0);
    assert_int_equal(norm_of(&good, &loss, 1.0f).finite, 1);
    assert_int_equal(norm_of(&good, &no_loss, 1.0f).finite, 0);
    for (int i = 0; i < 3; i++) {
        float values[2049] = {0};
        values[i == 0 ? 2048 : arrays_below(2049)] = bad[i];
        struct array grads = array_of(GX_DTYPE_FP32, values, 2049, 0);
        assert_int_equal(norm_of(&grads, &loss, 1.0f).finite, 0);
        array_free(&grads);
    }
    array_free(&good), array_free(&loss), array_free(&no_loss);
}

/* Parameters and moments on both sides. */
struct optimizer {
    uint64_t count;
    struct array params, moment1, moment2, copy, norm, step;
    struct gx_gpu_decay decay;
    uint64_t seed;
};

static float *copy_of(const struct array *a)
{
    float *copy = malloc(a->count * sizeof(float));
    assert_non_null(copy);
    memcpy(copy, a->values, a->count * sizeof(float));
    return copy;
}

/* Ranges that end anywhere, inside vectors too. */
static void optimizer_init(struct optimizer *o, uint64_t count, uint32_t shift)
{
    memset(o, 0, sizeof(*o));
    o->count = count;
    o->params = array_random(GX_DTYPE_FP32, count, shift, 1.0f);
    o->moment1 = array_random(GX_DTYPE_FP32, count, 0, 0.1f);
    o->moment2 = array_random(GX_DTYPE_FP32, count, 0, 0.1f);
    o->copy = array_output(GX_DTYPE_BF16, count, 0);
    for (uint64_t i = 0; i < count; i++)
        o->moment2.values[i] = fabsf(o->moment2.values[i]);
    struct array positive = array_of(GX_DTYPE_FP32, o->moment2.values, count, 0);
    array_free(&o->moment2);
    o->moment2 = positive;
    o->seed = arrays_random();
    for (uint64_t end = 0; end < count; o->decay.count++) {
        const uint64_t left = count - end;
        end += o->decay.count == 15 ? left : 1 + arrays_random() % left;
        o->decay.end[o->decay.count] = end;
    }
    o->decay.decays = (uint32_t)arrays_random();
}

static void optimizer_fini(struct optimizer *o)
{
    array_free(&o->params), array_free(&o->moment1), array_free(&o->moment2);
    array_free(&o->copy);
}

static void optimizer_step(struct optimizer *o, const struct gx_adamw *opt, uint32_t finite,
                           const struct array *grads, enum gx_gpu_rounding rounding)
{
    struct gx_gpu_adamw step;
    const struct gx_gpu_norm norm = {1.0, opt->grad_scale, finite};
    gx_gpu_adamw_fill(&step, opt, o->seed);
    struct array on_device = {.memory = test_upload(&step, sizeof(step))};
    struct array norm_on_device = {.memory = test_upload(&norm, sizeof(norm))};
    gx_gpu_adamw_step(on_device.memory, norm_on_device.memory, &o->decay, o->params.at,
                      o->moment1.at, o->moment2.at, grads->at, o->copy.at, rounding, test_stream());
    array_read(&o->params);
    array_free(&on_device), array_free(&norm_on_device);
}

static float rounded_at_random(float value, uint64_t i, uint64_t seed, uint32_t update)
{
    const uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)(i / 4 >> 32), GX_PHILOX_ROUND,
                                 update};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t random[4], bits;
    gx_philox(random, counter, key);
    memcpy(&bits, &value, 4);
    bits = (bits + (random[i % 4] & 0xffff)) & 0xffff0000u;
    memcpy(&value, &bits, 4);
    return value;
}

static void steps_of(uint64_t count, uint32_t shift)
{
    struct optimizer o;
    optimizer_init(&o, count, shift);
    float *p = copy_of(&o.params), *m = copy_of(&o.moment1), *v = copy_of(&o.moment2);
    float *copy = malloc(count * sizeof(float));
    for (uint32_t update = 1; update <= 3; update++) {
        const enum gx_gpu_rounding rounding = update == 2 ? GX_ROUND_STOCHASTIC : GX_ROUND_NEAREST;
        const struct gx_adamw opt = {1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.7f, update};
        struct array grads = array_random(GX_DTYPE_FP32, count, 0, 0.3f);
        uint64_t first = 0;
        for (uint32_t r = 0; r < o.decay.count; first = o.decay.end[r++])
            gx_adamw_step(&opt, p + first, m + first, v + first, grads.values + first,
                          o.decay.end[r] - first, o.decay.decays >> r & 1);
        optimizer_step(&o, &opt, 1, &grads, rounding);
        array_near(&o.params, p, 1e-6f, 1e-6f, "params");
        array_near(&o.moment1, m, 1e-7f, 3e-7f, "moment1");
        array_near(&o.moment2, v, 1e-8f, 3e-7f, "moment2");
        for (uint64_t i = 0; i < count; i++)
            copy[i] = rounding == GX_ROUND_NEAREST
                          ? dtype_rounded(GX_DTYPE_BF16, o.params.values[i])
                          : rounded_at_random(o.params.values[i], i, o.seed, update);
        array_equal(&o.copy, copy, "bf16 copy");
        array_free(&grads);
    }
    optimizer_fini(&o);
    free(p), free(m), free(v), free(copy);
}

static void steps_are_the_cpus(void **state)
{
    (void)state;
    EACH_COUNT(i)
    {
        steps_of(counts[i], 0);
        steps_of(counts[i], 1);
    }
}

static void nothing_is_updated_when_the_norm_is_not_finite(void **state)
{
    (void)state;
    struct optimizer o;
    optimizer_init(&o, 1001, 0);
    struct array grads = array_random(GX_DTYPE_FP32, 1001, 0, 1.0f);
    float *p = copy_of(&o.params), *m = copy_of(&o.moment1), *v = copy_of(&o.moment2);
    const struct gx_adamw opt = {1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 1.0f, 1};
    optimizer_step(&o, &opt, 0, &grads, GX_ROUND_NEAREST);
    array_equal(&o.params, p, "params");
    array_equal(&o.moment1, m, "moment1");
    array_equal(&o.moment2, v, "moment2");
    array_free(&grads);
    optimizer_fini(&o);
    free(p), free(m), free(v);
}

int main(int argc, char **argv)
{
    arrays_seed(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_norm_is_the_cpus),
        cmocka_unit_test(a_value_that_is_not_finite_is_noticed),
        cmocka_unit_test(steps_are_the_cpus),
        cmocka_unit_test(nothing_is_updated_when_the_norm_is_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
