/* trainer/cuda/outer.cu against trainer/outer.c, bit for bit. */
#include "arrays.h"
#include "device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cuda/outer.h"
#include "outer.h"
#include "tests/unit/format/values.h"

static const uint64_t counts[] = {1, 3, 8, 1023, 3001};
#define COUNTS (sizeof(counts) / sizeof(*counts))
#define COUNT_MAX 3001u
#define EACH_LOCAL(l) for (enum gx_gpu_local l = GX_LOCAL_KEEP; l <= GX_LOCAL_REBASE; l++)

/* theta_local by the rules of the header. */
static void local_move(float *local, const struct gx_gpu_outer *step, const float *before,
                       const float *after, uint64_t count)
{
    if (step->local == GX_LOCAL_REPLACE)
        memcpy(local, after, count * sizeof(float));
    if (step->local == GX_LOCAL_REBASE)
        gx_outer_rebase(local, after, before, count);
    for (uint64_t i = 0; i < count && step->local == GX_LOCAL_MIX; i++) {
        const float mine = step->alpha * local[i], theirs = (1.0f - step->alpha) * after[i];
        local[i] = mine + theirs;
    }
}

/* Both sides of a fragment. */
struct fragment {
    uint64_t count;
    struct array theta, momentum, delta, local, copy;
    float want_theta[COUNT_MAX], want_momentum[COUNT_MAX], want_local[COUNT_MAX];
    float before[COUNT_MAX], want_copy[COUNT_MAX];
};

static void fragment_init(struct fragment *f, uint64_t count, uint32_t shift)
{
    f->count = count;
    f->theta = array_random(GX_DTYPE_FP32, count, shift, 1.0f);
    f->momentum = array_random(GX_DTYPE_FP32, count, 0, 0.1f);
    f->local = array_random(GX_DTYPE_FP32, count, 0, 1.0f);
    f->copy = array_output(GX_DTYPE_BF16, count, 0);
    memcpy(f->want_theta, f->theta.values, count * sizeof(float));
    memcpy(f->want_momentum, f->momentum.values, count * sizeof(float));
    memcpy(f->want_local, f->local.values, count * sizeof(float));
}

static void fragment_fini(struct fragment *f)
{
    array_free(&f->theta), array_free(&f->momentum), array_free(&f->local), array_free(&f->copy);
}

static void fragment_compare(struct fragment *f, bool copied)
{
    for (uint64_t i = 0; i < f->count; i++)
        f->want_copy[i] = dtype_rounded(GX_DTYPE_BF16, f->want_local[i]);
    array_equal(&f->theta, f->want_theta, "theta");
    array_equal(&f->momentum, f->want_momentum, "momentum");
    array_equal(&f->local, f->want_local, "theta_local");
    if (copied)
        array_equal(&f->copy, f->want_copy, "bf16 copy");
}

/* `values`: the means of three rounds. */
static void rounds_of(const struct gx_gpu_outer *step, uint64_t count, uint32_t shift,
                      const float *values)
{
    static struct fragment f;
    fragment_init(&f, count, shift);
    for (int round = 0; round < 3; round++) {
        f.delta = array_of(GX_DTYPE_FP32, values + (uint64_t)round * count, count, 0);
        memcpy(f.before, f.want_theta, count * sizeof(float));
        gx_outer_step(f.want_theta, f.want_momentum, f.delta.values, count, step->lr,
                      step->momentum_factor);
        local_move(f.want_local, step, f.before, f.want_theta, count);
        gx_gpu_outer_step(step, f.theta.at, f.momentum.at, f.delta.at, f.local.at, f.copy.at, count,
                          test_stream());
        fragment_compare(&f, step->local != GX_LOCAL_KEEP);
        array_free(&f.delta);
    }
    fragment_fini(&f);
}

static void steps_have_the_cpus_bits(void **state)
{
    (void)state;
    EACH_LOCAL(l)
    for (size_t i = 0; i < COUNTS; i++) {
        const struct gx_gpu_outer step = {0.7f, 0.9f, 0.3f, l};
        struct array values = array_random(GX_DTYPE_FP32, 3 * counts[i], 0, 0.2f);
        rounds_of(&step, counts[i], i % 2, values.values);
        array_free(&values);
    }
}

/* Subnormal numbers, and magnitudes whose product is one. */
static void small_values_are_not_flushed(void **state)
{
    (void)state;
    static float values[3 * COUNT_MAX];
    const struct gx_gpu_outer step = {0.7f, 0.9f, 0.3f, GX_LOCAL_MIX};
    uint64_t seed = arrays_random();
    for (uint64_t i = 0; i < 3 * COUNT_MAX; i++)
        values[i] = value_near(&seed, 3);
    static struct fragment f;
    fragment_init(&f, COUNT_MAX, 0);
    f.delta = array_of(GX_DTYPE_FP32, values, COUNT_MAX, 0);
    array_free(&f.momentum);
    f.momentum = array_of(GX_DTYPE_FP32, values + COUNT_MAX, COUNT_MAX, 0);
    memcpy(f.want_momentum, f.momentum.values, sizeof(f.want_momentum));
    array_free(&f.theta);
    f.theta = array_of(GX_DTYPE_FP32, values + 2 * COUNT_MAX, COUNT_MAX, 0);
    memcpy(f.want_theta, f.theta.values, sizeof(f.want_theta));
    gx_outer_step(f.want_theta, f.want_momentum, f.delta.values, COUNT_MAX, step.lr,
                  step.momentum_factor);
    local_move(f.want_local, &step, NULL, f.want_theta, COUNT_MAX);
    gx_gpu_outer_step(&step, f.theta.at, f.momentum.at, f.delta.at, f.local.at, f.copy.at,
                      COUNT_MAX, test_stream());
    fragment_compare(&f, true);
    array_free(&f.delta);
    fragment_fini(&f);
}

static void a_state_from_elsewhere_is_adopted(void **state)
{
    (void)state;
    static struct fragment f;
    for (size_t i = 0; i < COUNTS; i++)
        for (enum gx_gpu_local l = GX_LOCAL_REPLACE; l <= GX_LOCAL_MIX; l++) {
            const struct gx_gpu_outer step = {0, 0, 0.25f, l};
            fragment_init(&f, counts[i], i % 2);
            local_move(f.want_local, &step, NULL, f.want_theta, counts[i]);
            gx_gpu_outer_adopt(&step, f.theta.at, f.local.at, f.copy.at, counts[i], test_stream());
            fragment_compare(&f, true);
            fragment_fini(&f);
        }
}

int main(int argc, char **argv)
{
    arrays_seed(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_have_the_cpus_bits),
        cmocka_unit_test(small_values_are_not_flushed),
        cmocka_unit_test(a_state_from_elsewhere_is_adopted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
