/* Products by GFNI and AVX-512. One multiplication starts per cycle, which is the bound from four rows on; so two products
 * join a sum in one instruction, and a matrix is loaded, not looked up. */
#ifdef __x86_64__
#include "fec/kernel.h"

#include <immintrin.h>

#define VECTOR __m512i
#define GFNI __attribute__((target("avx512f,avx512bw,gfni")))
#define INLINE static inline __attribute__((target("avx512f,avx512bw,gfni"), always_inline))

INLINE VECTOR load(const void *at)
{
    return _mm512_loadu_si512(at);
}

INLINE void store(void *at, VECTOR v)
{
    _mm512_storeu_si512(at, v);
}

/* The matrix goes through a register: clang 14 assembles this instruction with a wrong offset where it takes the
 * matrix from memory by itself. */
INLINE VECTOR product(uint64_t matrix, VECTOR in)
{
    VECTOR copies = _mm512_set1_epi64((long long)matrix);
    __asm__("" : "+v"(copies));
    return _mm512_gf2p8affine_epi64_epi8(in, copies, 0);
}

INLINE VECTOR sum(VECTOR a, VECTOR b)
{
    return _mm512_xor_si512(a, b);
}

INLINE VECTOR sum_of_three(VECTOR a, VECTOR b, VECTOR c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

#include "fec/gfni.h"

uint64_t gx_fec_gfni_matrices[256];

/* Column i of the matrix is c * 2^i. The instruction takes the row of result bit b from byte 7 - b.
 */
void gx_fec_gfni_init(void)
{
    for (uint32_t c = 0; c < 256; c++) {
        uint64_t m = 0;
        for (uint32_t i = 0; i < 8; i++) {
            uint64_t column = gx_fec_multiply((uint8_t)c, (uint8_t)(1u << i));
            for (uint32_t b = 0; b < 8; b++)
                m |= (column >> b & 1) << (8 * (7 - b) + i);
        }
        gx_fec_gfni_matrices[c] = m;
    }
}

const struct gx_fec_kernel gx_fec_gfni = {"gfni", gx_fec_gfni_init, gfni_dot};
#endif
