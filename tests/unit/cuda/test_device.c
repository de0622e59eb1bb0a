/* trainer/cuda/device.c and what is below it, on the emulation, against trainer/cpu/: whole training steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/device.h"
#include "sanitized.h"
#include "simt/queue.h"

/* The emulation is ten times slower with sanitizers, which look for other things than how well a model learns. */
#ifdef GX_SANITIZED
#define STEPS 4u
#define CONTEXT 8u
#else
#define STEPS 20u
#define CONTEXT 24u
#endif
#define BATCH 2u

struct pair {
    struct gx_gpt2 model;
    const struct gx_device *device;
    void *state;
    uint32_t rows;
    uint16_t *inputs, *targets;
    float *params;
};

/* 65 tokens: whole tiles need rows of wpe behind wte. Heads of 32 values, the smallest. */
static const struct gx_gpt2_config tiny = {
    .vocab = 65, .context = CONTEXT, .layers = 2, .heads = 2, .width = 64};

static uint32_t draw_state = 1;

static uint32_t draw(uint32_t below)
{
    draw_state = draw_state * 1664525u + 1013904223u;
    return (draw_state >> 8) % below;
}

static struct gx_device_config config_of(enum gx_precision precision)
{
    return (struct gx_device_config){
        .batch = BATCH,
        .threads = 1,
        .precision = precision,
        .beta1 = 0.9f,
        .beta2 = 0.95f,
        .epsilon = 1e-8f,
        .weight_decay = 0.1f,
        .clip_norm = 1.0f,
    };
}

static void start(struct pair *p, const struct gx_device *device,
                  const struct gx_gpt2_config *model, const struct gx_device_config *config)
{
    struct gx_failure failure;
    assert_int_equal(gx_gpt2_init(&p->model, model, &failure), 0);
    p->device = device;
    p->rows = BATCH * model->context;
    p->inputs = calloc(p->rows, sizeof(*p->inputs));
    p->targets = calloc(p->rows, sizeof(*p->targets));
    p->params = calloc(p->model.param_count, sizeof(float));
    assert_true(p->inputs && p->targets && p->params);
    int rc = device->create(&p->model, config, &p->state);
    if (rc != 0)
        fail_msg("%s", device->describe(NULL, rc));
    gx_gpt2_randomize(&p->model, p->params, 3);
    assert_int_equal(device->set(p->state, GX_PARAMS, p->params), 0);
}

static void end(struct pair *p)
{
    p->device->destroy(p->state);
    free(p->inputs);
    free(p->targets);
    free(p->params);
}

static void batch(struct pair *p, uint32_t step)
{
    draw_state = step + 1;
    for (uint32_t i = 0; i < p->rows; i++) {
        p->inputs[i] = (uint16_t)draw(p->model.config.vocab);
        p->targets[i] = (uint16_t)((p->inputs[i] * 7u + 3u) % p->model.config.vocab);
    }
}

static float step(struct pair *p, uint32_t i)
{
    float loss;
    batch(p, i);
    int rc = p->device->step(p->state, p->inputs, p->targets, 0.001f, i + 1, &loss);
    if (rc != 0)
        fail_msg("step %u: %s", i, p->device->describe(p->state, rc));
    return loss;
}

static const float *params(struct pair *p)
{
    assert_int_equal(p->device->get(p->state, GX_PARAMS, p->params), 0);
    return p->params;
}

/* How far two arrays are apart, as a part of how far the first has moved from the start: norms. (The largest single
 * difference says little: where a gradient is nearly 0, AdamW's first steps are its sign's.) */
static double apart(const float *a, const float *b, const float *from, uint64_t count)
{
    double difference = 0, moved = 0;
    for (uint64_t i = 0; i < count; i++) {
        difference += pow((double)a[i] - (double)b[i], 2);
        moved += pow((double)a[i] - (double)from[i], 2);
    }
    return sqrt(difference / moved);
}

