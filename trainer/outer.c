#include "outer.h"

void gx_outer_delta(float *delta, const float *theta_outer, const float *theta_local,
                    uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        delta[i] = theta_outer[i] - theta_local[i];
}

void gx_outer_step(float *theta, float *momentum, const float *delta_mean, uint64_t count, float lr,
                   float momentum_factor)
{
    for (uint64_t i = 0; i < count; i++) {
        float v = momentum_factor * momentum[i] + delta_mean[i];
        momentum[i] = v;
        theta[i] = theta[i] - lr * (delta_mean[i] + momentum_factor * v);
    }
}

void gx_outer_rebase(float *theta_local, const float *theta_new, const float *theta_old,
                     uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        theta_local[i] += theta_new[i] - theta_old[i];
}
