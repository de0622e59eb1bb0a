#include "attention_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bits.h"
#include "device.h"

static double *doubles(size_t count)
{
    double *values = calloc(count, sizeof(*values));
    if (!values)
        abort();
    return values;
}

/* ---- what is right ---- */

/* Uniform in -2 to 2; one row in eight is larger, so that its softmax is nearly one-hot. */
static void draw(double *values, size_t count, size_t row, enum gx_dtype type, uint64_t *state)
{
    double size = 1;
    for (size_t i = 0; i < count; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        if (i % row == 0)
            size = (*state >> 40) % 8 == 0 ? 6 : 2;
        float value = (float)(size * ((double)(int32_t)(*state >> 32) / 0x1p31));
        uint32_t bits = bits_of(value);
        if (type == GX_DTYPE_BF16)
            bits = (bits + 0x8000u) >> 16 << 16;
        values[i] = float_of(bits);
    }
}

/* One head; rows are `stride` (out: `width`) values apart, and the bounds follow each rounding: of P and dS by `e`, of the
 * FP32 products by much less. */
struct head {
    const double *q, *k, *v, *dout;
    double *out, *out_bound, *lse, *dq, *dk, *dv, *dq_bound, *dk_bound, *dv_bound;
    size_t time, size, stride, width;
    double e, scale;
};

static double dot(const double *a, const double *b, size_t count, double *magnitude)
{
    double sum = 0;
    *magnitude = 0;
    for (size_t i = 0; i < count; i++) {
        sum += a[i] * b[i];
        *magnitude += fabs(a[i] * b[i]);
    }
    return sum;
}

static void row_forward(const struct head *h, size_t t, double *p)
{
    double highest = -INFINITY, sum = 0, unused;
    for (size_t j = 0; j <= t; j++) {
        p[j] = h->scale * dot(h->q + t * h->stride, h->k + j * h->stride, h->size, &unused);
        highest = fmax(highest, p[j]);
    }
    for (size_t j = 0; j <= t; j++)
        sum += p[j] = exp(p[j] - highest);
    h->lse[t] = highest + log(sum);
    double *out = h->out + t * h->width, *bound = h->out_bound + t * h->width;
    for (size_t j = 0; j <= t; j++) {
        p[j] /= sum;
        for (size_t i = 0; i < h->size; i++) {
            out[i] += p[j] * h->v[j * h->stride + i];
            bound[i] += h->e * p[j] * fabs(h->v[j * h->stride + i]);
        }
    }
    for (size_t i = 0; i < h->size; i++)
        bound[i] += h->e * fabs(out[i]);
}

static void row_backward(const struct head *h, size_t t, const double *p)
{
    const double *dout = h->dout + t * h->width;
    double unused, delta = dot(dout, h->out + t * h->width, h->size, &unused), delta_bound = 0;
    for (size_t i = 0; i < h->size; i++)
        delta_bound += fabs(dout[i]) * h->out_bound[t * h->width + i];
    for (size_t j = 0; j <= t; j++) {
        double magnitude, dp = dot(dout, h->v + j * h->stride, h->size, &magnitude);
        double ds = h->scale * p[j] * (dp - delta);
        double ds_bound = h->e * fabs(ds) + h->scale * p[j] * (delta_bound + 0x1p-18 * magnitude);
        for (size_t i = 0; i < h->size; i++) {
            double q = h->q[t * h->stride + i], k = h->k[j * h->stride + i];
            h->dq[t * h->stride + i] += ds * k;
            h->dk[j * h->stride + i] += ds * q;
            h->dv[j * h->stride + i] += p[j] * dout[i];
            h->dq_bound[t * h->stride + i] += ds_bound * fabs(k);
            h->dk_bound[j * h->stride + i] += ds_bound * fabs(q);
            h->dv_bound[j * h->stride + i] += h->e * p[j] * fabs(dout[i]);
        }
    }
}

static struct head head_of(const struct attention_case *c, size_t b, size_t n)
{
    struct gx_gpu_attention_shape s = c->shape;
    size_t width = s.heads * (size_t)s.head_values;
    size_t qkv = b * s.context * 3 * width + n * s.head_values;
    size_t out = b * s.context * width + n * s.head_values;
    return (struct head){
        .q = c->qkv + qkv,
        .k = c->qkv + qkv + width,
        .v = c->qkv + qkv + 2 * width,
        .dout = c->dout + out,
        .out = c->out + out,
        .out_bound = c->out_bound + out,
        .lse = c->lse + (b * s.heads + n) * s.context,
        .dq = c->dqkv + qkv,
        .dk = c->dqkv + qkv + width,
        .dv = c->dqkv + qkv + 2 * width,
        .dq_bound = c->dqkv_bound + qkv,
        .dk_bound = c->dqkv_bound + qkv + width,
        .dv_bound = c->dqkv_bound + qkv + 2 * width,
        .time = s.context,
        .size = s.head_values,
        .stride = 3 * width,
        .width = width,
        .e = c->type == GX_DTYPE_BF16 ? 0x1p-8 : 0x1p-15,
        .scale = 1 / sqrt(s.head_values),
    };
}

