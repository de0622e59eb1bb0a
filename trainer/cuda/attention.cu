/* bf16 attention on tensor cores: FlashAttention-2 (Dao 2023, algorithms 1 and 2), the way back in two kernels.
 *
 * A block owns 128 rows, a warp 16 or 32 of them, and streams the other side's rows through shared memory, two tiles of
 * them: while one is worked on, the next is on its way. The one barrier of a step says both that the tile has come, for
 * every thread's copies, and that every warp has left the tile that is overwritten next.
 */
#include "cuda/attention.h"

#include "cuda/attention_fp32.h"
#include "cuda/head.h"
#include "cuda/tile.h"

#define LOG2_E 1.4426950408889634f

/* Sizes for a head of SIZE values: 32 rows a warp halve what it reads of shared memory, where registers allow it. */
template <unsigned SIZE> struct plan {
    static constexpr unsigned m = SIZE <= 64 ? 2 : 1; /* blocks of 16 rows a warp */
    static constexpr unsigned rows = 128;
    static constexpr unsigned warp_rows = 16 * m;
    static constexpr unsigned threads = rows / warp_rows * GX_WARP_LANES;
    static constexpr unsigned step = 64; /* rows of a streamed tile, forward */
    static constexpr unsigned back_step = SIZE <= 64 ? 64 : 32; /* and on the way back */
    static constexpr unsigned part = 32; /* of which the way back works on so many at a time */
    static constexpr unsigned k = SIZE / 16, n = SIZE / 8;
    static constexpr size_t row_bytes = SIZE * sizeof(struct gx_bf16);
    static constexpr size_t forward_bytes = (rows + 4 * step) * row_bytes;
    static constexpr size_t rows_bytes = (2 * rows + 4 * back_step) * row_bytes;
    static constexpr size_t columns_bytes = rows_bytes + 4 * back_step * sizeof(float);
    static_assert(columns_bytes <= GX_SHARED_BYTES_MAX, "fits every device");
};

struct inputs {
    struct gx_rows q, k, v;
};

GX_DEVICE struct inputs inputs_of(const struct gx_head &h, const struct gx_bf16 *qkv,
                                  unsigned context)
{
    const struct gx_bf16 *q = qkv + h.qkv, *k = q + h.width, *v = k + h.width;
    return {{q, h.qkv_stride, context}, {k, h.qkv_stride, context}, {v, h.qkv_stride, context}};
}

/* Causal: column <= row. `c` begins at (row, column) of the matrix of scores; TRANSPOSED: at (column, row) of its transpose. */
template <bool TRANSPOSED, unsigned M, unsigned N>
GX_DEVICE void mask(float (&c)[M][N][4], unsigned row, unsigned column)
{
    const unsigned g = gx_lane() / 4, t = gx_lane() % 4;
    GX_EACH (m, M)
        GX_EACH (n, N)
            GX_EACH (i, 4) {
                const unsigned down = 16 * m + g + i / 2 * 8, right = 8 * n + 2 * t + i % 2;
                if (TRANSPOSED ? column + down > row + right : column + right > row + down)
                    c[m][n][i] = -INFINITY;
            }
}

/* A row's values lie in four lanes. */
GX_DEVICE float row_sum(float value)
{
    value += gx_shuffle_xor(value, 1);
    return value + gx_shuffle_xor(value, 2);
}

GX_DEVICE float row_max(float value)
{
    value = gx_max(value, gx_shuffle_xor(value, 1));
    return gx_max(value, gx_shuffle_xor(value, 2));
}

/* ---- forward ---- */

/* Rows g and g + 8 of each block of 16: the greatest score so far, and this lane's share of the sum. */
template <unsigned M> struct softmax {
    float highest[M][2], sum[M][2];
};

