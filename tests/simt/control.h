/* How a test steers the emulation of simt.h: seeds, guarded memory, faults planted into kernels as they are. */
#ifndef GX_TESTS_SIMT_CONTROL_H
#define GX_TESTS_SIMT_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of all that is drawn. Else the variable GX_SIMT_SEED, else a fresh one; a failure prints it. */
void gx_simt_seed(uint64_t seed);

/* Global memory: poisoned, aligned to 16 bytes. What follows its last byte is not mapped, or, up to 15 bytes of it, looked
 * at by gx_simt_free(). */
void *gx_simt_alloc(size_t bytes);
void gx_simt_free(void *memory); /* NULL is allowed */

enum gx_simt_fault {
    GX_SIMT_NO_FAULT,        /* the planted one is gone, and the places are forgotten */
    GX_SIMT_NO_BARRIER,      /* gx_syncthreads() does nothing */
    GX_SIMT_NO_WARP_BARRIER, /* gx_syncwarp() does nothing */
    GX_SIMT_NO_WAIT,         /* gx_copy_async_wait() does nothing */
    GX_SIMT_SHORT_SHARED,    /* a shared array lacks its last value */
};

/* From now on one place has this fault: the `index`-th of those that have run so far without any, in the order of file and
 * line. False: there are not so many, and no fault is planted. */
bool gx_simt_plant(enum gx_simt_fault fault, unsigned index);

/* "file:line" of the planted fault. */
const char *gx_simt_planted(void);

#ifdef __cplusplus
}
#endif
#endif
