#include "session/random.h"

#include <string.h>

#include <sodium.h> /* crypto_stream_chacha20(), crypto_generichash() */

#include "gx_assert.h"
#include "wire/le.h"

_Static_assert(sizeof((struct gx_random *)0)->key == crypto_stream_chacha20_KEYBYTES, "its key");

static void refill(struct gx_random *random)
{
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    uint8_t stream[sizeof random->key + GX_RANDOM_BUFFER_BYTES];

    crypto_stream_chacha20(stream, sizeof stream, nonce, random->key);
    memcpy(random->key, stream, sizeof random->key);
    memcpy(random->buffer, stream + sizeof random->key, sizeof random->buffer);
    random->used = 0;
    sodium_memzero(stream, sizeof stream);
}

void gx_random_init_secret(struct gx_random *random, const uint8_t secret[GX_RANDOM_SECRET_BYTES],
                           uint64_t seed)
{
    uint8_t number[8];

    gx_put_u64(number, seed);
    GX_ASSERT(crypto_generichash(random->key, sizeof random->key, number, sizeof number, secret,
                                 GX_RANDOM_SECRET_BYTES) == 0);
    refill(random);
}

void gx_random_init(struct gx_random *random, uint64_t seed)
{
    static const uint8_t none[GX_RANDOM_SECRET_BYTES];

    gx_random_init_secret(random, none, seed);
}

void gx_random_fill(struct gx_random *random, uint8_t *out, size_t bytes)
{
    while (bytes > 0) {
        size_t count = GX_RANDOM_BUFFER_BYTES - random->used;

        if (count > bytes)
            count = bytes;
        memcpy(out, random->buffer + random->used, count);
        memset(random->buffer + random->used, 0, count);
        random->used += (uint32_t)count;
        out += count;
        bytes -= count;
        if (random->used == GX_RANDOM_BUFFER_BYTES)
            refill(random);
    }
}

uint64_t gx_random_u64(struct gx_random *random)
{
    uint8_t bytes[8];

    gx_random_fill(random, bytes, sizeof bytes);
    return gx_get_u64(bytes);
}