/* Trains both; returns how far the parameters are apart, *losses how far the losses. */
static double compare(const struct gx_device_config *config, double *losses)
{
    const struct gx_device_config cpu_config = config_of(GX_PRECISION_DEFAULT);
    struct pair cpu, gpu;
    start(&cpu, &gx_cpu_device, &tiny, &cpu_config);
    start(&gpu, &gx_cuda_device, &tiny, config);
    float *from = calloc(cpu.model.param_count, sizeof(float));
    assert_non_null(from);
    memcpy(from, cpu.params, cpu.model.param_count * sizeof(float));
    *losses = 0;
    for (uint32_t i = 0; i < STEPS; i++)
        *losses = fmax(*losses, fabs((double)step(&cpu, i) - (double)step(&gpu, i)));
    double distance = apart(params(&cpu), params(&gpu), from, cpu.model.param_count);
    float a, b;
    assert_int_equal(cpu.device->eval(cpu.state, cpu.inputs, cpu.targets, &a), 0);
    assert_int_equal(gpu.device->eval(gpu.state, gpu.inputs, gpu.targets, &b), 0);
    *losses = fmax(*losses, fabs((double)a - (double)b));
    assert_true(a < (STEPS < 20 ? 4.17f : 3.9f)); /* it has learned: log(65) is 4.17 */
    free(from);
    end(&cpu);
    end(&gpu);
    return distance;
}

static void fp32_steps_equal_the_cpus(void **state)
{
    (void)state;
    double losses;
    const struct gx_device_config config = config_of(GX_PRECISION_FP32);
    double distance = compare(&config, &losses);
    print_message("# fp32: losses %.1e apart, parameters %.1e of the way\n", losses, distance);
    assert_true(losses < 5e-6);
    assert_true(distance < 2e-4);
}

static void bf16_steps_stay_near_the_cpus(void **state)
{
    (void)state;
    double losses;
    const struct gx_device_config config = config_of(GX_PRECISION_BF16);
    double distance = compare(&config, &losses);
    print_message("# bf16: losses %.1e apart, parameters %.1e of the way\n", losses, distance);
    assert_true(losses < 5e-3);
    assert_true(distance < 0.1);
}

/* Runs two steps, the least in which something can be left over from the one before; the caller frees the parameters. */
static float *train(const struct gx_device_config *config)
{
    struct pair p;
    start(&p, &gx_cuda_device, &tiny, config);
    for (uint32_t i = 0; i < 2; i++)
        step(&p, i);
    float *out = calloc(p.model.param_count, sizeof(float));
    assert_non_null(out);
    memcpy(out, params(&p), p.model.param_count * sizeof(float));
    end(&p);
    return out;
}

static void assert_trains_near(const float *wanted, const struct gx_device_config *config,
                               double tolerance)
{
    struct gx_gpt2 model;
    struct gx_failure failure;
    assert_int_equal(gx_gpt2_init(&model, &tiny, &failure), 0);
    float *got = train(config), *from = calloc(model.param_count, sizeof(float));
    assert_non_null(from);
    gx_gpt2_randomize(&model, from, 3);
    assert_true(apart(wanted, got, from, model.param_count) < tolerance);
    free(from);
    free(got);
}

static void assert_trains_to(const float *wanted, const struct gx_device_config *config)
{
    struct gx_gpt2 model;
    struct gx_failure failure;
    assert_int_equal(gx_gpt2_init(&model, &tiny, &failure), 0);
    float *got = train(config);
    assert_memory_equal(got, wanted, model.param_count * sizeof(float));
    free(got);
}

