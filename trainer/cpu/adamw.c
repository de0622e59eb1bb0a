#include "cpu/adamw.h"

#include <math.h>

#include "cpu/parallel.h"

#define PIECE 16384u
#define PIECES_AT_ONCE 256u

GX_VECTOR static double squares(const float *x, uint64_t count)
{
    double sum = 0;
    GX_SIMD_SUM(sum)
    for (uint64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

double gx_global_norm(const float *grads, uint64_t count)
{
    double total = 0, sums[PIECES_AT_ONCE];
    for (uint64_t first = 0; first < count; first += (uint64_t)PIECE * PIECES_AT_ONCE) {
        uint64_t left = (count - first + PIECE - 1) / PIECE;
        uint64_t pieces = left < PIECES_AT_ONCE ? left : PIECES_AT_ONCE;
        GX_PARALLEL_FOR
        for (uint64_t i = 0; i < pieces; i++) {
            uint64_t at = first + i * PIECE;
            sums[i] = squares(grads + at, count - at < PIECE ? count - at : PIECE);
        }
        for (uint64_t i = 0; i < pieces; i++)
            total += sums[i];
    }
    return sqrt(total);
}

float gx_clip_scale(double norm, float clip_norm)
{
    return norm > (double)clip_norm ? (float)((double)clip_norm / norm) : 1.0f;
}

GX_VECTOR static void update_piece(const struct gx_adamw *o, float correct1, float correct2,
                                   float shrink, float *p, float *m, float *v, const float *g,
                                   uint64_t count)
{
    const float b1 = o->beta1, b2 = o->beta2, lr = o->lr, eps = o->epsilon, scale = o->grad_scale;
    GX_SIMD
    for (uint64_t i = 0; i < count; i++) {
        float grad = g[i] * scale;
        float m1 = b1 * m[i] + (1.0f - b1) * grad;
        float m2 = b2 * v[i] + (1.0f - b2) * grad * grad;
        m[i] = m1;
        v[i] = m2;
        p[i] = shrink * p[i] - lr * (m1 * correct1) / (sqrtf(m2 * correct2) + eps);
    }
}

void gx_adamw_step(const struct gx_adamw *opt, float *params, float *moment1, float *moment2,
                   const float *grads, uint64_t count, bool decay)
{
    const double t = (double)opt->update;
    const float correct1 = (float)(1 / (1 - pow((double)opt->beta1, t)));
    const float correct2 = (float)(1 / (1 - pow((double)opt->beta2, t)));
    const float shrink = decay ? 1.0f - opt->lr * opt->weight_decay : 1.0f;
    GX_PARALLEL_FOR
    for (uint64_t at = 0; at < count; at += PIECE)
        update_piece(opt, correct1, correct2, shrink, params + at, moment1 + at, moment2 + at,
                     grads + at, count - at < PIECE ? count - at : PIECE);
}
