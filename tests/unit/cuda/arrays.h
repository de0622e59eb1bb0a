/* Arrays of kernel tests: fresh random values on both sides, outputs poisoned, and what is wrong with a result.
 *
 * An array of the device has GUARD_BYTES of poison before it, which array_read() looks at; on the emulation nothing that
 * could be written follows it (device.h). `shift` moves it off the alignment that vectors need, by that many values.
 * Comparisons end the cmocka test that they fail.
 */
#ifndef GX_TESTS_UNIT_CUDA_ARRAYS_H
#define GX_TESTS_UNIT_CUDA_ARRAYS_H

#include <stddef.h>
#include <stdint.h>

#include "cuda/dtype.h"

struct array {
    enum gx_dtype type;
    uint64_t count;
    void *memory; /* what was allocated */
    void *at;     /* the device's first value */
    float *
        values; /* the host's copy [count], as the type can hold them; outputs: after array_read() */
};

/* Sets the seed of all that follows, and prints it: argv[1] replays. */
void arrays_seed(int argc, char **argv);
uint64_t arrays_random(void);
/* Uniform in [0, below). */
uint32_t arrays_below(uint32_t below);

/* Random values, nearly normal with deviation `spread`. */
struct array array_random(enum gx_dtype type, uint64_t count, uint32_t shift, float spread);
/* These values, rounded to the type. */
struct array array_of(enum gx_dtype type, const float *values, uint64_t count, uint32_t shift);
/* Poison. */
struct array array_output(enum gx_dtype type, uint64_t count, uint32_t shift);
/* Room for so many bytes, in poison. */
struct array array_bytes(size_t bytes);
void array_free(struct array *array);

/* Waits, copies to the host. */
const float *array_read(struct array *array);

/* |got - want| <= absolute + relative |want| for all; both NaN is equal. `what` names the result. */
void array_near(struct array *got, const float *want, float absolute, float relative,
                const char *what);
/* The same bits. */
void array_equal(struct array *got, const float *want, const char *what);

/* How far a value may be off that was rounded to the type once. */
float dtype_error(enum gx_dtype type);
/* `value` as the type holds it. */
float dtype_rounded(enum gx_dtype type, float value);

#endif
