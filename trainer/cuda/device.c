/* The GPU behind trainer/device.h. */
#include "device.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/adamw.h"
#include "cuda/state.h"
#include "cuda/elementwise.h"
#include "cuda/embedding.h"
#include "cuda/sum.h"
#include "ranks.h"

#define PIECE_VALUES (16u << 20)
#define ROUNDING_SEED 0 /* of nothing: the bf16 copy is rounded to nearest from FP32 masters */

/* ---- memory ---- */

static size_t batch_bytes(const struct gx_cuda *c, size_t *targets, size_t *index)
{
    const size_t tokens = (c->rows * sizeof(uint16_t) + 15) / 16 * 16;
    *targets = sizeof(struct gx_gpu_adamw) + tokens;
    *index = *targets + tokens;
    return *index + gx_token_index_bytes(c->rows);
}

/* Everything that the device holds; `split` gets what each kind of it takes. */
static void place(struct gx_cuda *c, struct gx_pool *pool, struct gx_cuda_split *split)
{
    const uint64_t N = c->model.param_count;
    size_t before = pool->used_bytes;
    for (int i = 0; i < GX_DEVICE_ARRAY_COUNT; i++)
        c->arrays[i] = gx_pool_take(pool, N * sizeof(float));
    /* The loss follows the gradients: one sum over several devices takes both. */
    c->grads = gx_pool_take(pool, (N + 1) * sizeof(float));
    c->copy = c->dtype == GX_DTYPE_BF16 ? gx_pool_take(pool, N * 2) : NULL;
    split->params = pool->used_bytes - before;

    before = pool->used_bytes;
    if (c->config.outer == GX_OUTER_ON_DEVICE) {
        c->theta = gx_pool_take(pool, N * sizeof(float));
        c->momentum = gx_pool_take(pool, N * sizeof(float));
    }
    if (c->config.outer != GX_OUTER_NONE)
        c->wire = gx_pool_take(pool, gx_wire_bytes(c->config.format, N));
    split->outer = pool->used_bytes - before;

    before = pool->used_bytes;
    gx_gpu_gpt2_place(c->gpt2, pool);
    c->batch = gx_pool_take(pool, c->batch_bytes);
    c->results = gx_pool_take(pool, sizeof(*c->results));
    c->refused = gx_pool_take(pool, sizeof(*c->refused));
    c->norm_scratch = gx_pool_take(pool, gx_gpu_norm_scratch_bytes(N));
    c->workspace = gx_pool_take(pool, GX_MATMUL_WORKSPACE_BYTES);
    split->activations = pool->used_bytes - before;
}

static int too_small(const struct gx_cuda *c, size_t wanted, const struct gx_cuda_split *split)
{
    const char *recompute =
        c->config.recompute == GX_RECOMPUTE_LAYERS ? "" : ", --recompute layers";
    const char *offload = c->config.outer == GX_OUTER_ON_DEVICE ? ", --outer-offload" : "";
    return gx_dev_fail(-ENOMEM,
                       "%zu MiB of memory are wanted, %" PRIu64
                       " are free on %s (parameters and AdamW %zu, outer step %zu, activations "
                       "%zu): less is taken by a smaller --batch (%u) or --context%s%s",
                       wanted >> 20, c->properties.free_bytes >> 20, c->properties.name,
                       split->params >> 20, split->outer >> 20, split->activations >> 20,
                       c->config.batch, recompute, offload);
}

static int allocate(struct gx_cuda *c)
{
    struct gx_pool pool = {NULL, 0};
    struct gx_cuda_split split;
    size_t targets, index;
    c->batch_bytes = batch_bytes(c, &targets, &index);
    place(c, &pool, &split);
    const size_t wanted = pool.used_bytes;
    int rc = wanted > c->properties.free_bytes ? -ENOMEM : gx_dev_alloc(&c->memory, wanted);
    if (rc == -ENOMEM)
        return too_small(c, wanted, &split);
    if (rc != 0)
        return rc;
    c->memory_bytes = wanted;
    pool = (struct gx_pool){c->memory, 0};
    place(c, &pool, &split);
    c->tokens.inputs = (uint16_t *)(void *)(c->batch + sizeof(struct gx_gpu_adamw));
    c->tokens.targets = (uint16_t *)(void *)(c->batch + targets);
    c->tokens.index = c->batch + index;

    rc = gx_dev_host_alloc((void **)&c->host_batch, c->batch_bytes);
    if (rc == 0)
        rc = gx_dev_host_alloc((void **)&c->host_results, sizeof(*c->host_results));
    if (rc == 0)
        rc = gx_dev_host_alloc((void **)&c->host_refused, sizeof(*c->host_refused));
    c->counts = calloc((size_t)c->model.config.vocab + 1, sizeof(*c->counts));
    return rc == 0 && !c->counts ? gx_dev_fail(-ENOMEM, "no memory") : rc;
}

