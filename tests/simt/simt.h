/* simt.h: a GPU's blocks, warps and shared memory on one host thread, so that kernels run where there is no GPU.
 *
 * Order     blocks run one after another, in random order. Within a block a randomly drawn warp runs until all its lanes
 *           stand at a barrier or have ended, then the next one; lanes run in random order too, and change only at
 *           shuffles and barriers. A missing barrier therefore shows under some seed.
 * Seed      see control.h, which is what tests in C include.
 * Memory    shared memory is the heap's: poisoned (0xff: NaN) when a block starts, between guards that are looked at when
 *           it ends, and known to AddressSanitizer. gx_simt_alloc() gives buffers that end at an unmapped page.
 * Failures  a barrier or a shuffle that some threads do not reach, a launch that no device would take, a guard that was
 *           overwritten: one line that names kernel, block and place, then abort().
 */
#ifndef GX_TESTS_SIMT_SIMT_H
#define GX_TESTS_SIMT_SIMT_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <tuple>

#include "simt/control.h"

struct gx_dev_stream;

#define GX_DEVICE [[maybe_unused]] static inline
#define GX_KERNEL [[maybe_unused]] static void
#define GX_KERNEL_BOUND(threads, blocks) [[maybe_unused]] static void
#define GX_UNROLL
#define __device__
#define __forceinline__ inline

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

/* ---- where a thread is ---- */

extern dim3 gx_simt_thread_idx, gx_simt_block_idx, gx_simt_block_dim, gx_simt_grid_dim;
#define threadIdx gx_simt_thread_idx
#define blockIdx gx_simt_block_idx
#define blockDim gx_simt_block_dim
#define gridDim gx_simt_grid_dim

struct gx_simt_site {
    const char *file;
    int line;
};

/* ---- shared memory ---- */

void *gx_simt_shared(int key, size_t bytes, size_t value_bytes, struct gx_simt_site site);
void *gx_simt_shared_dynamic(int key, size_t offset_bytes, size_t bytes, size_t value_bytes,
                             struct gx_simt_site site);

#define GX_SHARED(type, name, count)                                                               \
    type *const name = static_cast<type *>(                                                        \
        gx_simt_shared(__COUNTER__, (count) * sizeof(type), sizeof(type), {__FILE__, __LINE__}))
#define GX_SHARED_DYNAMIC(type, name, count, offset_bytes)                                         \
    type *const name = static_cast<type *>(gx_simt_shared_dynamic(                                 \
        __COUNTER__, offset_bytes, (count) * sizeof(type), sizeof(type), {__FILE__, __LINE__}))

/* ---- what threads do together ---- */

void gx_simt_barrier(struct gx_simt_site site);
#define gx_syncthreads() gx_simt_barrier({__FILE__, __LINE__})

/* All lanes come with their operand; the last one calls work() for all of them. `name` is what must be equal. */
void gx_simt_collect(const char *name, void *operand, void (*work)(void *const operands[32]));

void gx_simt_warp_barrier(struct gx_simt_site site);
#define gx_syncwarp() gx_simt_warp_barrier({__FILE__, __LINE__})

template <typename T> struct gx_simt_exchange {
    T value, result;
    unsigned from;
};

template <typename T> T gx_simt_shuffle(const char *name, T value, unsigned from)
{
    struct gx_simt_exchange<T> mine = {
        value, value, from
    };
    gx_simt_collect(name, &mine, [](void *const operands[32]) {
        for (unsigned lane = 0; lane < 32; lane++) {
            auto *to = static_cast<gx_simt_exchange<T> *>(operands[lane]);
            to->result = static_cast<gx_simt_exchange<T> *>(operands[to->from])->value;
        }
    });
    return mine.result;
}

template <typename T> T gx_shuffle(T value, unsigned lane)
{
    return gx_simt_shuffle("gx_shuffle", value, lane % 32);
}
template <typename T> T gx_shuffle_xor(T value, unsigned mask)
{
    return gx_simt_shuffle("gx_shuffle_xor", value, (threadIdx.x % 32) ^ mask);
}
template <typename T> T gx_shuffle_down(T value, unsigned distance)
{
    const unsigned lane = threadIdx.x % 32;
    return gx_simt_shuffle("gx_shuffle_down", value, lane + distance < 32 ? lane + distance : lane);
}
template <typename T> T gx_shuffle_up(T value, unsigned distance)
{
    const unsigned lane = threadIdx.x % 32;
    return gx_simt_shuffle("gx_shuffle_up", value, lane >= distance ? lane - distance : lane);
}
uint32_t gx_ballot(bool value);

/* One host thread: nothing comes between. */
template <typename T> T gx_atomic_add(T *at, T value)
{
    const T old = *at;
    *at = static_cast<T>(old + value);
    return old;
}
template <typename T> T gx_atomic_or(T *at, T value)
{
    const T old = *at;
    *at = static_cast<T>(old | value);
    return old;
}
template <typename T> T gx_atomic_max(T *at, T value)
{
    const T old = *at;
    *at = old < value ? value : old;
    return old;
}
GX_DEVICE void gx_threadfence(void)
{
}

GX_DEVICE float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}

/* ---- launches ---- */

/* Who runs what is launched: at once unless the twin of gx_dev puts its own queues here. */
extern void (*gx_simt_submit)(struct gx_dev_stream *stream, const char *kernel,
                              std::function<void()> job);

void gx_simt_run(const char *kernel, dim3 grid, dim3 block, size_t shared_bytes,
                 const std::function<void()> &body);

template <typename... Parameters, typename... Arguments>
void gx_simt_launch(const char *name, dim3 grid, dim3 block, size_t shared_bytes,
                    struct gx_dev_stream *stream, void (*kernel)(Parameters...),
                    Arguments... arguments)
{
    const std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
    gx_simt_submit(stream, name, [=] {
        gx_simt_run(name, grid, block, shared_bytes, [&] { std::apply(kernel, values); });
    });
}

#define GX_LAUNCH_DYNAMIC(kernel, grid, block, shared_bytes, stream, ...)                          \
    gx_simt_launch(#kernel, grid, block, shared_bytes, stream, kernel, __VA_ARGS__)

#endif
