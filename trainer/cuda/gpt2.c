#include "cuda/gpt2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/attention.h"
#include "cuda/attention_cudnn.h"
#include "cuda/classifier.h"
#include "cuda/dev.h"
#include "cuda/elementwise.h"
#include "cuda/embedding.h"
#include "cuda/layernorm.h"
#include "cuda/product.h"

#define VOCAB_MULTIPLE 128u /* rows of logits start at 256 bytes in bf16 */

/* What one layer keeps for the way back. With recomputation, layers share what is computed anew. */
struct layer_acts {
    void *ln1, *qkv, *att, *mid, *ln2, *fc, *gelu, *out;
    float *mean1, *rstd1, *lse, *mean2, *rstd2;
};

enum forward_product { QKV, ATTPROJ, FC, FCPROJ, HEAD, FORWARD_COUNT };
enum backward_product {
    QKV_INPUT,
    QKV_WEIGHT,
    ATTPROJ_INPUT,
    ATTPROJ_WEIGHT,
    FC_INPUT,
    FC_WEIGHT,
    FCPROJ_INPUT,
    FCPROJ_WEIGHT,
    HEAD_INPUT,
    HEAD_WEIGHT,
    BACKWARD_COUNT
};

/* The batch's shape, and a single sequence's for sampling. */
enum shape { BATCH, SINGLE, SHAPE_COUNT };

struct gx_gpu_gpt2 {
    const struct gx_gpt2 *model;
    struct gx_gpu_gpt2_config config;
    struct gx_gpu_gpt2_arrays arrays;
    enum gx_dtype type;
    uint32_t stride; /* of logits */
    uint32_t padded; /* columns of logits that are computed */
    struct gx_product_context context;
    struct gx_product forward[SHAPE_COUNT][FORWARD_COUNT];
    struct gx_product backward[BACKWARD_COUNT];
    struct gx_cudnn_attention *cudnn; /* NULL: our own attention */
    void *cudnn_scratch;
    struct layer_acts *layers;
    void *embedded, *lnf, *logits;
    float *meanf, *rstdf, *losses;
    /* on the way back */
    void *dstream, *dwidth, *dqkv, *dfc;
    float *delta;
};

enum gx_dtype gx_gpu_gpt2_dtype(enum gx_precision precision)
{
    return precision == GX_PRECISION_BF16 ? GX_DTYPE_BF16 : GX_DTYPE_FP32;
}

/* ---- creation ---- */

static struct gx_gpu_attention_shape attention_shape(const struct gx_gpu_gpt2 *g,
                                                     uint32_t sequences)
{
    const struct gx_gpt2_config *c = &g->model->config;
    return (struct gx_gpu_attention_shape){sequences, c->context, c->heads, c->width / c->heads};
}

/* cuDNN can't do what it was asked for: our own attention takes its place, unless cuDNN's alone was wanted. */
static int without_cudnn(struct gx_gpu_gpt2 *g, int rc, const char *why)
{
    gx_cudnn_attention_destroy(g->cudnn);
    g->cudnn = NULL;
    return g->config.attention == GX_ATTENTION_CUDNN
               ? gx_dev_fail(rc, "--attention cudnn: %s (or --attention own)", why)
               : 0;
}

static int choose_attention(struct gx_gpu_gpt2 *g)
{
    const char *why;
    if (g->config.attention == GX_ATTENTION_OWN || g->type != GX_DTYPE_BF16)
        return 0;
    int rc = gx_cudnn_attention_create(&g->cudnn, attention_shape(g, g->config.batch), &why);
    return rc == 0 ? 0 : without_cudnn(g, rc, why);
}

const char *gx_gpu_gpt2_attention(const struct gx_gpu_gpt2 *g)
{
    return g->cudnn ? gx_cudnn_attention_name(g->cudnn) : "own";
}

static int check_shape(const struct gx_gpt2 *model, uint32_t batch)
{
    const struct gx_gpt2_config *c = &model->config;
    const struct gx_gpu_attention_shape shape = {batch, c->context, c->heads, c->width / c->heads};
    if (!gx_gpu_attention_has(shape))
        return gx_dev_fail(-EINVAL,
                           "--width %u --heads %u: a GPU computes heads of 32, 64 or 128 channels, "
                           "not of %u (--device cpu takes any)",
                           c->width, c->heads, c->width / c->heads);
    if (c->width > GX_GPU_LAYERNORM_WIDTH_MAX)
        return gx_dev_fail(-EINVAL, "--width %u: must be at most %u on a GPU", c->width,
                           GX_GPU_LAYERNORM_WIDTH_MAX);
    return 0;
}

