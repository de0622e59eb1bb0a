#include "cuda/product.h"

#include <errno.h>

#include "cuda/bias.h"
#include "cuda/dev.h"
#include "cuda/elementwise.h"

#define TUNE_RUNS 3

size_t gx_product_scratch_bytes(uint32_t rows, uint32_t width)
{
    return gx_gpu_bias_scratch_bytes(rows, width);
}

/* What is asked for when the library can't do `epilogue`: each step leaves a little more to kernels. */
static enum gx_epilogue simpler(enum gx_epilogue epilogue)
{
    return epilogue == GX_EPILOGUE_BIAS_GELU ? GX_EPILOGUE_BIAS : GX_EPILOGUE_NONE;
}

/* Adds the way with the most of `m.epilogue` that the library can. */
static int add_way(struct gx_product *p, const struct gx_product_context *c, struct gx_matmul m)
{
    struct gx_product_way *way = &p->ways[p->way_count];
    int rc;
    while ((rc = gx_matmul_plan(&way->plan, c->library, &m)) == -ENOTSUP &&
           m.epilogue != GX_EPILOGUE_NONE)
        m.epilogue = simpler(m.epilogue);
    way->fused = m.epilogue;
    p->way_count += rc == 0;
    return rc;
}

static int make_plan(struct gx_product *p, const struct gx_product_context *c, struct gx_matmul m)
{
    m.type = c->type;
    m.tf32 = c->tf32;
    m.alignment = c->alignment;
    p->wanted = m.epilogue;
    if (!c->fuse_gelu && (m.epilogue == GX_EPILOGUE_BIAS_GELU || m.epilogue == GX_EPILOGUE_DGELU))
        m.epilogue = simpler(m.epilogue);
    int rc = add_way(p, c, m);
    m.epilogue = p->ways[0].fused;
    /* A bias alone is always best where the library adds it. */
    if (rc != 0 || m.epilogue == GX_EPILOGUE_NONE || m.epilogue == GX_EPILOGUE_BIAS)
        return rc;
    m.epilogue = simpler(m.epilogue);
    return add_way(p, c, m);
}

int gx_product_init_forward(struct gx_product *p, const struct gx_product_context *c, uint32_t rows,
                            uint32_t ins, uint32_t outs, uint32_t stride, enum gx_epilogue epilogue,
                            bool add)
{
    *p = (struct gx_product){.rows = rows, .ins = ins, .outs = outs};
    const struct gx_matmul m = {
        .m = rows,
        .n = outs,
        .k = ins,
        .a = {ins, false},
        .b = {ins, true},
        .stride = stride,
        .out_type = c->type,
        .add = add,
        .epilogue = epilogue,
    };
    return make_plan(p, c, m);
}

int gx_product_init_input(struct gx_product *p, const struct gx_product_context *c, uint32_t rows,
                          uint32_t ins, uint32_t outs, uint32_t stride, enum gx_epilogue epilogue)
{
    *p = (struct gx_product){.rows = rows, .ins = ins, .outs = outs};
    const struct gx_matmul m = {
        .m = rows,
        .n = ins,
        .k = outs,
        .a = {stride, false},
        .b = {ins, false},
        .stride = ins,
        .out_type = c->type,
        .epilogue = epilogue,
    };
    return make_plan(p, c, m);
}

int gx_product_init_weight(struct gx_product *p, const struct gx_product_context *c, uint32_t rows,
                           uint32_t ins, uint32_t outs, uint32_t stride, enum gx_epilogue epilogue)
{
    *p = (struct gx_product){.rows = rows, .ins = ins, .outs = outs};
    const struct gx_matmul m = {
        .m = outs,
        .n = ins,
        .k = rows,
        .a = {stride, true},
        .b = {ins, false},
        .stride = ins,
        .out_type = GX_DTYPE_FP32,
        .epilogue = epilogue,
    };
    return make_plan(p, c, m);
}

void gx_product_fini(struct gx_product *p)
{
    for (uint32_t i = 0; i < p->way_count; i++)
        gx_matmul_plan_destroy(p->ways[i].plan);
    p->way_count = 0;
}

/* ---- runs ---- */

/* False: the library refused to run what it had planned (only while tuning; else that is a failure of the device). */
typedef bool run_function(const struct gx_product *p, const struct gx_product_way *way,
                          const struct gx_product_context *c, const void *arguments);

