#include "transfer/digest.h"

#include <sodium.h>
#include <string.h>
/* The state of a hash in progress is then a complete type, so that it needs no allocation. */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h> /* the same hash, by AVX2 or AVX-512 where the CPU has them */
#endif

#include "gx_assert.h"

#define PIECE_HASH_BYTES_MAX 32u

_Static_assert(sizeof(XXH128_canonical_t) == 16, "the canonical form is the piece's hash");

uint32_t gx_digest_piece_bytes(enum gx_digest_kind kind)
{
    GX_ASSERT((unsigned)kind < GX_DIGEST_KIND_COUNT);
    return kind == GX_XXH3 ? 16 : 32;
}

uint64_t gx_digest_piece_count(uint64_t total_bytes)
{
    return total_bytes / GX_PIECE_BYTES + (total_bytes % GX_PIECE_BYTES != 0);
}

const char *gx_digest_kind_name(enum gx_digest_kind kind)
{
    GX_ASSERT((unsigned)kind < GX_DIGEST_KIND_COUNT);
    return kind == GX_XXH3 ? "xxh3" : "blake2b";
}

static void xxh3_store(XXH128_hash_t hash, uint8_t *out)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    memcpy(out, canonical.digest, sizeof(canonical.digest));
}

void gx_digest_piece(enum gx_digest_kind kind, const void *bytes, size_t bytes_count, uint8_t *out)
{
    GX_ASSERT((unsigned)kind < GX_DIGEST_KIND_COUNT && bytes_count <= GX_PIECE_BYTES);
    if (kind == GX_XXH3)
        xxh3_store(XXH3_128bits(bytes, bytes_count), out);
    else
        crypto_generichash(out, PIECE_HASH_BYTES_MAX, bytes, bytes_count, NULL, 0);
}

/* A hash over the pieces' hashes in progress. */
union root {
    XXH3_state_t xxh3;
    crypto_generichash_state blake2b;
};

static void root_init(union root *root, enum gx_digest_kind kind)
{
    if (kind == GX_XXH3) {
        XXH3_INITSTATE(&root->xxh3);
        XXH3_128bits_reset(&root->xxh3);
    } else {
        crypto_generichash_init(&root->blake2b, NULL, 0, GX_DIGEST_BYTES);
    }
}

static void root_update(union root *root, enum gx_digest_kind kind, const void *bytes,
                        size_t bytes_count)
{
    if (kind == GX_XXH3)
        XXH3_128bits_update(&root->xxh3, bytes, bytes_count);
    else
        crypto_generichash_update(&root->blake2b, bytes, bytes_count);
}

/* The length goes in last, so that the digest of a prefix is another one. */
static void root_final(union root *root, enum gx_digest_kind kind, uint64_t total_bytes,
                       struct gx_digest *out)
{
    uint8_t length[8];
    for (uint32_t i = 0; i < sizeof(length); i++)
        length[i] = (uint8_t)(total_bytes >> (8 * i));
    root_update(root, kind, length, sizeof(length));
    memset(out, 0, sizeof(*out));
    if (kind == GX_XXH3)
        xxh3_store(XXH3_128bits_digest(&root->xxh3), out->b);
    else
        crypto_generichash_final(&root->blake2b, out->b, GX_DIGEST_BYTES);
}

void gx_digest_final(enum gx_digest_kind kind, const uint8_t *pieces, uint64_t total_bytes,
                     struct gx_digest *out)
{
    union root root;
    uint64_t piece_count = gx_digest_piece_count(total_bytes);
    root_init(&root, kind);
    if (piece_count)
        root_update(&root, kind, pieces, piece_count * gx_digest_piece_bytes(kind));
    root_final(&root, kind, total_bytes, out);
}

void gx_digest_bytes(enum gx_digest_kind kind, const void *bytes, uint64_t total_bytes,
                     struct gx_digest *out)
{
    union root root;
    const uint8_t *from = bytes;
    uint32_t hash_bytes = gx_digest_piece_bytes(kind);
    root_init(&root, kind);
    for (uint64_t at = 0; at < total_bytes; at += GX_PIECE_BYTES) {
        uint64_t left = total_bytes - at;
        uint8_t hash[PIECE_HASH_BYTES_MAX];
        gx_digest_piece(kind, from + at, left < GX_PIECE_BYTES ? left : GX_PIECE_BYTES, hash);
        root_update(&root, kind, hash, hash_bytes);
    }
    root_final(&root, kind, total_bytes, out);
}

bool gx_digest_equal(const struct gx_digest *a, const struct gx_digest *b)
{
    return memcmp(a->b, b->b, GX_DIGEST_BYTES) == 0;
}

char *gx_digest_hex(const struct gx_digest *digest, char out[GX_DIGEST_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (uint32_t i = 0; i < GX_DIGEST_BYTES; i++) {
        out[2 * i] = digits[digest->b[i] >> 4];
        out[2 * i + 1] = digits[digest->b[i] & 15];
    }
    out[2 * GX_DIGEST_BYTES] = '\0';
    return out;
}