void attention_case_init(struct attention_case *c, enum gx_dtype type,
                         struct gx_gpu_attention_shape shape, uint64_t seed)
{
    size_t rows = (size_t)shape.batch * shape.context;
    *c = (struct attention_case){.type = type, .shape = shape};
    c->out_count = rows * shape.heads * shape.head_values;
    c->qkv_count = 3 * c->out_count;
    c->row_count = rows * shape.heads;
    c->qkv = doubles(c->qkv_count);
    c->dout = doubles(c->out_count);
    c->out = doubles(c->out_count);
    c->lse = doubles(c->row_count);
    c->dqkv = doubles(c->qkv_count);
    c->out_bound = doubles(c->out_count);
    c->dqkv_bound = doubles(c->qkv_count);
    draw(c->qkv, c->qkv_count, shape.head_values, type, &seed);
    draw(c->dout, c->out_count, shape.head_values, type, &seed);
    double *p = doubles(shape.context);
    for (size_t idx = 0; idx < (size_t)shape.batch * shape.heads; idx++) {
        struct head h = head_of(c, idx / shape.heads, idx % shape.heads);
        for (size_t t = 0; t < h.time; t++) {
            row_forward(&h, t, p);
            row_backward(&h, t, p);
        }
    }
    double e = head_of(c, 0, 0).e;
    for (size_t i = 0; i < c->qkv_count; i++)
        c->dqkv_bound[i] += e * fabs(c->dqkv[i]);
    free(p);
}

void attention_case_fini(struct attention_case *c)
{
    double *all[] = {c->qkv, c->dout, c->out, c->lse, c->dqkv, c->out_bound, c->dqkv_bound};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        free(all[i]);
}

/* ---- what the kernels say ---- */

static void *upload(const double *values, size_t count, enum gx_dtype type)
{
    unsigned char *host = malloc(count * 4);
    if (!host)
        abort();
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = bits_of((float)values[i]);
        if (type == GX_DTYPE_BF16)
            memcpy(host + 2 * i, &(uint16_t){(uint16_t)(bits >> 16)}, 2);
        else
            memcpy(host + 4 * i, &bits, 4);
    }
    void *device = test_upload(host, count * gx_dtype_bytes(type));
    free(host);
    return device;
}

static char wrong[200];

/* Compares what lies in device memory, and mixes its bits into *mix. */
static bool right(const char *name, const void *device, const double *want, const double *bounds,
                  size_t count, enum gx_dtype type, uint64_t *mix)
{
    size_t size = gx_dtype_bytes(type);
    unsigned char *host = malloc(count * size);
    if (!host)
        abort();
    test_download(host, device, count * size);
    bool good = true;
    for (size_t i = 0; i < count && good; i++) {
        uint32_t bits = 0;
        memcpy(&bits, host + i * size, size);
        *mix = (*mix ^ bits) * 0x9e3779b97f4a7c15u;
        double got = float_of(type == GX_DTYPE_BF16 ? bits << 16 : bits);
        double bound = 1e-5 + (bounds ? bounds[i] : 1e-4);
        good = isfinite(got) && fabs(got - want[i]) <= bound;
        if (!good)
            snprintf(wrong, sizeof(wrong), "%s[%zu] is %.9g, should be %.9g within %.3g", name, i,
                     got, want[i], bound);
    }
    free(host);
    return good;
}

static const char *run_own(const struct attention_case *c, void *out, float *lse, void *dqkv,
                           float *delta, const void *dout, const void *qkv)
{
    gx_gpu_attention_forward(c->type, out, lse, qkv, c->shape, test_stream());
    gx_gpu_attention_backward(c->type, dqkv, delta, dout, qkv, out, lse, c->shape, test_stream());
    return NULL;
}

static const char *run_cudnn(const struct attention_case *c, void *out, float *lse, void *dqkv,
                             float *delta, const void *dout, const void *qkv)
{
    const char *why;
    void *scratch = test_alloc(gx_cudnn_attention_scratch_bytes(c->cudnn));
    int rc = gx_cudnn_attention_forward(c->cudnn, out, lse, qkv, scratch, test_stream(), &why);
    if (rc == 0)
        rc = gx_cudnn_attention_backward(c->cudnn, dqkv, delta, dout, qkv, out, lse, scratch,
                                         test_stream(), &why);
    test_free(scratch);
    return rc == 0 ? NULL : why;
}

const char *attention_case_run(const struct attention_case *c, size_t out_short_bytes,
                               uint64_t *bits)
{
    size_t size = gx_dtype_bytes(c->type);
    uint64_t mix = 1;
    void *qkv = upload(c->qkv, c->qkv_count, c->type),
         *dout = upload(c->dout, c->out_count, c->type);
    void *out = test_alloc(c->out_count * size - out_short_bytes);
    void *dqkv = test_alloc(c->qkv_count * size - out_short_bytes);
    float *lse = test_alloc(c->row_count * sizeof(float));
    float *delta = test_alloc(c->row_count * sizeof(float) - out_short_bytes);
    const char *failed = (c->cudnn ? run_cudnn : run_own)(c, out, lse, dqkv, delta, dout, qkv);
    bool good = !failed && right("out", out, c->out, c->out_bound, c->out_count, c->type, &mix) &&
                right("lse", lse, c->lse, NULL, c->row_count, GX_DTYPE_FP32, &mix) &&
                right("dqkv", dqkv, c->dqkv, c->dqkv_bound, c->qkv_count, c->type, &mix);
    test_free(qkv);
    test_free(dout);
    test_free(out);
    test_free(dqkv);
    test_free(lse);
    test_free(delta);
    if (bits)
        *bits = mix;
    return good ? NULL : failed ? failed : wrong;
}