static void recomputation_changes_no_bit_but_cheap_in_bf16(void **state)
{
    (void)state;
    const enum gx_precision precisions[] = {GX_PRECISION_FP32, GX_PRECISION_BF16};
    for (int i = 0; i < 2; i++) {
        struct gx_device_config config = config_of(precisions[i]);
        float *kept = train(&config);
        config.recompute = GX_RECOMPUTE_LAYERS;
        assert_trains_to(kept, &config);
        config.recompute = GX_RECOMPUTE_CHEAP;
        if (config.precision == GX_PRECISION_FP32)
            assert_trains_to(kept, &config);
        else /* GELU is of what was rounded to bf16, not of the product's sum */
            assert_trains_near(kept, &config, 0.1);
        free(kept);
    }
}

static void the_same_bits_again(void **state)
{
    (void)state;
    const struct gx_device_config config = config_of(GX_PRECISION_BF16);
    gx_simt_queue_seed(11);
    float *wanted = train(&config);
    assert_trains_to(wanted, &config);
    free(wanted);
}

static void epilogues_may_be_missing(void **state)
{
    (void)state;
    const struct gx_device_config config = config_of(GX_PRECISION_FP32);
    struct pair p;
    start(&p, &gx_cuda_device, &tiny, &config);
    float fused = step(&p, 0);
    end(&p);
    gx_simt_faults.no_fused_epilogue = true;
    start(&p, &gx_cuda_device, &tiny, &config);
    float plain = step(&p, 0);
    end(&p);
    gx_simt_faults.no_fused_epilogue = false;
    assert_true(fabsf(fused - plain) < 1e-5f);
    double losses;
    gx_simt_faults.no_fused_epilogue = true;
    assert_true(compare(&config, &losses) < 2e-4);
    gx_simt_faults.no_fused_epilogue = false;
}

/* What is tried last is taken: GELU, its gradient and the bias's gradient by kernels of ours. */
static void epilogues_may_be_slow_or_refused(void **state)
{
    (void)state;
    double losses;
    const struct gx_device_config config = config_of(GX_PRECISION_BF16);
    struct gx_device_config fixed = config;
    gx_simt_faults.later_is_faster = true;
    assert_true(compare(&config, &losses) < 0.1);
    assert_true(losses < 5e-3);
    float *tuned = train(&config);
    gx_simt_faults.later_is_faster = false;
    gx_simt_faults.epilogues_do_not_run = true;
    float *refused = train(&config);
    gx_simt_faults.epilogues_do_not_run = false;
    fixed.deterministic = true;
    float *fused = train(&fixed);
    struct gx_gpt2 model;
    struct gx_failure failure;
    assert_int_equal(gx_gpt2_init(&model, &tiny, &failure), 0);
    assert_true(memcmp(tuned, fused, model.param_count * sizeof(float)) != 0); /* it was another */
    assert_memory_equal(tuned, refused, model.param_count * sizeof(float));
    free(tuned);
    free(refused);
    free(fused);
}

static void older_architectures_fuse_no_gelu(void **state)
{
    (void)state;
    double losses;
    const struct gx_device_config config = config_of(GX_PRECISION_BF16);
    gx_simt_faults.capability = 80;
    assert_true(compare(&config, &losses) < 0.1);
    gx_simt_faults.capability = 0;
    assert_true(losses < 5e-3);
}

/* With the twin of cuDNN: what belongs to it is placed, captured and run, and GPUs without it do without. */
static void attention_may_be_cudnns(void **state)
{
    (void)state;
    double losses;
    struct gx_device_config config = config_of(GX_PRECISION_BF16);
    gx_simt_faults.cudnn = true;
    assert_true(compare(&config, &losses) < 0.1);
    assert_true(losses < 5e-3);
    config.recompute = GX_RECOMPUTE_LAYERS;
    float *wanted = train(&config);
    assert_trains_to(wanted, &config);
    free(wanted);
    struct pair p;
    start(&p, &gx_cuda_device, &tiny, &config);
    assert_non_null(strstr(p.device->machine(p.state), "attention: cuDNN"));
    const uint64_t before = gx_simt_allocations();
    step(&p, 0);
    step(&p, 1);
    assert_int_equal(gx_simt_allocations(), before);
    end(&p);
    gx_simt_faults.cudnn = false;
}

