/* The ranks by MPI. Compiled with mpicc into a plugin that gx-train loads when mpirun started it: MPICH and Open MPI have
 * different ABIs, and a gx-train that is not started so should not need either.
 *
 * Waiting asks again and again, as MPI must be asked to make progress; but after a while it yields, then sleeps between:
 * MPI's own waiting takes a whole core from whoever computes. */
#include <errno.h>
#include <mpi.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "ranks/transports.h"

#define COUNT_MAX (1u << 28) /* in one call: MPI counts in int */
#define SPIN_TESTS 200u
#define YIELD_TESTS 400u
#define SLEEP_NS 50000
#define ABORT_NS 500000000

static int started; /* `state` only has to be something */

static int fail(struct gx_ranks *ranks, int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return gx_fail(&ranks->failure, -ECONNRESET, "%s: %.300s", what, text);
}

static int finish(struct gx_ranks *ranks, int code, MPI_Request *request, const char *what)
{
    int done = 0;
    for (unsigned tests = 0; code == MPI_SUCCESS; tests += tests <= YIELD_TESTS) {
        code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (done)
            break;
        if (tests > YIELD_TESTS) {
            const struct timespec t = {0, SLEEP_NS};
            nanosleep(&t, NULL);
        } else if (tests > SPIN_TESTS) {
            sched_yield();
        }
    }
    return code == MPI_SUCCESS ? 0 : fail(ranks, code, what);
}

static int part(uint64_t left)
{
    return (int)(left < COUNT_MAX ? left : COUNT_MAX);
}

static int mpi_sum(struct gx_ranks *ranks, float *values, uint64_t count)
{
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < count; at += COUNT_MAX) {
        MPI_Request request;
        int code = MPI_Iallreduce(MPI_IN_PLACE, values + at, part(count - at), MPI_FLOAT, MPI_SUM,
                                  MPI_COMM_WORLD, &request);
        rc = finish(ranks, code, &request, "MPI_Iallreduce");
    }
    return rc;
}

static int mpi_broadcast(struct gx_ranks *ranks, void *data, uint64_t bytes)
{
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < bytes; at += COUNT_MAX) {
        MPI_Request request;
        int code =
            MPI_Ibcast((char *)data + at, part(bytes - at), MPI_BYTE, 0, MPI_COMM_WORLD, &request);
        rc = finish(ranks, code, &request, "MPI_Ibcast");
    }
    return rc;
}

static int too_large(struct gx_ranks *ranks)
{
    return gx_fail(&ranks->failure, -E2BIG, "more than %u bytes for a rank at once", COUNT_MAX);
}

static int mpi_scatter(struct gx_ranks *ranks, const void *all, void *mine, uint64_t bytes)
{
    if (bytes > COUNT_MAX)
        return too_large(ranks);
    const int count = (int)bytes;
    MPI_Request request;
    int code = MPI_Iscatter(all, count, MPI_BYTE, ranks->rank == 0 ? MPI_IN_PLACE : mine, count,
                            MPI_BYTE, 0, MPI_COMM_WORLD, &request);
    int rc = finish(ranks, code, &request, "MPI_Iscatter");
    if (rc == 0 && ranks->rank == 0 && mine)
        memcpy(mine, all, bytes);
    return rc;
}

static int mpi_gather(struct gx_ranks *ranks, const void *mine, void *all, uint64_t bytes)
{
    if (bytes > COUNT_MAX)
        return too_large(ranks);
    const int count = (int)bytes;
    MPI_Request request;
    int code =
        MPI_Igather(mine, count, MPI_BYTE, all, count, MPI_BYTE, 0, MPI_COMM_WORLD, &request);
    return finish(ranks, code, &request, "MPI_Igather");
}

/* mpirun ends every rank when one dies. */
static int mpi_check(struct gx_ranks *ranks)
{
    (void)ranks;
    return 0;
}

/* mpirun, when told to abort, drops what a rank wrote and it has not read yet: why it aborts. */
static void mpi_abort(struct gx_ranks *ranks, int status)
{
    (void)ranks;
    const struct timespec t = {0, ABORT_NS};
    nanosleep(&t, NULL);
    MPI_Abort(MPI_COMM_WORLD, status);
}

static void mpi_fini(struct gx_ranks *ranks)
{
    (void)ranks;
    MPI_Finalize();
}

/* The place on this machine, whatever the launcher said about it. */
static int find_local_rank(struct gx_ranks *ranks)
{
    MPI_Comm here;
    int local, code = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, (int)ranks->rank,
                                          MPI_INFO_NULL, &here);
    if (code != MPI_SUCCESS)
        return fail(ranks, code, "MPI_Comm_split_type");
    MPI_Comm_rank(here, &local);
    MPI_Comm_free(&here);
    ranks->local_rank = (uint32_t)local;
    return 0;
}

static int mpi_init(struct gx_ranks *ranks)
{
    int code = MPI_Init(NULL, NULL);
    if (code != MPI_SUCCESS)
        return fail(ranks, code, "MPI_Init");
    ranks->state = &started;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    int rank, count;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &count);
    if ((uint32_t)rank != ranks->rank || (uint32_t)count != ranks->count)
        return gx_fail(&ranks->failure, -EINVAL,
                       "mpirun says rank %u of %u, the MPI in " GX_RANKS_MPI_FILE
                       " says rank %d of %d: gx-train was built with another MPI than this "
                       "mpirun's (make MPICC=…)",
                       ranks->rank, ranks->count, rank, count);
    return find_local_rank(ranks);
}

const struct gx_ranks_transport gx_ranks_mpi = {
    .name = "mpi",
    .ranks_bytes = sizeof(struct gx_ranks),
    .init = mpi_init,
    .sum = mpi_sum,
    .broadcast = mpi_broadcast,
    .scatter = mpi_scatter,
    .gather = mpi_gather,
    .check = mpi_check,
    .abort = mpi_abort,
    .fini = mpi_fini,
};
