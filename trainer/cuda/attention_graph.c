#include "cuda/attention_graph.h"

#include <float.h>
#include <math.h>

/* cuDNN before 9.10 wants the lowest number there, later ones minus infinity. */
float gx_attention_lowest(const struct gx_cudnn *library)
{
    return library->dnn.version() < 91000 ? -FLT_MAX : -INFINITY;
}

/* ---- tensors ---- */

struct build {
    struct gx_cudnn_graph *graph;
    int64_t B, T, H, D;
};

static struct build begin(struct gx_cudnn_graph *graph, struct gx_gpu_attention_shape s)
{
    return (struct build){graph, s.batch, s.context, s.heads, s.head_values};
}

static void *tensor(const struct build *b, enum gx_cudnn_place place, int type, int64_t id,
                    const int64_t (*sizes_strides)[4])
{
    struct gx_cudnn_tensor t = {.place = place, .type = type, .id = id};
    for (int i = 0; i < 4; i++) {
        t.sizes[i] = sizes_strides[0][i];
        t.strides[i] = sizes_strides[1][i];
    }
    return gx_cudnn_graph_tensor(b->graph, &t);
}

/* Of heads: [batch][context][slots][heads][head_values] as it lies in memory, seen as [B][H][T][D], or with the last two
 * exchanged. */
static void *heads(const struct build *b, int64_t id, int64_t slots, bool transposed)
{
    const int64_t row = slots * b->H * b->D;
    const int64_t plain[2][4] = {{b->B, b->H, b->T, b->D}, {b->T * row, b->D, row, 1}};
    const int64_t turned[2][4] = {{b->B, b->H, b->D, b->T}, {b->T * row, b->D, 1, row}};
    return tensor(b, id ? GX_CUDNN_MEMORY : GX_CUDNN_VIRTUAL, DNN_BFLOAT16, id,
                  transposed ? turned : plain);
}

/* A head's rows in order, of which nothing is in memory unless there is an id. */
static void *head_rows(const struct build *b, int type, int64_t id)
{
    const int64_t layout[2][4] = {{b->B, b->H, b->T, b->D},
                                  {b->H * b->T * b->D, b->T * b->D, b->D, 1}};
    return tensor(b, id ? GX_CUDNN_MEMORY : GX_CUDNN_VIRTUAL, type, id, layout);
}

/* One number a row. */
static void *numbers(const struct build *b, int64_t id)
{
    const int64_t layout[2][4] = {{b->B, b->H, b->T, 1}, {b->H * b->T, b->T, 1, 1}};
    return tensor(b, id ? GX_CUDNN_MEMORY : GX_CUDNN_VIRTUAL, DNN_FLOAT, id, layout);
}

static void *scores(const struct build *b, int type)
{
    const int64_t layout[2][4] = {{b->B, b->H, b->T, b->T},
                                  {b->H * b->T * b->T, b->T * b->T, b->T, 1}};
    return tensor(b, GX_CUDNN_VIRTUAL, type, 0, layout);
}

static void *value(const struct build *b, int64_t id)
{
    static const int64_t layout[2][4] = {{1, 1, 1, 1}, {1, 1, 1, 1}};
    return tensor(b, GX_CUDNN_VALUE, DNN_FLOAT, id, layout);
}

/* ---- operations ---- */

static void *scores_of(const struct build *b, int mode, void *x, void *y)
{
    void *out = scores(b, DNN_FLOAT);
    gx_cudnn_graph_pointwise(b->graph, mode, DNN_FLOAT, 0, x, y, NULL, out);
    return out;
}

static void *numbers_of(const struct build *b, int mode, void *x, void *y, int64_t id)
{
    void *out = numbers(b, id);
    gx_cudnn_graph_pointwise(b->graph, mode, DNN_FLOAT, 0, x, y, NULL, out);
    return out;
}

static void *reduced(const struct build *b, int operator, void * x)
{
    void *out = numbers(b, 0);
    gx_cudnn_graph_reduce(b->graph, operator, x, out);
    return out;
}

/* Q K^T times the scale. */
static void *scaled_scores(const struct build *b, void *q, void *k_transposed, void *scale)
{
    void *s = scores(b, DNN_FLOAT);
    gx_cudnn_graph_multiply(b->graph, q, k_transposed, s);
    return scores_of(b, DNN_MUL, s, scale);
}

/* Causal: row >= column, or the lowest number. */
static void *masked(const struct build *b, void *s)
{
    struct gx_cudnn_graph *g = b->graph;
    void *row = scores(b, DNN_INT32), *column = scores(b, DNN_INT32);
    void *seen = scores(b, DNN_BOOLEAN), *out = scores(b, DNN_FLOAT);
    gx_cudnn_graph_pointwise(g, DNN_INDEX, DNN_FLOAT, 2, s, NULL, NULL, row);
    gx_cudnn_graph_pointwise(g, DNN_INDEX, DNN_FLOAT, 3, s, NULL, NULL, column);
    gx_cudnn_graph_pointwise(g, DNN_GREATER_EQUAL, DNN_BOOLEAN, 0, row, column, NULL, seen);
    gx_cudnn_graph_pointwise(g, DNN_SELECT, DNN_FLOAT, 0, s, value(b, GX_ARGUMENT_LOWEST), seen,
                             out);
    return out;
}