int gx_gpu_gpt2_create(struct gx_gpu_gpt2 **out, const struct gx_gpt2 *model,
                       const struct gx_gpu_gpt2_config *config)
{
    const struct gx_gpt2_config *c = &model->config;
    *out = NULL;
    int rc = check_shape(model, config->batch);
    if (rc != 0)
        return rc;
    struct gx_gpu_gpt2 *g = calloc(1, sizeof(*g));
    if (g)
        g->layers = calloc(c->layers, sizeof(*g->layers));
    if (!g || !g->layers) {
        free(g);
        return gx_dev_fail(-ENOMEM, "no memory");
    }
    g->model = model;
    g->config = *config;
    g->type = gx_gpu_gpt2_dtype(config->precision);
    g->stride = (c->vocab + VOCAB_MULTIPLE - 1) / VOCAB_MULTIPLE * VOCAB_MULTIPLE;
    /* Products are faster with whole tiles. The rows that wte lacks for that are wpe's first ones, which lie behind it: the
     * logits that they give are padding, whose gradient is zero; where HEAD_WEIGHT writes those zeros into wpe's gradient
     * the embedding's way back comes later and overwrites them. */
    g->padded = g->stride - c->vocab <= c->context ? g->stride : c->vocab;
    *out = g;
    return choose_attention(g);
}

void gx_gpu_gpt2_destroy(struct gx_gpu_gpt2 *g)
{
    if (!g)
        return;
    for (int s = 0; s < SHAPE_COUNT; s++)
        for (int i = 0; i < FORWARD_COUNT; i++)
            gx_product_fini(&g->forward[s][i]);
    for (int i = 0; i < BACKWARD_COUNT; i++)
        gx_product_fini(&g->backward[i]);
    gx_matmul_close(g->context.library);
    gx_cudnn_attention_destroy(g->cudnn);
    free(g->layers);
    free(g);
}

/* ---- memory ---- */

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* `of` NULL: memory of its own; else what the layer `of` has. */
static void place_layer(const struct gx_gpu_gpt2 *g, struct layer_acts *y,
                        const struct layer_acts *of, struct gx_pool *pool)
{
    const struct gx_gpt2_config *c = &g->model->config;
    const size_t rows = (size_t)g->config.batch * c->context;
    const size_t row = c->width * gx_dtype_bytes(g->type);
    const bool cheap = of && g->config.recompute != GX_RECOMPUTE_NONE;
    const bool all = of && g->config.recompute == GX_RECOMPUTE_LAYERS;
    y->ln1 = cheap ? of->ln1 : gx_pool_take(pool, rows * row);
    y->ln2 = cheap ? of->ln2 : gx_pool_take(pool, rows * row);
    y->gelu = cheap ? of->gelu : gx_pool_take(pool, rows * 4 * row);
    y->qkv = all ? of->qkv : gx_pool_take(pool, rows * 3 * row);
    y->att = all ? of->att : gx_pool_take(pool, rows * row);
    y->mid = all ? of->mid : gx_pool_take(pool, rows * row);
    y->fc = all ? of->fc : gx_pool_take(pool, rows * 4 * row);
    y->lse = all ? of->lse : gx_pool_take(pool, rows * c->heads * sizeof(float));
    y->mean1 = all ? of->mean1 : gx_pool_take(pool, rows * sizeof(float));
    y->rstd1 = all ? of->rstd1 : gx_pool_take(pool, rows * sizeof(float));
    y->mean2 = all ? of->mean2 : gx_pool_take(pool, rows * sizeof(float));
    y->rstd2 = all ? of->rstd2 : gx_pool_take(pool, rows * sizeof(float));
    y->out = gx_pool_take(pool, rows * row);
}

