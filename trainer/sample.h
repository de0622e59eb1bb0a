/* gx_sample: text that the model writes by itself, to show what it has learned. */
#ifndef GX_TRAINER_SAMPLE_H
#define GX_TRAINER_SAMPLE_H

#include <stdint.h>
#include <stdio.h>

#include "device.h"
#include "failure.h"

/* One token drawn from softmax(logits / temperature) by `unit`, uniform in [0, 1). */
uint32_t gx_sample_token(const float *logits, uint32_t vocab, double temperature, double unit);

/* Writes `count` tokens drawn from the device's parameters after a line feed: as text when the vocabulary is bytes (what
 * is not printable ASCII as '?'), as numbers otherwise. Nothing for 0. */
int gx_sample_write(FILE *out, const struct gx_device *device, void *device_state,
                    const struct gx_gpt2 *model, uint32_t count, uint64_t seed,
                    struct gx_failure *failure);

#endif