/* ---- creation ---- */

/* Which parameters decay, as ranges: neighbours of a kind are one. */
static void list_decay(struct gx_cuda *c)
{
    for (int i = 0; i < GX_GPT2_TENSOR_COUNT; i++) {
        const struct gx_tensor *t = &c->model.tensors[i];
        const uint32_t last = c->decay.count - 1;
        if (c->decay.count == 0 || (c->decay.decays >> last & 1) != t->decay) {
            c->decay.decays |= (uint32_t)t->decay << c->decay.count;
            c->decay.count++;
        }
        c->decay.end[c->decay.count - 1] = t->offset + t->count;
    }
}

static int create_queues(struct gx_cuda *c)
{
    int rc = gx_dev_stream_create(&c->compute, false);
    if (rc == 0)
        rc = gx_dev_stream_create(&c->in, true);
    if (rc == 0)
        rc = gx_dev_stream_create(&c->out, true);
    struct gx_dev_event **const events[] = {&c->came, &c->made, &c->gone, &c->stepped};
    for (int i = 0; i < 4 && rc == 0; i++)
        rc = gx_dev_event_create(events[i], false);
    return rc;
}

/* All memory is zero, then a batch of token 0 goes through the model: whatever is loaded late is loaded now. */
static int warm_up(struct gx_cuda *c)
{
    const struct gx_gpu_gpt2_arrays arrays = {c->arrays[GX_PARAMS], c->copy, c->grads};
    memset(c->host_batch, 0, c->batch_bytes);
    char *index = c->host_batch + ((const char *)c->tokens.index - c->batch);
    gx_token_index_fill(index, c->counts, gx_cuda_host_inputs(c), c->rows, c->model.config.vocab);
    gx_dev_zero(c->memory, c->memory_bytes, c->compute);
    gx_dev_copy_in(c->batch, c->host_batch, c->batch_bytes, c->compute);
    return gx_gpu_gpt2_start(c->gpt2, &arrays, &c->tokens, c->workspace, c->compute);
}

static void describe_machine(struct gx_cuda *c)
{
    static const char *const names[] = {"", "FP32", "TF32", "bf16"};
    snprintf(c->machine, sizeof(c->machine),
             "GPU %u, %s, %s, attention: %s, %zu of %" PRIu64 " MiB", c->config.gpu,
             c->properties.name, names[c->config.precision], gx_gpu_gpt2_attention(c->gpt2),
             c->memory_bytes >> 20, c->properties.memory_bytes >> 20);
}

static void cuda_destroy(void *state)
{
    struct gx_cuda *c = state;
    if (!c)
        return;
    gx_cuda_outer.detach(c);
    gx_dev_graph_destroy(c->step_graph);
    gx_dev_graph_destroy(c->eval_graph);
    gx_dev_stream_destroy(c->compute);
    gx_dev_stream_destroy(c->in);
    gx_dev_stream_destroy(c->out);
    gx_dev_event_destroy(c->came);
    gx_dev_event_destroy(c->made);
    gx_dev_event_destroy(c->gone);
    gx_dev_event_destroy(c->stepped);
    if (c->config.ranks)
        gx_gpu_sum_close(c->config.ranks);
    gx_gpu_gpt2_destroy(c->gpt2);
    gx_dev_free(c->memory);
    gx_dev_host_free(c->host_batch);
    gx_dev_host_free(c->host_results);
    gx_dev_host_free(c->host_refused);
    gx_dev_close();
    free(c->counts);
    free(c);
}

