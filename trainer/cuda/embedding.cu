#include "cuda/embedding.h"

#include <string.h>

#include "cuda/each.h"
#include "cuda/pack.h"

namespace
{

/* ---- forward ---- */

template <typename T> struct embed {
    T *y;
    const uint16_t *tokens;
    const T *wte, *wpe;
    uint64_t period; /* context * width: values of the positions */
    uint32_t width;

    template <unsigned N> GX_METHOD void run(uint64_t i) const
    {
        const uint64_t row = i / width, column = i % width;
        float token[N], position[N];
        gx_load(token, wte + (uint64_t)tokens[row] * width + column);
        gx_load(position, wpe + i % period);
        for (unsigned j = 0; j < N; j++)
            token[j] += position[j];
        gx_store(y + i, token);
    }
    bool fits(unsigned n) const
    {
        return gx_pack_fits(y, width, n) && gx_pack_fits(wte, width, n) &&
               gx_pack_fits(wpe, width, n);
    }
};

/* ---- backward, positions ---- */

template <typename T> struct position_sum {
    float *dwpe;
    const T *dy;
    uint64_t step; /* values from one sequence of the batch to the next */
    uint32_t batch, width;
    bool add;

    template <unsigned N> GX_METHOD void run(uint64_t i) const
    {
        float sum[N] = {0};
        GX_UNROLL_BY(4)
        for (uint32_t b = 0; b < batch; b++) {
            float d[N];
            gx_load(d, dy + b * step + i);
            for (unsigned j = 0; j < N; j++)
                sum[j] += d[j];
        }
        if (add)
            gx_add_floats(dwpe + i, sum);
        else
            gx_store_floats(dwpe + i, sum);
    }
    bool fits(unsigned n) const
    {
        return gx_pack_fits(dy, width, n) && gx_pack_fits(dwpe, width, n % 4 == 0 ? 4 : 1);
    }
};

/* ---- backward, tokens: a warp takes a piece of one token's rows and 32 packs of columns ---- */

constexpr uint32_t WARPS = 8;
constexpr uint32_t BLOCKS_MAX = 1056; /* eight on each processor of an H100 */
constexpr uint32_t ALONE = 0xffffffffu;

/* The arrays of an index. A token of more than GX_TOKEN_PIECE_ROWS rows has several pieces; they leave partial sums in
 * neighbouring slots, which a merge adds up. */
struct token_index {
    uint32_t *counts; /* [2]: pieces, merges */
    uint32_t *order;  /* [rows]: rows, sorted by token */
    uint32_t *
        piece_first; /* [rows + 1]: where in `order` a piece begins, which is where the one before ends */
    uint32_t *piece_token; /* [rows] */
    uint32_t *piece_slot;  /* [rows]: ALONE where a token has one piece */
    uint32_t *merge_slot;  /* [merges_max + 1]: a merge's first slot */
    uint32_t *merge_token; /* [merges_max] */
    uint32_t merges_max;
    size_t bytes;
};

token_index index_layout(void *memory, uint32_t rows)
{
    token_index x;
    uint32_t *at = (uint32_t *)memory;
    const uint32_t merges = rows / GX_TOKEN_PIECE_ROWS;
    const auto take = [&](size_t count) {
        uint32_t *p = at;
        at += count;
        return p;
    };
    x.counts = take(2);
    x.order = take(rows);
    x.piece_first = take((size_t)rows + 1);
    x.piece_token = take(rows);
    x.piece_slot = take(rows);
    x.merge_slot = take((size_t)merges + 1);
    x.merge_token = take(merges);
    x.merges_max = merges;
    x.bytes = (size_t)(at - (uint32_t *)memory) * sizeof(uint32_t);
    return x;
}

/* A token with n > P rows has ceil(n / P) < 2 n / P pieces. */
uint32_t slots_max(uint32_t rows)
{
    return 2 * (rows / GX_TOKEN_PIECE_ROWS) + 1;
}

template <typename T, unsigned N>
GX_KERNEL_BOUND(WARPS *GX_WARP_LANES, 4)
sum_pieces(float *dwte, float *partials, const T *dy, token_index x, uint32_t width)
{
    const uint32_t chunks = (width + GX_WARP_LANES * N - 1) / (GX_WARP_LANES * N);
    const uint64_t items = (uint64_t)x.counts[0] * chunks;
    for (uint64_t i = blockIdx.x * WARPS + gx_warp(); i < items; i += gridDim.x * WARPS) {
        const uint32_t piece = (uint32_t)(i / chunks);
        const uint32_t column = ((uint32_t)(i % chunks) * GX_WARP_LANES + gx_lane()) * N;
        if (column >= width)
            continue;
        const uint32_t end = x.piece_first[piece + 1], slot = x.piece_slot[piece];
        float sum[N] = {0};
        GX_UNROLL_BY(4)
        for (uint32_t p = x.piece_first[piece]; p < end; p++) {
            float d[N];
            gx_load(d, dy + (uint64_t)x.order[p] * width + column);
            for (unsigned j = 0; j < N; j++)
                sum[j] += d[j];
        }
        if (slot == ALONE)
            gx_add_floats(dwte + (uint64_t)x.piece_token[piece] * width + column, sum);
        else
            gx_store_floats(partials + (uint64_t)slot * width + column, sum);
    }
}

template <unsigned N>
GX_KERNEL_BOUND(WARPS *GX_WARP_LANES, 4)
merge_pieces(float *dwte, const float *partials, token_index x, uint32_t width)
{
    const uint32_t chunks = (width + GX_WARP_LANES * N - 1) / (GX_WARP_LANES * N);
    const uint64_t items = (uint64_t)x.counts[1] * chunks;
    for (uint64_t i = blockIdx.x * WARPS + gx_warp(); i < items; i += gridDim.x * WARPS) {
        const uint32_t merge = (uint32_t)(i / chunks), end = x.merge_slot[merge + 1];
        const uint32_t column = ((uint32_t)(i % chunks) * GX_WARP_LANES + gx_lane()) * N;
        if (column >= width)
            continue;
        float sum[N] = {0};
        GX_UNROLL_BY(4)
        for (uint32_t s = x.merge_slot[merge]; s < end; s++) {
            float d[N];
            gx_load_floats(d, partials + (uint64_t)s * width + column);
            for (unsigned j = 0; j < N; j++)
                sum[j] += d[j];
        }
        gx_add_floats(dwte + (uint64_t)x.merge_token[merge] * width + column, sum);
    }
}

/* As many blocks as there may be work for; what there is decides the index, which only the device reads. */
uint32_t blocks_for(uint64_t items_max)
{
    const uint64_t blocks = (items_max + WARPS - 1) / WARPS;
    return blocks < BLOCKS_MAX ? (uint32_t)blocks : BLOCKS_MAX;
}

template <typename T, unsigned N>
void token_sums(float *dwte, float *partials, const T *dy, const token_index &x, uint32_t rows,
                uint32_t width, struct gx_dev_stream *stream)
{
    constexpr unsigned M = N == 1 ? 1 : 4;
    GX_LAUNCH((sum_pieces<T, N>), blocks_for((uint64_t)rows * width / N), WARPS * GX_WARP_LANES,
              stream, dwte, partials, dy, x, width);
    if (x.merges_max > 0)
        GX_LAUNCH((merge_pieces<M>), blocks_for((uint64_t)x.merges_max * width / M),
                  WARPS * GX_WARP_LANES, stream, dwte, partials, x, width);
}

} // namespace

