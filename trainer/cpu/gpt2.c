#include "cpu/gpt2.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/attention.h"
#include "cpu/layers.h"
#include "cpu/parallel.h"

/* What one layer keeps for the way back. */
struct layer_acts {
    real *ln1, *ln1_mean, *ln1_rstd;
    real *qkv, *probs, *att;
    real *mid; /* the residual stream between attention and MLP */
    real *ln2, *ln2_mean, *ln2_rstd;
    real *fc, *gelu;
    real *out; /* the residual stream after the layer */
};

struct gx_gpt2_activations {
    const struct gx_gpt2 *model;
    uint32_t batch, time; /* of the last forward */
    real *memory;
    real *embedded;
    struct layer_acts *layers;
    real *lnf, *lnf_mean, *lnf_rstd;
    real *logits;
    /* gradients on the way back */
    real *dstream, *dwidth, *dqkv, *dfc, *scratch;
};

/* Hands out consecutive cache-aligned pieces; with no memory yet it only adds up what is needed. */
struct pool {
    real *memory;
    size_t used;
};

static real *take(struct pool *pool, size_t count)
{
    real *p = pool->memory ? pool->memory + pool->used : NULL;
    pool->used += (count + 15) / 16 * 16;
    return p;
}

static void place(struct gx_gpt2_activations *a, struct pool *pool, size_t rows, size_t batch)
{
    const struct gx_gpt2_config *c = &a->model->config;
    const size_t C = c->width, square = (size_t)c->context * c->context;
    a->embedded = take(pool, rows * C);
    for (uint32_t l = 0; l < c->layers; l++) {
        struct layer_acts *y = &a->layers[l];
        y->ln1 = take(pool, rows * C);
        y->ln1_mean = take(pool, rows);
        y->ln1_rstd = take(pool, rows);
        y->qkv = take(pool, rows * 3 * C);
        y->probs = take(pool, batch * c->heads * square);
        y->att = take(pool, rows * C);
        y->mid = take(pool, rows * C);
        y->ln2 = take(pool, rows * C);
        y->ln2_mean = take(pool, rows);
        y->ln2_rstd = take(pool, rows);
        y->fc = take(pool, rows * 4 * C);
        y->gelu = take(pool, rows * 4 * C);
        y->out = take(pool, rows * C);
    }
    a->lnf = take(pool, rows * C);
    a->lnf_mean = take(pool, rows);
    a->lnf_rstd = take(pool, rows);
    a->logits = take(pool, rows * c->vocab);
    a->dstream = take(pool, rows * C);
    a->dwidth = take(pool, rows * C);
    a->dqkv = take(pool, rows * 3 * C);
    a->dfc = take(pool, rows * 4 * C);
    a->scratch = take(pool, gx_parallel_threads() * square);
}

struct gx_gpt2_activations *gx_gpt2_activations_create(const struct gx_gpt2 *model, uint32_t batch)
{
    struct gx_gpt2_activations *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->model = model;
    a->layers = calloc(model->config.layers, sizeof(*a->layers));
    if (!a->layers)
        goto fail;
    struct pool pool = {NULL, 0};
    place(a, &pool, (size_t)batch * model->config.context, batch);
    a->memory = aligned_alloc(64, pool.used * sizeof(real));
    if (!a->memory)
        goto fail;
    pool = (struct pool){a->memory, 0};
    place(a, &pool, (size_t)batch * model->config.context, batch);
    return a;
fail:
    gx_gpt2_activations_destroy(a);
    return NULL;
}

void gx_gpt2_activations_destroy(struct gx_gpt2_activations *acts)
{
    if (!acts)
        return;
    free(acts->memory);
    free(acts->layers);
    free(acts);
}

/* Tensor `id` of layer `l`, in parameters or in gradients; each layer's piece is count / layers long. */
static size_t at(const struct gx_gpt2 *model, enum gx_gpt2_tensor id, uint32_t l)
{
    const struct gx_tensor *t = &model->tensors[id];
    return t->offset + l * (t->count / model->config.layers);
}

static void layer_forward(struct gx_gpt2_activations *a, const real *p, const real *x, uint32_t l)
{
    const struct gx_gpt2 *m = a->model;
    const size_t C = m->config.width, rows = (size_t)a->batch * a->time;
    struct layer_acts *y = &a->layers[l];
    struct gx_attention_shape shape = {a->batch, a->time, m->config.heads, C};
    gx_layernorm_forward(y->ln1, y->ln1_mean, y->ln1_rstd, x, p + at(m, GX_LN1W, l),
                         p + at(m, GX_LN1B, l), rows, C);
    gx_linear_forward(y->qkv, y->ln1, p + at(m, GX_QKVW, l), p + at(m, GX_QKVB, l), NULL, rows, C,
                      3 * C);
    gx_attention_forward(y->att, y->probs, y->qkv, shape);
    gx_linear_forward(y->mid, y->att, p + at(m, GX_ATTPROJW, l), p + at(m, GX_ATTPROJB, l), x, rows,
                      C, C);
    gx_layernorm_forward(y->ln2, y->ln2_mean, y->ln2_rstd, y->mid, p + at(m, GX_LN2W, l),
                         p + at(m, GX_LN2B, l), rows, C);
    gx_linear_forward(y->fc, y->ln2, p + at(m, GX_FCW, l), p + at(m, GX_FCB, l), NULL, rows, C,
                      4 * C);
    gx_gelu_forward(y->gelu, y->fc, rows * 4 * C);
    gx_linear_forward(y->out, y->gelu, p + at(m, GX_FCPROJW, l), p + at(m, GX_FCPROJB, l), y->mid,
                      rows, 4 * C, C);
}

