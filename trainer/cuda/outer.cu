#include "cuda/outer.h"

#include "cuda/each.h"
#include "cuda/exact.h"
#include "cuda/pack.h"

namespace
{

/* theta_local after theta_outer went from `before` to `after`. */
GX_DEVICE float moved(const struct gx_gpu_outer &step, float local, float before, float after)
{
    switch (step.local) {
    case GX_LOCAL_REPLACE:
        return after;
    case GX_LOCAL_MIX:
        return gx_add(gx_mul(step.alpha, local), gx_mul(gx_sub(1.0f, step.alpha), after));
    case GX_LOCAL_REBASE:
        return gx_add(local, gx_sub(after, before));
    default:
        return local;
    }
}

/* STEP: v, theta and theta_local move; else theta is given, and only theta_local does. */
template <bool STEP> struct outer {
    struct gx_gpu_outer step;
    float *theta, *momentum;
    const float *delta_mean;
    float *local;
    gx_bf16 *copy;

    template <unsigned N> GX_METHOD void run(uint64_t i) const
    {
        float before[N], after[N], at[N] = {0};
        gx_load_floats(before, theta + i);
        if (STEP) {
            float v[N], delta[N];
            gx_load_floats(v, momentum + i);
            gx_load_floats(delta, delta_mean + i);
            for (unsigned j = 0; j < N; j++) {
                v[j] = gx_add(gx_mul(step.momentum_factor, v[j]), delta[j]);
                const float ahead = gx_add(delta[j], gx_mul(step.momentum_factor, v[j]));
                after[j] = gx_sub(before[j], gx_mul(step.lr, ahead));
            }
            gx_store_floats(momentum + i, v);
            gx_store_floats(theta + i, after);
        } else {
            for (unsigned j = 0; j < N; j++)
                after[j] = before[j];
        }
        if (!local || step.local == GX_LOCAL_KEEP)
            return;
        if (step.local != GX_LOCAL_REPLACE)
            gx_load_floats(at, local + i);
        for (unsigned j = 0; j < N; j++)
            at[j] = moved(step, at[j], before[j], after[j]);
        gx_store_floats(local + i, at);
        if (copy)
            gx_store(copy + i, at);
    }
    bool fits(unsigned n) const
    {
        return gx_pack_fits(theta, 0, n) && gx_pack_fits(momentum, 0, n) &&
               gx_pack_fits(delta_mean, 0, n) && gx_pack_fits(local, 0, n) &&
               gx_pack_fits(copy, 0, n);
    }
};

} // namespace

void gx_gpu_outer_step(const struct gx_gpu_outer *step, float *theta, float *momentum,
                       const float *delta_mean, float *theta_local, void *copy_bf16, uint64_t count,
                       struct gx_dev_stream *stream)
{
    const outer<true> op = {*step, theta, momentum, delta_mean, theta_local, (gx_bf16 *)copy_bf16};
    gx_each<4>(op, count, stream);
}

void gx_gpu_outer_adopt(const struct gx_gpu_outer *step, const float *theta, float *theta_local,
                        void *copy_bf16, uint64_t count, struct gx_dev_stream *stream)
{
    /* Without STEP, theta is only read. */
    const outer<false> op = {*step, (float *)theta, NULL, NULL, theta_local, (gx_bf16 *)copy_bf16};
    gx_each<4>(op, count, stream);
}
