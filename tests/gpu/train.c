/* A short training run on the GPU against the CPU's: losses of every step, and how far the parameters are apart. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/attention_cudnn.h"
#include "cuda/dev.h"
#include "gpu/table.h"
#include "trainer/device.h"

#define STEPS 20
#define BATCH 4u

/* 257 tokens: whole tiles need rows of wpe behind wte. */
static const struct gx_gpt2_config shape = {
    .vocab = 257, .context = 128, .layers = 3, .heads = 2, .width = 128};

struct run {
    float losses[STEPS + 1]; /* the last one: eval's */
    float *params;
};

static void fail(const struct gx_device *device, int rc)
{
    printf("%s: %s\n", device->name, device->describe(NULL, rc));
    exit(1);
}

static void fill(uint16_t *inputs, uint16_t *targets, uint32_t step)
{
    uint32_t x = step * 2654435761u + 1;
    for (uint32_t i = 0; i < BATCH * shape.context; i++) {
        x = x * 1664525u + 1013904223u;
        inputs[i] = (uint16_t)((x >> 8) % shape.vocab);
        targets[i] = (uint16_t)((inputs[i] * 7u + 3u) % shape.vocab);
    }
}

static struct run train(const struct gx_device *device, const struct gx_gpt2 *model,
                        struct gx_device_config config, const float *from)
{
    static uint16_t inputs[BATCH * 128], targets[BATCH * 128];
    struct run run = {.params = calloc(model->param_count, sizeof(float))};
    void *state;
    int rc = device->create(model, &config, &state);
    if (rc == 0)
        rc = device->set(state, GX_PARAMS, from);
    for (uint32_t i = 0; i < STEPS && rc == 0; i++) {
        fill(inputs, targets, i);
        rc = device->step(state, inputs, targets, 0.001f, i + 1, &run.losses[i]);
    }
    if (rc == 0)
        rc = device->eval(state, inputs, targets, &run.losses[STEPS]);
    if (rc == 0)
        rc = device->get(state, GX_PARAMS, run.params);
    if (rc != 0)
        fail(device, rc);
    device->destroy(state);
    return run;
}

static double apart(const float *a, const float *b, const float *from, uint64_t count)
{
    double difference = 0, moved = 0;
    for (uint64_t i = 0; i < count; i++) {
        difference += pow((double)a[i] - (double)b[i], 2);
        moved += pow((double)a[i] - (double)from[i], 2);
    }
    return sqrt(difference / moved);
}

struct bound {
    const char *name;
    enum gx_precision precision;
    enum gx_recompute recompute;
    double loss, params;
    enum gx_attention attention;
};

static bool compare(const struct gx_gpt2 *model, const struct run *cpu, const float *from,
                    struct gx_device_config config, const struct bound *b)
{
    config.precision = b->precision;
    config.recompute = b->recompute;
    config.attention = b->attention;
    config.deterministic = b->attention != GX_ATTENTION_CUDNN; /* it has other bits every time */
    struct run gpu = train(&gx_cuda_device, model, config, from);
    struct run again = train(&gx_cuda_device, model, config, from);
    const bool same = !config.deterministic ||
                      memcmp(gpu.params, again.params, model->param_count * sizeof(float)) == 0;
    double losses = 0, params = apart(cpu->params, gpu.params, from, model->param_count);
    for (int i = 0; i <= STEPS; i++)
        losses = fmax(losses, fabs((double)cpu->losses[i] - (double)gpu.losses[i]));
    const bool good = losses < b->loss && params < b->params && same;
    table_row(b->name, "%s losses %.1e apart, parameters %.1e of the way%s|%.0e, %.0e%s",
              good ? "ok:" : "NOT OK:", losses, params, same ? "" : ", OTHER BITS AGAIN", b->loss,
              b->params, config.deterministic ? ", the same bits again" : "");
    free(gpu.params);
    free(again.params);
    return good;
}

static bool has_cudnn(const char *row)
{
    const struct gx_gpu_attention_shape attention = {BATCH, shape.context, shape.heads,
                                                     shape.width / shape.heads};
    struct gx_cudnn_attention *cudnn;
    struct gx_dev_properties properties;
    const char *why;
    if (gx_dev_open(0, &properties) != 0)
        return false;
    int rc = gx_cudnn_attention_create(&cudnn, attention, &why);
    if (rc != 0)
        table_row(row, "%.120s|", why);
    else
        gx_cudnn_attention_destroy(cudnn);
    gx_dev_close();
    return rc == 0;
}

int main(void)
{
    static const struct bound bounds[] = {
        {"20 steps, fp32, against the CPU", GX_PRECISION_FP32, GX_RECOMPUTE_NONE, 2e-5, 1e-3,
         GX_ATTENTION_OWN},
        {"20 steps, tf32", GX_PRECISION_TF32, GX_RECOMPUTE_NONE, 5e-3, 0.1, GX_ATTENTION_OWN},
        {"20 steps, bf16", GX_PRECISION_BF16, GX_RECOMPUTE_NONE, 2e-2, 0.2, GX_ATTENTION_OWN},
        {"20 steps, bf16, --recompute layers", GX_PRECISION_BF16, GX_RECOMPUTE_LAYERS, 2e-2, 0.2,
         GX_ATTENTION_OWN},
        {"20 steps, bf16, --attention cudnn", GX_PRECISION_BF16, GX_RECOMPUTE_NONE, 2e-2, 0.2,
         GX_ATTENTION_CUDNN},
    };
    const char *why;
    if (!gx_cuda_present(&why)) {
        printf("skip: %s\n", why);
        return 77;
    }
    struct gx_gpt2 model;
    struct gx_failure failure;
    const struct gx_device_config config = {.batch = BATCH,
                                            .threads = 4,
                                            .beta1 = 0.9f,
                                            .beta2 = 0.95f,
                                            .epsilon = 1e-8f,
                                            .weight_decay = 0.1f,
                                            .clip_norm = 1.0f};
    if (gx_gpt2_init(&model, &shape, &failure) != 0)
        return 1;
    float *from = calloc(model.param_count, sizeof(float));
    gx_gpt2_randomize(&model, from, 3);
    struct run cpu = train(&gx_cpu_device, &model, config, from);
    bool good = true;
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
        if (bounds[i].attention != GX_ATTENTION_CUDNN || has_cudnn(bounds[i].name))
            good = compare(&model, &cpu, from, config, &bounds[i]) && good;
    free(cpu.params);
    free(from);
    return good ? 0 : 1;
}
