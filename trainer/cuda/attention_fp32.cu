/* FP32 attention without tensor cores: the same two passes as attention.cu, in plain multiplications and additions.
 *
 * 256 threads form a square of 16 x 16. Thread (y, x) has of every tile the rows y, y + 16, .. and the columns x, x + 16, ..;
 * a row of a tile lies in 16 neighbouring lanes.
 */
#include "cuda/attention_fp32.h"

#include "cuda/head.h"

#define SIDE 16u
#define THREADS (SIDE * SIDE)
#define STEP 32u                /* rows of a streamed tile */
#define STEP_SIDE (STEP / SIDE) /* of them, a thread's */

/* Sizes for a head of SIZE values. Rows of tiles are padded: what a column of threads reads lies in different banks. */
template <unsigned SIZE> struct plan {
    static constexpr unsigned rows = SIZE <= 64 ? 64 : 32; /* of the tile that stays */
    static constexpr unsigned m = rows / SIDE, n = SIZE / SIDE;
    static constexpr unsigned stride = SIZE + 1, score_stride = STEP + 1;
    /* Values of each tile; the last one is padding that nobody touches. */
    static constexpr size_t stay = rows * stride, stream = STEP * stride;
    static constexpr size_t scores = rows * score_stride;
    static constexpr size_t forward_bytes = (stay + 2 * stream + scores) * sizeof(float);
    static constexpr size_t rows_bytes = (2 * stay + 2 * stream + scores) * sizeof(float);
    static constexpr size_t columns_bytes = (2 * stay + 2 * stream + 2 * scores) * sizeof(float);
    static_assert(columns_bytes <= GX_SHARED_BYTES_MAX, "fits every device");
};

GX_DEVICE unsigned own_x(void)
{
    return threadIdx.x % SIDE;
}

GX_DEVICE unsigned own_y(void)
{
    return threadIdx.x / SIDE;
}

/* Over the 16 lanes of a row. */
GX_DEVICE float row_sum(float value)
{
    GX_UNROLL
    for (unsigned mask = SIDE / 2; mask != 0; mask /= 2)
        value += gx_shuffle_xor(value, mask);
    return value;
}

GX_DEVICE float row_max(float value)
{
    GX_UNROLL
    for (unsigned mask = SIDE / 2; mask != 0; mask /= 2)
        value = gx_max(value, gx_shuffle_xor(value, mask));
    return value;
}

/* Rows from `from` on; those past the context become zeros. */
template <unsigned ROWS, unsigned SIZE>
GX_DEVICE void copy_rows(float *tile, const float *rows, size_t stride, unsigned from,
                         unsigned context)
{
    for (unsigned i = threadIdx.x; i < ROWS * SIZE; i += THREADS) {
        const unsigned row = i / SIZE, column = i % SIZE;
        tile[row * (SIZE + 1) + column] =
            from + row < context ? rows[(from + row) * stride + column] : 0.0f;
    }
}

/* c += a b^T over SIZE columns. */
template <unsigned SIZE, unsigned M>
GX_DEVICE void multiply_transposed(float (&c)[M][STEP_SIDE], const float *a, const float *b)
{
    for (unsigned k = 0; k < SIZE; k += 16)
        GX_EACH (i, 16)
            GX_EACH (m, M)
                GX_EACH (n, STEP_SIDE)
                    c[m][n] += a[(own_y() + SIDE * m) * (SIZE + 1) + k + i] *
                               b[(own_x() + SIDE * n) * (SIZE + 1) + k + i];
}

/* c += scores b, over b's STEP rows. */
template <unsigned SIZE, unsigned M>
GX_DEVICE void multiply(float (&c)[M][SIZE / SIDE], const float *scores, const float *b)
{
    for (unsigned k = 0; k < STEP; k++)
        GX_EACH (m, M)
            GX_EACH (n, SIZE / SIDE)
                c[m][n] += scores[(own_y() + SIDE * m) * (STEP + 1) + k] *
                           b[k * (SIZE + 1) + own_x() + SIDE * n];
}

