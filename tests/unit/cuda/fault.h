/* Whether a fault in a kernel is noticed: in a child, seed after seed. The emulation only. */
#ifndef GX_TESTS_UNIT_CUDA_FAULT_H
#define GX_TESTS_UNIT_CUDA_FAULT_H

#include <stdbool.h>

#include "simt/control.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FAULT_SEEDS_MAX 32u

/* Runs check(arg) in a child with seed 1, 2, .. until it returns false or the child is ended by a signal, the emulation or a
 * sanitizer. How many seeds it took; 0: none of FAULT_SEEDS_MAX did. */
unsigned fault_seeds(bool (*check)(void *arg), void *arg);

/* Plants this fault at every place that check(arg) passes in files whose name begins with `file`, one after another, and
 * prints how many seeds each took. `places`: how many there are. False: one was not noticed. */
bool fault_each(enum gx_simt_fault fault, const char *file, bool (*check)(void *arg), void *arg,
                unsigned *places);

#ifdef __cplusplus
}
#endif
#endif
