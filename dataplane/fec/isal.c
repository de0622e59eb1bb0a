/* Products by ISA-L, which needs 32 bytes of table for each coefficient. */
#include "fec/kernel.h"

#include <isa-l/erasure_code.h>
#include <string.h>

#include "fec/fec.h"
#include "wire/vector.h"

#define TABLE_BYTES 32u

/* Copying a table is much cheaper than ISA-L's making it anew for every row. */
static uint8_t tables[256][TABLE_BYTES];

static void isal_init(void)
{
    for (uint32_t c = 0; c < 256; c++)
        gf_vect_mul_init((unsigned char)c, tables[c]);
}

typedef void isal_encode_fn(int len, int k, int rows, unsigned char *gftbls, unsigned char **data,
                            unsigned char **coding);

/* A sender makes the same rows of many blocks in turn: their tables stay. */
static _Thread_local struct {
    uint32_t count;
    uint8_t coefficients[GX_FEC_GROUP * GX_FEC_DATA_MAX];
    uint8_t tables[GX_FEC_GROUP * GX_FEC_DATA_MAX][TABLE_BYTES];
} kept;

static uint8_t *tables_expand(const struct gx_fec_dot *dot)
{
    uint32_t count = dot->source_count * dot->dest_count;
    if (kept.count == count && memcmp(kept.coefficients, dot->coefficients, count) == 0)
        return kept.tables[0];
    kept.count = count;
    memcpy(kept.coefficients, dot->coefficients, count);
    for (uint32_t i = 0; i < count; i++)
        memcpy(kept.tables[i], tables[dot->coefficients[i]], TABLE_BYTES);
    return kept.tables[0];
}

static void xor_into(uint8_t *dst, const uint8_t *src, uint32_t bytes)
{
    for (uint32_t at = 0; at < bytes; at += 64) {
        uint64_t a[8], b[8];
        memcpy(a, dst + at, sizeof(a));
        memcpy(b, src + at, sizeof(b));
        for (uint32_t i = 0; i < 8; i++)
            a[i] ^= b[i];
        memcpy(dst + at, a, sizeof(a));
    }
}

static void dot_with(isal_encode_fn *encode, const struct gx_fec_dot *dot)
{
    if (dot->source_count)
        encode((int)dot->bytes, (int)dot->source_count, (int)dot->dest_count, tables_expand(dot),
               (uint8_t **)(uintptr_t)dot->sources, (uint8_t **)(uintptr_t)dot->dests);
    gx_vector_clean();
    for (uint32_t i = 0; i < dot->dest_count; i++)
        if (!dot->source_count)
            memcpy(dot->dests[i], dot->added[i], dot->bytes);
        else if (dot->added)
            xor_into(dot->dests[i], dot->added[i], dot->bytes);
}

static void isal_dot(const struct gx_fec_dot *dot)
{
    dot_with(ec_encode_data, dot);
}

const struct gx_fec_kernel gx_fec_isal = {"isal", isal_init, isal_dot};

#ifdef __x86_64__
static void isal_avx_dot(const struct gx_fec_dot *dot)
{
    dot_with(ec_encode_data_avx, dot);
}

const struct gx_fec_kernel gx_fec_isal_avx = {"isal-avx", isal_init, isal_avx_dot};
#endif