size_t gx_token_index_bytes(uint32_t rows)
{
    return index_layout(NULL, rows).bytes;
}

void gx_token_index_fill(void *index, uint32_t *counts, const uint16_t *tokens, uint32_t rows,
                         uint32_t vocab)
{
    const token_index x = index_layout(index, rows);
    memset(counts, 0, ((size_t)vocab + 1) * sizeof(*counts));
    for (uint32_t r = 0; r < rows; r++)
        counts[tokens[r] + 1]++;
    for (uint32_t t = 0; t < vocab; t++)
        counts[t + 1] += counts[t];
    for (uint32_t r = 0; r < rows; r++)
        x.order[counts[tokens[r]]++] = r;
    /* Now counts[t] is where token t ends. */
    uint32_t pieces = 0, merges = 0, slots = 0, first = 0;
    for (uint32_t t = 0; t < vocab; first = counts[t++]) {
        const bool alone = counts[t] - first <= GX_TOKEN_PIECE_ROWS;
        if (!alone) {
            x.merge_slot[merges] = slots;
            x.merge_token[merges++] = t;
        }
        for (uint32_t at = first; at < counts[t]; at += GX_TOKEN_PIECE_ROWS) {
            x.piece_first[pieces] = at;
            x.piece_token[pieces] = t;
            x.piece_slot[pieces++] = alone ? ALONE : slots++;
        }
    }
    x.piece_first[pieces] = rows;
    x.merge_slot[merges] = slots;
    x.counts[0] = pieces;
    x.counts[1] = merges;
}

void gx_gpu_embedding_forward(enum gx_dtype type, void *y, const uint16_t *tokens, const void *wte,
                              const void *wpe, uint32_t rows, uint32_t context, uint32_t width,
                              struct gx_dev_stream *stream)
{
    gx_by_type(type, [&](auto t) {
        using T = decltype(t);
        const embed<T> op = {
            (T *)y, tokens, (const T *)wte, (const T *)wpe, (uint64_t)context * width, width};
        gx_each<gx_pack_width<T>>(op, (uint64_t)rows * width, stream);
    });
}

size_t gx_gpu_embedding_scratch_bytes(uint32_t rows, uint32_t width)
{
    return (size_t)slots_max(rows) * width * sizeof(float);
}

void gx_gpu_embedding_backward(enum gx_dtype type, float *dwte, float *dwpe, const void *dy,
                               const void *index, void *scratch, uint32_t rows, uint32_t context,
                               uint32_t width, bool add, struct gx_dev_stream *stream)
{
    /* The index is only read; the layout is the one that fills it. */
    const token_index x = index_layout((void *)index, rows);
    const uint64_t positions = (uint64_t)context * width;
    gx_by_type(type, [&](auto t) {
        using T = decltype(t);
        constexpr unsigned N = gx_pack_width<T>;
        const T *d = (const T *)dy;
        gx_each<N>(position_sum<T>{dwpe, d, positions, rows / context, width, add}, positions,
                   stream);
        if (gx_pack_fits(d, width, N) && gx_pack_fits(dwte, width, 4) &&
            gx_pack_fits((float *)scratch, width, 4))
            token_sums<T, N>(dwte, (float *)scratch, d, x, rows, width, stream);
        else
            token_sums<T, 1>(dwte, (float *)scratch, d, x, rows, width, stream);
    });
}
