#include "cuda/classifier.h"

#include <float.h>

#include "cuda/pack.h"
#include "cuda/scalar.h"

namespace
{

/* A block takes a row. It reads the row twice, the second time backward: what it read last is still in the cache, and
 * so is the rest while few enough rows are under way (two blocks a processor: 26 MB of GPT-2's bf16 logits on an H100). */
constexpr uint32_t THREADS = 512;
constexpr uint32_t WARPS = THREADS / GX_WARP_LANES;

/* The sum of e^(x - max) over some logits. */
struct softmax_sum {
    float max, sum;
};

GX_DEVICE softmax_sum softmax_none(void)
{
    return {-FLT_MAX, 0.0f}; /* not -inf: the difference of two of them is no number */
}

GX_DEVICE softmax_sum softmax_join(softmax_sum a, softmax_sum b)
{
    const float max = fmaxf(a.max, b.max);
    return {max, a.sum * gx_fast_exp(a.max - max) + b.sum * gx_fast_exp(b.max - max)};
}

GX_DEVICE softmax_sum softmax_warp(softmax_sum a)
{
    GX_UNROLL
    for (unsigned mask = GX_WARP_LANES / 2; mask != 0; mask /= 2) {
        const softmax_sum b = {gx_shuffle_xor(a.max, mask), gx_shuffle_xor(a.sum, mask)};
        a = softmax_join(a, b);
    }
    return a;
}

/* Over the block, the same bits in every thread. */
GX_DEVICE softmax_sum softmax_block(softmax_sum a)
{
    GX_SHARED(softmax_sum, found, WARPS);
    a = softmax_warp(a);
    if (gx_lane() == 0)
        found[gx_warp()] = a;
    gx_syncthreads();
    return softmax_warp(gx_lane() < WARPS ? found[gx_lane()] : softmax_none());
}

/* Packs that a thread has under way at once. */
constexpr uint32_t TURNS = 4;

template <typename T, unsigned N> struct batch {
    gx_pack<T, N> packs[TURNS];

    /* Of pack `turn` in the batch that begins at `first`. */
    static GX_METHOD uint32_t column(uint32_t first, unsigned turn)
    {
        return first + (turn * THREADS + threadIdx.x) * N;
    }
    GX_METHOD void load(const T *row, uint32_t first, uint32_t end)
    {
        GX_UNROLL
        for (unsigned t = 0; t < TURNS; t++)
            if (column(first, t) < end)
                packs[t].load(row + column(first, t));
    }
    /* Takes up the first `vocab` values of the row. */
    GX_METHOD softmax_sum join(softmax_sum s, uint32_t first, uint32_t vocab) const
    {
        GX_UNROLL
        for (unsigned t = 0; t < TURNS; t++) {
            const uint32_t i = column(first, t);
            if (i >= vocab)
                continue;
            float x[N], max = s.max;
            packs[t].get(x);
            for (unsigned j = 0; j < N; j++) {
                x[j] = i + j < vocab ? x[j] : -FLT_MAX;
                max = fmaxf(max, x[j]);
            }
            s.sum *= gx_fast_exp(s.max - max);
            s.max = max;
            for (unsigned j = 0; j < N; j++)
                s.sum += gx_fast_exp(x[j] - max);
        }
        return s;
    }
};

/* This thread's share of a row. */
template <typename T, unsigned N> GX_DEVICE softmax_sum softmax_row(const T *row, uint32_t vocab)
{
    softmax_sum s = softmax_none();
    for (uint32_t first = 0; first < vocab; first += TURNS * THREADS * N) {
        batch<T, N> b;
        b.load(row, first, vocab);
        s = b.join(s, first, vocab);
    }
    return s;
}

/* Logits become scale (softmax - onehot), padding becomes 0. */
template <typename T, unsigned N>
GX_DEVICE void softmax_gradient(T *row, softmax_sum s, uint32_t target, uint32_t vocab,
                                uint32_t stride, float scale)
{
    constexpr uint32_t STEP = TURNS * THREADS * N;
    const float factor = scale / s.sum;
    for (uint32_t left = (stride + STEP - 1) / STEP; left > 0; left--) {
        const uint32_t first = (left - 1) * STEP;
        batch<T, N> b;
        b.load(row, first, stride);
        GX_UNROLL
        for (unsigned t = 0; t < TURNS; t++) {
            const uint32_t i = b.column(first, t);
            if (i >= stride)
                continue;
            float x[N];
            b.packs[t].get(x);
            for (unsigned j = 0; j < N; j++) {
                const float p = gx_fast_exp(x[j] - s.max) * factor;
                x[j] = i + j < vocab ? p - (i + j == target ? scale : 0.0f) : 0.0f;
            }
            gx_store(row + i, x);
        }
    }
}

template <typename T, unsigned N, bool GRADIENT>
GX_KERNEL_BOUND(THREADS, 2)
classifier(T *logits, float *losses, const uint16_t *targets, uint32_t vocab, uint32_t stride,
           float scale)
{
    T *row = logits + (uint64_t)blockIdx.x * stride;
    const uint32_t target = targets[blockIdx.x];
    /* Read before the barrier: after it, other threads overwrite it. */
    const float right = threadIdx.x == 0 ? gx_to_float(row[target]) : 0.0f;
    const softmax_sum s = softmax_block(softmax_row<T, N>(row, vocab));
    if (threadIdx.x == 0)
        losses[blockIdx.x] = logf(s.sum) - (right - s.max);
    if (GRADIENT)
        softmax_gradient<T, N>(row, s, target, vocab, stride, scale);
}

template <bool GRADIENT, typename T>
void classify(T *logits, float *losses, const uint16_t *targets, uint32_t rows, uint32_t vocab,
              uint32_t stride, float scale, struct gx_dev_stream *stream)
{
    constexpr unsigned N = gx_pack_width<T>;
    if (gx_pack_fits(logits, stride, N))
        GX_LAUNCH((classifier<T, N, GRADIENT>), rows, THREADS, stream, logits, losses, targets,
                  vocab, stride, scale);
    else
        GX_LAUNCH((classifier<T, 1, GRADIENT>), rows, THREADS, stream, logits, losses, targets,
                  vocab, stride, scale);
}

GX_KERNEL_BOUND(THREADS, 1)
loss_sum(float *loss, const float *losses, uint32_t rows, float scale, bool add)
{
    GX_SHARED(double, found, WARPS);
    double sum = 0;
    GX_UNROLL_BY(8)
    for (uint32_t i = threadIdx.x; i < rows; i += THREADS)
        sum += (double)losses[i];
    sum = gx_warp_sum(sum);
    if (gx_lane() == 0)
        found[gx_warp()] = sum;
    gx_syncthreads();
    if (threadIdx.x != 0)
        return;
    for (uint32_t warp = 1; warp < WARPS; warp++)
        sum += found[warp];
    const float mean = (float)(sum * (double)scale);
    *loss = add ? *loss + mean : mean;
}

} // namespace

void gx_gpu_classifier(enum gx_dtype type, void *logits, float *losses, const uint16_t *targets,
                       uint32_t rows, uint32_t vocab, uint32_t stride, float scale,
                       struct gx_dev_stream *stream)
{
    gx_by_type(type, [&](auto t) {
        using T = decltype(t);
        classify<true>((T *)logits, losses, targets, rows, vocab, stride, scale, stream);
    });
}

void gx_gpu_classifier_loss(enum gx_dtype type, const void *logits, float *losses,
                            const uint16_t *targets, uint32_t rows, uint32_t vocab, uint32_t stride,
                            struct gx_dev_stream *stream)
{
    gx_by_type(type, [&](auto t) {
        using T = decltype(t);
        /* Without a gradient nothing is written. */
        classify<false>((T *)logits, losses, targets, rows, vocab, stride, 0, stream);
    });
}

void gx_gpu_loss_sum(float *loss, const float *losses, uint32_t rows, float scale, bool add,
                     struct gx_dev_stream *stream)
{
    GX_LAUNCH(loss_sum, 1, THREADS, stream, loss, losses, rows, scale, add);
}
