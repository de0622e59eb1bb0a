#include "cuda/adamw.h"

#include <math.h>

#include "cpu/adamw.h"
#include "cuda/each.h"
#include "cuda/stochastic.h"

namespace
{

/* ---- the norm ---- */

constexpr uint32_t THREADS = 512;
constexpr uint32_t WARPS = THREADS / GX_WARP_LANES;
constexpr uint32_t NORM_BLOCKS_MAX = 1024;
constexpr uint64_t NORM_BLOCK_VALUES = THREADS * 16u;

/* In thread 0. */
GX_DEVICE double block_sum(double sum)
{
    GX_SHARED(double, found, WARPS);
    sum = gx_warp_sum(sum);
    if (gx_lane() == 0)
        found[gx_warp()] = sum;
    gx_syncthreads();
    for (uint32_t warp = 1; warp < WARPS && threadIdx.x == 0; warp++)
        sum += found[warp];
    return sum;
}

/* A block's sum of squares; double, as on the CPU: a gradient of 1e20 is large, not infinite. */
template <unsigned N>
GX_KERNEL_BOUND(THREADS, 2)
square_sums(double *sums, const float *grads, uint64_t count)
{
    const uint64_t step = (uint64_t)gridDim.x * THREADS * N;
    double sum = 0;
    GX_UNROLL_BY(4)
    for (uint64_t i = ((uint64_t)blockIdx.x * THREADS + threadIdx.x) * N; i + N <= count;
         i += step) {
        float g[N];
        gx_load_floats(g, grads + i);
        for (unsigned j = 0; j < N; j++)
            sum += (double)g[j] * (double)g[j];
    }
    if (blockIdx.x == 0 && threadIdx.x < count % N) {
        const double g = (double)grads[count - count % N + threadIdx.x];
        sum += g * g;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        sums[blockIdx.x] = sum;
}

GX_KERNEL_BOUND(THREADS, 1)
norm_finish(struct gx_gpu_norm *out, const double *sums, uint32_t blocks, const float *loss,
            float clip_norm)
{
    double sum = 0;
    for (uint32_t i = threadIdx.x; i < blocks; i += THREADS)
        sum += sums[i];
    sum = block_sum(sum);
    if (threadIdx.x != 0)
        return;
    const double norm = sqrt(sum);
    out->norm = norm;
    out->grad_scale = norm > (double)clip_norm ? (float)((double)clip_norm / norm) : 1.0f;
    out->finite = isfinite(norm) && (!loss || isfinite(*loss));
}

uint32_t norm_blocks(uint64_t count)
{
    const uint64_t blocks = (count + NORM_BLOCK_VALUES - 1) / NORM_BLOCK_VALUES;
    return blocks < NORM_BLOCKS_MAX ? (uint32_t)blocks : NORM_BLOCKS_MAX;
}

/* ---- the update ---- */

struct adamw {
    const struct gx_gpu_adamw *step;
    const struct gx_gpu_norm *norm;
    struct gx_gpu_decay decay;
    float *params, *moment1, *moment2;
    const float *grads;
    gx_bf16 *copy;
    bool stochastic;

    GX_METHOD bool decays(uint64_t i) const
    {
        uint32_t range = 0;
        while (i >= decay.end[range])
            range++;
        return decay.decays >> range & 1;
    }

    template <unsigned N> GX_METHOD void run(uint64_t i) const
    {
        if (!norm->finite)
            return;
        const struct gx_gpu_adamw o = *step;
        const float scale = norm->grad_scale;
        float p[N], m[N], v[N], g[N];
        gx_load_floats(p, params + i);
        gx_load_floats(m, moment1 + i);
        gx_load_floats(v, moment2 + i);
        gx_load_floats(g, grads + i);
        for (unsigned j = 0; j < N; j++) {
            const float grad = g[j] * scale;
            const float shrink = decays(i + j) ? 1.0f - o.lr * o.weight_decay : 1.0f;
            m[j] = o.beta1 * m[j] + (1.0f - o.beta1) * grad;
            v[j] = o.beta2 * v[j] + (1.0f - o.beta2) * grad * grad;
            p[j] =
                shrink * p[j] - o.lr * (m[j] * o.correct1) / (sqrtf(v[j] * o.correct2) + o.epsilon);
        }
        gx_store_floats(params + i, p);
        gx_store_floats(moment1 + i, m);
        gx_store_floats(moment2 + i, v);
        if (!copy)
            return;
        if (stochastic)
            gx_stochastic_round(p, i, o.seed, o.update);
        gx_store(copy + i, p);
    }
    bool fits(unsigned n) const
    {
        return gx_pack_fits(params, 0, n) && gx_pack_fits(moment1, 0, n) &&
               gx_pack_fits(moment2, 0, n) && gx_pack_fits(grads, 0, n) && gx_pack_fits(copy, 0, n);
    }
};

} // namespace

size_t gx_gpu_norm_scratch_bytes(uint64_t count)
{
    return norm_blocks(count) * sizeof(double);
}

void gx_gpu_norm_compute(struct gx_gpu_norm *out, const float *grads, const float *loss,
                         void *scratch, uint64_t count, float clip_norm,
                         struct gx_dev_stream *stream)
{
    double *sums = (double *)scratch;
    const uint32_t blocks = norm_blocks(count);
    if (gx_pack_fits(grads, 0, 4))
        GX_LAUNCH((square_sums<4>), blocks, THREADS, stream, sums, grads, count);
    else
        GX_LAUNCH((square_sums<1>), blocks, THREADS, stream, sums, grads, count);
    GX_LAUNCH(norm_finish, 1, THREADS, stream, out, sums, blocks, loss, clip_norm);
}

void gx_gpu_adamw_fill(struct gx_gpu_adamw *step, const struct gx_adamw *opt, uint64_t seed)
{
    const double t = (double)opt->update;
    step->lr = opt->lr;
    step->beta1 = opt->beta1;
    step->beta2 = opt->beta2;
    step->epsilon = opt->epsilon;
    step->weight_decay = opt->weight_decay;
    step->correct1 = (float)(1 / (1 - pow((double)opt->beta1, t)));
    step->correct2 = (float)(1 / (1 - pow((double)opt->beta2, t)));
    step->update = (uint32_t)opt->update;
    step->seed = seed;
}

void gx_gpu_adamw_step(const struct gx_gpu_adamw *step, const struct gx_gpu_norm *norm,
                       const struct gx_gpu_decay *decay, float *params, float *moment1,
                       float *moment2, const float *grads, void *copy_bf16,
                       enum gx_gpu_rounding rounding, struct gx_dev_stream *stream)
{
    const adamw op = {step,
                      norm,
                      *decay,
                      params,
                      moment1,
                      moment2,
                      grads,
                      (gx_bf16 *)copy_bf16,
                      rounding == GX_ROUND_STOCHASTIC};
    gx_each<4>(op, decay->end[decay->count - 1], stream);
}
