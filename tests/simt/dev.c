/* The host twin of trainer/cuda/dev.h: queues that run when somebody waits for them. */
#include "cuda/dev.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simt/queue.h"

#define STREAMS_MAX 16
#define POISON 0xff

struct gx_dev_event {
    uint64_t recorded, reached; /* generations: how often record was asked, and has run */
};

enum kind { RUN, RECORD, WAIT, LAUNCH };

struct entry {
    struct entry *next;
    enum kind kind;
    const char *name;
    void (*run)(void *);
    void (*drop)(void *);
    void *closure;
    struct gx_dev_event *event;
    uint64_t generation;
    struct gx_dev_graph *graph;
};

struct gx_dev_graph {
    struct entry *first, **last;
};

struct gx_dev_stream {
    struct entry *first, **last;
    struct gx_dev_graph *capturing;
};

struct block {
    struct block *next;
    char *memory;
    size_t bytes;
};

struct gx_simt_faults gx_simt_faults;

static struct gx_dev_stream *streams[STREAMS_MAX];
static struct block *blocks;
static uint64_t seed = 1, entries_run, bytes_taken, allocations;
static bool capturing;

static struct {
    int error;
    char text[400];
} failure;

int gx_dev_fail(int error, const char *format, ...)
{
    if (failure.error != 0)
        return failure.error;
    va_list args;
    va_start(args, format);
    vsnprintf(failure.text, sizeof(failure.text), format, args);
    va_end(args);
    failure.error = error;
    return error;
}

const char *gx_dev_error(void)
{
    return failure.text;
}

static void demand(bool holds, const char *rule)
{
    if (holds)
        return;
    fprintf(stderr, "simt: %s\n", rule);
    abort();
}

void gx_simt_queue_seed(uint64_t value)
{
    seed = value * 2 + 1;
}

uint64_t gx_simt_entries(void)
{
    return entries_run;
}

uint64_t gx_simt_bytes(void)
{
    return bytes_taken;
}

uint64_t gx_simt_allocations(void)
{
    return allocations;
}

/* xorshift64* */
static uint32_t draw(uint32_t below)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (uint32_t)((seed * 0x2545f4914f6cdd1d) >> 33) % below;
}

/* ---- the device ---- */

bool gx_dev_present(void)
{
    failure.error = 0;
    if (gx_simt_faults.absent)
        gx_dev_fail(-ENODEV, "no NVIDIA driver on this machine (emulated)");
    return !gx_simt_faults.absent;
}

/* For gx-train on the emulation. */
static void faults_of_environment(void)
{
    const char *fail_after = getenv("GX_SIMT_FAIL_AFTER");
    if (fail_after)
        gx_simt_faults.fail_after = strtoull(fail_after, NULL, 0);
}

int gx_dev_open(uint32_t index, struct gx_dev_properties *p)
{
    faults_of_environment();
    if (!gx_dev_present())
        return -ENODEV;
    if (index != 0)
        return gx_dev_fail(-ENODEV, "GPU %u: this machine has 1, numbered from 0", index);
    *p = (struct gx_dev_properties){
        .name = "emulation",
        .capability = gx_simt_faults.capability ? gx_simt_faults.capability : 90,
        .processors = 4,
        .memory_bytes = 1u << 30,
        .free_bytes = 1u << 30,
        .shared_bytes_max = 227 * 1024,
    };
    return 0;
}

void gx_dev_close(void)
{
}

void gx_dev_launched(const char *kernel)
{
    (void)kernel;
}

/* ---- memory ---- */

static int take(void **out, size_t bytes)
{
    demand(!capturing, "memory is taken while a graph is captured");
    *out = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (!*out)
        return gx_dev_fail(-ENOMEM, "no memory");
    memset(*out, POISON, bytes);
    allocations++;
    return 0;
}

int gx_dev_alloc(void **out, size_t bytes)
{
    *out = NULL;
    if (gx_simt_faults.memory_bytes != 0 && bytes_taken + bytes > gx_simt_faults.memory_bytes)
        return -ENOMEM;
    int rc = take(out, bytes);
    struct block *block = calloc(1, sizeof(*block));
    demand(rc == 0 && block, "no memory");
    *block = (struct block){blocks, *out, bytes};
    blocks = block;
    bytes_taken += bytes;
    return 0;
}

