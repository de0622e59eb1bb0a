/* The CPU behind trainer/device.h. */
#include "device.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/adamw.h"
#include "cpu/gemm.h"
#include "cpu/gpt2.h"
#include "cpu/parallel.h"
#include "ranks.h"

struct cpu {
    struct gx_gpt2 model;
    struct gx_device_config config;
    char machine[64];
    struct gx_gpt2_activations *acts;
    float *arrays[GX_DEVICE_ARRAY_COUNT];
    float
        *grads; /* [param_count + 1]: the loss follows, so that one sum over the ranks takes both */
};

static float *allocate(uint64_t count)
{
    size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
    float *p = aligned_alloc(64, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

static void cpu_destroy(void *state)
{
    struct cpu *cpu = state;
    if (!cpu)
        return;
    gx_gpt2_activations_destroy(cpu->acts);
    for (int i = 0; i < GX_DEVICE_ARRAY_COUNT; i++)
        free(cpu->arrays[i]);
    free(cpu->grads);
    free(cpu);
}

static int cpu_create(const struct gx_gpt2 *model, const struct gx_device_config *config,
                      void **out)
{
    gx_gemm_start();
    gx_parallel_set_threads(config->threads);
    struct cpu *cpu = calloc(1, sizeof(*cpu));
    if (!cpu)
        return -ENOMEM;
    cpu->model = *model;
    cpu->config = *config;
    cpu->acts = gx_gpt2_activations_create(&cpu->model, config->batch);
    cpu->grads = allocate(model->param_count + 1);
    bool complete = cpu->acts && cpu->grads;
    for (int i = 0; i < GX_DEVICE_ARRAY_COUNT; i++) {
        cpu->arrays[i] = allocate(model->param_count);
        complete = complete && cpu->arrays[i];
    }
    if (!complete) {
        cpu_destroy(cpu);
        return -ENOMEM;
    }
    snprintf(cpu->machine, sizeof(cpu->machine), "CPU, %u threads, FP32", config->threads);
    *out = cpu;
    return 0;
}

static int forward_loss(struct cpu *cpu, const uint16_t *inputs, const uint16_t *targets,
                        float *loss)
{
    gx_gpt2_forward(cpu->acts, cpu->arrays[GX_PARAMS], inputs, cpu->config.batch,
                    cpu->model.config.context);
    *loss = (float)gx_gpt2_loss(cpu->acts, targets);
    return isfinite(*loss) ? 0 : -EDOM;
}

/* Adds up the ranks' gradients and makes `loss` their mean. A rank whose loss is not finite takes part all the same, and
 * so they all learn of it. */
static int sum_ranks(struct cpu *cpu, float *loss)
{
    struct gx_ranks *ranks = cpu->config.ranks;
    float *loss_sum = cpu->grads + cpu->model.param_count;
    *loss_sum = *loss;
    int rc = gx_ranks_sum(ranks, cpu->grads, cpu->model.param_count + 1);
    *loss = *loss_sum / (float)ranks->count;
    return rc != 0 || isfinite(*loss) ? rc : -EDOM;
}

static int cpu_step(void *state, const uint16_t *inputs, const uint16_t *targets, float lr,
                    uint64_t update, float *loss)
{
    struct cpu *cpu = state;
    int rc = forward_loss(cpu, inputs, targets, loss);
    if (rc == 0)
        gx_gpt2_backward(cpu->acts, cpu->arrays[GX_PARAMS], cpu->grads, inputs, targets);
    if (cpu->config.ranks)
        rc = sum_ranks(cpu, loss);
    if (rc != 0)
        return rc;
    const double parts = cpu->config.ranks ? (double)cpu->config.ranks->count : 1.0;
    const double norm = gx_global_norm(cpu->grads, cpu->model.param_count) / parts;
    if (!isfinite(norm))
        return -EDOM;
    struct gx_adamw opt = {
        .lr = lr,
        .beta1 = cpu->config.beta1,
        .beta2 = cpu->config.beta2,
        .epsilon = cpu->config.epsilon,
        .weight_decay = cpu->config.weight_decay,
        .grad_scale = (float)((double)gx_clip_scale(norm, cpu->config.clip_norm) / parts),
        .update = update,
    };
    for (int i = 0; i < GX_GPT2_TENSOR_COUNT; i++) {
        const struct gx_tensor *t = &cpu->model.tensors[i];
        gx_adamw_step(&opt, cpu->arrays[GX_PARAMS] + t->offset, cpu->arrays[GX_MOMENT1] + t->offset,
                      cpu->arrays[GX_MOMENT2] + t->offset, cpu->grads + t->offset, t->count,
                      t->decay);
    }
    return 0;
}

static int cpu_eval(void *state, const uint16_t *inputs, const uint16_t *targets, float *loss)
{
    return forward_loss(state, inputs, targets, loss);
}

static int cpu_logits(void *state, const uint16_t *tokens, uint32_t count, float *out)
{
    struct cpu *cpu = state;
    const size_t vocab = cpu->model.config.vocab;
    if (count < 1 || count > cpu->model.config.context)
        return -EINVAL;
    const float *logits = gx_gpt2_forward(cpu->acts, cpu->arrays[GX_PARAMS], tokens, 1, count);
    memcpy(out, logits + (count - 1) * vocab, vocab * sizeof(float));
    return 0;
}

static int cpu_get(void *state, enum gx_device_array array, float *dst)
{
    const struct cpu *cpu = state;
    memcpy(dst, cpu->arrays[array], cpu->model.param_count * sizeof(float));
    return 0;
}

static int cpu_set(void *state, enum gx_device_array array, const float *src)
{
    struct cpu *cpu = state;
    memcpy(cpu->arrays[array], src, cpu->model.param_count * sizeof(float));
    return 0;
}

static const char *cpu_describe(void *state, int error)
{
    (void)state;
    return strerror(-error);
}

static const char *cpu_machine(void *state)
{
    return ((struct cpu *)state)->machine;
}

const struct gx_device gx_cpu_device = {
    .name = "cpu",
    .create = cpu_create,
    .destroy = cpu_destroy,
    .step = cpu_step,
    .eval = cpu_eval,
    .logits = cpu_logits,
    .get = cpu_get,
    .set = cpu_set,
    .describe = cpu_describe,
    .machine = cpu_machine,
};
