#include "sim/reference.h"

#include <math.h> /* ldexp */
#include <stdlib.h>
#include <string.h>

#include "sim/heap.h"

/* volatile: a product is stored, and so rounded, before it is added; no compiler may fuse the two. */
static float multiply_add(float sum, float scale, float value)
{
    volatile float product = scale * value;
    return sum + product;
}

/* A weight, a product and each of the sums are rounded, by 2^-24 of the sum of magnitudes at most. */
static double distance_allowed(double magnitude, uint32_t member_count)
{
    return ldexp(magnitude, -24) * (member_count + 2) + 1e-37;
}

bool sim_reference_mean(enum gx_format format, const struct sim_member *members,
                        uint32_t member_count, uint64_t divisor, uint64_t count, float *out)
{
    float *values = sim_alloc(count * sizeof(*values));
    double *exact = sim_alloc(count * sizeof(*exact));
    double *magnitude = sim_alloc(count * sizeof(*magnitude));
    bool close = true;

    memset(out, 0, count * sizeof(*out));
    for (uint32_t m = 0; m < member_count; m++) {
        float scale = (float)((double)members[m].weight / (double)divisor);
        if (format == GX_FP32)
            memcpy(values, members[m].bytes, count * sizeof(*values));
        else
            gx_decode(format, values, members[m].bytes, count);
        for (uint64_t i = 0; i < count; i++) {
            double share = (double)members[m].weight * (double)values[i] / (double)divisor;
            out[i] = multiply_add(out[i], scale, values[i]);
            exact[i] += share;
            magnitude[i] += fabs(share);
        }
    }
    for (uint64_t i = 0; i < count; i++)
        close &= fabs((double)out[i] - exact[i]) <= distance_allowed(magnitude[i], member_count);
    free(values);
    free(exact);
    free(magnitude);
    return close;
}
