/* OPEN's layout, little-endian, 128 bytes; more bytes than that are allowed and ignored (a later version's).
 *
 *   0  u8 GX_CONTROL_OPEN   1  u8 format   2  u8 digest kind   3  u8 k_max
 *   4  u32 transfer         8  u64 run    16  u32 epoch       20  u32 fragment
 *  24  u64 round           32  u8 kind    33  u8 owner        34  u16 shard bytes
 *  36  u8 part         37  u8 parts       38  u16 0
 *  40  u64 bytes           48  u64 weight 56  u8[32] base     88  u8[32] digest    120  u64 offered, ns
 */
#include "wire/open.h"

#include <string.h>

#include "wire/header.h"
#include "wire/le.h"

#define OPEN_BYTES 128
#define K_MAX 128

_Static_assert(OPEN_BYTES <= GX_CONTROL_MAX_BYTES, "OPEN fits a control packet");

bool gx_key_equal(const struct gx_key *a, const struct gx_key *b)
{
    return a->run == b->run && a->epoch == b->epoch && a->fragment == b->fragment &&
           a->round == b->round && a->kind == b->kind && a->owner == b->owner;
}

size_t gx_open_build(const struct gx_open *open, uint8_t *out)
{
    out[0] = GX_CONTROL_OPEN;
    out[1] = open->format;
    out[2] = open->digest_kind;
    out[3] = open->k_max;
    gx_put_u32(out + 4, open->transfer);
    gx_put_u64(out + 8, open->key.run);
    gx_put_u32(out + 16, open->key.epoch);
    gx_put_u32(out + 20, open->key.fragment);
    gx_put_u64(out + 24, open->key.round);
    out[32] = open->key.kind;
    out[33] = open->key.owner;
    gx_put_u16(out + 34, open->shard_bytes);
    out[36] = open->part;
    out[37] = open->parts != 0 ? open->parts : 1;
    gx_put_u16(out + 38, 0);
    gx_put_u64(out + 40, open->bytes);
    gx_put_u64(out + 48, open->weight);
    memcpy(out + 56, open->base.b, GX_DIGEST_BYTES);
    memcpy(out + 88, open->digest.b, GX_DIGEST_BYTES);
    gx_put_u64(out + 120, open->offered_ns);
    return OPEN_BYTES;
}

static bool in_range(const struct gx_open *open)
{
    return open->transfer != 0 && open->key.fragment < GX_FRAGMENTS_MAX &&
           open->key.kind < GX_KIND_COUNT && open->key.owner < GX_SITES_MAX && open->bytes != 0 &&
           open->weight <= GX_WEIGHT_MAX && open->format < GX_FORMAT_COUNT &&
           open->digest_kind < GX_DIGEST_KIND_COUNT && open->k_max != 0 && open->k_max <= K_MAX &&
           open->shard_bytes != 0 && open->shard_bytes % 64 == 0 && open->parts <= GX_WORKERS_MAX &&
           open->part < open->parts;
}

bool gx_open_parse(struct gx_open *open, const uint8_t *in, size_t bytes)
{
    if (bytes < OPEN_BYTES || bytes > GX_CONTROL_MAX_BYTES || in[0] != GX_CONTROL_OPEN)
        return false;
    memset(open, 0, sizeof *open);
    open->format = in[1];
    open->digest_kind = in[2];
    open->k_max = in[3];
    open->transfer = gx_get_u32(in + 4);
    open->key.run = gx_get_u64(in + 8);
    open->key.epoch = gx_get_u32(in + 16);
    open->key.fragment = gx_get_u32(in + 20);
    open->key.round = gx_get_u64(in + 24);
    open->key.kind = in[32];
    open->key.owner = in[33];
    open->shard_bytes = gx_get_u16(in + 34);
    open->part = in[36];
    open->parts = in[37];
    open->bytes = gx_get_u64(in + 40);
    open->weight = gx_get_u64(in + 48);
    memcpy(open->base.b, in + 56, GX_DIGEST_BYTES);
    memcpy(open->digest.b, in + 88, GX_DIGEST_BYTES);
    open->offered_ns = gx_get_u64(in + 120);
    return in_range(open);
}
