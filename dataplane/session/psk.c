#include "session/psk.h"

#include <string.h>

#include <sodium.h> /* BLAKE2b, X25519 */

#include "gx_assert.h"
#include "wire/le.h"

_Static_assert(GX_HELLO_KEY_BYTES == crypto_scalarmult_BYTES, "a hello's key is of X25519");

/* Of each direction a key and an iv. */
struct keys {
    uint8_t key[2][GX_AEAD_KEY_BYTES];
    uint8_t iv[2][GX_AEAD_IV_BYTES];
    uint8_t rest[8];
};
_Static_assert(sizeof(struct keys) == crypto_generichash_BYTES_MAX, "one BLAKE2b-512");

static void subkey(uint8_t out[32], const uint8_t secret[GX_PSK_BYTES], const char *label)
{
    GX_ASSERT(crypto_generichash(out, 32, (const uint8_t *)label, strlen(label), secret,
                                 GX_PSK_BYTES) == 0);
}

void gx_psk_init(struct gx_psk *psk, const uint8_t secret[GX_PSK_BYTES])
{
    subkey(psk->hello, secret, "gx 1 psk hello");
    subkey(psk->session, secret, "gx 1 psk session");
}

static void add_u32(crypto_generichash_state *hash, uint32_t value)
{
    uint8_t bytes[4];

    gx_put_u32(bytes, value);
    crypto_generichash_update(hash, bytes, sizeof bytes);
}

static void add_name(crypto_generichash_state *hash, const char *name)
{
    uint8_t field[GX_NAME_MAX] = {0};

    memcpy(field, name, strnlen(name, GX_NAME_MAX));
    crypto_generichash_update(hash, field, sizeof field);
}

void gx_psk_hello_tag(const struct gx_psk *psk, const char *from, const char *to, uint32_t lane,
                      const uint8_t header[GX_HEADER_BYTES], const uint8_t *payload,
                      size_t payload_bytes, uint8_t tag[GX_AEAD_TAG_BYTES])
{
    crypto_generichash_state hash;

    GX_ASSERT(crypto_generichash_init(&hash, psk->hello, sizeof psk->hello, GX_AEAD_TAG_BYTES) ==
              0);
    add_name(&hash, from);
    add_name(&hash, to);
    add_u32(&hash, lane);
    crypto_generichash_update(&hash, header, GX_TAG_OFFSET);
    crypto_generichash_update(&hash, payload, payload_bytes);
    crypto_generichash_final(&hash, tag, GX_AEAD_TAG_BYTES);
}

static void add_end(crypto_generichash_state *hash, const struct gx_psk_end *end)
{
    add_name(hash, end->name);
    add_u32(hash, (uint32_t)end->incarnation);
    add_u32(hash, (uint32_t)(end->incarnation >> 32));
    add_u32(hash, end->session);
    crypto_generichash_update(hash, end->key, GX_HELLO_KEY_BYTES);
}

bool gx_psk_derive(const struct gx_psk *psk, uint32_t lane,
                   const uint8_t list_digest[GX_HELLO_DIGEST_BYTES], const struct gx_psk_end *first,
                   const struct gx_psk_end *second, bool is_first,
                   const uint8_t secret[GX_HELLO_KEY_BYTES], struct gx_aead *tx, struct gx_aead *rx)
{
    crypto_generichash_state hash;
    uint8_t shared[crypto_scalarmult_BYTES];
    struct keys keys;

    if (crypto_scalarmult(shared, secret, is_first ? second->key : first->key) != 0)
        return false;
    GX_ASSERT(crypto_generichash_init(&hash, psk->session, sizeof psk->session, sizeof keys) == 0);
    crypto_generichash_update(&hash, shared, sizeof shared);
    add_u32(&hash, lane);
    crypto_generichash_update(&hash, list_digest, GX_HELLO_DIGEST_BYTES);
    add_end(&hash, first);
    add_end(&hash, second);
    crypto_generichash_final(&hash, (uint8_t *)&keys, sizeof keys);
    gx_aead_key(tx, keys.key[!is_first], keys.iv[!is_first]);
    gx_aead_key(rx, keys.key[is_first], keys.iv[is_first]);
    sodium_memzero(shared, sizeof shared);
    sodium_memzero(&keys, sizeof keys);
    sodium_memzero(&hash, sizeof hash);
    return true;
}