/* The same bits as our own: nothing of cuDNN is left. */
static void without_cudnn_attention_is_our_own(void **state)
{
    (void)state;
    struct gx_device_config automatic = config_of(GX_PRECISION_BF16), own = automatic;
    own.attention = GX_ATTENTION_OWN;
    float *wanted = train(&own);
    assert_trains_to(wanted, &automatic); /* not installed */
    gx_simt_faults.cudnn = gx_simt_faults.cudnn_fails = true;
    assert_trains_to(wanted, &automatic); /* refuses to run */
    gx_simt_faults.cudnn_fails = false;
    automatic.deterministic = true;
    assert_trains_to(wanted, &automatic); /* its bits differ from run to run */
    gx_simt_faults.cudnn = false;
    free(wanted);
}

static void nothing_is_allocated_in_a_step(void **state)
{
    (void)state;
    const struct gx_device_config config = config_of(GX_PRECISION_BF16);
    struct pair p;
    start(&p, &gx_cuda_device, &tiny, &config);
    const uint64_t before = gx_simt_allocations();
    for (uint32_t i = 0; i < 3; i++)
        step(&p, i);
    assert_int_equal(gx_simt_allocations(), before);
    end(&p);
    assert_int_equal(gx_simt_bytes(), 0);
}

static void logits_are_the_cpus(void **state)
{
    (void)state;
    const struct gx_device_config config = config_of(GX_PRECISION_FP32);
    struct pair cpu, gpu;
    float a[65], b[65];
    start(&cpu, &gx_cpu_device, &tiny, &config);
    start(&gpu, &gx_cuda_device, &tiny, &config);
    batch(&cpu, 5);
    const uint32_t counts[] = {1, 7, tiny.context};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cpu.device->logits(cpu.state, cpu.inputs, counts[i], a), 0);
        assert_int_equal(gpu.device->logits(gpu.state, cpu.inputs, counts[i], b), 0);
        for (int v = 0; v < 65; v++)
            assert_true(fabsf(a[v] - b[v]) < 1e-5f);
    }
    end(&cpu);
    end(&gpu);
}

static void a_loss_that_is_not_finite_updates_nothing(void **state)
{
    (void)state;
    const struct gx_device_config config = config_of(GX_PRECISION_BF16);
    struct pair p;
    float loss;
    start(&p, &gx_cuda_device, &tiny, &config);
    step(&p, 0);
    params(&p);
    float *before = calloc(p.model.param_count, sizeof(float));
    p.params[p.model.tensors[GX_LNFW].offset] = INFINITY;
    memcpy(before, p.params, p.model.param_count * sizeof(float));
    assert_int_equal(p.device->set(p.state, GX_PARAMS, p.params), 0);
    batch(&p, 1);
    assert_int_equal(p.device->step(p.state, p.inputs, p.targets, 0.001f, 2, &loss), -EDOM);
    assert_memory_equal(params(&p), before, p.model.param_count * sizeof(float));
    free(before);
    end(&p);
}

/* ---- errors ---- */

static void assert_refused(const struct gx_gpt2_config *model,
                           const struct gx_device_config *config, int error,
                           const char *const *words)
{
    struct gx_gpt2 m;
    struct gx_failure failure;
    void *device = NULL;
    assert_int_equal(gx_gpt2_init(&m, model, &failure), 0);
    assert_int_equal(gx_cuda_device.create(&m, config, &device), error);
    const char *text = gx_cuda_device.describe(NULL, error);
    for (; *words; words++)
        if (!strstr(text, *words))
            fail_msg("\"%s\" does not say \"%s\"", text, *words);
    assert_int_equal(gx_simt_bytes(), 0);
}