void gx_gpu_gpt2_place(struct gx_gpu_gpt2 *g, struct gx_pool *pool)
{
    const struct gx_gpt2_config *c = &g->model->config;
    const uint32_t rows32 = g->config.batch * c->context;
    const size_t rows = rows32, value = gx_dtype_bytes(g->type), row = c->width * value;
    g->embedded = gx_pool_take(pool, rows * row);
    for (uint32_t l = 0; l < c->layers; l++)
        place_layer(g, &g->layers[l], l > 0 ? &g->layers[0] : NULL, pool);
    g->lnf = gx_pool_take(pool, rows * row);
    g->meanf = gx_pool_take(pool, rows * sizeof(float));
    g->rstdf = gx_pool_take(pool, rows * sizeof(float));
    g->logits = gx_pool_take(pool, rows * g->stride * value);
    g->losses = gx_pool_take(pool, rows * sizeof(float));
    g->dstream = gx_pool_take(pool, rows * row);
    g->dwidth = gx_pool_take(pool, rows * row);
    g->dqkv = gx_pool_take(pool, rows * 3 * row);
    g->dfc = gx_pool_take(pool, rows * 4 * row);
    g->delta = gx_pool_take(pool, rows * c->heads * sizeof(float));
    size_t scratch = gx_product_scratch_bytes(rows32, 4 * c->width);
    scratch = larger(scratch, gx_gpu_layernorm_scratch_bytes(rows32, c->width));
    scratch = larger(scratch, gx_gpu_embedding_scratch_bytes(rows32, c->width));
    g->context.scratch = gx_pool_take(pool, scratch);
    if (g->cudnn)
        g->cudnn_scratch = gx_pool_take(pool, gx_cudnn_attention_scratch_bytes(g->cudnn));
}

/* ---- products ---- */

static int plan_forward(struct gx_gpu_gpt2 *g, enum shape shape, uint32_t rows)
{
    const struct gx_product_context *x = &g->context;
    struct gx_product *p = g->forward[shape];
    const uint32_t C = g->model->config.width;
    int rc = gx_product_init_forward(&p[QKV], x, rows, C, 3 * C, 3 * C, GX_EPILOGUE_BIAS, false);
    if (rc == 0)
        rc = gx_product_init_forward(&p[ATTPROJ], x, rows, C, C, C, GX_EPILOGUE_BIAS, true);
    if (rc == 0)
        rc =
            gx_product_init_forward(&p[FC], x, rows, C, 4 * C, 4 * C, GX_EPILOGUE_BIAS_GELU, false);
    if (rc == 0)
        rc = gx_product_init_forward(&p[FCPROJ], x, rows, 4 * C, C, C, GX_EPILOGUE_BIAS, true);
    if (rc == 0)
        rc = gx_product_init_forward(&p[HEAD], x, rows, C, g->padded, g->stride, GX_EPILOGUE_NONE,
                                     false);
    return rc;
}

static int plan_backward(struct gx_gpu_gpt2 *g, uint32_t rows)
{
    const struct gx_product_context *x = &g->context;
    const uint32_t C = g->model->config.width;
    /* width of the input and of the output in C, GELU on the input's side */
    static const struct {
        uint8_t ins, outs;
        bool gelu;
    } linear[] = {{1, 3, false}, {1, 1, false}, {1, 4, false}, {4, 1, true}};
    int rc = 0;
    for (uint32_t i = 0; i < 4 && rc == 0; i++) {
        const uint32_t ins = linear[i].ins * C, outs = linear[i].outs * C;
        rc = gx_product_init_input(&g->backward[2 * i], x, rows, ins, outs, outs,
                                   linear[i].gelu ? GX_EPILOGUE_DGELU : GX_EPILOGUE_NONE);
        if (rc == 0)
            rc = gx_product_init_weight(&g->backward[2 * i + 1], x, rows, ins, outs, outs,
                                        GX_EPILOGUE_BIAS_GRAD);
    }
    if (rc == 0)
        rc = gx_product_init_input(&g->backward[HEAD_INPUT], x, rows, C, g->padded, g->stride,
                                   GX_EPILOGUE_NONE);
    if (rc == 0)
        rc = gx_product_init_weight(&g->backward[HEAD_WEIGHT], x, rows, C, g->padded, g->stride,
                                    GX_EPILOGUE_NONE);
    return rc;
}

/* Every array of activations starts at 256 bytes, every tensor of a layer at a multiple of the width. */
static uint32_t alignment(const struct gx_gpu_gpt2 *g)
{
    const uint32_t row = g->model->config.width * (uint32_t)gx_dtype_bytes(g->type);
    const uint32_t power = row & -row;
    return power < 256 ? power : 256;
}

