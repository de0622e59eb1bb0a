/* gx_each: a kernel that does one thing to every value of some arrays.
 *
 * An operation is a struct of pointers and numbers with
 *     template <unsigned N> GX_METHOD void run(uint64_t i) const    the values i .. i + N - 1, N being WIDTH or 1
 *     bool fits(unsigned n) const                                   whether its pointers are aligned for n values
 * Threads take N neighbouring values each; the last ones are done one by one.
 */
#ifndef GX_TRAINER_CUDA_EACH_H
#define GX_TRAINER_CUDA_EACH_H

#include "cuda/gpu.h"

#define GX_EACH_THREADS 256u

template <unsigned N, typename Op>
GX_KERNEL_BOUND(GX_EACH_THREADS, 1)
gx_each_kernel(Op op, uint64_t count)
{
    uint64_t i = ((uint64_t)blockIdx.x * blockDim.x + threadIdx.x) * N;
    if (i + N <= count)
        op.template run<N>(i);
    else
        for (; i < count; i++)
            op.template run<1>(i);
}

template <unsigned WIDTH, typename Op>
static void gx_each(const Op &op, uint64_t count, struct gx_dev_stream *stream)
{
    const bool wide = op.fits(WIDTH);
    const uint64_t values = GX_EACH_THREADS * ((uint64_t)(wide ? WIDTH : 1));
    const uint32_t blocks = (uint32_t)((count + values - 1) / values);
    if (blocks == 0)
        return;
    if (wide)
        GX_LAUNCH((gx_each_kernel<WIDTH, Op>), blocks, GX_EACH_THREADS, stream, op, count);
    else
        GX_LAUNCH((gx_each_kernel<1, Op>), blocks, GX_EACH_THREADS, stream, op, count);
}

#endif
