/* gx_device: where the model is computed. A device is one const table of functions; trainer/cpu/ has one.
 *
 * State     the device owns parameters, AdamW moments, gradients and activations. Callers see the first two as FP32 in
 *           the model's layout, by copy.
 * Tokens    inputs and targets are [batch][context], targets shifted by one.
 * Threads   one caller at a time.
 * Ranks     with config.ranks, step() is collective: it adds up the gradients and losses of all ranks and takes their
 *           mean before it clips, so that every rank makes the same update and returns the same loss or -EDOM. All other
 *           functions are this rank's own. team.h makes one device of many such.
 * Errors    0 or -errno; -EDOM: loss or gradient is not finite, and nothing was updated.
 */
#ifndef GX_TRAINER_DEVICE_H
#define GX_TRAINER_DEVICE_H

#include <stdint.h>

#include "model/gpt2.h"

struct gx_ranks;

struct gx_device_config {
    uint32_t batch; /* this rank's rows */
    uint32_t threads;
    float beta1, beta2, epsilon; /* AdamW */
    float weight_decay;
    float clip_norm;        /* of all gradients together */
    struct gx_ranks *ranks; /* NULL: this device alone computes the whole batch */
};

enum gx_device_array { GX_PARAMS, GX_MOMENT1, GX_MOMENT2, GX_DEVICE_ARRAY_COUNT };

struct gx_device {
    const char *name;

    int (*create)(const struct gx_gpt2 *model, const struct gx_device_config *config, void **out);
    void (*destroy)(void *state); /* NULL is allowed */

    /* Forward, backward, clip, AdamW. `update` is 1 for the first update of these moments. `loss` is the mean
     * cross-entropy in nats before the update. */
    int (*step)(void *state, const uint16_t *inputs, const uint16_t *targets, float lr,
                uint64_t update, float *loss);

    /* The mean cross-entropy of one batch in nats. */
    int (*eval)(void *state, const uint16_t *inputs, const uint16_t *targets, float *loss);

    /* The logits [vocab] that follow `count` tokens, 1 to context. */
    int (*logits)(void *state, const uint16_t *tokens, uint32_t count, float *out);

    /* Copies one array [param_count] out of and into the device. */
    int (*get)(void *state, enum gx_device_array array, float *dst);
    int (*set)(void *state, enum gx_device_array array, const float *src);
};

extern const struct gx_device gx_cpu_device;

#endif
