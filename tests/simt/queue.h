/* gx_simt: the streams of the host twin of trainer/cuda/dev.h.
 *
 * Order     what is queued on a stream runs when somebody waits: then a stream is drawn at random, again and again, and
 *           its oldest entry runs, as far as events allow. A missing event between two streams is therefore seen by
 *           some seed, and so is host memory that is reused too early.
 * Memory    device memory is filled with 0xff when it is taken: NaN in every type that the trainer has.
 * Threads   none: everything runs on the caller's.
 */
#ifndef GX_TESTS_SIMT_QUEUE_H
#define GX_TESTS_SIMT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gx_dev_stream;

/* Queues run(closure) under a kernel's name. It runs any number of times (graphs), then drop(closure) once; drop may be
 * NULL. */
void gx_simt_queue_add(struct gx_dev_stream *stream, const char *name, void (*run)(void *),
                       void (*drop)(void *), void *closure);

/* From now on kernels that are launched on a stream are queued too; without one they run at once (launch.cpp). */
void gx_simt_queue_kernels(void);

/* The drawing of streams. */
void gx_simt_queue_seed(uint64_t seed);

/* What a test may break. gx_dev_open() forgets none of it; it takes fail_after from GX_SIMT_FAIL_AFTER if that is set. */
struct gx_simt_faults {
    bool absent;               /* no device answers */
    uint64_t memory_bytes;     /* 0: no limit */
    uint64_t fail_after;       /* the entry after this many fails; 0: none does */
    bool no_register;          /* host memory can't be registered */
    bool no_fused_epilogue;    /* the matrix library knows none */
    bool epilogues_do_not_run; /* it plans them, but runs none but a bias */
    bool later_is_faster;      /* what is timed takes less time than what was timed before it */
    uint32_t capability;       /* 0: 90 */
    bool cudnn;                /* cuDNN is installed */
    bool cudnn_fails;          /* but what it is asked to run is refused */
};
extern struct gx_simt_faults gx_simt_faults;

/* Entries that have run so far, memory that is taken, and allocations made so far. */
uint64_t gx_simt_entries(void);
uint64_t gx_simt_bytes(void);
uint64_t gx_simt_allocations(void);

#ifdef __cplusplus
}
#endif
#endif
