#include "cuda/layernorm.h"

#include "gx_assert.h"

#include "cuda/columns.h"
#include "cuda/pack.h"
#include "model/gpt2.h"

namespace
{

/* ---- forward: a warp takes a row ---- */

constexpr uint32_t FORWARD_WARPS = 8;
/* Packs that a lane keeps in registers; a wider row is read again from the cache. */
constexpr unsigned KEPT = 8;

template <typename T, unsigned N, unsigned K> struct row {
    gx_pack<T, N> kept[K ? K : 1];
    const T *at;
    uint32_t width;

    /* Calls f(values, column) for this lane's share of the row. */
    template <typename F> GX_METHOD void each(const F &f)
    {
        if constexpr (K > 0) {
            GX_UNROLL
            for (unsigned k = 0; k < K; k++) {
                const uint32_t c = (k * GX_WARP_LANES + gx_lane()) * N;
                if (c < width) {
                    float v[N];
                    kept[k].get(v);
                    f(v, c);
                }
            }
        } else {
            for (uint32_t c = gx_lane() * N; c < width; c += GX_WARP_LANES * N) {
                float v[N];
                gx_load(v, at + c);
                f(v, c);
            }
        }
    }
};

/* x, or sum = x + residual where there is one, into `r`; the sum over this lane's share. */
template <typename T, unsigned N, unsigned K, bool RESIDUAL>
GX_DEVICE float row_load(row<T, N, K> &r, T *sum, const T *x, const T *residual)
{
    float total = 0;
    r.at = RESIDUAL ? sum : x;
    const unsigned packs = K ? K : (r.width + GX_WARP_LANES * N - 1) / (GX_WARP_LANES * N);
    GX_UNROLL_BY((K ? K : 1))
    for (unsigned k = 0; k < packs; k++) {
        const uint32_t c = (k * GX_WARP_LANES + gx_lane()) * N;
        if (c >= r.width)
            continue;
        gx_pack<T, N> pack;
        float v[N];
        pack.load(x + c);
        pack.get(v);
        if (RESIDUAL) {
            float add[N];
            gx_load(add, residual + c);
            for (unsigned j = 0; j < N; j++)
                v[j] += add[j];
            pack.set(v);
            pack.store(sum + c);
            pack.get(v);
        }
        if (K)
            r.kept[K ? k : 0] = pack;
        for (unsigned j = 0; j < N; j++)
            total += v[j];
    }
    return total;
}

template <typename T, unsigned N, unsigned K, bool RESIDUAL>
GX_KERNEL_BOUND(FORWARD_WARPS *GX_WARP_LANES, 4)
layernorm_forward(T *sum, T *y, float *mean, float *rstd, const T *x, const T *residual,
                  const float *w, const float *b, uint32_t rows, uint32_t width)
{
    const uint32_t index = blockIdx.x * FORWARD_WARPS + gx_warp();
    if (index >= rows)
        return;
    const uint64_t at = (uint64_t)index * width;
    row<T, N, K> r;
    r.width = width;
    const float total = row_load<T, N, K, RESIDUAL>(r, RESIDUAL ? sum + at : NULL, x + at,
                                                    RESIDUAL ? residual + at : NULL);
    const float m = gx_warp_sum(total) / (float)width;
    float squares = 0;
    r.each([&](const float(&v)[N], uint32_t) {
        for (unsigned j = 0; j < N; j++)
            squares += (v[j] - m) * (v[j] - m);
    });
    squares = gx_warp_sum(squares);
    const float s = 1.0f / sqrtf(squares / (float)width + (float)GX_LAYERNORM_EPSILON);
    r.each([&](const float(&v)[N], uint32_t c) {
        float out[N], gain[N], bias[N];
        gx_load_floats(gain, w + c);
        gx_load_floats(bias, b + c);
        for (unsigned j = 0; j < N; j++)
            out[j] = (v[j] - m) * s * gain[j] + bias[j];
        gx_store(y + at + c, out);
    });
    if (gx_lane() == 0) {
        mean[index] = m;
        rstd[index] = s;
    }
}

template <typename T, bool RESIDUAL>
void forward(T *sum, T *y, float *mean, float *rstd, const T *x, const T *residual, const float *w,
             const float *b, uint32_t rows, uint32_t width, struct gx_dev_stream *stream)
{
    constexpr unsigned N = gx_pack_width<T>;
    const bool wide = gx_pack_fits(sum, width, N) && gx_pack_fits(y, width, N) &&
                      gx_pack_fits(x, width, N) && gx_pack_fits(residual, width, N) &&
                      gx_pack_fits(w, width, 4) && gx_pack_fits(b, width, 4);
    const uint32_t blocks = (rows + FORWARD_WARPS - 1) / FORWARD_WARPS;
    const uint32_t threads = FORWARD_WARPS * GX_WARP_LANES;
    if (wide && width <= KEPT * GX_WARP_LANES * N)
        GX_LAUNCH((layernorm_forward<T, N, KEPT, RESIDUAL>), blocks, threads, stream, sum, y, mean,
                  rstd, x, residual, w, b, rows, width);
    else if (wide)
        GX_LAUNCH((layernorm_forward<T, N, 0, RESIDUAL>), blocks, threads, stream, sum, y, mean,
                  rstd, x, residual, w, b, rows, width);
    else
        GX_LAUNCH((layernorm_forward<T, 1, 0, RESIDUAL>), blocks, threads, stream, sum, y, mean,
                  rstd, x, residual, w, b, rows, width);
}

/* ---- backward: a block takes R rows at a time, each thread its own columns (K packs of N) of all of them ---- */

constexpr uint32_t BACKWARD_THREADS_MAX = 256;
constexpr uint32_t BACKWARD_WARPS_MAX = BACKWARD_THREADS_MAX / GX_WARP_LANES;
/* What an H100 holds at once at the usual widths; each leaves 2 width partial sums. */
constexpr uint32_t BACKWARD_BLOCKS_MAX = 512;

template <typename T> struct backward_arguments {
    T *dx;
    const T *dresidual, *dy, *x;
    const float *w, *mean, *rstd;
    float *partials;
    uint32_t rows, width;
};

/* The block's sums of `values`, the same bits in every thread. `shared` is used by one call between two barriers. */
template <unsigned COUNT> GX_DEVICE void block_sums(float (&values)[COUNT], float *shared)
{
    GX_UNROLL
    for (unsigned i = 0; i < COUNT; i++)
        values[i] = gx_warp_sum(values[i]);
    if (gx_lane() == 0)
        for (unsigned i = 0; i < COUNT; i++)
            shared[gx_warp() * COUNT + i] = values[i];
    gx_syncthreads();
    for (unsigned i = 0; i < COUNT; i++)
        values[i] = 0;
    for (uint32_t warp = 0; warp < blockDim.x / GX_WARP_LANES; warp++)
        for (unsigned i = 0; i < COUNT; i++)
            values[i] += shared[warp * COUNT + i];
}

/* A thread's columns: their gains, and the sums over rows. */
template <unsigned N, unsigned K> struct columns {
    uint32_t at[K], width;
    float gain[K][N], dw[K][N], db[K][N];

    GX_METHOD columns(const float *w, uint32_t width_) : width(width_)
    {
        for (unsigned k = 0; k < K; k++) {
            at[k] = (k * blockDim.x + threadIdx.x) * N;
            if (mine(k))
                gx_load_floats(gain[k], w + at[k]);
            for (unsigned j = 0; j < N; j++)
                dw[k][j] = db[k][j] = 0;
        }
    }
    GX_METHOD bool mine(unsigned k) const
    {
        return at[k] < width;
    }
    GX_METHOD void store(float *partials) const
    {
        for (unsigned k = 0; k < K; k++)
            if (mine(k)) {
                gx_store_floats(partials + at[k], dw[k]);
                gx_store_floats(partials + width + at[k], db[k]);
            }
    }
};

/* This thread's part of one row. */
template <typename T, unsigned N, unsigned K> struct part {
    gx_pack<T, N> dys[K], xs[K];
    float mean, rstd;

    GX_METHOD void load(const backward_arguments<T> &a, const columns<N, K> &c, uint32_t row)
    {
        mean = a.mean[row];
        rstd = a.rstd[row];
        for (unsigned k = 0; k < K; k++)
            if (c.mine(k)) {
                dys[k].load(a.dy + (uint64_t)row * a.width + c.at[k]);
                xs[k].load(a.x + (uint64_t)row * a.width + c.at[k]);
            }
    }

    /* Adds to dw and db; sum[0] is that of dy w, sum[1] that of dy w x', x' being the normalised x. */
    GX_METHOD void add(float sum[2], columns<N, K> &c) const
    {
        for (unsigned k = 0; k < K; k++) {
            if (!c.mine(k))
                continue;
            float dy[N], x[N];
            dys[k].get(dy);
            xs[k].get(x);
            for (unsigned j = 0; j < N; j++) {
                const float normal = (x[j] - mean) * rstd, d = dy[j] * c.gain[k][j];
                sum[0] += d;
                sum[1] += d * normal;
                c.dw[k][j] += dy[j] * normal;
                c.db[k][j] += dy[j];
            }
        }
    }

    /* dx = dresidual + (dy w - mean(dy w) - x' mean(dy w x')) rstd */
    GX_METHOD void store(const backward_arguments<T> &a, const columns<N, K> &c, uint32_t row,
                         const float sum[2]) const
    {
        const float m = sum[0] / (float)a.width, dot = sum[1] / (float)a.width;
        for (unsigned k = 0; k < K; k++) {
            if (!c.mine(k))
                continue;
            const uint64_t at = (uint64_t)row * a.width + c.at[k];
            float dy[N], x[N], dx[N] = {0};
            dys[k].get(dy);
            xs[k].get(x);
            if (a.dresidual)
                gx_load(dx, a.dresidual + at);
            for (unsigned j = 0; j < N; j++) {
                const float normal = (x[j] - mean) * rstd;
                dx[j] += (dy[j] * c.gain[k][j] - m - normal * dot) * rstd;
            }
            gx_store(a.dx + at, dx);
        }
    }
};

template <typename T, unsigned N, unsigned K, unsigned R>
GX_KERNEL_BOUND(BACKWARD_THREADS_MAX, 1)
layernorm_backward(backward_arguments<T> a)
{
    /* Two halves in turn, so that one barrier a turn is enough. */
    constexpr uint32_t HALF = BACKWARD_WARPS_MAX * 2 * R;
    GX_SHARED(float, shared, 2 * HALF);
    uint32_t half = HALF;
    columns<N, K> c(a.w, a.width);
    for (uint32_t first = blockIdx.x * R; first < a.rows; first += gridDim.x * R) {
        part<T, N, K> parts[R];
        float sums[2 * R] = {0};
        GX_UNROLL
        for (unsigned r = 0; r < R; r++)
            if (first + r < a.rows)
                parts[r].load(a, c, first + r);
        GX_UNROLL
        for (unsigned r = 0; r < R; r++)
            if (first + r < a.rows)
                parts[r].add(sums + 2 * r, c);
        block_sums(sums, shared + half);
        half ^= HALF;
        GX_UNROLL
        for (unsigned r = 0; r < R; r++)
            if (first + r < a.rows)
                parts[r].store(a, c, first + r, sums + 2 * r);
    }
    c.store(a.partials + (uint64_t)blockIdx.x * 2 * a.width);
}

/* The number of blocks. */
template <typename T, unsigned N, unsigned K, unsigned R>
uint32_t backward(const backward_arguments<T> &a, struct gx_dev_stream *stream)
{
    const uint32_t columns = N * K, lanes = (a.width + columns - 1) / columns;
    const uint32_t threads = (lanes + GX_WARP_LANES - 1) / GX_WARP_LANES * GX_WARP_LANES;
    const uint32_t groups = (a.rows + R - 1) / R;
    const uint32_t blocks = groups < BACKWARD_BLOCKS_MAX ? groups : BACKWARD_BLOCKS_MAX;
    GX_LAUNCH((layernorm_backward<T, N, K, R>), blocks, threads, stream, a);
    return blocks;
}

template <typename T>
uint32_t backward_of_width(const backward_arguments<T> &a, struct gx_dev_stream *stream)
{
    constexpr unsigned N = gx_pack_width<T>;
    const bool wide = gx_pack_fits(a.dx, a.width, N) && gx_pack_fits(a.dresidual, a.width, N) &&
                      gx_pack_fits(a.dy, a.width, N) && gx_pack_fits(a.x, a.width, N) &&
                      gx_pack_fits(a.w, a.width, 4);
    if (wide && a.width <= BACKWARD_THREADS_MAX * N)
        return backward<T, N, 1, 4>(a, stream);
    if (wide)
        return backward<T, N, 4, 1>(a, stream);
    if (a.width <= BACKWARD_THREADS_MAX * 4)
        return backward<T, 1, 4, 2>(a, stream);
    return backward<T, 1, 16, 1>(a, stream);
}

} // namespace

