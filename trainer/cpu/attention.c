#include "cpu/attention.h"

#include <string.h>

#include "cpu/gemm.h"
#include "cpu/math.h"
#include "cpu/parallel.h"

/* One head of one sequence: where its matrices lie, and their sizes. */
struct head {
    size_t qkv, y, probs; /* offsets of the first value */
    size_t time, size, qkv_stride, y_stride;
};

static struct head head_at(struct gx_attention_shape s, size_t idx)
{
    size_t b = idx / s.heads, h = idx % s.heads, size = s.width / s.heads;
    struct head head = {
        .qkv = b * s.time * 3 * s.width + h * size,
        .y = b * s.time * s.width + h * size,
        .probs = idx * s.time * s.time,
        .time = s.time,
        .size = size,
        .qkv_stride = 3 * s.width,
        .y_stride = s.width,
    };
    return head;
}

GX_VECTOR static void softmax_causal(real *scores, size_t time)
{
    for (size_t t = 0; t < time; t++) {
        real *row = scores + t * time;
        real max = row[0], sum = 0;
        for (size_t i = 1; i <= t; i++)
            max = row[i] > max ? row[i] : max;
        GX_SIMD_SUM(sum)
        for (size_t i = 0; i <= t; i++) {
            row[i] = gx_exp(row[i] - max);
            sum += row[i];
        }
        real scale = 1 / sum;
        GX_SIMD
        for (size_t i = 0; i <= t; i++)
            row[i] *= scale;
        memset(row + t + 1, 0, (time - t - 1) * sizeof(real));
    }
}

void gx_attention_forward(real *y, real *probs, const real *qkv, struct gx_attention_shape s)
{
    GX_PARALLEL_FOR
    for (size_t idx = 0; idx < s.batch * s.heads; idx++) {
        struct head h = head_at(s, idx);
        struct gx_matrix q = {qkv + h.qkv, h.qkv_stride, false};
        struct gx_matrix kt = {qkv + h.qkv + s.width, h.qkv_stride, true};
        struct gx_matrix v = {qkv + h.qkv + 2 * s.width, h.qkv_stride, false};
        struct gx_matrix p = {probs + h.probs, h.time, false};
        real scale = 1 / gx_sqrt((real)h.size);
        gx_gemm(h.time, h.time, h.size, scale, q, kt, 0, probs + h.probs, h.time);
        softmax_causal(probs + h.probs, h.time);
        gx_gemm(h.time, h.size, h.time, 1, p, v, 0, y + h.y, h.y_stride);
    }
}

/* Turns dP into dS = P * (dP - sum(dP * P)) in place, row by row; zero above the diagonal, as P is. */
GX_VECTOR static void softmax_backward(real *d, const real *probs, size_t time)
{
    for (size_t t = 0; t < time; t++) {
        real *row = d + t * time;
        const real *p = probs + t * time;
        real dot = 0;
        GX_SIMD_SUM(dot)
        for (size_t i = 0; i <= t; i++)
            dot += row[i] * p[i];
        GX_SIMD
        for (size_t i = 0; i <= t; i++)
            row[i] = p[i] * (row[i] - dot);
        memset(row + t + 1, 0, (time - t - 1) * sizeof(real));
    }
}

void gx_attention_backward(real *dqkv, real *scratch, const real *dy, const real *qkv,
                           const real *probs, struct gx_attention_shape s)
{
    GX_PARALLEL_FOR
    for (size_t idx = 0; idx < s.batch * s.heads; idx++) {
        struct head h = head_at(s, idx);
        real *d = scratch + gx_parallel_index() * h.time * h.time;
        real *dq = dqkv + h.qkv, *dk = dq + s.width, *dv = dk + s.width;
        real scale = 1 / gx_sqrt((real)h.size);
        struct gx_matrix q = {qkv + h.qkv, h.qkv_stride, false};
        struct gx_matrix k = {qkv + h.qkv + s.width, h.qkv_stride, false};
        struct gx_matrix vt = {qkv + h.qkv + 2 * s.width, h.qkv_stride, true};
        struct gx_matrix pt = {probs + h.probs, h.time, true};
        struct gx_matrix out = {dy + h.y, h.y_stride, false};
        struct gx_matrix ds = {d, h.time, false}, dst = {d, h.time, true};
        gx_gemm(h.time, h.size, h.time, 1, pt, out, 0, dv, h.qkv_stride);
        gx_gemm(h.time, h.time, h.size, 1, out, vt, 0, d, h.time);
        softmax_backward(d, probs + h.probs, h.time);
        gx_gemm(h.time, h.size, h.time, scale, ds, k, 0, dq, h.qkv_stride);
        gx_gemm(h.time, h.size, h.time, scale, dst, q, 0, dk, h.qkv_stride);
    }
}
