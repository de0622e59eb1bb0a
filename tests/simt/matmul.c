/* The host twin of trainer/cuda/matmul.h: sums in double, rounded once to the output's type, epilogues as documented. */
#include "cuda/matmul.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/dev.h"
#include "simt/queue.h"

struct gx_matmul_library {
    void *workspace;
};

struct gx_matmul_plan {
    struct gx_matmul matmul;
};

struct job {
    struct gx_matmul m;
    struct gx_matmul_arrays x;
};

int gx_matmul_open(struct gx_matmul_library **out, void *workspace)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return gx_dev_fail(-ENOMEM, "no memory");
    (*out)->workspace = workspace;
    return 0;
}

void gx_matmul_close(struct gx_matmul_library *library)
{
    free(library);
}

int gx_matmul_plan(struct gx_matmul_plan **out, struct gx_matmul_library *library,
                   const struct gx_matmul *matmul)
{
    (void)library;
    *out = NULL;
    if (gx_simt_faults.no_fused_epilogue && matmul->epilogue != GX_EPILOGUE_NONE)
        return -ENOTSUP;
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return gx_dev_fail(-ENOMEM, "no memory");
    (*out)->matmul = *matmul;
    return 0;
}

void gx_matmul_plan_destroy(struct gx_matmul_plan *plan)
{
    free(plan);
}

static float load(enum gx_dtype type, const void *array, size_t at)
{
    if (type == GX_DTYPE_FP32)
        return ((const float *)array)[at];
    uint32_t bits = (uint32_t)((const uint16_t *)array)[at] << 16;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void store(enum gx_dtype type, void *array, size_t at, double value)
{
    float rounded = (float)value;
    if (type == GX_DTYPE_FP32) {
        ((float *)array)[at] = rounded;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof(bits));
    if (!isnan(rounded))
        bits += 0x7fff + (bits >> 16 & 1);
    ((uint16_t *)array)[at] = (uint16_t)(bits >> 16);
}

static double gelu_inner(double x)
{
    return tanh(0.797884560802865355879892 * (x + 0.044715 * x * x * x));
}

static double gelu(double x)
{
    return 0.5 * x * (1 + gelu_inner(x));
}

static double gelu_slope(double x)
{
    double t = gelu_inner(x);
    return 0.5 * (1 + t) +
           0.5 * x * (1 - t * t) * 0.797884560802865355879892 * (1 + 3 * 0.044715 * x * x);
}

static float element(enum gx_dtype type, const void *array, struct gx_operand o, size_t row,
                     size_t column)
{
    return load(type, array, o.transposed ? column * o.stride + row : row * o.stride + column);
}

static double product(const struct job *j, size_t row, size_t column)
{
    const struct gx_matmul *m = &j->m;
    double sum = 0;
    for (uint32_t i = 0; i < m->k; i++)
        sum += (double)element(m->type, j->x.a, m->a, row, i) *
               (double)element(m->type, j->x.b, m->b, i, column);
    return sum;
}

static void finish(const struct job *j, size_t row, size_t column, double value)
{
    const struct gx_matmul *m = &j->m;
    const size_t at = row * m->stride + column;
    const enum gx_dtype type = m->out_type;
    if (m->add)
        value += (double)load(type, j->x.addend, at);
    if (m->epilogue == GX_EPILOGUE_BIAS || m->epilogue == GX_EPILOGUE_BIAS_GELU)
        value += (double)load(type, j->x.bias, column);
    if (m->epilogue == GX_EPILOGUE_BIAS_GELU) {
        store(type, j->x.aux, at, value);
        value = gelu(value);
    }
    if (m->epilogue == GX_EPILOGUE_DGELU)
        value *= gelu_slope((double)load(type, j->x.aux, at));
    store(type, j->x.out, at, value);
}

static void run(void *closure)
{
    const struct job *j = closure;
    const struct gx_matmul *m = &j->m;
    for (size_t row = 0; row < m->m; row++)
        for (size_t column = 0; column < m->n; column++)
            finish(j, row, column, product(j, row, column));
    if (m->epilogue != GX_EPILOGUE_BIAS_GRAD)
        return;
    for (size_t row = 0; row < m->m; row++) {
        double sum = 0;
        for (size_t i = 0; i < m->k; i++)
            sum += (double)element(m->type, j->x.a, m->a, row, i);
        store(m->out_type, j->x.bias, row, sum);
    }
}

bool gx_matmul_tune(struct gx_matmul_plan *plan, const struct gx_matmul_arrays *arrays,
                    struct gx_dev_stream *stream)
{
    if (gx_simt_faults.epilogues_do_not_run && plan->matmul.epilogue != GX_EPILOGUE_NONE &&
        plan->matmul.epilogue != GX_EPILOGUE_BIAS)
        return false;
    gx_matmul_run(plan, arrays, stream);
    return true;
}

void gx_matmul_run(struct gx_matmul_plan *plan, const struct gx_matmul_arrays *arrays,
                   struct gx_dev_stream *stream)
{
    struct job *j = malloc(sizeof(*j));
    if (!j)
        abort();
    *j = (struct job){plan->matmul, *arrays};
    gx_simt_queue_add(stream, "matmul", run, free, j);
}