/* Scores become exponentials relative to the row's highest score; what was summed before is brought down to that. */
template <unsigned M, unsigned N, unsigned SIZE_N>
GX_DEVICE void softmax_step(struct softmax<M> &state, float (&s)[M][N][4], float (&o)[M][SIZE_N][4],
                            float scale_log2)
{
    GX_EACH (m, M)
        GX_EACH (half, 2) {
            float highest = state.highest[m][half];
            GX_EACH (n, N)
                highest = gx_max(highest, gx_max(s[m][n][2 * half], s[m][n][2 * half + 1]));
            highest = row_max(highest);
            const float base = highest * scale_log2;
            const float keep = gx_exp2(state.highest[m][half] * scale_log2 - base);
            float sum = state.sum[m][half] * keep;
            GX_EACH (n, N)
                GX_EACH (i, 2) {
                    float &score = s[m][n][2 * half + i];
                    score = gx_exp2(score * scale_log2 - base);
                    sum += score;
                }
            GX_EACH (n, SIZE_N) {
                o[m][n][2 * half] *= keep;
                o[m][n][2 * half + 1] *= keep;
            }
            state.highest[m][half] = highest;
            state.sum[m][half] = sum;
        }
}

/* o /= sum; writes the logarithms of the sums. */
template <unsigned M, unsigned SIZE_N>
GX_DEVICE void softmax_end(const struct softmax<M> &state, float (&o)[M][SIZE_N][4], float *lse,
                           unsigned row, unsigned context, float scale)
{
    GX_EACH (m, M)
        GX_EACH (half, 2) {
            const float sum = row_sum(state.sum[m][half]), inverse = 1 / sum;
            const unsigned at = row + 16 * m + 8 * half + gx_lane() / 4;
            if (gx_lane() % 4 == 0 && at < context)
                lse[at] = state.highest[m][half] * scale + logf(sum);
            GX_EACH (n, SIZE_N) {
                o[m][n][2 * half] *= inverse;
                o[m][n][2 * half + 1] *= inverse;
            }
        }
}

template <unsigned SIZE>
GX_KERNEL_BOUND(plan<SIZE>::threads, 1)
attention_forward(struct gx_bf16 *out, float *lse, const struct gx_bf16 *qkv, unsigned context,
                  float scale)
{
    using p = plan<SIZE>;
    GX_SHARED_DYNAMIC(struct gx_bf16, q, p::rows * SIZE, 0);
    GX_SHARED_DYNAMIC(struct gx_bf16, keys, 2 * p::step * SIZE, p::rows * p::row_bytes);
    GX_SHARED_DYNAMIC(struct gx_bf16, values, 2 * p::step * SIZE,
                      (p::rows + 2 * p::step) * p::row_bytes);
    const struct gx_head h = gx_head_own(context, SIZE);
    const struct inputs in = inputs_of(h, qkv, context);
    const unsigned first = gx_head_first_row(p::rows), end = gx_min(first + p::rows, context);
    const unsigned warp_row = gx_warp() * p::warp_rows, row = first + warp_row;
    gx_tile_copy<p::rows, SIZE, p::threads>(q, in.q, first);
    gx_tile_copy<p::step, SIZE, p::threads>(keys, in.k, 0);
    gx_tile_copy<p::step, SIZE, p::threads>(values, in.v, 0);
    gx_copy_async_commit();

    uint32_t q_part[p::k][p::m][4];
    float o[p::m][p::n][4] = {};
    struct softmax<p::m> state;
    GX_EACH (m, p::m)
        GX_EACH (half, 2) {
            state.highest[m][half] = -INFINITY;
            state.sum[m][half] = 0;
        }
    for (unsigned column = 0; column < end; column += p::step) {
        const unsigned stage = column / p::step % 2 * p::step * SIZE,
                       other = p::step * SIZE - stage;
        gx_copy_async_wait(0);
        gx_syncthreads();
        if (column + p::step < end) {
            gx_tile_copy<p::step, SIZE, p::threads>(keys + other, in.k, column + p::step);
            gx_tile_copy<p::step, SIZE, p::threads>(values + other, in.v, column + p::step);
            gx_copy_async_commit();
        }
        if (column == 0)
            GX_EACH (k, p::k)
                GX_EACH (m, p::m)
                    gx_tile_load_a<SIZE>(q_part[k][m], q, warp_row + 16 * m, 16 * k);
        if (column >= row + p::warp_rows)
            continue;
        float s[p::m][p::step / 8][4] = {};
        GX_EACH (k, p::k)
            gx_tile_multiply_transposed<SIZE>(s, q_part[k], keys + stage, 0, 16 * k);
        if (column + p::step > row + 1)
            mask<false>(s, row, column);
        softmax_step(state, s, o, scale * LOG2_E);
        GX_EACH (k, p::step / 16) {
            uint32_t weights[p::m][4];
            gx_tile_round_a(weights, s, 2 * k);
            gx_tile_multiply<SIZE>(o, weights, values + stage, 16 * k);
        }
    }
    softmax_end(state, o, lse + h.rows, row, context, scale);
    if (row < context)
        gx_tile_store<SIZE>(out + h.out + row * h.width, h.width, context - row, o, q, warp_row);
}

