/* The twin of trainer/cuda/sum.h: the ranks' own transport carries the sums. */
#include "cuda/sum.h"

#include <stdlib.h>

#include "cuda/dev.h"
#include "ranks.h"
#include "simt/queue.h"

struct job {
    struct gx_ranks *ranks;
    float *values;
    uint64_t count;
};

int gx_gpu_sum_open(struct gx_ranks *ranks)
{
    (void)ranks;
    return 0;
}

void gx_gpu_sum_close(struct gx_ranks *ranks)
{
    (void)ranks;
}

static void run(void *closure)
{
    const struct job *j = closure;
    int rc = gx_ranks_sum(j->ranks, j->values, j->count);
    if (rc != 0)
        gx_dev_fail(rc, "%s", j->ranks->failure.text);
}

void gx_gpu_sum(struct gx_ranks *ranks, float *values, uint64_t count, struct gx_dev_stream *stream)
{
    struct job *j = malloc(sizeof(*j));
    if (!j)
        abort();
    *j = (struct job){ranks, values, count};
    gx_simt_queue_add(stream, "sum", run, free, j);
}

int gx_gpu_sum_check(struct gx_ranks *ranks)
{
    int rc = gx_ranks_check(ranks);
    return rc == 0 ? 0 : gx_dev_fail(rc, "%s", ranks->failure.text);
}
