/* Products by GFNI and AVX-512: one instruction multiplies 64 bytes by a coefficient given as an 8
 * x 8 bit matrix (GF2P8MULB itself knows only polynomial 0x11b). One such instruction starts per cycle, which is
 * the bound from four rows on; so two products join a sum in one instruction, and a matrix is loaded, not looked up. */
#ifdef __x86_64__
#include "fec/fec.h"
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

/* The matrix goes through a register: clang 14 assembles this instruction with a wrong offset where it takes the
 * matrix from memory by itself. */
INLINE __m512i product(uint64_t matrix, __m512i in)
{
    __m512i copies = _mm512_set1_epi64((long long)matrix);
    __asm__("" : "+v"(copies));
    return _mm512_gf2p8affine_epi64_epi8(in, copies, 0);
}

INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

/* DOT(rows, EACH): `rows` sums share each load, two sources a step; the matrices lie in the order of their use.
 * The CPU's own prefetching follows fewer streams than there are sources: two steps ahead is enough from memory, and
 * costs nothing from cache. The sums are named one by one, since gcc -O2 would keep an array of them in memory. */
#define DOT(rows, EACH)                                                                            \
    GFNI static void dot_##rows(const struct gx_fec_dot *dot)                                      \
    {                                                                                              \
        uint64_t expanded[GX_FEC_DATA_MAX * (rows)];                                               \
        uint32_t count = dot->source_count;                                                        \
        for (uint32_t s = 0; s < count; s++)                                                       \
            for (uint32_t i = 0; i < (rows); i++)                                                  \
                expanded[s * (rows) + i] = matrices[dot->coefficients[i * count + s]];             \
        for (uint32_t at = 0; at < dot->bytes; at += 64) {                                         \
            const uint64_t *m = expanded;                                                          \
            uint32_t s = 0;                                                                        \
            EACH(BEGIN)                                                                            \
            for (; s + 2 <= count; s += 2, m += 2 * (rows)) {                                      \
                __m512i a = _mm512_loadu_si512(dot->sources[s] + at);                              \
                __m512i b = _mm512_loadu_si512(dot->sources[s + 1] + at);                          \
                _mm_prefetch((const char *)dot->sources[s] + at + 128, _MM_HINT_T0);               \
                _mm_prefetch((const char *)dot->sources[s + 1] + at + 128, _MM_HINT_T0);           \
                EACH(ADD_TWO, rows)                                                                \
            }                                                                                      \
            if (s < count) {                                                                       \
                __m512i a = _mm512_loadu_si512(dot->sources[s] + at);                              \
                EACH(ADD_ONE)                                                                      \
            }                                                                                      \
            EACH(STORE)                                                                            \
        }                                                                                          \
    }
#define BEGIN(i, ...)                                                                              \
    __m512i sum##i = dot->added ? _mm512_loadu_si512(dot->added[i] + at) : _mm512_setzero_si512();
#define ADD_TWO(i, rows) sum##i = xor3(sum##i, product(m[i], a), product(m[(rows) + i], b));
#define ADD_ONE(i, ...) sum##i = _mm512_xor_si512(sum##i, product(m[i], a));
#define STORE(i, ...) _mm512_storeu_si512(dot->dests[i] + at, sum##i);

/* EACH_n(DO, …): DO for each of n sums. */
#define EACH_1(DO, ...) DO(0, __VA_ARGS__)
#define EACH_2(DO, ...) EACH_1(DO, __VA_ARGS__) DO(1, __VA_ARGS__)
#define EACH_3(DO, ...) EACH_2(DO, __VA_ARGS__) DO(2, __VA_ARGS__)
#define EACH_4(DO, ...) EACH_3(DO, __VA_ARGS__) DO(3, __VA_ARGS__)
#define EACH_5(DO, ...) EACH_4(DO, __VA_ARGS__) DO(4, __VA_ARGS__)
#define EACH_6(DO, ...) EACH_5(DO, __VA_ARGS__) DO(5, __VA_ARGS__)
#define EACH_7(DO, ...) EACH_6(DO, __VA_ARGS__) DO(6, __VA_ARGS__)
#define EACH_8(DO, ...) EACH_7(DO, __VA_ARGS__) DO(7, __VA_ARGS__)

DOT(1, EACH_1)
DOT(2, EACH_2)
DOT(3, EACH_3)
DOT(4, EACH_4)
DOT(5, EACH_5)
DOT(6, EACH_6)
DOT(7, EACH_7)
DOT(8, EACH_8)

static void (*const dots[GX_FEC_GROUP + 1])(const struct gx_fec_dot *) = {
    NULL, dot_1, dot_2, dot_3, dot_4, dot_5, dot_6, dot_7, dot_8,
};
_Static_assert(GX_FEC_GROUP == 8, "a function for each count of rows");

static void gfni_dot(const struct gx_fec_dot *dot)
{
    dots[dot->dest_count](dot);
}

const struct gx_fec_kernel gx_fec_gfni = {"gfni", gfni_init, gfni_dot};
#endif
