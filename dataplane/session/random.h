/* gx_random: a seeded generator (xoshiro256**, Blackman and Vigna 2018), so that a simulated world replays. In
 * production its seed comes from getrandom(2). It draws what a peer without a secret may know: indices and nonces. */
#ifndef GX_SESSION_RANDOM_H
#define GX_SESSION_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct gx_random {
    uint64_t state[4];
};

void gx_random_init(struct gx_random *random, uint64_t seed);
uint64_t gx_random_u64(struct gx_random *random);
void gx_random_fill(struct gx_random *random, uint8_t *out, size_t bytes);

#endif
