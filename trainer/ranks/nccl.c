/* Sums in GPU memory by NCCL, which is loaded when a device asks for it: its few declarations stand here, so that gx
 * builds without it, and without CUDA's headers. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "ranks.h"

/* nccl.h's, unchanged since version 2.0. */
enum { NCCL_SUCCESS = 0, NCCL_IN_PROGRESS = 7, NCCL_FLOAT32 = 7, NCCL_SUM = 0 };
struct nccl_id {
    char internal[128];
};

/* NCCL's functions by name: nccl->all_reduce is ncclAllReduce. */
struct gx_nccl {
    void *library;
    void *comm;
    int (*get_id)(struct nccl_id *id);
    int (*init_rank)(void **comm, int count, struct nccl_id id, int rank);
    int (*all_reduce)(const void *from, void *to, size_t count, int type, int operation, void *comm,
                      void *stream);
    int (*async_error)(void *comm, int *error);
    int (*comm_abort)(void *comm);
    int (*comm_destroy)(void *comm);
    const char *(*error_string)(int error);
};

static const struct {
    const char *name;
    size_t offset;
} functions[] = {
    {"ncclGetUniqueId", offsetof(struct gx_nccl, get_id)},
    {"ncclCommInitRank", offsetof(struct gx_nccl, init_rank)},
    {"ncclAllReduce", offsetof(struct gx_nccl, all_reduce)},
    {"ncclCommGetAsyncError", offsetof(struct gx_nccl, async_error)},
    {"ncclCommAbort", offsetof(struct gx_nccl, comm_abort)},
    {"ncclCommDestroy", offsetof(struct gx_nccl, comm_destroy)},
    {"ncclGetErrorString", offsetof(struct gx_nccl, error_string)},
};

static int load(struct gx_ranks *ranks, struct gx_nccl *nccl)
{
    const char *named = getenv("GX_NCCL"), *path = named ? named : "libnccl.so.2";
    /* Not deleted by dlclose(): its threads outlive a refusal, and would run in unmapped code. */
    nccl->library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!nccl->library)
        return gx_fail(&ranks->failure, -ENOENT,
                       "several GPUs in a site need NCCL: %s (install libnccl2 from NVIDIA's "
                       "package repository; or `pip install nvidia-nccl-cu12` and set "
                       "GX_NCCL=…/nvidia/nccl/lib/libnccl.so.2)",
                       dlerror());
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *function = dlsym(nccl->library, functions[i].name);
        if (!function)
            return gx_fail(&ranks->failure, -ENOENT, "%s has no %s: not NCCL, or older than 2.4",
                           path, functions[i].name);
        *(void **)((char *)nccl + functions[i].offset) = function;
    }
    return 0;
}

static int fail(struct gx_ranks *ranks, const char *what, int error)
{
    return gx_fail(&ranks->failure, -EIO, "%s: %s", what, ranks->nccl->error_string(error));
}

/* NCCL's own calls would wait for ever for a rank that has given up, so all ranks first say whether they can go on. */
static int agree(struct gx_ranks *ranks, int rc)
{
    float failed = rc != 0 ? 1.0f : 0.0f;
    int lost = gx_ranks_sum(ranks, &failed, 1);
    if (rc != 0 || lost != 0)
        return rc != 0 ? rc : lost;
    if (failed > 0)
        return gx_fail(&ranks->failure, -ENOENT, "NCCL is missing or fails at %.0f other rank(s)",
                       (double)failed);
    return 0;
}

static int join(struct gx_ranks *ranks, struct gx_nccl *nccl)
{
    struct nccl_id id = {{0}};
    int error = ranks->rank == 0 ? nccl->get_id(&id) : NCCL_SUCCESS;
    int rc = agree(ranks, error == NCCL_SUCCESS ? 0 : fail(ranks, "ncclGetUniqueId", error));
    if (rc == 0)
        rc = gx_ranks_broadcast(ranks, &id, sizeof(id));
    if (rc != 0)
        return rc;
    error = nccl->init_rank(&nccl->comm, (int)ranks->count, id, (int)ranks->rank);
    if (error == NCCL_SUCCESS)
        return 0;
    /* No agreeing here: the others are inside NCCL, and leave it when this process ends. */
    nccl->comm = NULL;
    return fail(ranks, "ncclCommInitRank", error);
}

int gx_ranks_gpu_init(struct gx_ranks *ranks)
{
    ranks->nccl = calloc(1, sizeof(*ranks->nccl));
    int rc =
        ranks->nccl ? load(ranks, ranks->nccl) : gx_fail(&ranks->failure, -ENOMEM, "no memory");
    rc = agree(ranks, rc);
    if (rc == 0)
        rc = join(ranks, ranks->nccl);
    if (rc != 0)
        gx_ranks_gpu_fini(ranks);
    return rc;
}

int gx_ranks_gpu_sum(struct gx_ranks *ranks, float *device_values, uint64_t count, void *stream)
{
    int error = ranks->nccl->all_reduce(device_values, device_values, count, NCCL_FLOAT32, NCCL_SUM,
                                        ranks->nccl->comm, stream);
    return error == NCCL_SUCCESS ? 0 : fail(ranks, "ncclAllReduce", error);
}

int gx_ranks_gpu_check(struct gx_ranks *ranks)
{
    struct gx_nccl *nccl = ranks->nccl;
    int error = NCCL_SUCCESS, rc = gx_ranks_check(ranks);
    if (!nccl->comm)
        return rc != 0 ? rc : -ECONNRESET;
    if (rc == 0) {
        int asked = nccl->async_error(nccl->comm, &error);
        error = asked != NCCL_SUCCESS ? asked : error;
        if (error != NCCL_SUCCESS && error != NCCL_IN_PROGRESS)
            rc = fail(ranks, "NCCL", error);
    }
    if (rc != 0) {
        nccl->comm_abort(nccl->comm);
        nccl->comm = NULL;
    }
    return rc;
}

void gx_ranks_gpu_fini(struct gx_ranks *ranks)
{
    struct gx_nccl *nccl = ranks->nccl;
    if (!nccl)
        return;
    /* Destroying waits for the other ranks: not after a failure. */
    if (nccl->comm)
        (ranks->failure.text[0] ? nccl->comm_abort : nccl->comm_destroy)(nccl->comm);
    if (nccl->library)
        dlclose(nccl->library);
    free(nccl);
    ranks->nccl = NULL;
}
