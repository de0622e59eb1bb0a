/* The host twin of trainer/cuda/attention_cudnn.h: plain C in double, rounded to bf16 at the end. */
#include "cuda/attention_cudnn.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simt/queue.h"

struct gx_cudnn_attention {
    struct gx_gpu_attention_shape shape;
};

struct job {
    struct gx_gpu_attention_shape shape;
    const uint16_t *qkv, *dout;
    const uint16_t *out_read;
    uint16_t *out, *dqkv;
    float *lse, *delta, *dq_sum;
    const float *lse_read;
};

int gx_cudnn_attention_create(struct gx_cudnn_attention **out, struct gx_gpu_attention_shape shape,
                              const char **why)
{
    *out = NULL;
    *why = "libcudnn.so.9 was not found: install cuDNN 9";
    if (!gx_simt_faults.cudnn)
        return -ENOENT;
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return -ENOMEM;
    (*out)->shape = shape;
    return 0;
}

void gx_cudnn_attention_destroy(struct gx_cudnn_attention *attention)
{
    free(attention);
}

const char *gx_cudnn_attention_name(const struct gx_cudnn_attention *attention)
{
    (void)attention;
    return "cuDNN's twin";
}

static size_t rows_of(struct gx_gpu_attention_shape s)
{
    return (size_t)s.batch * s.context * s.heads;
}

size_t gx_cudnn_attention_scratch_bytes(const struct gx_cudnn_attention *a)
{
    return rows_of(a->shape) * a->shape.head_values * sizeof(float);
}

/* ---- one head ---- */

static double load(const uint16_t *at)
{
    uint32_t bits = (uint32_t)*at << 16;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return (double)value;
}

static void store(uint16_t *at, double value)
{
    float rounded = (float)value;
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof(bits));
    if (!isnan(rounded))
        bits += 0x7fff + (bits >> 16 & 1);
    *at = (uint16_t)(bits >> 16);
}

/* Where value 0 of a row lies: of qkv's `part`, and of out. */
static size_t qkv_at(struct gx_gpu_attention_shape s, size_t head, size_t row, size_t part)
{
    const size_t width = (size_t)s.heads * s.head_values;
    return ((head / s.heads * s.context + row) * 3 + part) * width + head % s.heads * s.head_values;
}

static size_t out_at(struct gx_gpu_attention_shape s, size_t head, size_t row)
{
    const size_t width = (size_t)s.heads * s.head_values;
    return (head / s.heads * s.context + row) * width + head % s.heads * s.head_values;
}

static double dot(const uint16_t *a, const uint16_t *b, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += load(a + i) * load(b + i);
    return sum;
}

static double score(const struct job *j, size_t head, size_t row, size_t column)
{
    const struct gx_gpu_attention_shape s = j->shape;
    return dot(j->qkv + qkv_at(s, head, row, 0), j->qkv + qkv_at(s, head, column, 1),
               s.head_values) /
           sqrt(s.head_values);
}

static void forward_row(const struct job *j, size_t head, size_t row)
{
    const struct gx_gpu_attention_shape s = j->shape;
    double highest = -INFINITY, sum = 0;
    for (size_t c = 0; c <= row; c++)
        highest = fmax(highest, score(j, head, row, c));
    for (size_t c = 0; c <= row; c++)
        sum += exp(score(j, head, row, c) - highest);
    const double lse = highest + log(sum);
    j->lse[head * s.context + row] = (float)lse;
    for (uint32_t i = 0; i < s.head_values; i++) {
        double out = 0;
        for (size_t c = 0; c <= row; c++)
            out += exp(score(j, head, row, c) - lse) * load(j->qkv + qkv_at(s, head, c, 2) + i);
        store(j->out + out_at(s, head, row) + i, out);
    }
}

/* dS / scale and P of one score. */
static double score_gradient(const struct job *j, size_t head, size_t row, size_t column, double *p)
{
    const struct gx_gpu_attention_shape s = j->shape;
    const uint16_t *dout = j->dout + out_at(s, head, row);
    *p = exp(score(j, head, row, column) - (double)j->lse_read[head * s.context + row]);
    return *p * (dot(dout, j->qkv + qkv_at(s, head, column, 2), s.head_values) -
                 (double)j->delta[head * s.context + row]);
}

static void backward_row(const struct job *j, size_t head, size_t row)
{
    const struct gx_gpu_attention_shape s = j->shape;
    const double scale = 1 / sqrt(s.head_values);
    for (uint32_t i = 0; i < s.head_values; i++) {
        double dq = 0, dk = 0, dv = 0, p;
        for (size_t c = 0; c <= row; c++)
            dq += score_gradient(j, head, row, c, &p) * load(j->qkv + qkv_at(s, head, c, 1) + i);
        for (size_t r = row; r < s.context; r++) {
            dk += score_gradient(j, head, r, row, &p) * load(j->qkv + qkv_at(s, head, r, 0) + i);
            dv += p * load(j->dout + out_at(s, head, r) + i);
        }
        j->dq_sum[(head * s.context + row) * s.head_values + i] = (float)(dq * scale);
        store(j->dqkv + qkv_at(s, head, row, 0) + i, dq * scale);
        store(j->dqkv + qkv_at(s, head, row, 1) + i, dk * scale);
        store(j->dqkv + qkv_at(s, head, row, 2) + i, dv);
    }
}

/* ---- jobs ---- */

static void forward(void *closure)
{
    const struct job *j = closure;
    for (size_t r = 0; r < rows_of(j->shape); r++)
        forward_row(j, r / j->shape.context, r % j->shape.context);
}

static void backward(void *closure)
{
    const struct job *j = closure;
    const struct gx_gpu_attention_shape s = j->shape;
    for (size_t r = 0; r < rows_of(s); r++) {
        const size_t at = out_at(s, r / s.context, r % s.context);
        j->delta[r] = (float)dot(j->dout + at, j->out_read + at, s.head_values);
    }
    for (size_t r = 0; r < rows_of(s); r++)
        backward_row(j, r / s.context, r % s.context);
}

/* Without a stream at once, as kernels are. */
static int queue(struct gx_dev_stream *stream, void (*run)(void *), struct job job)
{
    if (!stream) {
        run(&job);
        return 0;
    }
    struct job *j = malloc(sizeof(*j));
    if (!j)
        abort();
    *j = job;
    gx_simt_queue_add(stream, "cuDNN's attention", run, free, j);
    return 0;
}

int gx_cudnn_attention_forward(struct gx_cudnn_attention *a, void *out, float *lse, const void *qkv,
                               void *scratch, struct gx_dev_stream *stream, const char **why)
{
    (void)scratch;
    *why = "cudnnBackendExecute: a planted failure";
    if (gx_simt_faults.cudnn_fails)
        return -EIO;
    return queue(stream, forward,
                 (struct job){.shape = a->shape, .qkv = qkv, .out = out, .lse = lse});
}

int gx_cudnn_attention_backward(struct gx_cudnn_attention *a, void *dqkv, float *delta,
                                const void *dout, const void *qkv, const void *out,
                                const float *lse, void *scratch, struct gx_dev_stream *stream,
                                const char **why)
{
    *why = NULL;
    return queue(stream, backward,
                 (struct job){.shape = a->shape,
                              .qkv = qkv,
                              .dout = dout,
                              .out_read = out,
                              .dqkv = dqkv,
                              .lse_read = lse,
                              .delta = delta,
                              .dq_sum = scratch});
}
