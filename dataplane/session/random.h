/* gx_random: a generator for secrets: ChaCha20 with fast key erasure (Bernstein 2017): each refill replaces the key, and what
 * was drawn is wiped, so that memory seen later tells nothing of earlier draws. From a seed alone it replays, as a
 * simulated world must; in production the secret comes from getrandom(2). */
#ifndef GX_SESSION_RANDOM_H
#define GX_SESSION_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#define GX_RANDOM_SECRET_BYTES 32
#define GX_RANDOM_BUFFER_BYTES 480 /* with the next key eight ChaCha20 blocks */

struct gx_random {
    uint8_t key[32];
    uint8_t buffer[GX_RANDOM_BUFFER_BYTES];
    uint32_t used; /* bytes of the buffer */
};

/* Whoever knows the seed knows all that is drawn. */
void gx_random_init(struct gx_random *random, uint64_t seed);
/* With the same secret, another seed gives another stream. */
void gx_random_init_secret(struct gx_random *random, const uint8_t secret[GX_RANDOM_SECRET_BYTES],
                           uint64_t seed);
uint64_t gx_random_u64(struct gx_random *random);
void gx_random_fill(struct gx_random *random, uint8_t *out, size_t bytes);

#endif
