/* The loops of GFNI's kernels for one width of vectors. The file that includes this defines VECTOR, GFNI (the target), load(),
 * store(), product(), sum() and sum_of_three(), and gets gfni_dot(). One instruction multiplies a vector of bytes by a
 * coefficient given as an 8 x 8 bit matrix (GF2P8MULB itself knows only polynomial 0x11b). */
#ifndef GX_FEC_GFNI_H
#define GX_FEC_GFNI_H

#include "fec/fec.h"
#include "fec/kernel.h"

#include <immintrin.h>

extern uint64_t gx_fec_gfni_matrices[256];
void gx_fec_gfni_init(void);

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
                expanded[s * (rows) + i] = gx_fec_gfni_matrices[dot->coefficients[i * count + s]]; \
        for (uint32_t at = 0; at < dot->bytes; at += sizeof(VECTOR)) {                             \
            const uint64_t *m = expanded;                                                          \
            uint32_t s = 0;                                                                        \
            EACH(BEGIN)                                                                            \
            for (; s + 2 <= count; s += 2, m += 2 * (rows)) {                                      \
                VECTOR a = load(dot->sources[s] + at);                                             \
                VECTOR b = load(dot->sources[s + 1] + at);                                         \
                _mm_prefetch((const char *)dot->sources[s] + at + 128, _MM_HINT_T0);               \
                _mm_prefetch((const char *)dot->sources[s + 1] + at + 128, _MM_HINT_T0);           \
                EACH(ADD_TWO, rows)                                                                \
            }                                                                                      \
            if (s < count) {                                                                       \
                VECTOR a = load(dot->sources[s] + at);                                             \
                EACH(ADD_ONE)                                                                      \
            }                                                                                      \
            EACH(STORE)                                                                            \
        }                                                                                          \
    }
#define BEGIN(i, ...) VECTOR sum##i = dot->added ? load(dot->added[i] + at) : (VECTOR){0};
#define ADD_TWO(i, rows) sum##i = sum_of_three(sum##i, product(m[i], a), product(m[(rows) + i], b));
#define ADD_ONE(i, ...) sum##i = sum(sum##i, product(m[i], a));
#define STORE(i, ...) store(dot->dests[i] + at, sum##i);

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

#endif