static bool run_plan(const struct gx_product *p, const struct gx_product_way *way,
                     const struct gx_product_context *c, const struct gx_matmul_arrays *arrays)
{
    if (c->tuning && !p->tuned && !gx_matmul_tune(way->plan, arrays, c->stream))
        return false;
    gx_matmul_run(way->plan, arrays, c->stream);
    return true;
}

/* Runs each way, which finds the best kernel of its plan, then times it as a whole. */
static void tune(struct gx_product *p, const struct gx_product_context *c, run_function *run,
                 const void *arguments)
{
    struct gx_dev_event *from = NULL, *to = NULL;
    float best_ms = -1;
    bool runs[2] = {false};
    for (uint32_t i = 0; i < p->way_count; i++) {
        runs[i] = run(p, &p->ways[i], c, arguments);
        p->way = runs[i] && !runs[p->way] ? i : p->way;
    }
    p->tuned = true;
    if (runs[0] && runs[1] && gx_dev_event_create(&from, true) == 0 &&
        gx_dev_event_create(&to, true) == 0) {
        for (uint32_t i = 0; i < p->way_count; i++) {
            gx_dev_event_record(from, c->stream);
            for (int turn = 0; turn < TUNE_RUNS; turn++)
                run(p, &p->ways[i], c, arguments);
            gx_dev_event_record(to, c->stream);
            const float ms = gx_dev_event_sync(to) == 0 ? gx_dev_event_ms(from, to) : -1;
            if (ms >= 0 && (best_ms < 0 || ms < best_ms)) {
                best_ms = ms;
                p->way = i;
            }
        }
    }
    gx_dev_event_destroy(from);
    gx_dev_event_destroy(to);
}

static void run_best(struct gx_product *p, const struct gx_product_context *c, run_function *run,
                     const void *arguments)
{
    if (c->tuning && !p->tuned)
        tune(p, c, run, arguments);
    run(p, &p->ways[p->way], c, arguments);
}

static bool run_forward(const struct gx_product *p, const struct gx_product_way *way,
                        const struct gx_product_context *c, const void *arguments)
{
    const struct gx_linear *l = arguments;
    const bool gelu_left = p->wanted == GX_EPILOGUE_BIAS_GELU && way->fused != p->wanted;
    void *out = gelu_left ? l->pre : l->y;
    const struct gx_matmul_arrays arrays = {
        .a = l->x,
        .b = l->w,
        .addend = l->residual,
        .out = out,
        .bias = (void *)(uintptr_t)l->bias,
        .aux = l->pre,
    };
    if (!run_plan(p, way, c, &arrays))
        return false;
    if (p->wanted != GX_EPILOGUE_NONE && way->fused == GX_EPILOGUE_NONE)
        gx_gpu_bias_add(c->type, out, l->bias_master, p->rows, p->outs, c->stream);
    if (gelu_left)
        gx_gpu_gelu_forward(c->type, l->y, l->pre, (uint64_t)p->rows * p->outs, c->stream);
    return true;
}

void gx_product_forward(struct gx_product *p, const struct gx_product_context *c,
                        const struct gx_linear *l)
{
    run_best(p, c, run_forward, l);
}

static bool run_input(const struct gx_product *p, const struct gx_product_way *way,
                      const struct gx_product_context *c, const void *arguments)
{
    const struct gx_matmul_arrays *x = arguments;
    if (!run_plan(p, way, c, x))
        return false;
    if (p->wanted != way->fused)
        gx_gpu_gelu_backward(c->type, x->out, x->out, x->aux, (uint64_t)p->rows * p->ins,
                             c->stream);
    return true;
}

void gx_product_input(struct gx_product *p, const struct gx_product_context *c, void *dx,
                      const void *dy, const void *w, void *pre)
{
    const struct gx_matmul_arrays arrays = {.a = dy, .b = w, .out = dx, .aux = pre};
    run_best(p, c, run_input, &arrays);
}

static bool run_weight(const struct gx_product *p, const struct gx_product_way *way,
                       const struct gx_product_context *c, const void *arguments)
{
    const struct gx_matmul_arrays *x = arguments;
    if (!run_plan(p, way, c, x))
        return false;
    if (p->wanted != way->fused)
        gx_gpu_bias_backward(c->type, x->bias, x->a, c->scratch, p->rows, p->outs, false,
                             c->stream);
    return true;
}

void gx_product_weight(struct gx_product *p, const struct gx_product_context *c, float *dw,
                       float *db, const void *dy, const void *x)
{
    const struct gx_matmul_arrays arrays = {.a = dy, .b = x, .out = dw, .bias = db};
    run_best(p, c, run_weight, &arrays);
}