/* ---- backward ---- */

/* s += a b^T and dp += da db^T, over a head's values: the warp's own rows of a and da, and the rows of b and db from b_row
 * on. */
template <unsigned SIZE, unsigned M, unsigned N>
GX_DEVICE void multiply_scores(float (&s)[M][N][4], float (&dp)[M][N][4], struct gx_bf16 *a,
                               struct gx_bf16 *da, unsigned a_row, struct gx_bf16 *b,
                               struct gx_bf16 *db, unsigned b_row)
{
    GX_UNROLL
    for (unsigned column = 0; column < SIZE; column += 16) {
        uint32_t part[M][4];
        GX_EACH (m, M)
            gx_tile_load_a<SIZE>(part[m], a, a_row + 16 * m, column);
        gx_tile_multiply_transposed<SIZE>(s, part, b, b_row, column);
        GX_EACH (m, M)
            gx_tile_load_a<SIZE>(part[m], da, a_row + 16 * m, column);
        gx_tile_multiply_transposed<SIZE>(dp, part, db, b_row, column);
    }
}

/* Scores become P, dP becomes dS / scale = P (dP - delta). lse in units of log2. */
GX_DEVICE void score_gradient(float &s, float &dp, float lse_log2, float delta, float scale_log2)
{
    s = gx_exp2(s * scale_log2 - lse_log2);
    dp = s * (dp - delta);
}

/* delta of the row that this lane shares with three others: `dout` lies in the tile. */
template <unsigned SIZE>
GX_DEVICE float row_delta(struct gx_bf16 *dout, unsigned tile_row, const struct gx_bf16 *out)
{
    float sum = 0;
    GX_UNROLL
    for (unsigned column = gx_lane() % 4 * 8; column < SIZE; column += 32) {
        const uint4 a = *reinterpret_cast<const uint4 *>(out + column);
        const uint4 b =
            *reinterpret_cast<const uint4 *>(gx_tile_chunk<SIZE>(dout, tile_row, column));
        const uint32_t x[4] = {a.x, a.y, a.z, a.w}, y[4] = {b.x, b.y, b.z, b.w};
        GX_EACH (i, 4)
            sum += gx_bf16_low(x[i]) * gx_bf16_low(y[i]) + gx_bf16_high(x[i]) * gx_bf16_high(y[i]);
    }
    return row_sum(sum);
}

/* Of the rows g and g + 8 of each block of 16. */
template <unsigned M> struct row_numbers {
    float lse_log2[M][2], delta[M][2];
};

/* Finds delta for the warp's rows, from `row` on, and keeps it in memory too. `out` and what follows begin at the head's row
 * 0. Rows that do not exist get some numbers: nothing comes of them. */
template <unsigned SIZE, unsigned M>
GX_DEVICE void rows_begin(struct row_numbers<M> &rows, struct gx_bf16 *douts, unsigned tile_row,
                          unsigned row, unsigned context, const struct gx_bf16 *out, size_t stride,
                          const float *lse, float *delta)
{
    GX_EACH (i, 2 * M) {
        const unsigned down = 8 * i + gx_lane() / 4, at = gx_min(row + down, context - 1);
        const float sum = row_delta<SIZE>(douts, tile_row + down, out + at * stride);
        rows.delta[i / 2][i % 2] = sum;
        rows.lse_log2[i / 2][i % 2] = lse[at] * LOG2_E;
        if (gx_lane() % 4 == 0 && row + down < context)
            delta[at] = sum;
    }
}

template <unsigned M, unsigned N>
GX_DEVICE void rows_gradient(float (&s)[M][N][4], float (&dp)[M][N][4],
                             const struct row_numbers<M> &rows, float scale_log2)
{
    GX_EACH (m, M)
        GX_EACH (n, N)
            GX_EACH (i, 4)
                score_gradient(s[m][n][i], dp[m][n][i], rows.lse_log2[m][i / 2],
                               rows.delta[m][i / 2], scale_log2);
}