/* Once each way, on zeros: what cuDNN refuses only now is known before anything depends on it. */
static int try_cudnn(struct gx_gpu_gpt2 *g)
{
    const struct layer_acts *y = &g->layers[0];
    struct gx_dev_stream *stream = g->context.stream;
    const char *why;
    if (!g->cudnn)
        return 0;
    int rc = gx_cudnn_attention_forward(g->cudnn, y->att, y->lse, y->qkv, g->cudnn_scratch, stream,
                                        &why);
    if (rc == 0)
        rc = gx_cudnn_attention_backward(g->cudnn, g->dqkv, g->delta, g->dwidth, y->qkv, y->att,
                                         y->lse, g->cudnn_scratch, stream, &why);
    return rc == 0 ? gx_dev_sync(stream) : without_cudnn(g, rc, why);
}

int gx_gpu_gpt2_start(struct gx_gpu_gpt2 *g, const struct gx_gpu_gpt2_arrays *arrays,
                      const struct gx_gpu_gpt2_batch *batch, void *workspace,
                      struct gx_dev_stream *stream)
{
    const struct gx_gpt2_config *c = &g->model->config;
    const uint32_t rows = g->config.batch * c->context;
    const bool bf16 = g->type == GX_DTYPE_BF16;
    struct gx_product_context *x = &g->context;
    g->arrays = *arrays;
    x->type = g->type;
    x->tf32 = g->config.precision == GX_PRECISION_TF32;
    x->fuse_gelu = bf16 && g->config.capability >= 90;
    x->alignment = alignment(g);
    x->stream = stream;
    int rc = gx_matmul_open(&x->library, workspace);
    if (rc == 0)
        rc = try_cudnn(g);
    if (rc == 0)
        rc = plan_forward(g, BATCH, rows);
    if (rc == 0)
        rc = plan_forward(g, SINGLE, c->context);
    if (rc == 0)
        rc = plan_backward(g, rows);
    if (rc != 0)
        return rc;
    x->tuning = g->config.tune;
    gx_gpu_gpt2_forward(g, batch->inputs, 1);
    gx_gpu_gpt2_forward(g, batch->inputs, g->config.batch);
    gx_gpu_gpt2_loss(g, g->losses, batch->targets, 1);
    gx_gpu_gpt2_backward(g, g->losses, batch, 1);
    x->tuning = false;
    return gx_dev_sync(stream);
}

/* ---- forward ---- */

/* The first value of tensor `id` of layer `l`, as in trainer/cpu/gpt2.c. */
static size_t at(const struct gx_gpu_gpt2 *g, enum gx_gpt2_tensor id, uint32_t l)
{
    const struct gx_tensor *t = &g->model->tensors[id];
    return t->offset + l * (t->count / g->model->config.layers);
}

/* As products read it. */
static const void *weight(const struct gx_gpu_gpt2 *g, size_t offset)
{
    return g->type == GX_DTYPE_BF16 ? (const void *)((const uint16_t *)g->arrays.copy + offset)
                                    : (const void *)(g->arrays.params + offset);
}

static void linear(struct gx_gpu_gpt2 *g, struct gx_product *p, void *y, void *pre, const void *x,
                   size_t w, size_t bias, const void *residual)
{
    const struct gx_linear l = {
        .x = x,
        .w = weight(g, w),
        .bias = weight(g, bias),
        .bias_master = g->arrays.params + bias,
        .residual = residual,
        .y = y,
        .pre = pre,
    };
    gx_product_forward(p, &g->context, &l);
}

static void norm(struct gx_gpu_gpt2 *g, void *y, float *mean, float *rstd, const void *x, size_t w,
                 size_t b, uint32_t rows)
{
    gx_gpu_layernorm_forward(g->type, y, mean, rstd, x, g->arrays.params + w, g->arrays.params + b,
                             rows, g->model->config.width, g->context.stream);
}

static void attention(struct gx_gpu_gpt2 *g, struct layer_acts *y, uint32_t sequences)
{
    const char *why;
    if (!g->cudnn || sequences != g->config.batch)
        gx_gpu_attention_forward(g->type, y->att, y->lse, y->qkv, attention_shape(g, sequences),
                                 g->context.stream);
    else if (gx_cudnn_attention_forward(g->cudnn, y->att, y->lse, y->qkv, g->cudnn_scratch,
                                        g->context.stream, &why) != 0)
        gx_dev_fail(-EIO, "%s", why);
}

