/* One call of the attention kernels, forward and backward, on fresh random input, and what plain C in double says of it. */
#ifndef GX_TESTS_UNIT_CUDA_ATTENTION_CASE_H
#define GX_TESTS_UNIT_CUDA_ATTENTION_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda/attention_cudnn.h"

struct attention_case {
    enum gx_dtype type;
    struct gx_gpu_attention_shape shape;
    size_t qkv_count, out_count, row_count;
    double *qkv, *dout;               /* input, as the type can hold it */
    double *out, *lse, *dqkv;         /* what is right */
    double *out_bound, *dqkv_bound;   /* and how far the kernel's rounding may lead from it */
    struct gx_cudnn_attention *cudnn; /* asked instead of our own kernels; NULL: those */
};

void attention_case_init(struct attention_case *c, enum gx_dtype type,
                         struct gx_gpu_attention_shape shape, uint64_t seed);
void attention_case_fini(struct attention_case *c);

/* Runs the kernels into poisoned buffers. NULL, or what is wrong (valid until the next call). `out_short_bytes`: the last
 * bytes of `out`, dqkv and delta are not there. `bits` of 16 bytes may be NULL: a digest of all results. */
const char *attention_case_run(const struct attention_case *c, size_t out_short_bytes,
                               uint64_t *bits);

#endif