static int cuda_create(const struct gx_gpt2 *model, const struct gx_device_config *config,
                       void **out)
{
    struct gx_dev_properties properties;
    int rc = gx_dev_open(config->gpu, &properties);
    if (rc != 0)
        return rc;
    struct gx_cuda *c = calloc(1, sizeof(*c));
    if (!c)
        return gx_dev_fail(-ENOMEM, "no memory");
    c->model = *model;
    c->config = *config;
    c->properties = properties;
    if (c->config.precision == GX_PRECISION_DEFAULT)
        c->config.precision = GX_PRECISION_BF16;
    c->dtype = gx_gpu_gpt2_dtype(c->config.precision);
    c->rows = config->batch * model->config.context;
    c->piece_values = PIECE_VALUES;
    list_decay(c);
    const struct gx_gpu_gpt2_config gpt2 = {
        .batch = config->batch,
        .precision = c->config.precision,
        .recompute = config->recompute,
        .attention = config->attention == GX_ATTENTION_AUTO && config->deterministic
                         ? GX_ATTENTION_OWN
                         : config->attention,
        .tune = !config->deterministic,
        .capability = properties.capability,
    };
    rc = gx_gpu_gpt2_create(&c->gpt2, &c->model, &gpt2);
    if (rc == 0)
        rc = allocate(c);
    if (rc == 0)
        rc = create_queues(c);
    if (rc == 0)
        rc = warm_up(c);
    if (rc == 0 && c->config.ranks)
        rc = gx_gpu_sum_open(c->config.ranks);
    if (rc != 0) {
        cuda_destroy(c);
        return rc;
    }
    describe_machine(c);
    *out = c;
    return 0;
}

/* ---- a step ---- */

static void queue_step(struct gx_cuda *c)
{
    struct gx_ranks *ranks = c->config.ranks;
    const float scale = 1 / ((float)c->rows * (float)(ranks ? ranks->count : 1));
    float *loss = c->grads + c->model.param_count;
    gx_dev_copy_in(c->batch, c->host_batch, c->batch_bytes, c->compute);
    gx_gpu_gpt2_forward(c->gpt2, c->tokens.inputs, c->config.batch);
    gx_gpu_gpt2_backward(c->gpt2, loss, &c->tokens, scale);
    if (ranks) /* each has its part of the mean */
        gx_gpu_sum(ranks, c->grads, c->model.param_count + 1, c->compute);
    gx_gpu_norm_compute(&c->results->norm, c->grads, loss, c->norm_scratch, c->model.param_count,
                        c->config.clip_norm, c->compute);
    gx_gpu_adamw_step((const struct gx_gpu_adamw *)(const void *)c->batch, &c->results->norm,
                      &c->decay, c->arrays[GX_PARAMS], c->arrays[GX_MOMENT1], c->arrays[GX_MOMENT2],
                      c->grads, c->copy, GX_ROUND_NEAREST, c->compute);
    gx_dev_copy(&c->results->loss, loss, sizeof(*loss), c->compute);
    gx_dev_copy_out(c->host_results, c->results, sizeof(*c->results), c->compute);
}

static void queue_eval(struct gx_cuda *c)
{
    gx_dev_copy_in(c->batch, c->host_batch, c->batch_bytes, c->compute);
    gx_gpu_gpt2_forward(c->gpt2, c->tokens.inputs, c->config.batch);
    gx_gpu_gpt2_loss(c->gpt2, &c->results->loss, c->tokens.targets, 1 / (float)c->rows);
    gx_dev_copy_out(c->host_results, c->results, sizeof(*c->results), c->compute);
}

/* Waits for the step; with several ranks not for ever. */
static int finish(struct gx_cuda *c)
{
    if (!c->config.ranks)
        return gx_dev_sync(c->compute);
    int rc;
    gx_dev_event_record(c->stepped, c->compute);
    while ((rc = gx_dev_event_query(c->stepped)) == -EAGAIN)
        if (gx_gpu_sum_check(c->config.ranks) != 0)
            return gx_dev_sync(c->compute);
    return rc;
}

/* The first time as it is, so that what remains to be loaded is loaded; then by a graph. */
static int run(struct gx_cuda *c, void (*queue)(struct gx_cuda *), struct gx_dev_graph **graph,
               uint32_t *runs)
{
    if ((*runs)++ == 0) {
        queue(c);
        return finish(c);
    }
    if (!*graph) {
        int rc = gx_dev_graph_begin(c->compute);
        if (rc != 0)
            return rc;
        queue(c);
        rc = gx_dev_graph_end(graph, c->compute);
        if (rc != 0)
            return rc;
    }
    gx_dev_graph_launch(*graph, c->compute);
    return finish(c);
}

static void fill_batch(struct gx_cuda *c, const uint16_t *inputs, const uint16_t *targets)
{
    char *index = c->host_batch + ((const char *)c->tokens.index - c->batch);
    char *wanted = c->host_batch + ((const char *)c->tokens.targets - c->batch);
    memcpy(gx_cuda_host_inputs(c), inputs, c->rows * sizeof(*inputs));
    memcpy(wanted, targets, c->rows * sizeof(*targets));
    gx_token_index_fill(index, c->counts, inputs, c->rows, c->model.config.vocab);
}

