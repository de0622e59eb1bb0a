/* Small kernels, right and wrong, that show what the emulation does and what it notices. One block, unless said. */
#ifndef GX_TESTS_SIMT_SAMPLES_H
#define GX_TESTS_SIMT_SAMPLES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Each row of 64 values of x, turned round, in y. By way of one shared tile, two barriers a row. */
void sample_turn(float *y, const float *x, uint32_t rows);

/* The same by asynchronous copies, two tiles, one wait and one barrier a row. */
void sample_turn_async(float *y, const float *x, uint32_t rows);

/* y[i] = the sum of what the `blocks` blocks of 64 threads hold: each adds its index, by atomics. */
void sample_count(uint32_t *y, uint32_t blocks);

/* For each of 32 lanes: its value from lane 5, from its neighbours (xor 1), from 3 above, from 3 below, the sum and the
 * maximum of all, and the ballot of those that are greater than 0: 7 rows of 32. */
void sample_warp(float *y, const float *x);

/* c[16][8] += a[16][16] b[16][8], a and b in bf16, by way of shared memory and ldmatrix. */
void sample_multiply(float *c, const uint16_t *a, const uint16_t *b);

/* bf16 of each value: to nearest, and with 16 random bits. */
void sample_round(uint16_t *nearest, uint16_t *stochastic, const float *x, const uint16_t *random,
                  uint32_t count);

enum sample_bug {
    SAMPLE_NO_BUG,
    SAMPLE_SHARED_WRITE,    /* writes one value beyond a shared array */
    SAMPLE_SHARED_READ,     /* reads it */
    SAMPLE_GLOBAL_WRITE,    /* writes one value beyond y */
    SAMPLE_GLOBAL_READ,     /* reads one beyond x */
    SAMPLE_HALF_AT_BARRIER, /* some threads end, the others stand at a barrier */
    SAMPLE_TWO_BARRIERS,    /* some stand at one, the others at another */
    SAMPLE_LANE_MISSING,    /* one lane of a warp does not shuffle */
    SAMPLE_LANES_DIFFER,    /* some shuffle, the others vote */
    SAMPLE_EARLY_WAIT,      /* waits for all but one group of copies, and reads the last */
    SAMPLE_NEVER_WAITS,     /* ends while copies are under way */
    SAMPLE_UNALIGNED_COPY,
    SAMPLE_DYNAMIC_BEYOND, /* uses more dynamic shared memory than it asked for */
    SAMPLE_TOO_MUCH,       /* asks for more than devices have */
    SAMPLE_EMPTY_GRID,
    SAMPLE_ODD_BLOCK, /* not whole warps */
    SAMPLE_BUGS
};

/* y = x, 64 values, if there is no bug. */
void sample_buggy(enum sample_bug bug, float *y, const float *x);

#ifdef __cplusplus
}
#endif
#endif
