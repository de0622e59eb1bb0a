#include "cuda/bias.h"

#include "cuda/columns.h"
#include "cuda/each.h"
#include "cuda/pack.h"

namespace
{

template <typename T> struct bias_add {
    T *y;
    const float *b;
    uint32_t width;

    template <unsigned N> GX_METHOD void run(uint64_t i) const
    {
        float v[N], bias[N];
        gx_load(v, y + i);
        gx_load_floats(bias, b + i % width);
        for (unsigned j = 0; j < N; j++)
            v[j] += bias[j];
        gx_store(y + i, v);
    }
    bool fits(unsigned n) const
    {
        return gx_pack_fits(y, width, n) && gx_pack_fits(b, width, n % 4 == 0 ? 4 : 1);
    }
};

/* ---- sums over rows: a warp takes 32 packs of columns, the warps of a block every eighth row of a slice ---- */

constexpr uint32_t WARPS = 8;
/* Blocks in all: what an H100 holds at once, four on a processor. */
constexpr uint32_t BLOCKS = 528;

template <typename T, unsigned N>
GX_KERNEL_BOUND(WARPS *GX_WARP_LANES, 4)
column_sums(float *partials, const T *dy, uint32_t rows, uint32_t width)
{
    GX_SHARED(float, found, WARPS *GX_WARP_LANES *N);
    const uint32_t column = (blockIdx.x * GX_WARP_LANES + gx_lane()) * N;
    float sum[N] = {0};
    if (column < width) {
        GX_UNROLL_BY(4)
        for (uint32_t r = blockIdx.y * WARPS + gx_warp(); r < rows; r += gridDim.y * WARPS) {
            float d[N];
            gx_load(d, dy + (uint64_t)r * width + column);
            for (unsigned j = 0; j < N; j++)
                sum[j] += d[j];
        }
    }
    for (unsigned j = 0; j < N; j++)
        found[(gx_warp() * N + j) * GX_WARP_LANES + gx_lane()] = sum[j];
    gx_syncthreads();
    if (gx_warp() != 0 || column >= width)
        return;
    for (uint32_t warp = 1; warp < WARPS; warp++)
        for (unsigned j = 0; j < N; j++)
            sum[j] += found[(warp * N + j) * GX_WARP_LANES + gx_lane()];
    gx_store_floats(partials + (uint64_t)blockIdx.y * width + column, sum);
}

dim3 column_grid(uint32_t rows, uint32_t width, unsigned n)
{
    const uint32_t chunk = GX_WARP_LANES * n, chunks = (width + chunk - 1) / chunk;
    const uint32_t slices = chunks < BLOCKS ? BLOCKS / chunks : 1,
                   most = (rows + WARPS - 1) / WARPS;
    return dim3(chunks, slices < most ? slices : most);
}

} // namespace

void gx_gpu_bias_add(enum gx_dtype type, void *y, const float *b, uint32_t rows, uint32_t width,
                     struct gx_dev_stream *stream)
{
    gx_by_type(type, [&](auto t) {
        using T = decltype(t);
        gx_each<gx_pack_width<T>>(bias_add<T>{(T *)y, b, width}, (uint64_t)rows * width, stream);
    });
}

size_t gx_gpu_bias_scratch_bytes(uint32_t rows, uint32_t width)
{
    /* The widest packs make the fewest chunks, and so the most slices. */
    return (size_t)column_grid(rows, width, gx_pack_width<gx_bf16>).y * width * sizeof(float);
}

void gx_gpu_bias_backward(enum gx_dtype type, float *db, const void *dy, void *scratch,
                          uint32_t rows, uint32_t width, bool add, struct gx_dev_stream *stream)
{
    float *partials = (float *)scratch;
    uint32_t slices = 0;
    gx_by_type(type, [&](auto t) {
        using T = decltype(t);
        constexpr unsigned N = gx_pack_width<T>;
        const bool wide = gx_pack_fits((const T *)dy, width, N);
        const dim3 grid = column_grid(rows, width, wide ? N : 1);
        slices = grid.y;
        if (wide)
            GX_LAUNCH((column_sums<T, N>), grid, WARPS * GX_WARP_LANES, stream, partials,
                      (const T *)dy, rows, width);
        else
            GX_LAUNCH((column_sums<T, 1>), grid, WARPS * GX_WARP_LANES, stream, partials,
                      (const T *)dy, rows, width);
    });
    gx_gpu_columns_finish(db, NULL, partials, slices, width, add, stream);
}