static int cuda_step(void *state, const uint16_t *inputs, const uint16_t *targets, float lr,
                     uint64_t update, float *loss)
{
    struct gx_cuda *c = state;
    const struct gx_adamw opt = {
        .lr = lr,
        .beta1 = c->config.beta1,
        .beta2 = c->config.beta2,
        .epsilon = c->config.epsilon,
        .weight_decay = c->config.weight_decay,
        .update = update,
    };
    fill_batch(c, inputs, targets);
    gx_gpu_adamw_fill((struct gx_gpu_adamw *)(void *)c->host_batch, &opt, ROUNDING_SEED);
    int rc = run(c, queue_step, &c->step_graph, &c->steps);
    if (rc != 0)
        return rc;
    *loss = c->host_results->loss;
    return c->host_results->norm.finite && isfinite(*loss) ? 0 : -EDOM;
}

static int cuda_eval(void *state, const uint16_t *inputs, const uint16_t *targets, float *loss)
{
    struct gx_cuda *c = state;
    fill_batch(c, inputs, targets);
    int rc = run(c, queue_eval, &c->eval_graph, &c->evals);
    if (rc != 0)
        return rc;
    *loss = c->host_results->loss;
    return isfinite(*loss) ? 0 : -EDOM;
}

/* One sequence, filled up with token 0: what comes later changes nothing before it. */
static int cuda_logits(void *state, const uint16_t *tokens, uint32_t count, float *out)
{
    struct gx_cuda *c = state;
    const uint32_t context = c->model.config.context, vocab = c->model.config.vocab;
    if (count < 1 || count > context)
        return gx_dev_fail(-EINVAL, "logits of %u tokens: 1 to %u", count, context);
    uint16_t *inputs = gx_cuda_host_inputs(c);
    memset(inputs, 0, context * sizeof(*inputs));
    memcpy(inputs, tokens, count * sizeof(*inputs));
    gx_dev_copy_in(c->batch, c->host_batch, c->batch_bytes, c->compute);
    gx_gpu_gpt2_forward(c->gpt2, c->tokens.inputs, 1);
    uint32_t stride;
    const char *logits = gx_gpu_gpt2_logits(c->gpt2, &stride);
    const void *row = logits + (size_t)(count - 1) * stride * gx_dtype_bytes(c->dtype);
    if (c->dtype ==
        GX_DTYPE_BF16) { /* gradients are of no use between steps, and longer than a row */
        gx_gpu_cast_fp32(c->grads, row, vocab, c->compute);
        row = c->grads;
    }
    gx_dev_copy_out(out, row, vocab * sizeof(*out), c->compute);
    return gx_dev_sync(c->compute);
}

/* ---- arrays ---- */

static int cuda_get(void *state, enum gx_device_array array, float *dst)
{
    struct gx_cuda *c = state;
    gx_dev_copy_out(dst, c->arrays[array], c->model.param_count * sizeof(float), c->compute);
    return gx_dev_sync(c->compute);
}

static int cuda_set(void *state, enum gx_device_array array, const float *src)
{
    struct gx_cuda *c = state;
    const uint64_t count = c->model.param_count;
    gx_dev_copy_in(c->arrays[array], src, count * sizeof(float), c->compute);
    if (array == GX_PARAMS && c->copy)
        gx_gpu_cast_bf16(c->copy, c->arrays[array], count, c->compute);
    return gx_dev_sync(c->compute);
}

static const char *cuda_describe(void *state, int error)
{
    (void)state;
    (void)error;
    return gx_dev_error();
}

static const char *cuda_machine(void *state)
{
    return ((struct gx_cuda *)state)->machine;
}

bool gx_cuda_present(const char **why)
{
    bool present = gx_dev_present();
    *why = present ? NULL : gx_dev_error();
    return present;
}

const struct gx_device gx_cuda_device = {
    .name = "cuda",
    .create = cuda_create,
    .destroy = cuda_destroy,
    .step = cuda_step,
    .eval = cuda_eval,
    .logits = cuda_logits,
    .get = cuda_get,
    .set = cuda_set,
    .describe = cuda_describe,
    .machine = cuda_machine,
    .outer = &gx_cuda_outer,
};
