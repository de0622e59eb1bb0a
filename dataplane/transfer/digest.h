/* gx_digest: 32 bytes that name the bytes of a contribution or state.
 *
 * Pieces    the bytes are cut into pieces of GX_PIECE_BYTES, the last one short; each is hashed by
 * itself as soon as it has arrived, in any order; the digest is the hash of the pieces' hashes and
 * of the total length. Kinds     GX_XXH3: XXH3 with 128 bits, canonical (big-endian) form, the
 * digest's other 16 bytes zero: against accidents. GX_BLAKE2B: BLAKE2b with 256 bits: where members
 * do not trust each other; sodium_init() at the program's start makes it faster, it works without.
 * Memory    nothing is allocated; everything may be called from any thread.
 */
#ifndef GX_TRANSFER_DIGEST_H
#define GX_TRANSFER_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gx.h"

#define GX_PIECE_BYTES 65536u
#define GX_DIGEST_HEX_BYTES (2 * GX_DIGEST_BYTES + 1)

/* Bytes of one piece's hash: 16 or 32. */
uint32_t gx_digest_piece_bytes(enum gx_digest_kind kind);

/* How many pieces `total_bytes` have; 0 for 0. */
uint64_t gx_digest_piece_count(uint64_t total_bytes);

/* Hashes one piece of `bytes_count` bytes into `out`, gx_digest_piece_bytes() long. */
void gx_digest_piece(enum gx_digest_kind kind, const void *bytes, size_t bytes_count, uint8_t *out);

/* The digest from the hashes of all pieces, in order. */
void gx_digest_final(enum gx_digest_kind kind, const uint8_t *pieces, uint64_t total_bytes,
                     struct gx_digest *out);

/* The digest of bytes that lie in one place. Not for the packet path: it takes as long as the bytes
 * are many. */
void gx_digest_bytes(enum gx_digest_kind kind, const void *bytes, uint64_t total_bytes,
                     struct gx_digest *out);

bool gx_digest_equal(const struct gx_digest *a, const struct gx_digest *b);

/* 64 lower-case digits and a terminator; returns `out`. */
char *gx_digest_hex(const struct gx_digest *digest, char out[GX_DIGEST_HEX_BYTES]);

/* "xxh3" or "blake2b". */
const char *gx_digest_kind_name(enum gx_digest_kind kind);

#endif
