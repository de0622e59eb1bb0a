/* Linear layers apart from the others: these alone need a matrix library. */
#include "cpu/layers.h"

#include <string.h>

#include "cpu/gemm.h"
#include "cpu/parallel.h"

void gx_linear_forward(real *y, const real *x, const real *w, const real *b, const real *residual,
                       size_t rows, size_t ins, size_t outs)
{
    GX_PARALLEL_FOR
    for (size_t r = 0; r < rows; r++) {
        real *out = y + r * outs;
        const real *res = residual ? residual + r * outs : NULL;
        if (b && res) {
            GX_SIMD
            for (size_t i = 0; i < outs; i++)
                out[i] = b[i] + res[i];
        } else if (b) {
            memcpy(out, b, outs * sizeof(real));
        } else if (res) {
            memcpy(out, res, outs * sizeof(real));
        }
    }
    struct gx_matrix a = {x, ins, false}, wt = {w, ins, true};
    gx_gemm(rows, outs, ins, 1, a, wt, b || residual ? 1 : 0, y, outs);
}

/* db[i] += sum over rows of dy[r][i] */
static void add_rows(real *db, const real *dy, size_t rows, size_t outs)
{
    GX_PARALLEL_FOR
    for (size_t first = 0; first < outs; first += GX_COLUMNS) {
        size_t count = outs - first < GX_COLUMNS ? outs - first : GX_COLUMNS;
        real *sum = db + first;
        for (size_t r = 0; r < rows; r++) {
            const real *row = dy + r * outs + first;
            GX_SIMD
            for (size_t i = 0; i < count; i++)
                sum[i] += row[i];
        }
    }
}

void gx_linear_backward(real *dx, real *dw, real *db, const real *dy, const real *x, const real *w,
                        size_t rows, size_t ins, size_t outs)
{
    struct gx_matrix d = {dy, outs, false}, dt = {dy, outs, true};
    struct gx_matrix wm = {w, ins, false}, xm = {x, ins, false};
    gx_gemm(rows, ins, outs, 1, d, wm, 0, dx, ins);
    gx_gemm(outs, ins, rows, 1, dt, xm, 1, dw, ins);
    if (db)
        add_rows(db, dy, rows, outs);
}
