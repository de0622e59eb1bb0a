/* gpu.h: what a kernel's source may use, under nvcc and, with -DGX_SIMT, under a host's C++ compiler (tests/simt/simt.h).
 *
 * Kernels   `GX_KERNEL name(arguments)`, or `GX_KERNEL_BOUND(threads, blocks) name(arguments)`: blocks of at most
 *           `threads`, registers such that `blocks` of them fit a processor. Started by GX_LAUNCH() and nothing else.
 * Blocks    one-dimensional, whole warps. Every thread reaches every barrier, and every lane of a warp every shuffle.
 * Shared    GX_SHARED() and GX_SHARED_DYNAMIC(), nothing else. At most GX_SHARED_BYTES_MAX a block: what every device
 *           from sm_80 on has.
 * PTX       in ptx.h.
 * Not here  __activemask(), and whatever else relies on lanes that run in step.
 */
#ifndef GX_TRAINER_CUDA_GPU_H
#define GX_TRAINER_CUDA_GPU_H

#include <stddef.h>
#include <stdint.h>

#include "cuda/dev.h"

#define GX_WARP_LANES 32u
#define GX_SHARED_BYTES_MAX 101376u

#ifdef GX_SIMT
#include "simt/simt.h"
#else
#include <cuda_runtime.h>

#define GX_DEVICE [[maybe_unused]] static __device__ __forceinline__
#define GX_KERNEL [[maybe_unused]] static __global__ void
#define GX_KERNEL_BOUND(threads, blocks)                                                           \
    [[maybe_unused]] static __global__ void __launch_bounds__(threads, blocks)
#define GX_UNROLL _Pragma("unroll")

/* type *name: `count` values of shared memory, `count` being a constant. */
#define GX_SHARED(type, name, count) __shared__ __align__(16) type name[count]

/* type *name: `count` values that start `offset_bytes` (a multiple of 16) into the bytes of GX_LAUNCH_DYNAMIC(). */
#define GX_SHARED_DYNAMIC(type, name, count, offset_bytes)                                         \
    extern __shared__ __align__(16) unsigned char gx_shared_bytes[];                               \
    type *const name = reinterpret_cast<type *>(gx_shared_bytes + (offset_bytes))

#define gx_syncthreads() __syncthreads()
#define gx_syncwarp() __syncwarp()

template <typename T> GX_DEVICE T gx_shuffle(T value, unsigned lane)
{
    return __shfl_sync(0xffffffffu, value, static_cast<int>(lane));
}
template <typename T> GX_DEVICE T gx_shuffle_xor(T value, unsigned mask)
{
    return __shfl_xor_sync(0xffffffffu, value, static_cast<int>(mask));
}
/* From the lane `distance` above; the topmost lanes keep their own. */
template <typename T> GX_DEVICE T gx_shuffle_down(T value, unsigned distance)
{
    return __shfl_down_sync(0xffffffffu, value, distance);
}
/* From the lane `distance` below; the lowest lanes keep their own. */
template <typename T> GX_DEVICE T gx_shuffle_up(T value, unsigned distance)
{
    return __shfl_up_sync(0xffffffffu, value, distance);
}
/* Bit i: what lane i says. */
GX_DEVICE uint32_t gx_ballot(bool value)
{
    return __ballot_sync(0xffffffffu, value);
}

template <typename T> GX_DEVICE T gx_atomic_add(T *at, T value)
{
    return atomicAdd(at, value);
}
template <typename T> GX_DEVICE T gx_atomic_or(T *at, T value)
{
    return atomicOr(at, value);
}
template <typename T> GX_DEVICE T gx_atomic_max(T *at, T value)
{
    return atomicMax(at, value);
}
/* What this thread wrote is seen by other blocks before what it writes next. */
GX_DEVICE void gx_threadfence(void)
{
    __threadfence();
}

/* The attribute is a kernel's own and cheap to set again; without it a block gets 48 KiB. */
#define GX_LAUNCH_DYNAMIC(kernel, grid, block, shared_bytes, stream, ...)                          \
    do {                                                                                           \
        const size_t gx_launch_bytes = (shared_bytes);                                             \
        if (gx_launch_bytes > 48u * 1024u)                                                         \
            (void)cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,        \
                                       static_cast<int>(gx_launch_bytes));                         \
        (kernel)<<<(grid), (block), gx_launch_bytes, reinterpret_cast<cudaStream_t>(stream)>>>(    \
            __VA_ARGS__);                                                                          \
        gx_dev_launched(#kernel);                                                                  \
    } while (0)
#endif

/* Queues kernel(arguments) on a `struct gx_dev_stream *`: `grid` blocks (a number or dim3) of `block` threads. A template's
 * instance with a comma in its name goes in parentheses. */
#define GX_LAUNCH(kernel, grid, block, stream, ...)                                                \
    GX_LAUNCH_DYNAMIC(kernel, grid, block, 0u, stream, __VA_ARGS__)

/* ---- written once for both ---- */

GX_DEVICE unsigned gx_lane(void)
{
    return threadIdx.x % GX_WARP_LANES;
}

GX_DEVICE unsigned gx_warp(void)
{
    return threadIdx.x / GX_WARP_LANES;
}

/* A loop that the compiler unrolls: `count` is a constant. */
#define GX_EACH(i, count) GX_UNROLL for (unsigned i = 0; i < (count); i++)

template <typename T> GX_DEVICE constexpr T gx_min(T a, T b)
{
    return b < a ? b : a;
}

template <typename T> GX_DEVICE constexpr T gx_max(T a, T b)
{
    return a < b ? b : a;
}

/* Over the warp, in a fixed order; every lane gets the same bits. */
template <typename T> GX_DEVICE T gx_warp_sum(T value)
{
    GX_UNROLL
    for (unsigned mask = GX_WARP_LANES / 2; mask != 0; mask /= 2)
        value += gx_shuffle_xor(value, mask);
    return value;
}

template <typename T> GX_DEVICE T gx_warp_max(T value)
{
    GX_UNROLL
    for (unsigned mask = GX_WARP_LANES / 2; mask != 0; mask /= 2)
        value = gx_max(value, gx_shuffle_xor(value, mask));
    return value;
}

#endif
