#include "simt/samples.h"

#include "cuda/bf16.h"
#include "cuda/gpu.h"
#include "cuda/ptx.h"

#define THREADS 64u

GX_KERNEL turn(float *y, const float *x, uint32_t rows)
{
    GX_SHARED(float, tile, THREADS);
    for (uint32_t row = 0; row < rows; row++) {
        tile[threadIdx.x] = x[row * THREADS + threadIdx.x];
        gx_syncthreads();
        y[row * THREADS + threadIdx.x] = tile[THREADS - 1 - threadIdx.x];
        gx_syncthreads();
    }
}

void sample_turn(float *y, const float *x, uint32_t rows)
{
    GX_LAUNCH(turn, 1, THREADS, NULL, y, x, rows);
}

GX_KERNEL turn_async(float *y, const float *x, uint32_t rows)
{
    GX_SHARED_DYNAMIC(float, tiles, 2 * THREADS, 0);
    gx_copy_async4(tiles + threadIdx.x, x + threadIdx.x, true);
    gx_copy_async_commit();
    for (uint32_t row = 0; row < rows; row++) {
        gx_copy_async_wait(0);
        gx_syncthreads();
        const uint32_t next = row + 1, valid = next < rows;
        gx_copy_async4(tiles + next % 2 * THREADS + threadIdx.x,
                       x + (valid ? next : 0) * THREADS + threadIdx.x, valid);
        gx_copy_async_commit();
        y[row * THREADS + threadIdx.x] = tiles[row % 2 * THREADS + THREADS - 1 - threadIdx.x];
    }
    gx_copy_async_wait(0);
}

void sample_turn_async(float *y, const float *x, uint32_t rows)
{
    GX_LAUNCH_DYNAMIC(turn_async, 1, THREADS, 2 * THREADS * sizeof(float), NULL, y, x, rows);
}

GX_KERNEL count(uint32_t *y)
{
    const uint32_t block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    gx_atomic_add(y + threadIdx.x, block);
}

void sample_count(uint32_t *y, uint32_t blocks)
{
    GX_LAUNCH(count, dim3(blocks / 4, 2, 2), THREADS, NULL, y);
}

GX_KERNEL warp(float *y, const float *x)
{
    const unsigned lane = gx_lane();
    const float value = x[lane];
    y[lane] = gx_shuffle(value, 5);
    y[32 + lane] = gx_shuffle_xor(value, 1);
    y[64 + lane] = gx_shuffle_down(value, 3);
    y[96 + lane] = gx_shuffle_up(value, 3);
    y[128 + lane] = gx_warp_sum(value);
    y[160 + lane] = gx_warp_max(value);
    y[192 + lane] = static_cast<float>(gx_ballot(value > 0) >> lane & 1u);
}

void sample_warp(float *y, const float *x)
{
    GX_LAUNCH(warp, 1, 32, NULL, y, x);
}

GX_KERNEL multiply(float *c, const uint16_t *a, const uint16_t *b)
{
    GX_SHARED(uint16_t, as, 16 * 16);
    GX_SHARED(uint16_t, bs, 16 * 8);
    const unsigned lane = gx_lane(), row = lane / 4, column = 2 * (lane % 4);
    for (unsigned i = lane; i < 16 * 16; i += 32)
        as[i] = a[i];
    for (unsigned i = lane; i < 16 * 8; i += 32)
        bs[i] = b[i];
    gx_syncwarp();
    uint32_t part[4], other[4];
    gx_ldmatrix(part, as + lane % 16 * 16 + lane / 16 * 8);
    gx_ldmatrix_transposed(other, bs + lane % 16 * 8);
    float sum[4] = {c[row * 8 + column], c[row * 8 + column + 1], c[(row + 8) * 8 + column],
                    c[(row + 8) * 8 + column + 1]};
    gx_mma_bf16(sum, part, other[0], other[1]);
    c[row * 8 + column] = sum[0];
    c[row * 8 + column + 1] = sum[1];
    c[(row + 8) * 8 + column] = sum[2];
    c[(row + 8) * 8 + column + 1] = sum[3];
}

void sample_multiply(float *c, const uint16_t *a, const uint16_t *b)
{
    GX_LAUNCH(multiply, 1, 32, NULL, c, a, b);
}

GX_KERNEL round_all(uint16_t *nearest, uint16_t *stochastic, const float *x, const uint16_t *random,
                    uint32_t values)
{
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= values)
        return;
    nearest[i] = gx_bf16_round(x[i]).bits;
    stochastic[i] = gx_bf16_round_stochastic(x[i], random[i]).bits;
}

void sample_round(uint16_t *nearest, uint16_t *stochastic, const float *x, const uint16_t *random,
                  uint32_t values)
{
    GX_LAUNCH(round_all, (values + 127) / 128, 128, NULL, nearest, stochastic, x, random, values);
}

GX_KERNEL buggy(enum sample_bug bug, float *y, const float *x)
{
    const unsigned at = threadIdx.x, one = 1;
    GX_SHARED(float, tile, THREADS);
    GX_SHARED_DYNAMIC(float, copies, 4 * THREADS, 0);
    float value = x[at + (bug == SAMPLE_GLOBAL_READ ? one : 0)];
    tile[at + (bug == SAMPLE_SHARED_WRITE ? one : 0)] = value;
    if (bug == SAMPLE_HALF_AT_BARRIER && at >= THREADS / 2)
        return;
    if (bug == SAMPLE_TWO_BARRIERS && at % 2 == 0)
        gx_syncthreads();
    else
        gx_syncthreads();
    if (bug == SAMPLE_LANE_MISSING && at == 7)
        return;
    if (bug == SAMPLE_LANES_DIFFER && at % 2 == 0)
        (void)gx_ballot(true);
    else
        value = gx_shuffle(value, at);
    for (unsigned i = 0; i < 2; i++) {
        const unsigned shift = bug == SAMPLE_UNALIGNED_COPY ? one : 0;
        if (at < 16)
            gx_copy_async16(copies + i * THREADS + 4 * at + shift, x + 4 * at, true);
        gx_copy_async_commit();
    }
    if (bug == SAMPLE_EARLY_WAIT)
        gx_copy_async_wait(1);
    else if (bug != SAMPLE_NEVER_WAITS)
        gx_copy_async_wait(0);
    if (at < 16)
        value += copies[THREADS + 4 * at] - copies[4 * at];
    if (bug == SAMPLE_EARLY_WAIT)
        gx_copy_async_wait(0);
    value += tile[at + (bug == SAMPLE_SHARED_READ ? one : 0)] - tile[at];
    y[at + (bug == SAMPLE_GLOBAL_WRITE ? one : 0)] = value;
}

void sample_buggy(enum sample_bug bug, float *y, const float *x)
{
    const size_t bytes = bug == SAMPLE_TOO_MUCH         ? 200000
                         : bug == SAMPLE_DYNAMIC_BEYOND ? 2 * THREADS * sizeof(float)
                                                        : 4 * THREADS * sizeof(float);
    const unsigned grid = bug == SAMPLE_EMPTY_GRID ? 0 : 1;
    const unsigned block = bug == SAMPLE_ODD_BLOCK ? THREADS - 1 : THREADS;
    GX_LAUNCH_DYNAMIC(buggy, grid, block, bytes, NULL, bug, y, x);
}