real *gx_gpt2_forward(struct gx_gpt2_activations *a, const real *p, const uint16_t *inputs,
                      uint32_t batch, uint32_t time)
{
    const struct gx_gpt2 *m = a->model;
    const size_t C = m->config.width, rows = (size_t)batch * time;
    const real *wte = p + m->tensors[GX_WTE].offset, *wpe = p + m->tensors[GX_WPE].offset;
    a->batch = batch;
    a->time = time;
    gx_embedding_forward(a->embedded, inputs, wte, wpe, rows, time, C);
    const real *x = a->embedded;
    for (uint32_t l = 0; l < m->config.layers; l++) {
        layer_forward(a, p, x, l);
        x = a->layers[l].out;
    }
    gx_layernorm_forward(a->lnf, a->lnf_mean, a->lnf_rstd, x, p + m->tensors[GX_LNFW].offset,
                         p + m->tensors[GX_LNFB].offset, rows, C);
    gx_linear_forward(a->logits, a->lnf, wte, NULL, NULL, rows, C, m->config.vocab);
    return a->logits;
}

double gx_gpt2_loss(const struct gx_gpt2_activations *a, const uint16_t *targets)
{
    return gx_crossentropy_forward(a->logits, targets, (size_t)a->batch * a->time,
                                   a->model->config.vocab);
}

/* a->dstream: in, the gradient after the layer; out, before it. `x` is the layer's input. */
static void layer_backward(struct gx_gpt2_activations *a, const real *p, real *g, const real *x,
                           uint32_t l)
{
    const struct gx_gpt2 *m = a->model;
    const size_t C = m->config.width, rows = (size_t)a->batch * a->time;
    struct layer_acts *y = &a->layers[l];
    struct gx_attention_shape shape = {a->batch, a->time, m->config.heads, C};
    gx_linear_backward(a->dfc, g + at(m, GX_FCPROJW, l), g + at(m, GX_FCPROJB, l), a->dstream,
                       y->gelu, p + at(m, GX_FCPROJW, l), rows, 4 * C, C);
    gx_gelu_backward(a->dfc, y->fc, rows * 4 * C);
    gx_linear_backward(a->dwidth, g + at(m, GX_FCW, l), g + at(m, GX_FCB, l), a->dfc, y->ln2,
                       p + at(m, GX_FCW, l), rows, C, 4 * C);
    gx_layernorm_backward(a->dstream, g + at(m, GX_LN2W, l), g + at(m, GX_LN2B, l), a->dwidth,
                          y->mid, p + at(m, GX_LN2W, l), y->ln2_mean, y->ln2_rstd, rows, C);
    gx_linear_backward(a->dwidth, g + at(m, GX_ATTPROJW, l), g + at(m, GX_ATTPROJB, l), a->dstream,
                       y->att, p + at(m, GX_ATTPROJW, l), rows, C, C);
    gx_attention_backward(a->dqkv, a->scratch, a->dwidth, y->qkv, y->probs, shape);
    gx_linear_backward(a->dwidth, g + at(m, GX_QKVW, l), g + at(m, GX_QKVB, l), a->dqkv, y->ln1,
                       p + at(m, GX_QKVW, l), rows, C, 3 * C);
    gx_layernorm_backward(a->dstream, g + at(m, GX_LN1W, l), g + at(m, GX_LN1B, l), a->dwidth, x,
                          p + at(m, GX_LN1W, l), y->ln1_mean, y->ln1_rstd, rows, C);
}

void gx_gpt2_backward(struct gx_gpt2_activations *a, const real *p, real *g, const uint16_t *inputs,
                      const uint16_t *targets)
{
    const struct gx_gpt2 *m = a->model;
    const size_t C = m->config.width, V = m->config.vocab, rows = (size_t)a->batch * a->time;
    const size_t wte = m->tensors[GX_WTE].offset, lnfw = m->tensors[GX_LNFW].offset;
    const uint32_t L = m->config.layers;
    memset(g, 0, m->param_count * sizeof(real));
    gx_crossentropy_backward(a->logits, targets, rows, V);
    gx_linear_backward(a->dwidth, g + wte, NULL, a->logits, a->lnf, p + wte, rows, C, V);
    memset(a->dstream, 0, rows * C * sizeof(real));
    gx_layernorm_backward(a->dstream, g + lnfw, g + m->tensors[GX_LNFB].offset, a->dwidth,
                          a->layers[L - 1].out, p + lnfw, a->lnf_mean, a->lnf_rstd, rows, C);
    for (uint32_t l = L; l-- > 0;)
        layer_backward(a, p, g, l > 0 ? a->layers[l - 1].out : a->embedded, l);
    gx_embedding_backward(g + wte, g + m->tensors[GX_WPE].offset, a->dstream, inputs, rows, a->time,
                          C);
}