void gx_dev_free(void *memory)
{
    for (struct block **at = &blocks; *at; at = &(*at)->next) {
        struct block *block = *at;
        if (block->memory != memory)
            continue;
        *at = block->next;
        bytes_taken -= block->bytes;
        free(block);
        free(memory);
        return;
    }
    demand(memory == NULL, "memory is given back that was never taken");
}

static bool on_device(const void *memory, size_t bytes)
{
    for (struct block *b = blocks; b; b = b->next)
        if ((const char *)memory >= b->memory &&
            (const char *)memory + bytes <= b->memory + b->bytes)
            return true;
    return false;
}

int gx_dev_host_alloc(void **out, size_t bytes)
{
    return take(out, bytes);
}

void gx_dev_host_free(void *memory)
{
    free(memory);
}

int gx_dev_host_register(void *memory, size_t bytes, const char **why)
{
    if (gx_simt_faults.no_register) {
        *why = "not supported (emulated)";
        return -ENOTSUP;
    }
    demand(memory && bytes > 0 && (uintptr_t)memory % 4096 == 0, "only whole pages are registered");
    return 0;
}

void gx_dev_host_unregister(void *memory)
{
    (void)memory;
}

/* ---- entries ---- */

static void drop(struct entry *e)
{
    if (e->drop)
        e->drop(e->closure);
    free(e);
}

static void execute(const struct entry *e)
{
    if (e->kind == RECORD) {
        if (e->event->reached < e->generation)
            e->event->reached = e->generation;
        return;
    }
    if (e->kind == LAUNCH) {
        for (struct entry *inner = e->graph->first; inner; inner = inner->next)
            execute(inner);
        return;
    }
    if (failure.error != 0) /* as on a device, nothing runs after a fault */
        return;
    entries_run++;
    if (gx_simt_faults.fail_after != 0 && entries_run > gx_simt_faults.fail_after)
        gx_dev_fail(-EIO, "%s: an illegal memory access was encountered (emulated)", e->name);
    else
        e->run(e->closure);
}

static bool ready(const struct gx_dev_stream *s)
{
    return s->first && (s->first->kind != WAIT || s->first->event->reached >= s->first->generation);
}

/* Runs the oldest entry of a stream that is drawn among those that can go on. */
static bool advance(void)
{
    struct gx_dev_stream *able[STREAMS_MAX];
    uint32_t count = 0;
    for (int i = 0; i < STREAMS_MAX; i++)
        if (streams[i] && ready(streams[i]))
            able[count++] = streams[i];
    if (count == 0)
        return false;
    struct gx_dev_stream *s = able[draw(count)];
    struct entry *e = s->first;
    if (e->kind != WAIT)
        execute(e);
    s->first = e->next;
    if (!s->first)
        s->last = &s->first;
    drop(e);
    return true;
}

static void queue(struct gx_dev_stream *stream, struct entry entry)
{
    demand(stream != NULL, "NULL is not a stream");
    struct entry *e = malloc(sizeof(*e));
    demand(e != NULL, "no memory");
    *e = entry;
    e->next = NULL;
    if (stream->capturing) {
        demand(e->kind == RUN, "a captured graph has one stream and no events");
        *stream->capturing->last = e;
        stream->capturing->last = &e->next;
        return;
    }
    demand(!capturing, "something is queued beside a graph that is captured");
    *stream->last = e;
    stream->last = &e->next;
}

void gx_simt_queue_add(struct gx_dev_stream *stream, const char *name, void (*run)(void *),
                       void (*drop_it)(void *), void *closure)
{
    queue(stream, (struct entry){
                      .kind = RUN, .name = name, .run = run, .drop = drop_it, .closure = closure});
}

/* ---- streams and events ---- */

int gx_dev_stream_create(struct gx_dev_stream **out, bool urgent)
{
    (void)urgent;
    struct gx_dev_stream *s = calloc(1, sizeof(*s));
    demand(s != NULL, "no memory");
    gx_simt_queue_kernels();
    s->last = &s->first;
    int i = 0;
    while (i < STREAMS_MAX && streams[i])
        i++;
    demand(i < STREAMS_MAX, "too many streams");
    streams[i] = *out = s;
    return 0;
}

void gx_dev_stream_destroy(struct gx_dev_stream *stream)
{
    if (!stream)
        return;
    while (stream->first && advance())
        ;
    demand(!stream->first, "a stream is destroyed that waits for ever");
    for (int i = 0; i < STREAMS_MAX; i++)
        if (streams[i] == stream)
            streams[i] = NULL;
    free(stream);
}