template <unsigned M> GX_DEVICE void put_scores(float *scores, const float (&c)[M][STEP_SIDE])
{
    GX_EACH (m, M)
        GX_EACH (n, STEP_SIDE)
            scores[(own_y() + SIDE * m) * (STEP + 1) + own_x() + SIDE * n] = c[m][n];
}

/* Writes factor[m] c to the rows from `from` on, those that exist. */
template <unsigned M, unsigned N>
GX_DEVICE void put_rows(float *rows, size_t stride, unsigned from, unsigned context,
                        const float (&c)[M][N], const float (&factor)[M])
{
    GX_EACH (m, M) {
        const unsigned row = from + own_y() + SIDE * m;
        if (row >= context)
            continue;
        GX_EACH (n, N)
            rows[row * stride + own_x() + SIDE * n] = c[m][n] * factor[m];
    }
}

/* ---- forward ---- */

template <unsigned SIZE>
GX_KERNEL_BOUND(THREADS, 1)
attention_fp32_forward(float *out, float *lse, const float *qkv, unsigned context, float scale)
{
    using p = plan<SIZE>;
    GX_SHARED_DYNAMIC(float, q, p::stay - 1, 0);
    GX_SHARED_DYNAMIC(float, keys, p::stream - 1, p::stay * sizeof(float));
    GX_SHARED_DYNAMIC(float, values, p::stream - 1, (p::stay + p::stream) * sizeof(float));
    GX_SHARED_DYNAMIC(float, weights, p::scores - 1, (p::stay + 2 * p::stream) * sizeof(float));
    const struct gx_head h = gx_head_own(context, SIZE);
    const unsigned first = gx_head_first_row(p::rows), end = gx_min(first + p::rows, context);
    float o[p::m][p::n] = {}, highest[p::m], sum[p::m] = {};
    GX_EACH (m, p::m)
        highest[m] = -INFINITY;
    copy_rows<p::rows, SIZE>(q, qkv + h.qkv, h.qkv_stride, first, context);
    for (unsigned column = 0; column < end; column += STEP) {
        gx_syncthreads();
        const float *k_rows = qkv + h.qkv + h.width;
        copy_rows<STEP, SIZE>(keys, k_rows, h.qkv_stride, column, context);
        copy_rows<STEP, SIZE>(values, k_rows + h.width, h.qkv_stride, column, context);
        gx_syncthreads();
        float s[p::m][STEP_SIDE] = {};
        multiply_transposed<SIZE>(s, q, keys);
        GX_EACH (m, p::m) {
            const unsigned row = first + own_y() + SIDE * m;
            float high = highest[m];
            GX_EACH (n, STEP_SIDE) {
                s[m][n] = column + own_x() + SIDE * n > row ? -INFINITY : s[m][n] * scale;
                high = gx_max(high, s[m][n]);
            }
            high = row_max(high);
            const float keep = expf(highest[m] - high);
            highest[m] = high;
            sum[m] *= keep;
            GX_EACH (n, p::n)
                o[m][n] *= keep;
            GX_EACH (n, STEP_SIDE) {
                s[m][n] = expf(s[m][n] - high);
                sum[m] += s[m][n];
            }
        }
        put_scores(weights, s);
        gx_syncwarp();
        multiply<SIZE>(o, weights, values);
    }
    GX_EACH (m, p::m) {
        const unsigned row = first + own_y() + SIDE * m;
        const float total = row_sum(sum[m]);
        if (own_x() == 0 && row < context)
            lse[h.rows + row] = highest[m] + logf(total);
        sum[m] = 1 / total;
    }
    put_rows(out + h.out, h.width, first, context, o, sum);
}

/* ---- backward ---- */

/* Scores become P, dP becomes dS / scale. */
GX_DEVICE void score_gradient(float &s, float &dp, bool seen, float lse, float delta, float scale)
{
    s = seen ? expf(s * scale - lse) : 0.0f;
    dp = s * (dp - delta);
}

