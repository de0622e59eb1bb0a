#include "cpu/gemm.h"

#include <cblas.h>

#include "cpu/parallel.h"

#ifdef GX_REAL_DOUBLE
#define cblas_gemm cblas_dgemm
#else
#define cblas_gemm cblas_sgemm
#endif

/* Below this many multiply-adds a second thread costs more than it brings. */
#define SPLIT_MIN (1u << 18)

static void multiply(size_t m, size_t n, size_t k, real alpha, struct gx_matrix a,
                     struct gx_matrix b, real beta, real *c, size_t ldc)
{
    cblas_gemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans,
               b.transposed ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha,
               a.data, (blasint)a.stride, b.data, (blasint)b.stride, beta, c, (blasint)ldc);
}

#ifndef GX_REAL_DOUBLE
void gx_gemm_start(void)
{
    /* gx_gemm() divides the work itself; OpenBLAS's own threads would only spin beside ours. */
    openblas_set_num_threads(1);
}
#endif

void gx_gemm(size_t m, size_t n, size_t k, real alpha, struct gx_matrix a, struct gx_matrix b,
             real beta, real *c, size_t ldc)
{
    size_t parts = m * n * k < SPLIT_MIN ? 1 : gx_parallel_threads();
    if (parts > m)
        parts = m;
    if (parts <= 1) {
        multiply(m, n, k, alpha, a, b, beta, c, ldc);
        return;
    }
    GX_PARALLEL_FOR
    for (size_t part = 0; part < parts; part++) {
        size_t first = gx_slice(m, part, parts), end = gx_slice(m, part + 1, parts);
        struct gx_matrix rows = a;
        rows.data += a.transposed ? first : first * a.stride;
        multiply(end - first, n, k, alpha, rows, b, beta, c + first * ldc, ldc);
    }
}
