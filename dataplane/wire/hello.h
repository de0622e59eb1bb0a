/* gx_hello: the payload of a HELLO. Layout frozen from the first release; little-endian.
 *
 *   0  u8      min version       1  u8  max version
 *   2  u8      mode: 0 none, 1 psk
 *   3  u8      flags: bit 0 WANT_REPLY
 *   4  u32     sender's receive session index of this handshake
 *   8  u64     incarnation of the sending gxd
 *  16  u8[32]  key: with mode none 32 random bytes, new in every handshake
 *  48  u8[16]  cookie: the first bytes of the key that this hello answers; zeros: it answers none
 *  64  then fields of u16 type, u16 length, bytes; types that are unknown are skipped:
 *        1 own site name    2 own index, u32    3 list of names, each u8 length and bytes
 *        4 digest of the list, 16 bytes         5 MTU, u32        6 workers, u32
 *        7 lane, u32
 */
#ifndef GX_WIRE_HELLO_H
#define GX_WIRE_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gx.h"

#define GX_HELLO_MAX_BYTES 1024
#define GX_HELLO_KEY_BYTES 32
#define GX_HELLO_COOKIE_BYTES 16
#define GX_HELLO_DIGEST_BYTES 16
#define GX_HELLO_WANT_REPLY 1

enum gx_hello_mode { GX_HELLO_NONE, GX_HELLO_PSK };

struct gx_hello {
    uint8_t version_min;
    uint8_t version_max;
    uint8_t mode;
    uint8_t flags;
    uint32_t session;
    uint64_t incarnation;
    uint8_t key[GX_HELLO_KEY_BYTES];
    uint8_t cookie[GX_HELLO_COOKIE_BYTES];
    char name[GX_NAME_MAX];
    uint32_t site_idx;
    uint32_t site_count; /* of `names`; 0: the hello carries no list */
    char names[GX_SITES_MAX][GX_NAME_MAX];
    uint8_t list_digest[GX_HELLO_DIGEST_BYTES];
    uint32_t mtu;
    uint32_t workers;
    uint32_t lane; /* 0 where a hello names none */
};

/* Returns the bytes written; `out` has GX_HELLO_MAX_BYTES. */
size_t gx_hello_build(const struct gx_hello *hello, uint8_t *out);

/* False when truncated, when a field has an impossible length, or when name or list digest is missing. */
bool gx_hello_parse(struct gx_hello *hello, const uint8_t *in, size_t bytes);

/* The digest that two sites compare: XXH3 (128 bits) of the names in order, each with its terminator. */
void gx_hello_list_digest(char names[][GX_NAME_MAX], uint32_t site_count,
                          uint8_t out[GX_HELLO_DIGEST_BYTES]);

#endif