int gx_dev_sync(struct gx_dev_stream *stream)
{
    demand(!capturing, "a stream is waited for while a graph is captured");
    while (stream->first)
        demand(advance(), "streams wait for one another");
    return failure.error;
}

int gx_dev_event_create(struct gx_dev_event **out, bool timed)
{
    (void)timed;
    *out = calloc(1, sizeof(**out));
    demand(*out != NULL, "no memory");
    return 0;
}

void gx_dev_event_destroy(struct gx_dev_event *event)
{
    if (event && event->reached < event->recorded)
        gx_dev_event_sync(event);
    free(event);
}

void gx_dev_event_record(struct gx_dev_event *event, struct gx_dev_stream *stream)
{
    queue(stream, (struct entry){.kind = RECORD, .event = event, .generation = ++event->recorded});
}

void gx_dev_event_wait(struct gx_dev_event *event, struct gx_dev_stream *stream)
{
    queue(stream, (struct entry){.kind = WAIT, .event = event, .generation = event->recorded});
}

int gx_dev_event_query(struct gx_dev_event *event)
{
    if (event->reached < event->recorded)
        advance();
    return failure.error != 0 ? failure.error : event->reached < event->recorded ? -EAGAIN : 0;
}

int gx_dev_event_sync(struct gx_dev_event *event)
{
    while (event->reached < event->recorded)
        demand(advance(), "streams wait for one another");
    return failure.error;
}

float gx_dev_event_ms(struct gx_dev_event *from, struct gx_dev_event *to)
{
    static unsigned asked;
    (void)from;
    (void)to;
    return gx_simt_faults.later_is_faster ? 1 / (float)++asked : 0;
}

/* ---- copies ---- */

struct copy {
    void *to;
    const void *from; /* NULL: zeros */
    size_t bytes;
};

static void run_copy(void *closure)
{
    const struct copy *c = closure;
    if (c->from)
        memmove(c->to, c->from, c->bytes);
    else
        memset(c->to, 0, c->bytes);
}

static void submit_copy(const char *name, struct copy copy, struct gx_dev_stream *stream)
{
    struct copy *c = malloc(sizeof(*c));
    demand(c != NULL, "no memory");
    *c = copy;
    gx_simt_queue_add(stream, name, run_copy, free, c);
}

void gx_dev_copy_in(void *device, const void *host, size_t bytes, struct gx_dev_stream *stream)
{
    demand(on_device(device, bytes), "copy_in: the target is not the device's");
    demand(!on_device(host, 1), "copy_in: the source is the device's");
    submit_copy("copy_in", (struct copy){device, host, bytes}, stream);
}

void gx_dev_copy_out(void *host, const void *device, size_t bytes, struct gx_dev_stream *stream)
{
    demand(on_device(device, bytes), "copy_out: the source is not the device's");
    demand(!on_device(host, 1), "copy_out: the target is the device's");
    submit_copy("copy_out", (struct copy){host, device, bytes}, stream);
}

void gx_dev_copy(void *to, const void *from, size_t bytes, struct gx_dev_stream *stream)
{
    demand(on_device(to, bytes) && on_device(from, bytes), "copy: both ends are the device's");
    submit_copy("copy", (struct copy){to, from, bytes}, stream);
}

void gx_dev_zero(void *device, size_t bytes, struct gx_dev_stream *stream)
{
    demand(on_device(device, bytes), "zero: the target is not the device's");
    submit_copy("zero", (struct copy){device, NULL, bytes}, stream);
}

/* ---- graphs ---- */

int gx_dev_graph_begin(struct gx_dev_stream *stream)
{
    demand(!capturing, "two graphs are captured at once");
    struct gx_dev_graph *g = calloc(1, sizeof(*g));
    demand(g != NULL, "no memory");
    g->last = &g->first;
    stream->capturing = g;
    capturing = true;
    return 0;
}

int gx_dev_graph_end(struct gx_dev_graph **out, struct gx_dev_stream *stream)
{
    *out = stream->capturing;
    stream->capturing = NULL;
    capturing = false;
    return failure.error;
}

void gx_dev_graph_launch(struct gx_dev_graph *graph, struct gx_dev_stream *stream)
{
    queue(stream, (struct entry){.kind = LAUNCH, .graph = graph});
}

void gx_dev_graph_destroy(struct gx_dev_graph *graph)
{
    if (!graph)
        return;
    for (struct entry *e = graph->first, *next; e; e = next) {
        next = e->next;
        drop(e);
    }
    free(graph);
}