/* dQ, and delta for the other kernel. */
template <unsigned SIZE>
GX_KERNEL_BOUND(THREADS, 1)
attention_fp32_backward_rows(float *dqkv, float *delta, const float *dout, const float *qkv,
                             const float *out, const float *lse, unsigned context, float scale)
{
    using p = plan<SIZE>;
    GX_SHARED_DYNAMIC(float, q, p::stay - 1, 0);
    GX_SHARED_DYNAMIC(float, douts, p::stay - 1, p::stay * sizeof(float));
    GX_SHARED_DYNAMIC(float, keys, p::stream - 1, 2 * p::stay * sizeof(float));
    GX_SHARED_DYNAMIC(float, values, p::stream - 1, (2 * p::stay + p::stream) * sizeof(float));
    GX_SHARED_DYNAMIC(float, gradients, p::scores - 1,
                      (2 * p::stay + 2 * p::stream) * sizeof(float));
    const struct gx_head h = gx_head_own(context, SIZE);
    const unsigned first = gx_head_first_row(p::rows), end = gx_min(first + p::rows, context);
    copy_rows<p::rows, SIZE>(q, qkv + h.qkv, h.qkv_stride, first, context);
    copy_rows<p::rows, SIZE>(douts, dout + h.out, h.width, first, context);
    float dq[p::m][p::n] = {}, row_lse[p::m], row_delta[p::m], factor[p::m];
    gx_syncthreads();
    GX_EACH (m, p::m) {
        const unsigned down = own_y() + SIDE * m, at = gx_min(first + down, context - 1);
        float sum = 0;
        for (unsigned column = own_x(); column < SIZE; column += SIDE)
            sum += douts[down * p::stride + column] * out[h.out + at * h.width + column];
        row_delta[m] = row_sum(sum);
        row_lse[m] = lse[h.rows + at];
        factor[m] = scale;
        if (own_x() == 0 && first + down < context)
            delta[h.rows + at] = row_delta[m];
    }
    for (unsigned column = 0; column < end; column += STEP) {
        gx_syncthreads();
        const float *k_rows = qkv + h.qkv + h.width;
        copy_rows<STEP, SIZE>(keys, k_rows, h.qkv_stride, column, context);
        copy_rows<STEP, SIZE>(values, k_rows + h.width, h.qkv_stride, column, context);
        gx_syncthreads();
        float s[p::m][STEP_SIDE] = {}, dp[p::m][STEP_SIDE] = {};
        multiply_transposed<SIZE>(s, q, keys);
        multiply_transposed<SIZE>(dp, douts, values);
        GX_EACH (m, p::m)
            GX_EACH (n, STEP_SIDE)
                score_gradient(s[m][n], dp[m][n],
                               column + own_x() + SIDE * n <= first + own_y() + SIDE * m,
                               row_lse[m], row_delta[m], scale);
        put_scores(gradients, dp);
        gx_syncwarp();
        multiply<SIZE>(dq, gradients, keys);
    }
    put_rows(dqkv + h.qkv, h.qkv_stride, first, context, dq, factor);
}

