#include "arena/claim.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define PIECE_BYTES 65536u
#define STEP_VALUES                                                                                \
    16384u /* whole blocks of every format; what a step writes is still in the cache when it is hashed */

struct claim {
    XXH3_state_t root;
    const uint8_t *bytes;
    uint64_t hashed;
};

static void piece_add(struct claim *claim, uint64_t bytes)
{
    XXH128_canonical_t hash;

    XXH128_canonicalFromHash(&hash, XXH3_128bits(claim->bytes + claim->hashed, bytes));
    XXH3_128bits_update(&claim->root, hash.digest, sizeof(hash.digest));
    claim->hashed += bytes;
}

/* Hashes the pieces that are whole now that the bytes below `end` are there. */
static void pieces_add(struct claim *claim, uint64_t end)
{
    while (end - claim->hashed >= PIECE_BYTES)
        piece_add(claim, PIECE_BYTES);
}

static void finish(struct claim *claim, uint64_t total_bytes, uint8_t out[GX_CLAIM_BYTES])
{
    XXH128_canonical_t hash;
    uint8_t length[8];

    for (uint32_t i = 0; i < sizeof(length); i++)
        length[i] = (uint8_t)(total_bytes >> (8 * i));
    XXH3_128bits_update(&claim->root, length, sizeof(length));
    XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(&claim->root));
    memcpy(out, hash.digest, GX_CLAIM_BYTES);
}

int gx_claim_encode(enum gx_format format, void *dst, const float *src, uint64_t count,
                    uint8_t out[GX_CLAIM_BYTES])
{
    struct claim claim = {.bytes = dst};
    uint64_t end = 0;

    XXH3_INITSTATE(&claim.root);
    XXH3_128bits_reset(&claim.root);
    for (uint64_t at = 0; at < count; at += STEP_VALUES) {
        uint64_t values = count - at < STEP_VALUES ? count - at : STEP_VALUES;
        int error = gx_encode(format, (uint8_t *)dst + end, src + at, values);

        if (error)
            return error;
        end += gx_wire_bytes(format, values);
        pieces_add(&claim, end);
    }
    if (end > claim.hashed)
        piece_add(&claim, end - claim.hashed);
    finish(&claim, end, out);
    return 0;
}
