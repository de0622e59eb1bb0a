/* gx_claim: the digest of a contribution as the trainer's side computes it while it writes the bytes, so that gxd can send them
 * before it has read them itself. Equal to gx_digest_bytes() of kind GX_XXH3 (transfer/digest.h), of which it is the first half.
 *
 * Trust     gxd offers nothing on a claim alone: it digests the bytes all the same, and refuses an offer whose claim is wrong.
 * Memory    nothing is allocated; the hash is compiled in, so that a trainer needs no further library.
 */
#ifndef GX_CLAIM_H
#define GX_CLAIM_H

#include <stdint.h>

#include "arena.h"
#include "gx.h"

/* Encodes `count` values as gx_encode() does and claims the bytes. -EDOM: a value is not finite. */
int gx_claim_encode(enum gx_format format, void *dst, const float *src, uint64_t count,
                    uint8_t claim[GX_CLAIM_BYTES]);

#endif
