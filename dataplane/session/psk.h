/* gx_psk: what follows from the key that all sites share (`security: psk`): tags of hellos and the keys of a session.
 * In the manner of Noise's NNpsk0: an ephemeral X25519 exchange under a pre-shared key, so that packets recorded today
 * stay secret when the key is stolen tomorrow. docs/protocol.md gives every byte.
 *
 * Secrets   the pre-shared key itself is not kept, only what BLAKE2b makes of it, one key for each use.
 */
#ifndef GX_SESSION_PSK_H
#define GX_SESSION_PSK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gx.h"
#include "session/aead.h"
#include "wire/header.h"
#include "wire/hello.h"

#define GX_PSK_BYTES 32

struct gx_psk {
    uint8_t hello[32];   /* keys the tags of hellos */
    uint8_t session[32]; /* keys the derivation of sessions */
};

/* One end of a session, as both ends know it. */
struct gx_psk_end {
    const char *name; /* in a field of GX_NAME_MAX bytes, zeros behind it */
    uint64_t incarnation;
    uint32_t session;   /* its receive index */
    const uint8_t *key; /* its ephemeral X25519 public key */
};

void gx_psk_init(struct gx_psk *psk, const uint8_t secret[GX_PSK_BYTES]);

/* The tag of a hello, over its header (bytes 0 to 31) and payload, from one site to another on a lane. */
void gx_psk_hello_tag(const struct gx_psk *psk, const char *from, const char *to, uint32_t lane,
                      const uint8_t header[GX_HEADER_BYTES], const uint8_t *payload,
                      size_t payload_bytes, uint8_t tag[GX_AEAD_TAG_BYTES]);

/* Keys of both directions. `first` and `second` are the ends by their place in the list of sites; ours is `first` if
 * `is_first`, and `secret` is its ephemeral secret. False: the peer's key is one of the few that give no secret. */
bool gx_psk_derive(const struct gx_psk *psk, uint32_t lane,
                   const uint8_t list_digest[GX_HELLO_DIGEST_BYTES], const struct gx_psk_end *first,
                   const struct gx_psk_end *second, bool is_first,
                   const uint8_t secret[GX_HELLO_KEY_BYTES], struct gx_aead *tx,
                   struct gx_aead *rx);

#endif