/* The transpose, rounded to bf16 for a product. */
static void *transposed(const struct build *b, void *s)
{
    const int64_t layout[2][4] = {{b->B, b->H, b->T, b->T},
                                  {b->H * b->T * b->T, b->T * b->T, 1, b->T}};
    void *out = tensor(b, GX_CUDNN_VIRTUAL, DNN_BFLOAT16, 0, layout);
    gx_cudnn_graph_reshape(b->graph, s, out);
    return out;
}

/* K^T seen as K again. */
static void *turned_back(const struct build *b, void *k_transposed)
{
    void *out = heads(b, 0, 3, false);
    gx_cudnn_graph_reshape(b->graph, k_transposed, out);
    return out;
}

void gx_attention_graph_forward(struct gx_cudnn_graph *g, struct gx_gpu_attention_shape shape)
{
    const struct build b = begin(g, shape);
    void *q = heads(&b, GX_ARGUMENT_Q, 3, false), *k = heads(&b, GX_ARGUMENT_K, 3, true);
    void *v = heads(&b, GX_ARGUMENT_V, 3, false);
    void *s = masked(&b, scaled_scores(&b, q, k, value(&b, GX_ARGUMENT_SCALE)));
    void *highest = reduced(&b, DNN_MAX, s);
    void *e = scores_of(&b, DNN_EXP, scores_of(&b, DNN_SUB, s, highest), NULL);
    void *sum = reduced(&b, DNN_SUM, e);
    numbers_of(&b, DNN_ADD, highest, numbers_of(&b, DNN_LOG, sum, NULL, 0), GX_ARGUMENT_LSE);
    void *p = scores(&b, DNN_BFLOAT16);
    gx_cudnn_graph_pointwise(g, DNN_DIV, DNN_FLOAT, 0, e, sum, NULL, p);
    gx_cudnn_graph_multiply(g, p, v, heads(&b, GX_ARGUMENT_OUT, 1, false));
}

/* delta: the sum of each row of dO O. cuDNN knows the graph with a factor behind it only. */
static void *row_deltas(const struct build *b, void *dout, void *out)
{
    void *product = head_rows(b, DNN_FLOAT, 0);
    gx_cudnn_graph_pointwise(b->graph, DNN_MUL, DNN_FLOAT, 0, dout, out, NULL, product);
    return numbers_of(b, DNN_MUL, reduced(b, DNN_SUM, product), value(b, GX_ARGUMENT_ONE),
                      GX_ARGUMENT_DELTA);
}

void gx_attention_graph_backward(struct gx_cudnn_graph *g, struct gx_gpu_attention_shape shape)
{
    const struct build b = begin(g, shape);
    void *q = heads(&b, GX_ARGUMENT_Q, 3, false), *k = heads(&b, GX_ARGUMENT_K, 3, true);
    void *v = heads(&b, GX_ARGUMENT_V, 3, true), *scale = value(&b, GX_ARGUMENT_SCALE);
    void *dout = heads(&b, GX_ARGUMENT_DOUT, 1, false);
    void *delta = row_deltas(&b, dout, heads(&b, GX_ARGUMENT_OUT, 1, false));
    /* P = exp(S - lse); dV = P^T dO */
    void *s = scores_of(&b, DNN_SUB, scaled_scores(&b, q, k, scale), numbers(&b, GX_ARGUMENT_LSE));
    void *p = scores_of(&b, DNN_EXP, masked(&b, s), NULL);
    gx_cudnn_graph_multiply(g, transposed(&b, p), dout, heads(&b, GX_ARGUMENT_DV, 3, false));
    /* dS = P (dO V^T - delta) scale; dK = dS^T Q; dQ = dS K, summed up in FP32 */
    void *dp = scores(&b, DNN_FLOAT);
    gx_cudnn_graph_multiply(g, dout, v, dp);
    void *ds = scores_of(&b, DNN_MUL, scores_of(&b, DNN_SUB, dp, delta), p);
    ds = scores_of(&b, DNN_MUL, ds, scale);
    gx_cudnn_graph_multiply(g, transposed(&b, ds), q, heads(&b, GX_ARGUMENT_DK, 3, false));
    void *dq = head_rows(&b, DNN_FLOAT, GX_ARGUMENT_DQ_SUM);
    gx_cudnn_graph_multiply(g, ds, turned_back(&b, k), dq);
    gx_cudnn_graph_pointwise(g, DNN_IDENTITY, DNN_FLOAT, 0, dq, NULL, NULL,
                             heads(&b, GX_ARGUMENT_DQ, 3, false));
}
