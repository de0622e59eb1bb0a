/* Tiles of bf16 rows in shared memory, and the products of them on tensor cores. What a warp computes together.
 *
 * Layout    rows of WIDTH values one after another; within a row, the places of its 16-byte chunks are exchanged by the
 *           row's number, so that the eight rows that ldmatrix reads together lie in different banks.
 * Fragments as in ptx.h. An accumulator is float[M][N][4]: M x N blocks of 16 x 8.
 */
#ifndef GX_TRAINER_CUDA_TILE_H
#define GX_TRAINER_CUDA_TILE_H

#include "cuda/bf16.h"

/* Rows in global memory: `count` of them can be read. */
struct gx_rows {
    const struct gx_bf16 *first;
    size_t stride;
    unsigned count;
};

/* The chunk that begins at `column`, a multiple of 8. */
template <unsigned WIDTH>
GX_DEVICE struct gx_bf16 *gx_tile_chunk(struct gx_bf16 *tile, unsigned row, unsigned column)
{
    static_assert(WIDTH == 32 || WIDTH == 64 || WIDTH == 128, "swizzled for these");
    const unsigned turn = WIDTH == 32 ? row / 2 % 4 : row % 8;
    return tile + row * WIDTH + (column / 8 ^ turn) * 8;
}

/* Starts copying ROWS rows from row `from` on; those that do not exist become zeros. The block's threads share the work. */
template <unsigned ROWS, unsigned WIDTH, unsigned THREADS>
GX_DEVICE void gx_tile_copy(struct gx_bf16 *tile, const struct gx_rows &rows, unsigned from)
{
    constexpr unsigned chunks = WIDTH / 8, row_step = THREADS / chunks;
    static_assert(THREADS % chunks == 0 && ROWS % row_step == 0, "every thread copies as much");
    const unsigned column = threadIdx.x % chunks * 8, first_row = threadIdx.x / chunks;
    GX_EACH (i, ROWS / row_step) {
        const unsigned row = first_row + i * row_step, at = from + row;
        const bool valid = at < rows.count;
        gx_copy_async16(gx_tile_chunk<WIDTH>(tile, row, column),
                        rows.first + (valid ? at * rows.stride : 0) + column, valid);
    }
}

/* A of 16 x 16: rows from `row` on, columns from `column` on. */
template <unsigned WIDTH>
GX_DEVICE void gx_tile_load_a(uint32_t (&a)[4], struct gx_bf16 *tile, unsigned row, unsigned column)
{
    const unsigned lane = gx_lane();
    gx_ldmatrix(a, gx_tile_chunk<WIDTH>(tile, row + lane % 16, column + lane / 16 * 8));
}

/* c += a b^T, the 16 columns from `column` on being summed over: a from fragments, b's rows are the tile's from `row` on. */
template <unsigned WIDTH, unsigned M, unsigned N>
GX_DEVICE void gx_tile_multiply_transposed(float (&c)[M][N][4], const uint32_t (&a)[M][4],
                                           struct gx_bf16 *tile, unsigned row, unsigned column)
{
    static_assert(N % 2 == 0, "two at a time");
    const unsigned lane = gx_lane();
    GX_UNROLL
    for (unsigned n = 0; n < N; n += 2) {
        uint32_t b[4];
        gx_ldmatrix(b, gx_tile_chunk<WIDTH>(tile, row + n * 8 + lane / 16 * 8 + lane % 8,
                                            column + lane / 8 % 2 * 8));
        GX_EACH (m, M) {
            gx_mma_bf16(c[m][n], a[m], b[0], b[1]);
            gx_mma_bf16(c[m][n + 1], a[m], b[2], b[3]);
        }
    }
}

/* c += a b, the tile's 16 rows from `row` on being summed over; c is as wide as the tile. */
template <unsigned WIDTH, unsigned M>
GX_DEVICE void gx_tile_multiply(float (&c)[M][WIDTH / 8][4], const uint32_t (&a)[M][4],
                                struct gx_bf16 *tile, unsigned row)
{
    const unsigned lane = gx_lane();
    GX_UNROLL
    for (unsigned n = 0; n < WIDTH / 8; n += 2) {
        uint32_t b[4];
        gx_ldmatrix_transposed(b,
                               gx_tile_chunk<WIDTH>(tile, row + lane % 16, n * 8 + lane / 16 * 8));
        GX_EACH (m, M) {
            gx_mma_bf16(c[m][n], a[m], b[0], b[1]);
            gx_mma_bf16(c[m][n + 1], a[m], b[2], b[3]);
        }
    }
}

/* 16 columns of an accumulator, from the 8 n-th on, as the A of the next product, rounded to bf16. */
template <unsigned M, unsigned N>
GX_DEVICE void gx_tile_round_a(uint32_t (&a)[M][4], const float (&c)[M][N][4], unsigned n)
{
    GX_EACH (m, M)
        GX_EACH (i, 4) {
            const unsigned block = n + i / 2, at = i % 2 * 2;
            a[m][i] = gx_bf16_pack(c[m][block][at], c[m][block][at + 1]);
        }
}

/* Rounds an accumulator to bf16 and writes it to the rows from `to` on, those that exist, by way of the tile's rows from
 * `row` on: these belong to the warp alone. */
template <unsigned WIDTH, unsigned M>
GX_DEVICE void gx_tile_store(struct gx_bf16 *to, size_t stride, unsigned count,
                             const float (&c)[M][WIDTH / 8][4], struct gx_bf16 *tile, unsigned row)
{
    constexpr unsigned chunks = WIDTH / 8;
    const unsigned lane = gx_lane();
    gx_syncwarp();
    GX_EACH (m, M)
        GX_EACH (n, WIDTH / 8)
            GX_EACH (half, 2) {
                struct gx_bf16 *chunk =
                    gx_tile_chunk<WIDTH>(tile, row + m * 16 + half * 8 + lane / 4, n * 8);
                reinterpret_cast<uint32_t *>(chunk)[lane % 4] =
                    gx_bf16_pack(c[m][n][2 * half], c[m][n][2 * half + 1]);
            }
    gx_syncwarp();
    GX_UNROLL
    for (unsigned i = lane; i < M * 16 * chunks; i += GX_WARP_LANES) {
        const unsigned at = i / chunks, column = i % chunks * 8;
        if (at < count)
            *reinterpret_cast<uint4 *>(to + at * stride + column) =
                *reinterpret_cast<const uint4 *>(gx_tile_chunk<WIDTH>(tile, row + at, column));
    }
}

#endif
