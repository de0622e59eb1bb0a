#include "cuda/columns.h"

#include "cuda/pack.h"

namespace
{

/* A warp reads 32 neighbouring columns; the warps of a block share the pieces. */
constexpr uint32_t WARPS = 16;

GX_KERNEL_BOUND(WARPS *GX_WARP_LANES, 1)
columns_finish(float *first, float *second, const float *partials, uint32_t pieces, uint32_t sums,
               uint32_t width, bool add)
{
    GX_SHARED(float, found, WARPS *GX_WARP_LANES);
    const uint32_t column = blockIdx.x * GX_WARP_LANES + gx_lane();
    float sum = 0;
    if (column < width) {
        const float *at = partials + (uint64_t)blockIdx.y * width + column;
        GX_UNROLL_BY(4)
        for (uint32_t p = gx_warp(); p < pieces; p += WARPS)
            sum += at[(uint64_t)p * sums * width];
    }
    found[threadIdx.x] = sum;
    gx_syncthreads();
    if (gx_warp() != 0 || column >= width)
        return;
    for (uint32_t w = 1; w < WARPS; w++)
        sum += found[w * GX_WARP_LANES + gx_lane()];
    float *out = (blockIdx.y == 0 ? first : second) + column;
    *out = add ? *out + sum : sum;
}

} // namespace

void gx_gpu_columns_finish(float *first, float *second, const float *partials, uint32_t pieces,
                           uint32_t width, bool add, struct gx_dev_stream *stream)
{
    const uint32_t sums = second ? 2 : 1;
    const dim3 grid((width + GX_WARP_LANES - 1) / GX_WARP_LANES, sums);
    GX_LAUNCH(columns_finish, grid, WARPS * GX_WARP_LANES, stream, first, second, partials, pieces,
              sums, width, add);
}
