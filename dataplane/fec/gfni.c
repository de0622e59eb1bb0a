/* Products by GFNI and AVX-512: one instruction multiplies 64 bytes by a coefficient given as an 8
 * x 8 bit matrix (GF2P8MULB itself knows only polynomial 0x11b). */
#ifdef __x86_64__
#include "fec/kernel.h"

#include <immintrin.h>

#define GFNI __attribute__((target("avx512f,avx512bw,gfni")))
#define INLINE static inline __attribute__((target("avx512f,avx512bw,gfni"), always_inline))

static uint64_t matrices[256];

/* Column i of the matrix is c * 2^i. The instruction takes the row of result bit b from byte 7 - b.
 */
static void gfni_init(void)
{
    for (uint32_t c = 0; c < 256; c++) {
        uint64_t m = 0;
        for (uint32_t i = 0; i < 8; i++) {
            uint64_t column = gx_fec_multiply((uint8_t)c, (uint8_t)(1u << i));
            for (uint32_t b = 0; b < 8; b++)
                m |= (column >> b & 1) << (8 * (7 - b) + i);
        }
        matrices[c] = m;
    }
}

INLINE __m512i product(uint8_t coefficient, __m512i in)
{
    __m512i matrix = _mm512_set1_epi64((long long)matrices[coefficient]);
    return _mm512_gf2p8affine_epi64_epi8(in, matrix, 0);
}

INLINE void add_product(__m512i *sum, uint8_t coefficient, __m512i in)
{
    *sum = _mm512_xor_si512(*sum, product(coefficient, in));
}

GFNI static void dot_one(const struct gx_fec_dot *dot, uint32_t dest)
{
    const uint8_t *c = dot->coefficients + dest * dot->source_count;
    for (uint32_t at = 0; at < dot->bytes; at += 64) {
        __m512i sum = _mm512_setzero_si512();
        for (uint32_t s = 0; s < dot->source_count; s++)
            add_product(&sum, c[s], _mm512_loadu_si512(dot->sources[s] + at));
        _mm512_storeu_si512(dot->dests[dest] + at, sum);
    }
}

/* Four sums share each load. Named one by one, since gcc -O2 would keep an array of them in memory. */
GFNI static void dot_four(const struct gx_fec_dot *dot, uint32_t dest)
{
    uint32_t count = dot->source_count;
    const uint8_t *c0 = dot->coefficients + dest * count, *c1 = c0 + count, *c2 = c1 + count,
                  *c3 = c2 + count;
    for (uint32_t at = 0; at < dot->bytes; at += 64) {
        __m512i sum0 = _mm512_setzero_si512(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
        for (uint32_t s = 0; s < count; s++) {
            __m512i in = _mm512_loadu_si512(dot->sources[s] + at);
            add_product(&sum0, c0[s], in);
            add_product(&sum1, c1[s], in);
            add_product(&sum2, c2[s], in);
            add_product(&sum3, c3[s], in);
        }
        _mm512_storeu_si512(dot->dests[dest] + at, sum0);
        _mm512_storeu_si512(dot->dests[dest + 1] + at, sum1);
        _mm512_storeu_si512(dot->dests[dest + 2] + at, sum2);
        _mm512_storeu_si512(dot->dests[dest + 3] + at, sum3);
    }
}

GFNI static void gfni_dot(const struct gx_fec_dot *dot)
{
    uint32_t dest = 0;
    for (; dest + 4 <= dot->dest_count; dest += 4)
        dot_four(dot, dest);
    for (; dest < dot->dest_count; dest++)
        dot_one(dot, dest);
}

const struct gx_fec_kernel gx_fec_gfni = {"gfni", gfni_init, gfni_dot};
#endif
