/* sim_model: what a trainer computes. Deterministic, cheap, and sensitive to every byte of the state. */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <stdint.h>

#include "gx.h"

/* theta after no training; `site` matters only where sites begin differently. Momentum is zero. */
void sim_model_start(uint64_t seed, uint32_t run, uint32_t fragment, uint32_t site, float *theta,
                     uint64_t count);

/* The pseudo-gradient, encoded into `wire`. */
void sim_model_contribution(uint64_t key, uint64_t state_hash, enum gx_format format, void *wire,
                            uint64_t count);

/* A contribution with a value that is not finite (fp32 only). */
void sim_model_spoil(void *wire, uint64_t count, uint64_t where);

/* The outer step for the values [first, first + count): v = 0.9 v + mean; theta -= 0.7 (mean + 0.9 v). */
void sim_model_apply(float *theta, float *momentum, const float *mean, uint64_t first,
                     uint64_t count);

#endif
