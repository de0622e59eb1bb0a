#include "gx-perf/check.h"

#include <math.h>
#include <string.h>

#include "gx-perf/pattern.h"

/* A multiple of every format's block, so that a piece is encoded as it is in the whole. */
#define PIECE 4096u

struct piece {
    float delta[PIECE];
    uint8_t wire[PIECE * sizeof(float)];
    double sum[PIECE], magnitude[PIECE];
};

uint64_t gx_perf_divisor(uint32_t cohort)
{
    uint64_t divisor = 0;

    for (uint32_t site = 0; site < GX_SITES_MAX; site++)
        if (cohort & 1u << site)
            divisor += gx_perf_weight(site);
    return divisor;
}

static void piece_add(struct piece *p, uint32_t count, enum gx_format format, double weight)
{
    gx_encode(format, p->wire, p->delta, count);
    gx_decode(format, p->delta, p->wire, count);
    for (uint32_t i = 0; i < count; i++) {
        p->sum[i] += weight * (double)p->delta[i];
        p->magnitude[i] += fabs(weight * (double)p->delta[i]);
    }
}

static void piece_compare(struct gx_perf_check *check, const struct piece *p, const float *result,
                          uint64_t first, uint32_t count, double divisor)
{
    for (uint32_t i = 0; i < count; i++) {
        double expected = p->sum[i] / divisor, got = (double)result[first + i];
        /* written so that NaN is wrong */
        if (fabs(got - expected) <= 0x1p-22 * p->magnitude[i] / divisor)
            continue;
        if (check->wrong++ == 0) {
            check->first_index = first + i;
            check->got = got;
            check->expected = expected;
        }
    }
}

void gx_perf_check_result(struct gx_perf_check *check, uint64_t seed, enum gx_format format,
                          uint64_t round, uint32_t cohort, const float *result,
                          uint64_t param_count)
{
    static _Thread_local struct piece p; /* too large for a stack */
    double divisor = (double)gx_perf_divisor(cohort);

    *check = (struct gx_perf_check){.first_index = UINT64_MAX};
    for (uint64_t first = 0; first < param_count; first += PIECE) {
        uint32_t count = param_count - first < PIECE ? (uint32_t)(param_count - first) : PIECE;
        memset(p.sum, 0, sizeof(p.sum));
        memset(p.magnitude, 0, sizeof(p.magnitude));
        for (uint32_t site = 0; site < GX_SITES_MAX; site++) {
            if (!(cohort & 1u << site))
                continue;
            gx_perf_pattern_fill(p.delta, seed, site, round, first, count);
            piece_add(&p, count, format, (double)gx_perf_weight(site));
        }
        piece_compare(check, &p, result, first, count, divisor);
    }
}
