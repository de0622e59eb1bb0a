/* The end of sums over rows: blocks leave partial sums of columns, and this adds them in order.
 *
 * partials[piece][sum][width]: what block `piece` has found for each of `sums` outputs (1 or 2), FP32.
 */
#ifndef GX_TRAINER_CUDA_COLUMNS_H
#define GX_TRAINER_CUDA_COLUMNS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gx_dev_stream;

/* out[sum][i] = (or += when `add`) the pieces' sums; `second` is NULL where there is one output. */
void gx_gpu_columns_finish(float *first, float *second, const float *partials, uint32_t pieces,
                           uint32_t width, bool add, struct gx_dev_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
