#include "sim/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/heap.h"
#include "sim/random.h"

static float value(struct sim_random *random)
{
    return (float)((double)(int64_t)(sim_next(random) >> 20) * 0x1p-43 - 1.0);
}

void sim_model_start(uint64_t seed, uint32_t run, uint32_t fragment, uint32_t site, float *theta,
                     uint64_t count)
{
    struct sim_random random = sim_random_init(seed, 5000 + run * 1000 + fragment * 100 + site);
    for (uint64_t i = 0; i < count; i++)
        theta[i] = value(&random);
}

void sim_model_contribution(uint64_t key, uint64_t state_hash, enum gx_format format, void *wire,
                            uint64_t count)
{
    struct sim_random random = sim_random_init(key, state_hash);
    float *values = format == GX_FP32 ? wire : sim_alloc(count * sizeof(*values));
    for (uint64_t i = 0; i < count; i++)
        values[i] = value(&random);
    if (format == GX_FP32)
        return;
    gx_encode(format, wire, values, count);
    free(values);
}

void sim_model_spoil(void *wire, uint64_t count, uint64_t where)
{
    float *values = wire;
    values[where % count] = where & 1 ? NAN : INFINITY;
}

void sim_model_apply(float *theta, float *momentum, const float *mean, uint64_t first,
                     uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++) {
        momentum[i] = 0.9f * momentum[i] + mean[i];
        theta[i] -= 0.7f * (mean[i] + 0.9f * momentum[i]);
    }
}