/* The same for transposed scores: lses and deltas of the columns from their first on, in shared memory. */
template <unsigned M, unsigned N>
GX_DEVICE void columns_gradient(float (&s)[M][N][4], float (&dp)[M][N][4], const float *lses,
                                const float *deltas, float scale_log2)
{
    GX_EACH (n, N)
        GX_EACH (i, 2) {
            const unsigned at = 8 * n + 2 * (gx_lane() % 4) + i;
            const float lse_log2 = lses[at] * LOG2_E, delta = deltas[at];
            GX_EACH (m, M)
                GX_EACH (half, 2)
                    score_gradient(s[m][n][2 * half + i], dp[m][n][2 * half + i], lse_log2, delta,
                                   scale_log2);
        }
}

template <unsigned M, unsigned SIZE_N>
GX_DEVICE void multiply_by(float (&c)[M][SIZE_N][4], float factor)
{
    GX_EACH (m, M)
        GX_EACH (n, SIZE_N)
            GX_EACH (i, 4)
                c[m][n][i] *= factor;
}

/* dQ, and delta for the other kernel: rows of the scores stay, keys and values are streamed. */
template <unsigned SIZE>
GX_KERNEL_BOUND(plan<SIZE>::threads, 1)
attention_backward_rows(struct gx_bf16 *dqkv, float *delta, const struct gx_bf16 *dout,
                        const struct gx_bf16 *qkv, const struct gx_bf16 *out, const float *lse,
                        unsigned context, float scale)
{
    using p = plan<SIZE>;
    GX_SHARED_DYNAMIC(struct gx_bf16, q, p::rows * SIZE, 0);
    GX_SHARED_DYNAMIC(struct gx_bf16, douts, p::rows * SIZE, p::rows * p::row_bytes);
    GX_SHARED_DYNAMIC(struct gx_bf16, keys, 2 * p::back_step * SIZE, 2 * p::rows * p::row_bytes);
    GX_SHARED_DYNAMIC(struct gx_bf16, values, 2 * p::back_step * SIZE,
                      (2 * p::rows + 2 * p::back_step) * p::row_bytes);
    const struct gx_head h = gx_head_own(context, SIZE);
    const struct inputs in = inputs_of(h, qkv, context);
    const unsigned first = gx_head_first_row(p::rows), end = gx_min(first + p::rows, context);
    const unsigned warp_row = gx_warp() * p::warp_rows, row = first + warp_row;
    gx_tile_copy<p::rows, SIZE, p::threads>(q, in.q, first);
    gx_tile_copy<p::rows, SIZE, p::threads>(douts, {dout + h.out, h.width, context}, first);
    gx_tile_copy<p::back_step, SIZE, p::threads>(keys, in.k, 0);
    gx_tile_copy<p::back_step, SIZE, p::threads>(values, in.v, 0);
    gx_copy_async_commit();

    float dq[p::m][p::n][4] = {};
    struct row_numbers<p::m> rows;
    for (unsigned column = 0; column < end; column += p::back_step) {
        const unsigned stage = column / p::back_step % 2 * p::back_step * SIZE;
        const unsigned other = p::back_step * SIZE - stage;
        gx_copy_async_wait(0);
        gx_syncthreads();
        if (column + p::back_step < end) {
            gx_tile_copy<p::back_step, SIZE, p::threads>(keys + other, in.k, column + p::back_step);
            gx_tile_copy<p::back_step, SIZE, p::threads>(values + other, in.v,
                                                         column + p::back_step);
            gx_copy_async_commit();
        }
        if (column == 0)
            rows_begin<SIZE>(rows, douts, warp_row, row, context, out + h.out, h.width,
                             lse + h.rows, delta + h.rows);
        GX_UNROLL
        for (unsigned part = 0; part < p::back_step; part += p::part) {
            if (column + part >= row + p::warp_rows)
                continue;
            float s[p::m][p::part / 8][4] = {}, dp[p::m][p::part / 8][4] = {};
            multiply_scores<SIZE>(s, dp, q, douts, warp_row, keys + stage, values + stage, part);
            if (column + part + p::part > row + 1)
                mask<false>(s, row, column + part);
            rows_gradient(s, dp, rows, scale * LOG2_E);
            GX_EACH (k, p::part / 16) {
                uint32_t ds[p::m][4];
                gx_tile_round_a(ds, dp, 2 * k);
                gx_tile_multiply<SIZE>(dq, ds, keys + stage, part + 16 * k);
            }
        }
    }
    multiply_by(dq, scale);
    if (row < context)
        gx_tile_store<SIZE>(dqkv + h.qkv + row * h.qkv_stride, h.qkv_stride, context - row, dq, q,
                            warp_row);
}

