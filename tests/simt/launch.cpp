/* Launches join the queues of dev.c. */
#include "simt/queue.h"
#include "simt/simt.h"

static void run(void *closure)
{
    (*static_cast<std::function<void()> *>(closure))();
}

static void drop(void *closure)
{
    delete static_cast<std::function<void()> *>(closure);
}

static void submit(struct gx_dev_stream *stream, const char *kernel, std::function<void()> job)
{
    if (stream)
        gx_simt_queue_add(stream, kernel, run, drop, new std::function<void()>(std::move(job)));
    else
        job();
}

void gx_simt_queue_kernels(void)
{
    gx_simt_submit = submit;
}
