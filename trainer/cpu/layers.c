#include "cpu/layers.h"

#include "cpu/math.h"
#include "cpu/parallel.h"
#include "model/gpt2.h"

GX_VECTOR static void layernorm_row(real *y, real *mean, real *rstd, const real *x, const real *w,
                                    const real *b, size_t width)
{
    const real n = (real)width;
    real sum = 0, squares = 0;
    GX_SIMD_SUM(sum)
    for (size_t i = 0; i < width; i++)
        sum += x[i];
    real m = sum / n;
    GX_SIMD_SUM(squares)
    for (size_t i = 0; i < width; i++)
        squares += (x[i] - m) * (x[i] - m);
    real s = 1 / gx_sqrt(squares / n + (real)GX_LAYERNORM_EPSILON);
    GX_SIMD
    for (size_t i = 0; i < width; i++)
        y[i] = (x[i] - m) * s * w[i] + b[i];
    *mean = m;
    *rstd = s;
}

void gx_layernorm_forward(real *y, real *mean, real *rstd, const real *x, const real *w,
                          const real *b, size_t rows, size_t width)
{
    GX_PARALLEL_FOR
    for (size_t r = 0; r < rows; r++)
        layernorm_row(y + r * width, mean + r, rstd + r, x + r * width, w, b, width);
}

GX_VECTOR static void layernorm_row_backward(real *dx, const real *dy, const real *x, const real *w,
                                             real m, real s, size_t width)
{
    real sum = 0, dot = 0;
    GX_SIMD_SUM(sum)
    for (size_t i = 0; i < width; i++)
        sum += dy[i] * w[i];
    GX_SIMD_SUM(dot)
    for (size_t i = 0; i < width; i++)
        dot += dy[i] * w[i] * (x[i] - m) * s;
    sum /= (real)width;
    dot /= (real)width;
    GX_SIMD
    for (size_t i = 0; i < width; i++)
        dx[i] += (dy[i] * w[i] - sum - (x[i] - m) * s * dot) * s;
}

void gx_layernorm_backward(real *dx, real *dw, real *db, const real *dy, const real *x,
                           const real *w, const real *mean, const real *rstd, size_t rows,
                           size_t width)
{
    GX_PARALLEL_FOR
    for (size_t r = 0; r < rows; r++)
        layernorm_row_backward(dx + r * width, dy + r * width, x + r * width, w, mean[r], rstd[r],
                               width);
    GX_PARALLEL_FOR
    for (size_t first = 0; first < width; first += GX_COLUMNS) {
        size_t count = width - first < GX_COLUMNS ? width - first : GX_COLUMNS;
        for (size_t r = 0; r < rows; r++) {
            const real *d = dy + r * width + first, *in = x + r * width + first;
            real m = mean[r], s = rstd[r];
            GX_SIMD
            for (size_t i = 0; i < count; i++) {
                dw[first + i] += d[i] * (in[i] - m) * s;
                db[first + i] += d[i];
            }
        }
    }
}

#define GELU_SCALE ((real)0.797884560802865355879892) /* sqrt(2 / pi) */
#define GELU_CUBE ((real)0.044715)
#define CHUNK 4096

GX_VECTOR static void gelu_piece(real *y, const real *x, size_t count)
{
    GX_SIMD
    for (size_t i = 0; i < count; i++) {
        real v = x[i];
        real t = gx_tanh(GELU_SCALE * (v + GELU_CUBE * v * v * v));
        y[i] = (real)0.5 * v * (1 + t);
    }
}

void gx_gelu_forward(real *y, const real *x, size_t count)
{
    GX_PARALLEL_FOR
    for (size_t at = 0; at < count; at += CHUNK)
        gelu_piece(y + at, x + at, count - at < CHUNK ? count - at : CHUNK);
}

GX_VECTOR static void gelu_piece_backward(real *d, const real *x, size_t count)
{
    GX_SIMD
    for (size_t i = 0; i < count; i++) {
        real v = x[i];
        real t = gx_tanh(GELU_SCALE * (v + GELU_CUBE * v * v * v));
        real slope = (1 - t * t) * GELU_SCALE * (1 + 3 * GELU_CUBE * v * v);
        d[i] *= (real)0.5 * (1 + t) + (real)0.5 * v * slope;
    }
}

void gx_gelu_backward(real *d, const real *x, size_t count)
{
    GX_PARALLEL_FOR
    for (size_t at = 0; at < count; at += CHUNK)
        gelu_piece_backward(d + at, x + at, count - at < CHUNK ? count - at : CHUNK);
}

void gx_embedding_forward(real *y, const uint16_t *tokens, const real *wte, const real *wpe,
                          size_t rows, size_t context, size_t width)
{
    GX_PARALLEL_FOR
    for (size_t r = 0; r < rows; r++) {
        const real *te = wte + tokens[r] * width;
        const real *pe = wpe + r % context * width;
        real *out = y + r * width;
        GX_SIMD
        for (size_t i = 0; i < width; i++)
            out[i] = te[i] + pe[i];
    }
}

void gx_embedding_backward(real *dwte, real *dwpe, const real *dy, const uint16_t *tokens,
                           size_t rows, size_t context, size_t width)
{
    /* Two rows may hold one token, so threads divide the columns, not the rows. */
    GX_PARALLEL_FOR
    for (size_t first = 0; first < width; first += GX_COLUMNS) {
        size_t count = width - first < GX_COLUMNS ? width - first : GX_COLUMNS;
        for (size_t r = 0; r < rows; r++) {
            const real *d = dy + r * width + first;
            real *te = dwte + tokens[r] * width + first;
            real *pe = dwpe + r % context * width + first;
            GX_SIMD
            for (size_t i = 0; i < count; i++) {
                te[i] += d[i];
                pe[i] += d[i];
            }
        }
    }
}

static real largest(const real *x, size_t count)
{
    real max = x[0];
    for (size_t i = 1; i < count; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

GX_VECTOR static double row_loss(const real *logits, size_t target, size_t vocab)
{
    real max = largest(logits, vocab), sum = 0;
    GX_SIMD_SUM(sum)
    for (size_t i = 0; i < vocab; i++)
        sum += gx_exp(logits[i] - max);
    return log((double)sum) - (double)(logits[target] - max);
}

double gx_crossentropy_forward(const real *logits, const uint16_t *targets, size_t rows,
                               size_t vocab)
{
    double loss = 0;
    for (size_t r = 0; r < rows; r++)
        loss += row_loss(logits + r * vocab, targets[r], vocab);
    return loss / (double)rows;
}

GX_VECTOR static void row_loss_backward(real *row, size_t target, size_t vocab, real weight)
{
    real max = largest(row, vocab), sum = 0;
    GX_SIMD_SUM(sum)
    for (size_t i = 0; i < vocab; i++) {
        row[i] = gx_exp(row[i] - max);
        sum += row[i];
    }
    real scale = weight / sum;
    GX_SIMD
    for (size_t i = 0; i < vocab; i++)
        row[i] *= scale;
    row[target] -= weight;
}

void gx_crossentropy_backward(real *logits, const uint16_t *targets, size_t rows, size_t vocab)
{
    GX_PARALLEL_FOR
    for (size_t r = 0; r < rows; r++)
        row_loss_backward(logits + r * vocab, targets[r], vocab, 1 / (real)rows);
}