/* dK and dV: columns of the scores stay, the transposed scores' rows therefore; queries and dout are streamed. */
template <unsigned SIZE>
GX_KERNEL_BOUND(plan<SIZE>::threads, 1)
attention_backward_columns(struct gx_bf16 *dqkv, const struct gx_bf16 *dout,
                           const struct gx_bf16 *qkv, const float *lse, const float *delta,
                           unsigned context, float scale)
{
    using p = plan<SIZE>;
    GX_SHARED_DYNAMIC(struct gx_bf16, keys, p::rows * SIZE, 0);
    GX_SHARED_DYNAMIC(struct gx_bf16, values, p::rows * SIZE, p::rows * p::row_bytes);
    GX_SHARED_DYNAMIC(struct gx_bf16, q, 2 * p::back_step * SIZE, 2 * p::rows * p::row_bytes);
    GX_SHARED_DYNAMIC(struct gx_bf16, douts, 2 * p::back_step * SIZE,
                      (2 * p::rows + 2 * p::back_step) * p::row_bytes);
    GX_SHARED_DYNAMIC(float, lses, 2 * p::back_step, p::rows_bytes);
    GX_SHARED_DYNAMIC(float, deltas, 2 * p::back_step,
                      p::rows_bytes + 2 * p::back_step * sizeof(float));
    const struct gx_head h = gx_head_own(context, SIZE);
    const struct inputs in = inputs_of(h, qkv, context);
    const struct gx_rows dout_rows = {dout + h.out, h.width, context};
    const unsigned first = blockIdx.x * p::rows;
    const unsigned warp_column = gx_warp() * p::warp_rows, column = first + warp_column;
    const auto copy_step = [&](unsigned row, unsigned stage) {
        gx_tile_copy<p::back_step, SIZE, p::threads>(q + stage * SIZE, in.q, row);
        gx_tile_copy<p::back_step, SIZE, p::threads>(douts + stage * SIZE, dout_rows, row);
        if (threadIdx.x < p::back_step) {
            const bool valid = row + threadIdx.x < context;
            const size_t at = h.rows + (valid ? row + threadIdx.x : 0);
            gx_copy_async4(lses + stage + threadIdx.x, lse + at, valid);
            gx_copy_async4(deltas + stage + threadIdx.x, delta + at, valid);
        }
        gx_copy_async_commit();
    };
    gx_tile_copy<p::rows, SIZE, p::threads>(keys, in.k, first);
    gx_tile_copy<p::rows, SIZE, p::threads>(values, in.v, first);
    copy_step(first, 0);

    float dk[p::m][p::n][4] = {}, dv[p::m][p::n][4] = {};
    for (unsigned row = first; row < context; row += p::back_step) {
        const unsigned stage = row / p::back_step % 2 * p::back_step;
        gx_copy_async_wait(0);
        gx_syncthreads();
        if (row + p::back_step < context)
            copy_step(row + p::back_step, p::back_step - stage);
        GX_UNROLL
        for (unsigned part = 0; part < p::back_step; part += p::part) {
            if (row + part + p::part <= column)
                continue;
            float s[p::m][p::part / 8][4] = {}, dp[p::m][p::part / 8][4] = {};
            multiply_scores<SIZE>(s, dp, keys, values, warp_column, q + stage * SIZE,
                                  douts + stage * SIZE, part);
            if (row + part + 1 < column + p::warp_rows)
                mask<true>(s, row + part, column);
            columns_gradient(s, dp, lses + stage + part, deltas + stage + part, scale * LOG2_E);
            GX_EACH (k, p::part / 16) {
                uint32_t a[p::m][4];
                gx_tile_round_a(a, s, 2 * k);
                gx_tile_multiply<SIZE>(dv, a, douts + stage * SIZE, part + 16 * k);
                gx_tile_round_a(a, dp, 2 * k);
                gx_tile_multiply<SIZE>(dk, a, q + stage * SIZE, part + 16 * k);
            }
        }
    }
    if (column >= context)
        return;
    multiply_by(dk, scale);
    struct gx_bf16 *to = dqkv + h.qkv + h.width + column * h.qkv_stride;
    gx_tile_store<SIZE>(to, h.qkv_stride, context - column, dk, keys, warp_column);
    gx_tile_store<SIZE>(to + h.width, h.qkv_stride, context - column, dv, values, warp_column);
}