void gx_gpu_layernorm_forward(enum gx_dtype type, void *y, float *mean, float *rstd, const void *x,
                              const float *w, const float *b, uint32_t rows, uint32_t width,
                              struct gx_dev_stream *stream)
{
    gx_by_type(type, [&](auto t) {
        using T = decltype(t);
        forward<T, false>(NULL, (T *)y, mean, rstd, (const T *)x, NULL, w, b, rows, width, stream);
    });
}

void gx_gpu_residual_layernorm_forward(enum gx_dtype type, void *sum, void *y, float *mean,
                                       float *rstd, const void *x, const void *residual,
                                       const float *w, const float *b, uint32_t rows,
                                       uint32_t width, struct gx_dev_stream *stream)
{
    gx_by_type(type, [&](auto t) {
        using T = decltype(t);
        forward<T, true>((T *)sum, (T *)y, mean, rstd, (const T *)x, (const T *)residual, w, b,
                         rows, width, stream);
    });
}

size_t gx_gpu_layernorm_scratch_bytes(uint32_t rows, uint32_t width)
{
    const size_t blocks = rows < BACKWARD_BLOCKS_MAX ? rows : BACKWARD_BLOCKS_MAX;
    return blocks * 2 * width * sizeof(float);
}

void gx_gpu_layernorm_backward(enum gx_dtype type, void *dx, const void *dresidual, float *dw,
                               float *db, const void *dy, const void *x, const float *w,
                               const float *mean, const float *rstd, void *scratch, uint32_t rows,
                               uint32_t width, bool add, struct gx_dev_stream *stream)
{
    GX_ASSERT(rows > 0 && width <= GX_GPU_LAYERNORM_WIDTH_MAX);
    uint32_t pieces = 0;
    gx_by_type(type, [&](auto t) {
        using T = decltype(t);
        pieces = backward_of_width<T>({(T *)dx, (const T *)dresidual, (const T *)dy, (const T *)x,
                                       w, mean, rstd, (float *)scratch, rows, width},
                                      stream);
    });
    gx_gpu_columns_finish(dw, db, (const float *)scratch, pieces, width, add, stream);
}
