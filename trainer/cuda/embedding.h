/* Token and position embedding on the GPU.
 *
 * Memory    every pointer is the device's, but those of gx_token_index_fill(), which runs on the host.
 * Order     a token's rows are summed in pieces of GX_TOKEN_PIECE_ROWS, row after row, then piece after piece: no float
 *           atomics, so the same bits every time.
 * Graphs    launches depend on the sizes alone, never on the tokens, so that a step can be captured once.
 */
#ifndef GX_TRAINER_CUDA_EMBEDDING_H
#define GX_TRAINER_CUDA_EMBEDDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gx_dev_stream;

/* y[row] = wte[token] + wpe[row mod context], rows of `width` values; y, wte and wpe of type `type`. */
void gx_gpu_embedding_forward(enum gx_dtype type, void *y, const uint16_t *tokens, const void *wte,
                              const void *wpe, uint32_t rows, uint32_t context, uint32_t width,
                              struct gx_dev_stream *stream);

#define GX_TOKEN_PIECE_ROWS 32u

/* A batch's rows in the order of their tokens: the host fills it beside the batch, and one copy brings it over. */
size_t gx_token_index_bytes(uint32_t rows);

/* `index` has gx_token_index_bytes(rows) bytes aligned to 4, `counts` room for `vocab` + 1 numbers. Tokens are below
 * `vocab`. A stable counting sort: O(rows + vocab). */
void gx_token_index_fill(void *index, uint32_t *counts, const uint16_t *tokens, uint32_t rows,
                         uint32_t vocab);

/* Scratch for the way back. */
size_t gx_gpu_embedding_scratch_bytes(uint32_t rows, uint32_t width);

/* dwte[token] += the sum of dy over the token's rows; dwpe[position] = (or += when `add`) the sum over the batch. dy is
 * of type `type`; `index` is the filled token index, on the device. rows is a multiple of context. */
void gx_gpu_embedding_backward(enum gx_dtype type, float *dwte, float *dwpe, const void *dy,
                               const void *index, void *scratch, uint32_t rows, uint32_t context,
                               uint32_t width, bool add, struct gx_dev_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