/* `again`: on the way back, for what was not kept: the layer's output is not needed then. */
static void layer_forward(struct gx_gpu_gpt2 *g, const void *x, uint32_t l, uint32_t sequences,
                          bool again)
{
    struct layer_acts *y = &g->layers[l];
    struct gx_product *p = g->forward[sequences == g->config.batch ? BATCH : SINGLE];
    const uint32_t rows = sequences * g->model->config.context;
    norm(g, y->ln1, y->mean1, y->rstd1, x, at(g, GX_LN1W, l), at(g, GX_LN1B, l), rows);
    linear(g, &p[QKV], y->qkv, NULL, y->ln1, at(g, GX_QKVW, l), at(g, GX_QKVB, l), NULL);
    attention(g, y, sequences);
    linear(g, &p[ATTPROJ], y->mid, NULL, y->att, at(g, GX_ATTPROJW, l), at(g, GX_ATTPROJB, l), x);
    norm(g, y->ln2, y->mean2, y->rstd2, y->mid, at(g, GX_LN2W, l), at(g, GX_LN2B, l), rows);
    linear(g, &p[FC], y->gelu, y->fc, y->ln2, at(g, GX_FCW, l), at(g, GX_FCB, l), NULL);
    if (!again)
        linear(g, &p[FCPROJ], y->out, NULL, y->gelu, at(g, GX_FCPROJW, l), at(g, GX_FCPROJB, l),
               y->mid);
}

/* Brings back what layer `l` did not keep. */
static void layer_again(struct gx_gpu_gpt2 *g, const void *x, uint32_t l)
{
    struct layer_acts *y = &g->layers[l];
    const uint32_t C = g->model->config.width, rows = g->config.batch * g->model->config.context;
    if (g->config.recompute == GX_RECOMPUTE_LAYERS) {
        layer_forward(g, x, l, g->config.batch, true);
    } else if (g->config.recompute == GX_RECOMPUTE_CHEAP) {
        norm(g, y->ln1, y->mean1, y->rstd1, x, at(g, GX_LN1W, l), at(g, GX_LN1B, l), rows);
        norm(g, y->ln2, y->mean2, y->rstd2, y->mid, at(g, GX_LN2W, l), at(g, GX_LN2B, l), rows);
        gx_gpu_gelu_forward(g->type, y->gelu, y->fc, (uint64_t)rows * 4 * C, g->context.stream);
    }
}

void gx_gpu_gpt2_forward(struct gx_gpu_gpt2 *g, const uint16_t *inputs, uint32_t sequences)
{
    const struct gx_gpt2 *m = g->model;
    const struct gx_gpt2_config *c = &m->config;
    const uint32_t rows = sequences * c->context;
    struct gx_product *p = g->forward[sequences == g->config.batch ? BATCH : SINGLE];
    const size_t wte = m->tensors[GX_WTE].offset;
    gx_gpu_embedding_forward(g->type, g->embedded, inputs, weight(g, wte),
                             weight(g, m->tensors[GX_WPE].offset), rows, c->context, c->width,
                             g->context.stream);
    const void *x = g->embedded;
    for (uint32_t l = 0; l < c->layers; l++) {
        layer_forward(g, x, l, sequences, false);
        x = g->layers[l].out;
    }
    norm(g, g->lnf, g->meanf, g->rstdf, x, m->tensors[GX_LNFW].offset, m->tensors[GX_LNFB].offset,
         rows);
    const struct gx_linear head = {.x = g->lnf, .w = weight(g, wte), .y = g->logits};
    gx_product_forward(&p[HEAD], &g->context, &head);
}

const void *gx_gpu_gpt2_logits(const struct gx_gpu_gpt2 *g, uint32_t *stride)
{
    *stride = g->stride;
    return g->logits;
}

void gx_gpu_gpt2_loss(struct gx_gpu_gpt2 *g, float *loss, const uint16_t *targets, float scale)
{
    const struct gx_gpt2_config *c = &g->model->config;
    const uint32_t rows = g->config.batch * c->context;
    gx_gpu_classifier_loss(g->type, g->logits, g->losses, targets, rows, c->vocab, g->stride,
                           g->context.stream);
    gx_gpu_loss_sum(loss, g->losses, rows, scale, false, g->context.stream);
}

/* ---- backward ---- */