/* ---- launches ---- */

template <unsigned SIZE>
static void forward(void *out, float *lse, const void *qkv, struct gx_gpu_attention_shape shape,
                    struct gx_dev_stream *stream)
{
    using p = plan<SIZE>;
    GX_LAUNCH_DYNAMIC(attention_forward<SIZE>, gx_head_grid(shape, p::rows), p::threads,
                      p::forward_bytes, stream, static_cast<struct gx_bf16 *>(out), lse,
                      static_cast<const struct gx_bf16 *>(qkv), shape.context,
                      gx_head_scale(shape));
}

template <unsigned SIZE>
static void backward(void *dqkv, float *delta, const void *dout, const void *qkv, const void *out,
                     const float *lse, struct gx_gpu_attention_shape shape,
                     struct gx_dev_stream *stream)
{
    using p = plan<SIZE>;
    struct gx_bf16 *to = static_cast<struct gx_bf16 *>(dqkv);
    const struct gx_bf16 *dy = static_cast<const struct gx_bf16 *>(dout);
    const struct gx_bf16 *x = static_cast<const struct gx_bf16 *>(qkv);
    const struct gx_bf16 *y = static_cast<const struct gx_bf16 *>(out);
    GX_LAUNCH_DYNAMIC(attention_backward_rows<SIZE>, gx_head_grid(shape, p::rows), p::threads,
                      p::rows_bytes, stream, to, delta, dy, x, y, lse, shape.context,
                      gx_head_scale(shape));
    GX_LAUNCH_DYNAMIC(attention_backward_columns<SIZE>, gx_head_grid(shape, p::rows), p::threads,
                      p::columns_bytes, stream, to, dy, x, lse, delta, shape.context,
                      gx_head_scale(shape));
}

bool gx_gpu_attention_has(struct gx_gpu_attention_shape shape)
{
    const uint32_t size = shape.head_values;
    return (size == 32 || size == 64 || size == 128) && shape.batch <= 65535 &&
           shape.heads <= 65535;
}

void gx_gpu_attention_forward(enum gx_dtype type, void *out, float *lse, const void *qkv,
                              struct gx_gpu_attention_shape shape, struct gx_dev_stream *stream)
{
    if (type == GX_DTYPE_FP32)
        gx_gpu_attention_fp32_forward(static_cast<float *>(out), lse,
                                      static_cast<const float *>(qkv), shape, stream);
    else if (shape.head_values == 32)
        forward<32>(out, lse, qkv, shape, stream);
    else if (shape.head_values == 64)
        forward<64>(out, lse, qkv, shape, stream);
    else
        forward<128>(out, lse, qkv, shape, stream);
}

void gx_gpu_attention_backward(enum gx_dtype type, void *dqkv, float *delta, const void *dout,
                               const void *qkv, const void *out, const float *lse,
                               struct gx_gpu_attention_shape shape, struct gx_dev_stream *stream)
{
    if (type == GX_DTYPE_FP32)
        gx_gpu_attention_fp32_backward(
            static_cast<float *>(dqkv), delta, static_cast<const float *>(dout),
            static_cast<const float *>(qkv), static_cast<const float *>(out), lse, shape, stream);
    else if (shape.head_values == 32)
        backward<32>(dqkv, delta, dout, qkv, out, lse, shape, stream);
    else if (shape.head_values == 64)
        backward<64>(dqkv, delta, dout, qkv, out, lse, shape, stream);
    else
        backward<128>(dqkv, delta, dout, qkv, out, lse, shape, stream);
}