static void no_device_is_said(void **state)
{
    (void)state;
    const struct gx_device_config config = config_of(GX_PRECISION_DEFAULT);
    gx_simt_faults.absent = true;
    const char *why;
    assert_false(gx_cuda_present(&why));
    assert_non_null(strstr(why, "driver"));
    assert_refused(&tiny, &config, -ENODEV, (const char *[]){"driver", NULL});
    gx_simt_faults.absent = false;
    assert_true(gx_cuda_present(&why));
}

static void too_little_memory_says_what_would_help(void **state)
{
    (void)state;
    struct gx_device_config config = config_of(GX_PRECISION_DEFAULT);
    config.outer = GX_OUTER_ON_DEVICE;
    gx_simt_faults.memory_bytes = 1 << 20;
    assert_refused(
        &tiny, &config, -ENOMEM,
        (const char *[]){"MiB", "--batch (2)", "--recompute layers", "--outer-offload", NULL});
    gx_simt_faults.memory_bytes = 0;
}

static void shapes_without_kernels_are_refused(void **state)
{
    (void)state;
    const struct gx_device_config config = config_of(GX_PRECISION_DEFAULT);
    struct gx_gpt2_config odd = tiny;
    odd.heads = 4; /* of 16 */
    assert_refused(&odd, &config, -EINVAL, (const char *[]){"--heads 4", "32, 64 or 128", NULL});
}

static void cudnn_alone_is_refused_where_it_is_not(void **state)
{
    (void)state;
    struct gx_device_config config = config_of(GX_PRECISION_BF16);
    config.attention = GX_ATTENTION_CUDNN;
    assert_refused(&tiny, &config, -ENOENT,
                   (const char *[]){"--attention cudnn", "install", "--attention own", NULL});
    gx_simt_faults.cudnn = gx_simt_faults.cudnn_fails = true;
    assert_refused(&tiny, &config, -EIO, (const char *[]){"--attention cudnn", "planted", NULL});
    gx_simt_faults.cudnn = gx_simt_faults.cudnn_fails = false;
}

static void a_kernel_that_fails_is_named(void **state)
{
    (void)state;
    const struct gx_device_config config = config_of(GX_PRECISION_BF16);
    struct pair p;
    float loss;
    start(&p, &gx_cuda_device, &tiny, &config);
    step(&p, 0);
    gx_simt_faults.fail_after = gx_simt_entries() + 30;
    batch(&p, 1);
    assert_int_equal(p.device->step(p.state, p.inputs, p.targets, 0.001f, 2, &loss), -EIO);
    assert_non_null(strstr(p.device->describe(p.state, -EIO), "illegal memory access"));
    assert_int_equal(p.device->get(p.state, GX_PARAMS, p.params), -EIO);
    gx_simt_faults.fail_after = 0;
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32_steps_equal_the_cpus),
        cmocka_unit_test(bf16_steps_stay_near_the_cpus),
        cmocka_unit_test(recomputation_changes_no_bit_but_cheap_in_bf16),
        cmocka_unit_test(the_same_bits_again),
        cmocka_unit_test(epilogues_may_be_missing),
        cmocka_unit_test(epilogues_may_be_slow_or_refused),
        cmocka_unit_test(older_architectures_fuse_no_gelu),
        cmocka_unit_test(attention_may_be_cudnns),
        cmocka_unit_test(without_cudnn_attention_is_our_own),
        cmocka_unit_test(nothing_is_allocated_in_a_step),
        cmocka_unit_test(logits_are_the_cpus),
        cmocka_unit_test(a_loss_that_is_not_finite_updates_nothing),
        cmocka_unit_test(no_device_is_said),
        cmocka_unit_test(too_little_memory_says_what_would_help),
        cmocka_unit_test(shapes_without_kernels_are_refused),
        cmocka_unit_test(cudnn_alone_is_refused_where_it_is_not),
        cmocka_unit_test(a_kernel_that_fails_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
