/* Softmax and cross-entropy on the GPU, forward and backward in one kernel: logits become their gradient where they lie.
 *
 * logits[rows][stride] of type `type`; the first `vocab` values of a row count, those up to `stride` are padding: never
 * read as logits, and zero in the gradient.
 */
#ifndef GX_TRAINER_CUDA_CLASSIFIER_H
#define GX_TRAINER_CUDA_CLASSIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gx_dev_stream;

/* losses[row] = -log softmax(logits)[target], in nats; logits = scale (softmax - onehot(target)). `scale` is 1 / rows
 * of the whole step. */
void gx_gpu_classifier(enum gx_dtype type, void *logits, float *losses, const uint16_t *targets,
                       uint32_t rows, uint32_t vocab, uint32_t stride, float scale,
                       struct gx_dev_stream *stream);

/* The losses alone; logits stay. */
void gx_gpu_classifier_loss(enum gx_dtype type, const void *logits, float *losses,
                            const uint16_t *targets, uint32_t rows, uint32_t vocab, uint32_t stride,
                            struct gx_dev_stream *stream);

/* *loss = (or += when `add`) scale times the sum of the losses, summed in double in a fixed order. */
void gx_gpu_loss_sum(float *loss, const float *losses, uint32_t rows, float scale, bool add,
                     struct gx_dev_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
