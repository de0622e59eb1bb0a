#include "ranks.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ranks/transports.h"

#define RANKS_MAX 4096u
#define MEET_MS 300000u

/* How each launcher says who a process is; the first that does counts. torchrun's variables are the last: they may also
 * have been exported to what mpirun starts. */
static const struct launcher {
    const char *rank, *count, *local_rank;
    bool mpi;
} launchers[] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", true},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", true}, /* MPICH, Intel MPI, srun --mpi=pmi2 */
    {"PMIX_RANK", "SLURM_NTASKS", "SLURM_LOCALID", true},
    {"RANK", "WORLD_SIZE", "LOCAL_RANK", false},
};

#define LAUNCHER_COUNT (sizeof(launchers) / sizeof(launchers[0]))

static int read_number(struct gx_ranks *ranks, const char *name, uint32_t min, uint32_t max,
                       uint32_t *out)
{
    const char *text = getenv(name);
    if (!text)
        return gx_fail(&ranks->failure, -EINVAL, "%s is not set: a launcher sets it", name);
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || value < min || value > max)
        return gx_fail(&ranks->failure, -EINVAL,
                       "%s=%s: must be a whole number from %u to %u (a launcher sets it)", name,
                       text, min, max);
    *out = (uint32_t)value;
    return 0;
}

static const struct launcher *find_launcher(void)
{
    for (size_t i = 0; i < LAUNCHER_COUNT; i++)
        if (getenv(launchers[i].count) && (getenv(launchers[i].rank) || !launchers[i].mpi))
            return &launchers[i];
    return NULL;
}

static int read_place(struct gx_ranks *ranks, const struct launcher *l)
{
    int rc = read_number(ranks, l->count, 1, RANKS_MAX, &ranks->count);
    if (rc == 0 && ranks->count > 1)
        rc = read_number(ranks, l->rank, 0, ranks->count - 1, &ranks->rank);
    ranks->local_rank = ranks->rank;
    if (rc == 0 && ranks->count > 1 && getenv(l->local_rank))
        rc = read_number(ranks, l->local_rank, 0, RANKS_MAX, &ranks->local_rank);
    return rc;
}

/* build/bin/gx-train has build/lib/ beside it, and /usr/bin/gx-train /usr/lib/. */
static int find_plugin(char path[PATH_MAX])
{
    static const char relative[] = "/../lib/" GX_RANKS_MPI_FILE;
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - sizeof(relative));
    if (length < 0)
        return -errno;
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return -ENOENT;
    strcpy(slash, relative);
    return 0;
}

static int load_mpi(struct gx_ranks *ranks, const char *count_name)
{
    char path[PATH_MAX];
    int rc = find_plugin(path);
    if (rc != 0)
        return gx_fail(&ranks->failure, rc, "/proc/self/exe: %s", strerror(-rc));
    /* RTLD_GLOBAL: Open MPI loads components that look for its symbols there. */
    ranks->plugin = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    const struct gx_ranks_transport *mpi =
        ranks->plugin ? dlsym(ranks->plugin, GX_RANKS_MPI_SYMBOL) : NULL;
    if (!mpi)
        return gx_fail(&ranks->failure, -ENOENT,
                       "started by mpirun (%s=%u), but this build has no MPI: %s (build it where "
                       "mpicc is found: apt-get install mpich libmpich-dev; or start the ranks "
                       "by RANK and WORLD_SIZE)",
                       count_name, ranks->count, dlerror());
    if (mpi->ranks_bytes != sizeof(*ranks))
        return gx_fail(&ranks->failure, -EINVAL,
                       "%s: of another release than this gx-train: install both", path);
    ranks->transport = mpi;
    return 0;
}

int gx_ranks_init(struct gx_ranks *ranks)
{
    *ranks = (struct gx_ranks){.count = 1, .meet_ms = MEET_MS};
    const struct launcher *l = find_launcher();
    int rc = l ? read_place(ranks, l) : 0;
    if (rc != 0 || ranks->count == 1)
        return rc;
    ranks->transport = &gx_ranks_tcp;
    if (l->mpi)
        rc = load_mpi(ranks, l->count);
    return rc == 0 ? ranks->transport->init(ranks) : rc;
}

/* The plugin stays mapped: MPI leaves threads and exit handlers behind. */
void gx_ranks_fini(struct gx_ranks *ranks)
{
    if (!ranks)
        return;
    gx_ranks_gpu_fini(ranks);
    if (ranks->state)
        ranks->transport->fini(ranks);
    ranks->state = NULL;
}

static int gone(struct gx_ranks *ranks)
{
    if (ranks->failure.text[0] == '\0')
        gx_fail(&ranks->failure, -ECONNRESET, "the ranks have parted");
    return -ECONNRESET;
}

int gx_ranks_sum(struct gx_ranks *ranks, float *values, uint64_t count)
{
    return ranks->state ? ranks->transport->sum(ranks, values, count) : gone(ranks);
}

int gx_ranks_broadcast(struct gx_ranks *ranks, void *data, uint64_t bytes)
{
    return ranks->state ? ranks->transport->broadcast(ranks, data, bytes) : gone(ranks);
}

int gx_ranks_scatter(struct gx_ranks *ranks, const void *all, void *mine, uint64_t bytes)
{
    return ranks->state ? ranks->transport->scatter(ranks, all, mine, bytes) : gone(ranks);
}

int gx_ranks_gather(struct gx_ranks *ranks, const void *mine, void *all, uint64_t bytes)
{
    return ranks->state ? ranks->transport->gather(ranks, mine, all, bytes) : gone(ranks);
}

int gx_ranks_check(struct gx_ranks *ranks)
{
    return ranks->state ? ranks->transport->check(ranks) : gone(ranks);
}

void gx_ranks_abort(struct gx_ranks *ranks, int status)
{
    if (ranks->state)
        ranks->transport->abort(ranks, status);
    ranks->state = NULL;
}
