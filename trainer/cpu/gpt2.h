/* GPT-2 on the CPU: forward and backward over one batch. Parameters and gradients lie in the model's layout. */
#ifndef GX_TRAINER_CPU_GPT2_H
#define GX_TRAINER_CPU_GPT2_H

#include <stdint.h>

#include "cpu/real.h"
#include "model/gpt2.h"

struct gx_gpt2_activations;

/* Room for `batch` sequences of the model's context, forward and backward. NULL when memory is short. */
struct gx_gpt2_activations *gx_gpt2_activations_create(const struct gx_gpt2 *model, uint32_t batch);
void gx_gpt2_activations_destroy(struct gx_gpt2_activations *acts);

/* Computes the logits of inputs[batch][time]; batch and time at most those of the room. Returns them,
 * [batch * time][vocab]; they stay valid until the next call. */
real *gx_gpt2_forward(struct gx_gpt2_activations *acts, const real *params, const uint16_t *inputs,
                      uint32_t batch, uint32_t time);

/* The mean cross-entropy in nats of the last forward. */
double gx_gpt2_loss(const struct gx_gpt2_activations *acts, const uint16_t *targets);

/* Overwrites grads with the gradient of that loss. Uses up the logits. */
void gx_gpt2_backward(struct gx_gpt2_activations *acts, const real *params, real *grads,
                      const uint16_t *inputs, const uint16_t *targets);

#endif
