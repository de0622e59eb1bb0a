#include "cuda/attention_cudnn.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/attention_graph.h"

struct gx_cudnn_attention {
    struct gx_cudnn library;
    struct gx_cudnn_graph forward, backward;
    struct gx_gpu_attention_shape shape;
    size_t dq_bytes; /* of the FP32 sums, at the scratch's start */
    float scale, lowest, one;
    char name[32];
};

static char failure[512];

static int told(int rc, const struct gx_cudnn_attention *a, const char **why)
{
    if (rc != 0) {
        snprintf(failure, sizeof(failure), "%s", a->library.why);
        *why = failure;
    }
    return rc;
}

static int plan(struct gx_cudnn_attention *a)
{
    int rc = gx_cudnn_load(&a->library);
    if (rc == 0)
        rc = gx_cudnn_start(&a->library);
    if (rc != 0)
        return rc;
    gx_cudnn_graph_init(&a->forward, &a->library);
    gx_cudnn_graph_init(&a->backward, &a->library);
    gx_attention_graph_forward(&a->forward, a->shape);
    gx_attention_graph_backward(&a->backward, a->shape);
    rc = gx_cudnn_graph_plan(&a->forward, "attention");
    return rc == 0 ? gx_cudnn_graph_plan(&a->backward, "attention's way back") : rc;
}

int gx_cudnn_attention_create(struct gx_cudnn_attention **out, struct gx_gpu_attention_shape shape,
                              const char **why)
{
    struct gx_cudnn_attention *a = calloc(1, sizeof(*a));
    *out = NULL;
    if (!a) {
        *why = "no memory";
        return -ENOMEM;
    }
    a->shape = shape;
    const size_t rows = (size_t)shape.batch * shape.context * shape.heads;
    a->dq_bytes = (rows * shape.head_values * sizeof(float) + 255) / 256 * 256;
    a->scale = 1 / sqrtf((float)shape.head_values);
    a->one = 1;
    int rc = told(plan(a), a, why);
    if (rc != 0) {
        gx_cudnn_attention_destroy(a);
        return rc;
    }
    a->lowest = gx_attention_lowest(&a->library);
    const size_t version = a->library.dnn.version();
    snprintf(a->name, sizeof(a->name), "cuDNN %zu.%zu", version / 10000, version / 100 % 100);
    *out = a;
    return 0;
}

void gx_cudnn_attention_destroy(struct gx_cudnn_attention *a)
{
    if (!a)
        return;
    gx_cudnn_graph_fini(&a->forward);
    gx_cudnn_graph_fini(&a->backward);
    gx_cudnn_close(&a->library);
    free(a);
}

const char *gx_cudnn_attention_name(const struct gx_cudnn_attention *a)
{
    return a->name;
}

size_t gx_cudnn_attention_scratch_bytes(const struct gx_cudnn_attention *a)
{
    const size_t forward = a->forward.workspace_bytes;
    const size_t backward = a->dq_bytes + a->backward.workspace_bytes;
    return forward > backward ? forward : backward;
}

/* cuDNN's interface knows no const. */
static void *plain(const void *address)
{
    return (void *)(uintptr_t)address;
}

/* K and V begin one and two widths after Q. */
static void *part(const struct gx_cudnn_attention *a, const void *qkv, unsigned index)
{
    const size_t width = (size_t)a->shape.heads * a->shape.head_values;
    return plain((const uint16_t *)qkv + index * width);
}

#define COUNT(array) (unsigned)(sizeof(array) / sizeof((array)[0]))

int gx_cudnn_attention_forward(struct gx_cudnn_attention *a, void *out, float *lse, const void *qkv,
                               void *scratch, struct gx_dev_stream *stream, const char **why)
{
    const struct gx_cudnn_argument arguments[] = {
        {GX_ARGUMENT_Q, part(a, qkv, 0)}, {GX_ARGUMENT_K, part(a, qkv, 1)},
        {GX_ARGUMENT_V, part(a, qkv, 2)}, {GX_ARGUMENT_OUT, out},
        {GX_ARGUMENT_LSE, lse},           {GX_ARGUMENT_SCALE, &a->scale},
        {GX_ARGUMENT_LOWEST, &a->lowest},
    };
    return told(gx_cudnn_graph_run(&a->forward, arguments, COUNT(arguments), scratch, stream), a,
                why);
}

int gx_cudnn_attention_backward(struct gx_cudnn_attention *a, void *dqkv, float *delta,
                                const void *dout, const void *qkv, const void *out,
                                const float *lse, void *scratch, struct gx_dev_stream *stream,
                                const char **why)
{
    const struct gx_cudnn_argument arguments[] = {
        {GX_ARGUMENT_Q, part(a, qkv, 0)},   {GX_ARGUMENT_K, part(a, qkv, 1)},
        {GX_ARGUMENT_V, part(a, qkv, 2)},   {GX_ARGUMENT_OUT, plain(out)},
        {GX_ARGUMENT_LSE, plain(lse)},      {GX_ARGUMENT_SCALE, &a->scale},
        {GX_ARGUMENT_LOWEST, &a->lowest},   {GX_ARGUMENT_ONE, &a->one},
        {GX_ARGUMENT_DOUT, plain(dout)},    {GX_ARGUMENT_DELTA, delta},
        {GX_ARGUMENT_DQ_SUM, scratch},      {GX_ARGUMENT_DQ, part(a, dqkv, 0)},
        {GX_ARGUMENT_DK, part(a, dqkv, 1)}, {GX_ARGUMENT_DV, part(a, dqkv, 2)},
    };
    return told(gx_cudnn_graph_run(&a->backward, arguments, COUNT(arguments),
                                   (char *)scratch + a->dq_bytes, stream),
                a, why);
}