/* dK and dV: the scores are transposed, keys stay, queries and dout are streamed. */
template <unsigned SIZE>
GX_KERNEL_BOUND(THREADS, 1)
attention_fp32_backward_columns(float *dqkv, const float *dout, const float *qkv, const float *lse,
                                const float *delta, unsigned context, float scale)
{
    using p = plan<SIZE>;
    GX_SHARED_DYNAMIC(float, keys, p::stay - 1, 0);
    GX_SHARED_DYNAMIC(float, values, p::stay - 1, p::stay * sizeof(float));
    GX_SHARED_DYNAMIC(float, q, p::stream - 1, 2 * p::stay * sizeof(float));
    GX_SHARED_DYNAMIC(float, douts, p::stream - 1, (2 * p::stay + p::stream) * sizeof(float));
    GX_SHARED_DYNAMIC(float, weights, p::scores - 1, (2 * p::stay + 2 * p::stream) * sizeof(float));
    GX_SHARED_DYNAMIC(float, gradients, p::scores - 1,
                      (2 * p::stay + 2 * p::stream + p::scores) * sizeof(float));
    const struct gx_head h = gx_head_own(context, SIZE);
    const unsigned first = blockIdx.x * p::rows;
    const float *k_rows = qkv + h.qkv + h.width;
    copy_rows<p::rows, SIZE>(keys, k_rows, h.qkv_stride, first, context);
    copy_rows<p::rows, SIZE>(values, k_rows + h.width, h.qkv_stride, first, context);
    float dk[p::m][p::n] = {}, dv[p::m][p::n] = {};
    for (unsigned row = first; row < context; row += STEP) {
        gx_syncthreads();
        copy_rows<STEP, SIZE>(q, qkv + h.qkv, h.qkv_stride, row, context);
        copy_rows<STEP, SIZE>(douts, dout + h.out, h.width, row, context);
        gx_syncthreads();
        float s[p::m][STEP_SIDE] = {}, dp[p::m][STEP_SIDE] = {};
        multiply_transposed<SIZE>(s, keys, q);
        multiply_transposed<SIZE>(dp, values, douts);
        GX_EACH (n, STEP_SIDE) {
            const unsigned right = row + own_x() + SIDE * n, at = gx_min(right, context - 1);
            const float column_lse = lse[h.rows + at], column_delta = delta[h.rows + at];
            GX_EACH (m, p::m)
                score_gradient(s[m][n], dp[m][n],
                               right < context && first + own_y() + SIDE * m <= right, column_lse,
                               column_delta, scale);
        }
        put_scores(weights, s);
        put_scores(gradients, dp);
        gx_syncwarp();
        multiply<SIZE>(dv, weights, douts);
        multiply<SIZE>(dk, gradients, q);
    }
    float one[p::m], factor[p::m];
    GX_EACH (m, p::m) {
        one[m] = 1;
        factor[m] = scale;
    }
    float *to = dqkv + h.qkv + h.width;
    put_rows(to, h.qkv_stride, first, context, dk, factor);
    put_rows(to + h.width, h.qkv_stride, first, context, dv, one);
}

/* ---- launches ---- */

template <unsigned SIZE>
static void forward(float *out, float *lse, const float *qkv, struct gx_gpu_attention_shape shape,
                    struct gx_dev_stream *stream)
{
    using p = plan<SIZE>;
    GX_LAUNCH_DYNAMIC(attention_fp32_forward<SIZE>, gx_head_grid(shape, p::rows), THREADS,
                      p::forward_bytes, stream, out, lse, qkv, shape.context, gx_head_scale(shape));
}

template <unsigned SIZE>
static void backward(float *dqkv, float *delta, const float *dout, const float *qkv,
                     const float *out, const float *lse, struct gx_gpu_attention_shape shape,
                     struct gx_dev_stream *stream)
{
    using p = plan<SIZE>;
    GX_LAUNCH_DYNAMIC(attention_fp32_backward_rows<SIZE>, gx_head_grid(shape, p::rows), THREADS,
                      p::rows_bytes, stream, dqkv, delta, dout, qkv, out, lse, shape.context,
                      gx_head_scale(shape));
    GX_LAUNCH_DYNAMIC(attention_fp32_backward_columns<SIZE>, gx_head_grid(shape, p::rows), THREADS,
                      p::columns_bytes, stream, dqkv, dout, qkv, lse, delta, shape.context,
                      gx_head_scale(shape));
}

void gx_gpu_attention_fp32_forward(float *out, float *lse, const float *qkv,
                                   struct gx_gpu_attention_shape shape,
                                   struct gx_dev_stream *stream)
{
    if (shape.head_values == 32)
        forward<32>(out, lse, qkv, shape, stream);
    else if (shape.head_values == 64)
        forward<64>(out, lse, qkv, shape, stream);
    else
        forward<128>(out, lse, qkv, shape, stream);
}

void gx_gpu_attention_fp32_backward(float *dqkv, float *delta, const float *dout, const float *qkv,
                                    const float *out, const float *lse,
                                    struct gx_gpu_attention_shape shape,
                                    struct gx_dev_stream *stream)
{
    if (shape.head_values == 32)
        backward<32>(dqkv, delta, dout, qkv, out, lse, shape, stream);
    else if (shape.head_values == 64)
        backward<64>(dqkv, delta, dout, qkv, out, lse, shape, stream);
    else
        backward<128>(dqkv, delta, dout, qkv, out, lse, shape, stream);
}
