/* gx_aead: AES-128-GCM (NIST SP 800-38D) by ipsec-mb under one key, of one direction of one session.
 *
 * Nonce     iv XOR packet number (RFC 8446, 5.3): whoever seals must never use a number twice under a key.
 * Threads   none share a key; the kernels are chosen once, by gx_aead_init().
 */
#ifndef GX_SESSION_AEAD_H
#define GX_SESSION_AEAD_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GX_AEAD_KEY_BYTES 16
#define GX_AEAD_IV_BYTES 12
#define GX_AEAD_TAG_BYTES 16
#define GX_AEAD_SCHEDULE_BYTES 1024

struct gx_aead {
    alignas(64) uint8_t schedule[GX_AEAD_SCHEDULE_BYTES]; /* ipsec-mb's, of this CPU's kernels */
    uint8_t iv[GX_AEAD_IV_BYTES];
};

/* Chooses the kernels for this CPU; call before the first key. Again: does nothing. -ENOMEM. */
int gx_aead_init(void);

void gx_aead_key(struct gx_aead *aead, const uint8_t key[GX_AEAD_KEY_BYTES],
                 const uint8_t iv[GX_AEAD_IV_BYTES]);

/* One pass from `in` to `out`, which may be the same, and the tag. `head` is authenticated only. */
void gx_aead_seal(const struct gx_aead *aead, uint64_t number, const uint8_t *head,
                  size_t head_bytes, const uint8_t *in, size_t bytes, uint8_t *out,
                  uint8_t tag[GX_AEAD_TAG_BYTES]);

/* False: the tag does not fit, and `out` holds nothing of use. */
bool gx_aead_open(const struct gx_aead *aead, uint64_t number, const uint8_t *head,
                  size_t head_bytes, const uint8_t *in, size_t bytes, uint8_t *out,
                  const uint8_t tag[GX_AEAD_TAG_BYTES]);

#endif
