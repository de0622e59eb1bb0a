/* What kernel tests use of a device, so that the same test runs on the emulation (make test) and on a GPU (make test-gpu).
 * Failures end the program: a test has nothing to add.
 *
 * Memory    test_alloc() is poisoned with 0xff (NaN). On the emulation nothing mapped follows its last byte.
 */
#ifndef GX_TESTS_UNIT_CUDA_DEVICE_H
#define GX_TESTS_UNIT_CUDA_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gx_dev_stream;

/* The stream to launch on. The first call opens the device; without one the program skips (exit status 77). */
struct gx_dev_stream *test_stream(void);

/* True on the emulation: sizes should be small. */
bool test_emulated(void);

void *test_alloc(size_t bytes);
/* A copy of host memory on the device. */
void *test_upload(const void *host, size_t bytes);
/* Waits for the stream, then copies. */
void test_download(void *host, const void *device, size_t bytes);
void test_free(void *device); /* NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
