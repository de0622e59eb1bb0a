/* gx_matmul: matrix products on the device, one descriptor for all of them.
 *
 * Product   out[m][n] = op(a)[m][k] op(b)[k][n] (+ addend[m][n]), row-major, strides in values; op transposes what lies
 *           in memory. Sums are FP32.
 * Library   matmul.c asks cuBLASLt, which it loads at run time; tests/simt/ has a twin in plain C. A plan is made once
 *           per shape, at start: it holds the library's choice of a kernel.
 * Epilogue  what is done to a product before it is written, where the library can: else gx_matmul_plan() says -ENOTSUP
 *           and the caller uses a kernel of its own.
 * Errors    as in dev.h.
 */
#ifndef GX_TRAINER_CUDA_MATMUL_H
#define GX_TRAINER_CUDA_MATMUL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda/dtype.h"

struct gx_dev_stream;
struct gx_matmul_library;
struct gx_matmul_plan;

enum gx_epilogue {
    GX_EPILOGUE_NONE,
    GX_EPILOGUE_BIAS, /* + bias[n], of out's type */
    GX_EPILOGUE_BIAS_GELU, /* aux = the product + bias[n]; out = GELU(aux); both of out's type and stride */
    GX_EPILOGUE_DGELU,     /* out = the product times GELU'(aux) */
    GX_EPILOGUE_BIAS_GRAD, /* bias[m] = the sum over k of op(a), FP32 like out */
};

struct gx_operand {
    uint32_t stride;
    bool transposed;
};

struct gx_matmul {
    uint32_t m, n, k;
    struct gx_operand a, b;
    uint32_t stride;        /* of out and addend */
    enum gx_dtype type;     /* of a and b */
    enum gx_dtype out_type; /* of out and addend */
    bool tf32;              /* FP32 operands may be rounded to TF32 */
    bool add;               /* there is an addend; it may be out itself */
    enum gx_epilogue epilogue;
    uint32_t alignment; /* a power of two that divides every address, at most 256 */
};

struct gx_matmul_arrays {
    const void *a, *b, *addend;
    void *out;
    void *bias, *aux; /* of the epilogues that have them */
};

/* How much workspace the library likes to have. */
#define GX_MATMUL_WORKSPACE_BYTES (32u << 20)

/* Loads the library. `workspace` is device memory of GX_MATMUL_WORKSPACE_BYTES. -ENOENT: it is not installed. */
int gx_matmul_open(struct gx_matmul_library **out, void *workspace);
void gx_matmul_close(struct gx_matmul_library *library); /* NULL is allowed */

/* `library` outlives the plan. -ENOTSUP, and nothing is kept as a failure: no kernel has this epilogue. */
int gx_matmul_plan(struct gx_matmul_plan **out, struct gx_matmul_library *library,
                   const struct gx_matmul *matmul);
void gx_matmul_plan_destroy(struct gx_matmul_plan *plan); /* NULL is allowed */

/* Runs the library's first few choices on these arrays, whose outputs are overwritten, and keeps the fastest. The
 * choice may differ between two starts, and with it the last bits of results. False: none of them ran. */
bool gx_matmul_tune(struct gx_matmul_plan *plan, const struct gx_matmul_arrays *arrays,
                    struct gx_dev_stream *stream);

void gx_matmul_run(struct gx_matmul_plan *plan, const struct gx_matmul_arrays *arrays,
                   struct gx_dev_stream *stream);

#endif
