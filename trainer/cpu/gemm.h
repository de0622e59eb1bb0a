/* gx_gemm: the one place that calls a matrix library.
 *
 * C[m][n] = alpha * op(A) * op(B) + beta * C, row-major; lda, ldb, ldc are row strides in values as the matrices lie.
 * OpenBLAS runs on the calling thread; rows of C are divided among OpenMP's threads here, so that there is one pool
 * of threads and one place to set its size.
 */
#ifndef GX_TRAINER_GEMM_H
#define GX_TRAINER_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "cpu/real.h"

struct gx_matrix {
    const real *data;
    size_t stride;
    bool transposed; /* op(X) is the transpose of what lies in memory */
};

/* For the whole process, before the first product. */
void gx_gemm_start(void);

void gx_gemm(size_t m, size_t n, size_t k, real alpha, struct gx_matrix a, struct gx_matrix b,
             real beta, real *c, size_t ldc);

#endif