static void norm_backward(struct gx_gpu_gpt2 *g, const void *dresidual, size_t w, size_t b,
                          const void *x, const float *mean, const float *rstd)
{
    const struct gx_gpt2_config *c = &g->model->config;
    gx_gpu_layernorm_backward(g->type, g->dstream, dresidual, g->arrays.grads + w,
                              g->arrays.grads + b, g->dwidth, x, g->arrays.params + w, mean, rstd,
                              g->context.scratch, g->config.batch * c->context, c->width, false,
                              g->context.stream);
}

static void attention_backward(struct gx_gpu_gpt2 *g, const struct layer_acts *y)
{
    const char *why;
    if (!g->cudnn)
        gx_gpu_attention_backward(g->type, g->dqkv, g->delta, g->dwidth, y->qkv, y->att, y->lse,
                                  attention_shape(g, g->config.batch), g->context.stream);
    else if (gx_cudnn_attention_backward(g->cudnn, g->dqkv, g->delta, g->dwidth, y->qkv, y->att,
                                         y->lse, g->cudnn_scratch, g->context.stream, &why) != 0)
        gx_dev_fail(-EIO, "%s", why);
}

static void linear_backward(struct gx_gpu_gpt2 *g, enum backward_product input, void *dx, void *pre,
                            const void *dy, const void *x, size_t w, size_t bias)
{
    gx_product_input(&g->backward[input], &g->context, dx, dy, weight(g, w), pre);
    gx_product_weight(&g->backward[input + 1], &g->context, g->arrays.grads + w,
                      g->arrays.grads + bias, dy, x);
}

/* g->dstream: in, the gradient after the layer; out, before it. `x` is the layer's input. */
static void layer_backward(struct gx_gpu_gpt2 *g, const void *x, uint32_t l)
{
    struct layer_acts *y = &g->layers[l];
    layer_again(g, x, l);
    linear_backward(g, FCPROJ_INPUT, g->dfc, y->fc, g->dstream, y->gelu, at(g, GX_FCPROJW, l),
                    at(g, GX_FCPROJB, l));
    linear_backward(g, FC_INPUT, g->dwidth, NULL, g->dfc, y->ln2, at(g, GX_FCW, l),
                    at(g, GX_FCB, l));
    norm_backward(g, g->dstream, at(g, GX_LN2W, l), at(g, GX_LN2B, l), y->mid, y->mean2, y->rstd2);
    linear_backward(g, ATTPROJ_INPUT, g->dwidth, NULL, g->dstream, y->att, at(g, GX_ATTPROJW, l),
                    at(g, GX_ATTPROJB, l));
    attention_backward(g, y);
    linear_backward(g, QKV_INPUT, g->dwidth, NULL, g->dqkv, y->ln1, at(g, GX_QKVW, l),
                    at(g, GX_QKVB, l));
    norm_backward(g, g->dstream, at(g, GX_LN1W, l), at(g, GX_LN1B, l), x, y->mean1, y->rstd1);
}

void gx_gpu_gpt2_backward(struct gx_gpu_gpt2 *g, float *loss, const struct gx_gpu_gpt2_batch *batch,
                          float scale)
{
    const struct gx_gpt2 *m = g->model;
    const struct gx_gpt2_config *c = &m->config;
    const uint32_t rows = g->config.batch * c->context, L = c->layers;
    const size_t wte = m->tensors[GX_WTE].offset;
    gx_gpu_classifier(g->type, g->logits, g->losses, batch->targets, rows, c->vocab, g->stride,
                      scale, g->context.stream);
    gx_gpu_loss_sum(loss, g->losses, rows, scale, false, g->context.stream);
    gx_product_input(&g->backward[HEAD_INPUT], &g->context, g->dwidth, g->logits, weight(g, wte),
                     NULL);
    gx_product_weight(&g->backward[HEAD_WEIGHT], &g->context, g->arrays.grads + wte, NULL,
                      g->logits, g->lnf);
    norm_backward(g, NULL, m->tensors[GX_LNFW].offset, m->tensors[GX_LNFB].offset,
                  g->layers[L - 1].out, g->meanf, g->rstdf);
    for (uint32_t l = L; l-- > 0;)
        layer_backward(g, l > 0 ? g->layers[l - 1].out : g->embedded, l);
    gx_gpu_embedding_backward(
        g->type, g->arrays.grads + wte, g->arrays.grads + m->tensors[GX_WPE].offset, g->dstream,
        batch->index, g->context.scratch, rows, c->context, c->width, false, g->context.stream);
}
