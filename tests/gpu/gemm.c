/* trainer/cpu/gemm.h without a matrix library, for machines that have none: the CPU's side of a comparison. */
#include "cpu/gemm.h"

#include "cpu/parallel.h"

void gx_gemm_start(void)
{
}

static real at(struct gx_matrix x, size_t row, size_t column)
{
    return x.transposed ? x.data[column * x.stride + row] : x.data[row * x.stride + column];
}

void gx_gemm(size_t m, size_t n, size_t k, real alpha, struct gx_matrix a, struct gx_matrix b,
             real beta, real *c, size_t ldc)
{
    GX_PARALLEL_FOR
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t l = 0; l < k; l++)
                sum += (double)at(a, i, l) * (double)at(b, l, j);
            real *out = c + i * ldc + j;
            *out = (real)((double)alpha * sum + (beta != 0 ? (double)beta * (double)*out : 0));
        }
    }
}
