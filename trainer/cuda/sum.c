#include "cuda/sum.h"

#include "cuda/dev.h"
#include "ranks.h"

static int keep(const struct gx_ranks *ranks, int rc)
{
    return rc == 0 ? 0 : gx_dev_fail(rc, "%s", ranks->failure.text);
}

int gx_gpu_sum_open(struct gx_ranks *ranks)
{
    return keep(ranks, gx_ranks_gpu_init(ranks));
}

void gx_gpu_sum_close(struct gx_ranks *ranks)
{
    gx_ranks_gpu_fini(ranks);
}

void gx_gpu_sum(struct gx_ranks *ranks, float *values, uint64_t count, struct gx_dev_stream *stream)
{
    keep(ranks, gx_ranks_gpu_sum(ranks, values, count, stream));
}

int gx_gpu_sum_check(struct gx_ranks *ranks)
{
    return keep(ranks, gx_ranks_gpu_check(ranks));
}
