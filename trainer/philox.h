/* gx_philox: random numbers from a counter (Philox4x32-10, Salmon et al., SC 2011).
 *
 * A number depends on (seed, stream, counter) and on nothing drawn before, so that a resumed run needs no saved
 * generator, and every machine draws the same.
 */
#ifndef GX_TRAINER_PHILOX_H
#define GX_TRAINER_PHILOX_H

#include <stdint.h>

enum gx_philox_stream { GX_PHILOX_INIT, GX_PHILOX_BATCH, GX_PHILOX_SAMPLE, GX_PHILOX_ROUND };

void gx_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

uint64_t gx_philox_u64(uint64_t seed, enum gx_philox_stream stream, uint64_t counter);

/* Uniform in [0, bound), bound > 0. */
uint64_t gx_philox_below(uint64_t bound, uint64_t seed, enum gx_philox_stream stream,
                         uint64_t counter);

/* Uniform in [0, 1). */
double gx_philox_unit(uint64_t seed, enum gx_philox_stream stream, uint64_t counter);

/* Mean 0, variance 1, nearly normal: the sum of twelve uniforms. It calls no libm function, whose last bit
 * differs between machines. */
float gx_philox_normal(uint64_t seed, enum gx_philox_stream stream, uint64_t counter);

#endif
