/* gx_product: one of the model's matrix products, with what belongs to it (bias, GELU, their gradients): fused by the
 * matrix library where it can, else by kernels after it.
 *
 * Rows are tokens; weights are [outs][ins] as in trainer/model/gpt2.h.
 */
#ifndef GX_TRAINER_CUDA_PRODUCT_H
#define GX_TRAINER_CUDA_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda/matmul.h"

/* What all products of a model have in common. */
struct gx_product_context {
    struct gx_matmul_library *library;
    enum gx_dtype type;
    bool tf32;
    bool fuse_gelu;
    uint32_t alignment;
    bool tuning;   /* the next run of each product times what it can choose from */
    void *scratch; /* of gx_product_scratch_bytes() */
    struct gx_dev_stream *stream;
};

/* A way to compute a product: what of the epilogue the library does; kernels of ours do the rest. */
struct gx_product_way {
    struct gx_matmul_plan *plan;
    enum gx_epilogue fused;
};

/* A fused epilogue rules out kernels that split k, which is long where weights' gradients are computed; so the way with less
 * of it may be the faster one. Without tuning the one with most of it is taken. */
struct gx_product {
    uint32_t rows, ins, outs;
    enum gx_epilogue wanted;
    struct gx_product_way ways[2];
    uint32_t way_count, way;
    bool tuned;
};

/* y[rows][outs] = x[rows][ins] w^T, then `epilogue` (NONE, BIAS or BIAS_GELU), plus a residual if `add`. y's rows are
 * `stride` long. */
int gx_product_init_forward(struct gx_product *p, const struct gx_product_context *c, uint32_t rows,
                            uint32_t ins, uint32_t outs, uint32_t stride, enum gx_epilogue epilogue,
                            bool add);
/* dx[rows][ins] = dy[rows][outs] w, then `epilogue` (NONE or DGELU). */
int gx_product_init_input(struct gx_product *p, const struct gx_product_context *c, uint32_t rows,
                          uint32_t ins, uint32_t outs, uint32_t stride, enum gx_epilogue epilogue);
/* dw[outs][ins] = dy^T x, FP32, then `epilogue` (NONE or BIAS_GRAD). */
int gx_product_init_weight(struct gx_product *p, const struct gx_product_context *c, uint32_t rows,
                           uint32_t ins, uint32_t outs, uint32_t stride, enum gx_epilogue epilogue);
void gx_product_fini(struct gx_product *p);

size_t gx_product_scratch_bytes(uint32_t rows, uint32_t width);

struct gx_linear {
    const void *x, *w;
    const void *bias;         /* of the activations' type */
    const float *bias_master; /* the same in FP32 */
    const void *residual;     /* may be NULL */
    void *y;
    void *pre; /* before the GELU; NULL without one */
};
void gx_product_forward(struct gx_product *p, const struct gx_product_context *c,
                        const struct gx_linear *l);

/* `pre`: what went into the GELU; NULL without one. */
void gx_product_input(struct gx_product *p, const struct gx_product_context *c, void *dx,
                      const void *dy, const void *w, void *pre);
/* `db`: NULL without a bias. */
void gx_product_weight(struct gx_product *p, const struct gx_product_context *c, float *dw,
                       float *db, const void *dy, const void *x);

#endif
