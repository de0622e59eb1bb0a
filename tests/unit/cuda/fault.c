#include "fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_SECONDS_MAX 60u

static bool seen(bool (*check)(void *arg), void *arg, uint64_t seed)
{
    fflush(NULL);
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    pid_t child = fork();
    if (child < 0)
        abort();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        for (size_t i = 0; i < sizeof(deadly) / sizeof(*deadly); i++)
            signal(deadly[i], SIG_DFL); /* cmocka would go on with the next test */
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        alarm(CHILD_SECONDS_MAX);
        gx_simt_seed(seed);
        _exit(check(arg) ? 0 : 1);
    }
    int status;
    if (waitpid(child, &status, 0) != child)
        abort();
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

unsigned fault_seeds(bool (*check)(void *arg), void *arg)
{
    for (unsigned seed = 1; seed <= FAULT_SEEDS_MAX; seed++)
        if (seen(check, arg, seed))
            return seed;
    return 0;
}

static const char *const fault_names[] = {
    [GX_SIMT_NO_BARRIER] = "no barrier",
    [GX_SIMT_NO_WARP_BARRIER] = "no warp barrier",
    [GX_SIMT_NO_WAIT] = "no wait for copies",
    [GX_SIMT_SHORT_SHARED] = "shared array short by a value",
};

bool fault_each(enum gx_simt_fault fault, const char *file, bool (*check)(void *arg), void *arg,
                unsigned *places)
{
    bool all = true;
    *places = 0;
    gx_simt_plant(GX_SIMT_NO_FAULT, 0);
    if (!check(arg))
        return false;
    for (unsigned i = 0; gx_simt_plant(fault, i); i++) {
        if (strncmp(gx_simt_planted(), file, strlen(file)) != 0)
            continue;
        unsigned seeds = fault_seeds(check, arg);
        ++*places;
        if (seeds != 0)
            printf("# %s, %s: noticed by seed %u\n", gx_simt_planted(), fault_names[fault], seeds);
        else
            printf("# %s, %s: not noticed in %u seeds\n", gx_simt_planted(), fault_names[fault],
                   FAULT_SEEDS_MAX);
        all &= seeds != 0;
    }
    gx_simt_plant(GX_SIMT_NO_FAULT, 0);
    return all;
}
