#include "cuda/product.h"

#include <errno.h>

#include "cuda/bias.h"
#include "cuda/elementwise.h"

size_t gx_product_scratch_bytes(uint32_t rows, uint32_t width)
{
    return gx_gpu_bias_scratch_bytes(rows, width);
}

/* What is asked for when the library can't do `epilogue`: each step leaves a little more to kernels. */
static enum gx_epilogue simpler(enum gx_epilogue epilogue)
{
    return epilogue == GX_EPILOGUE_BIAS_GELU ? GX_EPILOGUE_BIAS : GX_EPILOGUE_NONE;
}

static int make_plan(struct gx_product *p, const struct gx_product_context *c, struct gx_matmul m)
{
    m.type = c->type;
    m.tf32 = c->tf32;
    m.alignment = c->alignment;
    p->wanted = m.epilogue;
    p->tuned = false;
    if (!c->fuse_gelu && (m.epilogue == GX_EPILOGUE_BIAS_GELU || m.epilogue == GX_EPILOGUE_DGELU))
        m.epilogue = simpler(m.epilogue);
    int rc;
    while ((rc = gx_matmul_plan(&p->plan, c->library, &m)) == -ENOTSUP &&
           m.epilogue != GX_EPILOGUE_NONE)
        m.epilogue = simpler(m.epilogue);
    p->fused = m.epilogue;
    return rc;
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
    gx_matmul_plan_destroy(p->plan);
    p->plan = NULL;
}

static void run(struct gx_product *p, const struct gx_product_context *c,
                const struct gx_matmul_arrays *arrays)
{
    if (c->tuning && !p->tuned) {
        gx_matmul_tune(p->plan, arrays, c->stream);
        p->tuned = true;
    }
    gx_matmul_run(p->plan, arrays, c->stream);
}

void gx_product_forward(struct gx_product *p, const struct gx_product_context *c,
                        const struct gx_linear *l)
{
    const bool gelu_left = p->wanted == GX_EPILOGUE_BIAS_GELU && p->fused != p->wanted;
    void *out = gelu_left ? l->pre : l->y;
    const struct gx_matmul_arrays arrays = {
        .a = l->x,
        .b = l->w,
        .addend = l->residual,
        .out = out,
        .bias = (void *)(uintptr_t)l->bias,
        .aux = l->pre,
    };
    run(p, c, &arrays);
    if (p->wanted != GX_EPILOGUE_NONE && p->fused == GX_EPILOGUE_NONE)
        gx_gpu_bias_add(c->type, out, l->bias_master, p->rows, p->outs, c->stream);
    if (gelu_left)
        gx_gpu_gelu_forward(c->type, l->y, l->pre, (uint64_t)p->rows * p->outs, c->stream);
}

void gx_product_input(struct gx_product *p, const struct gx_product_context *c, void *dx,
                      const void *dy, const void *w, void *pre)
{
    const struct gx_matmul_arrays arrays = {.a = dy, .b = w, .out = dx, .aux = pre};
    run(p, c, &arrays);
    if (p->wanted != p->fused)
        gx_gpu_gelu_backward(c->type, dx, dx, pre, (uint64_t)p->rows * p->ins, c->stream);
}

void gx_product_weight(struct gx_product *p, const struct gx_product_context *c, float *dw,
                       float *db, const void *dy, const void *x)
{
    const struct gx_matmul_arrays arrays = {.a = dy, .b = x, .out = dw, .bias = db};
    run(p, c, &arrays);
    if (p->wanted != p->fused)
        gx_gpu_bias_backward(c->type, db, dy, c->scratch, p->rows, p->outs, false, c->stream);
}
