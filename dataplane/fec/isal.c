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

static void dot_with(isal_encode_fn *encode, const struct gx_fec_dot *dot)
{
    uint8_t expanded[GX_FEC_GROUP * GX_FEC_DATA_MAX][TABLE_BYTES];
    uint32_t count = dot->source_count * dot->dest_count;
    for (uint32_t i = 0; i < count; i++)
        memcpy(expanded[i], tables[dot->coefficients[i]], TABLE_BYTES);
    encode((int)dot->bytes, (int)dot->source_count, (int)dot->dest_count, expanded[0],
           (uint8_t **)(uintptr_t)dot->sources, (uint8_t **)(uintptr_t)dot->dests);
    gx_vector_clean();
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
