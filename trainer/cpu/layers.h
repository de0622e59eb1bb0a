/* The model's layers, forward and backward. Rows are tokens (batch * context of them).
 *
 * Gradients of parameters (dw, db) are added to; gradients of inputs (dx) are overwritten unless a line says
 * otherwise. No pointer may overlap another.
 */
#ifndef GX_TRAINER_LAYERS_H
#define GX_TRAINER_LAYERS_H

#include <stddef.h>
#include <stdint.h>

#include "cpu/real.h"

/* y[rows][outs] = x[rows][ins] * w[outs][ins]^T + b[outs] + residual[rows][outs]; b and residual may be NULL. */
void gx_linear_forward(real *y, const real *x, const real *w, const real *b, const real *residual,
                       size_t rows, size_t ins, size_t outs);
void gx_linear_backward(real *dx, real *dw, real *db, const real *dy, const real *x, const real *w,
                        size_t rows, size_t ins, size_t outs);

/* mean[rows] and rstd[rows] (1 / standard deviation) are kept for the way back. */
void gx_layernorm_forward(real *y, real *mean, real *rstd, const real *x, const real *w,
                          const real *b, size_t rows, size_t width);
/* Adds to dx. */
void gx_layernorm_backward(real *dx, real *dw, real *db, const real *dy, const real *x,
                           const real *w, const real *mean, const real *rstd, size_t rows,
                           size_t width);

/* GELU(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), Hendrycks and Gimpel 2016. */
void gx_gelu_forward(real *y, const real *x, size_t count);
/* Turns dy into dx in place. */
void gx_gelu_backward(real *d, const real *x, size_t count);

/* y[row] = wte[token] + wpe[row mod context] */
void gx_embedding_forward(real *y, const uint16_t *tokens, const real *wte, const real *wpe,
                          size_t rows, size_t context, size_t width);
void gx_embedding_backward(real *dwte, real *dwpe, const real *dy, const uint16_t *tokens,
                           size_t rows, size_t context, size_t width);

/* The mean over rows of -log softmax(logits)[target]. */
double gx_crossentropy_forward(const real *logits, const uint16_t *targets, size_t rows,
                               size_t vocab);
/* Turns logits into the gradient of that mean, in place. */
void gx_crossentropy_backward(real *logits, const uint16_t *targets, size_t rows, size_t vocab);

#endif
