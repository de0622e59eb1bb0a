/* gx_dev: the few calls that the trainer makes of an accelerator's runtime: memory, streams, events, copies, graphs.
 *
 * Twins     dev.c is the CUDA runtime (linked statically: the program starts where there is no CUDA); tests/simt/ has
 *           one that runs in host memory, for machines without a GPU. Nothing else knows which one it is.
 * Streams   a `struct gx_dev_stream *` is a cudaStream_t under another name; NULL is not a stream here.
 * Errors    what can be refused returns 0 or -errno. What is only queued (copies, kernels, events) returns nothing: the
 *           first failure is kept with the name of what failed, and every gx_dev_sync() from then on returns it.
 *           -ENODEV: no device, no driver, or a driver that is too old. -ENOMEM: the device's memory is too small.
 *           -EIO: a kernel or a copy failed; the device is of no use to this process any more.
 *           gx_dev_error() has the line for the user.
 * Threads   one thread uses the device at a time.
 */
#ifndef GX_TRAINER_CUDA_DEV_H
#define GX_TRAINER_CUDA_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gx_dev_stream;
struct gx_dev_event;
struct gx_dev_graph;

struct gx_dev_properties {
    char name[256];
    uint32_t capability; /* 10 * major + minor: 80 is A100, 90 is H100 */
    uint32_t processors; /* streaming multiprocessors */
    uint32_t driver,
        runtime; /* CUDA versions, 1000 * major + 10 * minor: what the driver can, what we are built with */
    uint64_t memory_bytes, free_bytes;
    uint64_t shared_bytes_max; /* shared memory that a block may ask for */
};

/* ---- the device ---- */

/* Whether a device answers; when not, gx_dev_error() says why. Asks the driver only: takes no memory. */
bool gx_dev_present(void);

/* Takes device `index` for this process. */
int gx_dev_open(uint32_t index, struct gx_dev_properties *properties);
/* Waits for whatever still runs. What was taken must have been given back; the process keeps its context. */
void gx_dev_close(void);

/* What failed first since gx_dev_open(); or why that failed. */
const char *gx_dev_error(void);

/* Keeps a failure, unless there was one before, and returns the one that is kept. */
int gx_dev_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* After each kernel's launch: keeps the failure under the kernel's name if it was refused. */
void gx_dev_launched(const char *kernel);

/* ---- memory ---- */

/* Memory of the device, aligned to 256 bytes; contents undefined. -ENOMEM is not kept: the caller knows more about it. */
int gx_dev_alloc(void **out, size_t bytes);
void gx_dev_free(void *memory);

/* Host memory that the device copies from and to without the CPU. */
int gx_dev_host_alloc(void **out, size_t bytes);
void gx_dev_host_free(void *memory);

/* The same for memory that exists, such as the arena: whole pages. It must be unregistered before it is unmapped. A refusal is
 * not kept as a failure: *why says what the runtime has against it. */
int gx_dev_host_register(void *memory, size_t bytes, const char **why);
void gx_dev_host_unregister(void *memory);

/* ---- streams and events ---- */

/* `urgent`: its copies and kernels go before those of other streams. */
int gx_dev_stream_create(struct gx_dev_stream **out, bool urgent);
void gx_dev_stream_destroy(struct gx_dev_stream *stream); /* NULL is allowed */

/* Waits until all that was queued is done. The kept failure, if there is one. */
int gx_dev_sync(struct gx_dev_stream *stream);

/* `timed`: gx_dev_event_ms() may be asked. */
int gx_dev_event_create(struct gx_dev_event **out, bool timed);
void gx_dev_event_destroy(struct gx_dev_event *event); /* NULL is allowed */
void gx_dev_event_record(struct gx_dev_event *event, struct gx_dev_stream *stream);
/* The stream goes on when the event's last record has been reached. */
void gx_dev_event_wait(struct gx_dev_event *event, struct gx_dev_stream *stream);
/* 0 when it has been reached (or was never recorded), -EAGAIN when not yet; or the kept failure. */
int gx_dev_event_query(struct gx_dev_event *event);
int gx_dev_event_sync(struct gx_dev_event *event);
float gx_dev_event_ms(struct gx_dev_event *from, struct gx_dev_event *to);

/* ---- queued on a stream ---- */

void gx_dev_copy_in(void *device, const void *host, size_t bytes, struct gx_dev_stream *stream);
void gx_dev_copy_out(void *host, const void *device, size_t bytes, struct gx_dev_stream *stream);
void gx_dev_copy(void *to, const void *from, size_t bytes, struct gx_dev_stream *stream);
void gx_dev_zero(void *device, size_t bytes, struct gx_dev_stream *stream);

/* ---- graphs: what is queued between begin and end is kept, not run; then run as often as launched ---- */

int gx_dev_graph_begin(struct gx_dev_stream *stream);
int gx_dev_graph_end(struct gx_dev_graph **out, struct gx_dev_stream *stream);
void gx_dev_graph_launch(struct gx_dev_graph *graph, struct gx_dev_stream *stream);
void gx_dev_graph_destroy(struct gx_dev_graph *graph); /* NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
