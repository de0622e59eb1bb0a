/* Products by GFNI in AVX2's registers, for CPUs that have it without AVX-512 (the Atoms, and desktops since 2021). */
#ifdef __x86_64__
#include "fec/kernel.h"

#include <immintrin.h>

#define VECTOR __m256i
#define GFNI __attribute__((target("avx2,gfni")))
#define INLINE static inline __attribute__((target("avx2,gfni"), always_inline))

INLINE VECTOR load(const void *at)
{
    return _mm256_loadu_si256(at);
}

INLINE void store(void *at, VECTOR v)
{
    _mm256_storeu_si256(at, v);
}

/* As in gfni.c, for clang 14. */
INLINE VECTOR product(uint64_t matrix, VECTOR in)
{
    VECTOR copies = _mm256_set1_epi64x((long long)matrix);
    __asm__("" : "+x"(copies));
    return _mm256_gf2p8affine_epi64_epi8(in, copies, 0);
}

INLINE VECTOR sum(VECTOR a, VECTOR b)
{
    return _mm256_xor_si256(a, b);
}

INLINE VECTOR sum_of_three(VECTOR a, VECTOR b, VECTOR c)
{
    return sum(a, sum(b, c));
}

#include "fec/gfni.h"

const struct gx_fec_kernel gx_fec_gfni_avx2 = {"gfni-avx2", gx_fec_gfni_init, gfni_dot};
#endif
