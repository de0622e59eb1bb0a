/* OpenMP by macro, so that a compiler without it builds the same code for one thread.
 *
 * Loops under GX_PARALLEL_FOR have independent iterations, each summing in a fixed order: the result does not depend
 * on the number of threads, except where gemm's own blocking does.
 */
#ifndef GX_TRAINER_PARALLEL_H
#define GX_TRAINER_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __clang__
/* clang warns where it cannot follow `omp simd` (square roots that may set errno); the loop is right all the same. */
#pragma clang diagnostic ignored "-Wpass-failed"
#endif

#ifdef _OPENMP
#include <omp.h>
#define GX_PRAGMA(text) _Pragma(#text)
#define GX_PARALLEL_FOR GX_PRAGMA(omp parallel for schedule(static))
#define GX_SIMD GX_PRAGMA(omp simd)
#define GX_SIMD_SUM(x) GX_PRAGMA(omp simd reduction(+ : x))
#else
#define GX_PARALLEL_FOR
#define GX_SIMD
#define GX_SIMD_SUM(x)
#endif

/* On a function whose loops deserve the widest vectors of the machine: compiled several times, chosen when the program
 * is loaded. Without fused multiply-adds the clones differ only in the order of their sums. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__)
#define GX_VECTOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define GX_VECTOR
#endif

/* The threads that a parallel loop started here would get. */
static inline size_t gx_parallel_threads(void)
{
#ifdef _OPENMP
    return omp_in_parallel() ? 1 : (size_t)omp_get_max_threads();
#else
    return 1;
#endif
}

static inline size_t gx_parallel_index(void)
{
#ifdef _OPENMP
    return (size_t)omp_get_thread_num();
#else
    return 0;
#endif
}

/* For the whole process: OpenMP's threads. */
static inline void gx_parallel_set_threads(size_t threads)
{
#ifdef _OPENMP
    omp_set_num_threads((int)threads);
#else
    (void)threads;
#endif
}

/* Columns that one iteration of a sum over rows takes: a cache line or two, and work for several threads. */
#define GX_COLUMNS 64

/* The part'th of `parts` nearly equal slices of [0, count). */
static inline size_t gx_slice(size_t count, size_t part, size_t parts)
{
    return count * part / parts;
}

#endif
