/* gx_ranks: the processes of one site that train one model together. How their bytes travel is one table of functions,
 * a transport; trainer/ranks/ has a file for each.
 *
 * Start     by mpirun: MPI carries everything (mpi.c, a plugin, since each MPI has its own ABI). By RANK, WORLD_SIZE,
 *           MASTER_ADDR and MASTER_PORT, as torchrun sets them: TCP (tcp.c). By neither: one rank, and no transport.
 * Order     sum, broadcast, scatter and gather are collective: all ranks call the same with the same sizes, in the same
 *           order. A rank that cannot go on calls abort.
 * Bits      a sum is the same at every rank, and the same again in another run.
 * Death     a rank that ends without fini ends the others: their call fails with -ECONNRESET, or mpirun ends them.
 * Threads   one caller at a time.
 * Errors    0 or -errno; the line for the user, which names the rank at fault, is in `failure`.
 */
#ifndef GX_TRAINER_RANKS_H
#define GX_TRAINER_RANKS_H

#include <stdint.h>

#include "failure.h"

struct gx_ranks;
struct gx_nccl;

struct gx_ranks_transport {
    const char *name;
    uint32_t
        ranks_bytes; /* sizeof(struct gx_ranks) where it was compiled: a plugin of another build is refused */
    int (*init)(struct gx_ranks *ranks); /* all ranks have met when it returns */
    int (*sum)(struct gx_ranks *ranks, float *values, uint64_t count);
    int (*broadcast)(struct gx_ranks *ranks, void *data, uint64_t bytes);
    int (*scatter)(struct gx_ranks *ranks, const void *all, void *mine, uint64_t bytes);
    int (*gather)(struct gx_ranks *ranks, const void *mine, void *all, uint64_t bytes);
    int (*check)(struct gx_ranks *ranks);
    void (*abort)(struct gx_ranks *ranks, int status);
    void (*fini)(struct gx_ranks *ranks);
};

struct gx_ranks {
    uint32_t rank, count;
    uint32_t local_rank; /* among those of this machine: which GPU is this rank's */
    const struct gx_ranks_transport *transport; /* NULL: one rank */
    uint32_t meet_ms;                           /* how long TCP waits for all ranks to come */
    void *state;                                /* the transport's */
    void *plugin;                               /* dlopen's */
    struct gx_nccl *nccl;
    struct gx_failure failure; /* empty: nothing failed */
};

/* Reads the environment; waits until all ranks are there. */
int gx_ranks_init(struct gx_ranks *ranks);
/* After the last collective call of all ranks. NULL is allowed. */
void gx_ranks_fini(struct gx_ranks *ranks);

/* values[i] becomes its sum over the ranks, at every rank. */
int gx_ranks_sum(struct gx_ranks *ranks, float *values, uint64_t count);
/* Rank 0's bytes to every rank. */
int gx_ranks_broadcast(struct gx_ranks *ranks, void *data, uint64_t bytes);
/* The rank'th `bytes` of rank 0's `all` to each rank's `mine`. `all` is read at rank 0 only, where `mine` may be NULL. */
int gx_ranks_scatter(struct gx_ranks *ranks, const void *all, void *mine, uint64_t bytes);
/* Each rank's `mine` to its place in rank 0's `all`, which is not touched elsewhere. */
int gx_ranks_gather(struct gx_ranks *ranks, const void *mine, void *all, uint64_t bytes);

/* Whether all ranks still live, as far as this one can tell at once: for whoever waits for something else. Not
 * collective. */
int gx_ranks_check(struct gx_ranks *ranks);

/* This rank has failed: the others are to end. With MPI it does not return, and mpirun ends with `status`. */
void gx_ranks_abort(struct gx_ranks *ranks, int status);

/* ---- sums in GPU memory, by NCCL (ranks/nccl.c) ----
 *
 * A device that keeps its gradients on a GPU calls these in place of gx_ranks_sum(). Whatever its bytes are is said over
 * the transport, so NCCL needs no rendezvous of its own. */

/* Collective; this rank's CUDA device must be current. -ENOENT: no libnccl.so.2, at this rank or another. */
int gx_ranks_gpu_init(struct gx_ranks *ranks);
/* As gx_ranks_sum(), on device memory: enqueued on `stream` (a cudaStream_t), finished when that is. */
int gx_ranks_gpu_sum(struct gx_ranks *ranks, float *device_values, uint64_t count, void *stream);
/* To be called while such a stream is waited for: a sum never ends when one of its ranks is dead. After an error the
 * sums under way have been given up, and the stream comes to its end. */
int gx_ranks_gpu_check(struct gx_ranks *ranks);
void gx_ranks_gpu_fini(struct gx_ranks *ranks);

#endif
