/* gx-sim: the simulator's command line. See docs/simulator.md. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sanitized.h"
#include "sim/world.h"

#define JOBS_MAX 64
#define CPU_SECONDS_MAX 60 /* a seed that computes longer hangs */

struct options {
    uint64_t first, last;
    uint32_t jobs;
    bool verbose, json, twice, keep_going;
};

/* What a job tells its parent after each seed. */
struct result {
    uint64_t seed;
    bool failed;
    struct sim_stats stats;
};

static const char *program;
static volatile uint64_t running_seed;

static const char usage[] =
    "usage: gx-sim [--seed N | --seeds A-B] [--jobs N] [-v] [--json] [--twice] [--keep-going]\n"
    "\n"
    "Runs N complete gxd cores in a virtual world of faults; a seed decides everything that "
    "happens.\n"
    "\n"
    "  --seed N      one seed\n"
    "  --seeds A-B   a range (default 1-100)\n"
    "  --jobs N      processes at once (default 1)\n"
    "  -v            a line for each thing that happens, with its virtual time\n"
    "  --json        the closing figures as one JSON object\n"
    "  --twice       runs each seed twice and fails when the two differ\n"
    "  --keep-going  goes on after a failure\n"
    "\n"
    "Exit: 0 all hold, 1 an invariant failed (the seed and the command that replays it are "
    "printed), 2 usage.\n";

/* ---- crashes of the code under test ---- */

static size_t put(char *out, const char *text)
{
    size_t n = strlen(text);
    memcpy(out, text, n);
    return n;
}

static size_t put_number(char *out, uint64_t number)
{
    char digits[24];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

static void on_signal(int signal_number)
{
    char line[1024];
    size_t n = 0;

    n += put(line + n, "FAIL seed ");
    n += put_number(line + n, running_seed);
    n += put(line + n, signal_number == SIGPROF   ? ": HANG: it computes without end\n  replay: "
                       : signal_number == SIGABRT ? ": ABORT: an assertion failed\n  replay: "
                                                  : ": CRASH: a bad memory access\n  replay: ");
    if (strlen(program) < 500)
        n += put(line + n, program);
    n += put(line + n, " --seed ");
    n += put_number(line + n, running_seed);
    n += put(line + n, " -v\n");
    if (write(STDERR_FILENO, line, n) < 0)
        _exit(3);
    _exit(1);
}

static void signals_init(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGABRT, &action, NULL);
    sigaction(SIGPROF, &action, NULL);
#ifndef GX_SANITIZED
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
#endif
}

static void watchdog(uint64_t seconds)
{
    struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds}};
    setitimer(ITIMER_PROF, &timer, NULL);
}

/* ---- seeds ---- */

static void report(const struct sim_world *world)
{
    fprintf(stderr, "FAIL seed %llu: %s at %.6f s: %s\n  replay: %s --seed %llu -v\n",
            (unsigned long long)world->seed, world->invariant, (double)world->failed_ns * 1e-9,
            world->failure, program, (unsigned long long)world->seed);
}

static bool run_once(uint64_t seed, bool verbose, struct sim_stats *stats, uint64_t *hash)
{
    struct sim_world *world = sim_world_create(seed, verbose);
    bool ok;

    sim_world_run(world);
    if (!world->failed && !world->finished)
        sim_fail(world, "I7", "nothing is left to happen");
    if (world->failed)
        report(world);
    ok = !world->failed;
    *stats = world->stats;
    *hash = world->trace_hash;
    sim_world_destroy(world);
    return ok;
}

static bool run_seed(const struct options *options, uint64_t seed, struct sim_stats *stats)
{
    uint64_t hash, again;

    running_seed = seed;
    watchdog(CPU_SECONDS_MAX);
    bool ok = run_once(seed, options->verbose, stats, &hash);
    if (ok && options->twice) {
        ok = run_once(seed, false, stats, &again) && hash == again;
        if (hash != again)
            fprintf(stderr,
                    "FAIL seed %llu: TWICE: the second run went another way\n  replay: %s --seed "
                    "%llu --twice\n",
                    (unsigned long long)seed, program, (unsigned long long)seed);
    }
    watchdog(0);
    return ok;
}

static void stats_add(struct sim_stats *sum, const struct sim_stats *one)
{
#define SIM_STAT(name, text) sum->name += one->name;
    SIM_STATS
#undef SIM_STAT
    sum->virtual_ns += one->virtual_ns;
    if (one->i7_permille > sum->i7_permille)
        sum->i7_permille = one->i7_permille;
}

/* ---- jobs ---- */

static void job(const struct options *options, uint32_t index, int out)
{
    for (uint64_t seed = options->first + index; seed <= options->last; seed += options->jobs) {
        struct result result = {.seed = seed};
        result.failed = !run_seed(options, seed, &result.stats);
        if (write(out, &result, sizeof(result)) != (ssize_t)sizeof(result))
            _exit(1);
        if (result.failed && !options->keep_going)
            break;
    }
}

static void progress(const struct options *options, uint64_t done, uint64_t failed)
{
    uint64_t all = options->last - options->first + 1;
    if (options->verbose || options->json || all < 200 || done % 100 != 0)
        return;
    fprintf(stderr, "%llu of %llu seeds, %llu failed\n", (unsigned long long)done,
            (unsigned long long)all, (unsigned long long)failed);
}

/* Reads results until all jobs are gone; a failure ends the others too, unless all are wanted. */
static uint64_t collect(const struct options *options, int in, const pid_t *jobs,
                        struct sim_stats *sum, uint64_t *failed)
{
    struct result result;
    uint64_t done = 0;

    while (read(in, &result, sizeof(result)) == (ssize_t)sizeof(result)) {
        done++;
        *failed += result.failed;
        stats_add(sum, &result.stats);
        progress(options, done, *failed);
        for (uint32_t i = 0; result.failed && !options->keep_going && i < options->jobs; i++)
            kill(jobs[i], SIGTERM);
    }
    return done;
}

static uint64_t run_jobs(const struct options *options, struct sim_stats *sum, uint64_t *failed)
{
    pid_t jobs[JOBS_MAX];
    int ends[2];

    if (pipe(ends) != 0) {
        perror("gx-sim: pipe");
        exit(2);
    }
    fflush(NULL);
    for (uint32_t i = 0; i < options->jobs; i++) {
        jobs[i] = fork();
        if (jobs[i] < 0) {
            perror("gx-sim: fork");
            exit(2);
        }
        if (jobs[i] == 0) {
            close(ends[0]);
            job(options, i, ends[1]);
            exit(0);
        }
    }
    close(ends[1]);
    uint64_t done = collect(options, ends[0], jobs, sum, failed);
    for (uint32_t i = 0; i < options->jobs; i++) {
        int status;
        waitpid(jobs[i], &status, 0);
        if (WIFEXITED(status) ? WEXITSTATUS(status) != 0 : WTERMSIG(status) != SIGTERM)
            ++*failed; /* it died in a seed, and said which */
    }
    return done;
}

/* ---- figures ---- */

static double cpu_seconds(void)
{
    struct rusage children, self;
    getrusage(RUSAGE_CHILDREN, &children);
    getrusage(RUSAGE_SELF, &self);
    return (double)(children.ru_utime.tv_sec + self.ru_utime.tv_sec + children.ru_stime.tv_sec +
                    self.ru_stime.tv_sec) +
           (double)(children.ru_utime.tv_usec + self.ru_utime.tv_usec + children.ru_stime.tv_usec +
                    self.ru_stime.tv_usec) *
               1e-6;
}

static void figures_text(uint64_t done, uint64_t failed, const struct sim_stats *sum)
{
    printf("%llu seeds, %llu failed\n", (unsigned long long)done, (unsigned long long)failed);
#define SIM_STAT(name, text) printf("  %-32s %12llu\n", text, (unsigned long long)sum->name);
    SIM_STATS
#undef SIM_STAT
    printf("  %-32s %12.1f\n", "virtual seconds", (double)sum->virtual_ns * 1e-9);
    printf("  %-32s %12.1f\n", "CPU seconds", cpu_seconds());
    printf("  %-32s %12.3f\n", "slowest to agree, of I7's bound", (double)sum->i7_permille * 1e-3);
}

static void figures_json(uint64_t done, uint64_t failed, const struct sim_stats *sum)
{
    printf("{\"seeds\": %llu, \"failed\": %llu", (unsigned long long)done,
           (unsigned long long)failed);
#define SIM_STAT(name, text) printf(", \"" #name "\": %llu", (unsigned long long)sum->name);
    SIM_STATS
#undef SIM_STAT
    printf(", \"virtual_seconds\": %.3f, \"cpu_seconds\": %.3f, \"i7_ratio_max\": %.3f}\n",
           (double)sum->virtual_ns * 1e-9, cpu_seconds(), (double)sum->i7_permille * 1e-3);
}

/* ---- options ---- */

static bool parse_number(const char *text, char end, uint64_t *out, const char **rest)
{
    char *stop;
    errno = 0;
    *out = strtoull(text, &stop, 10);
    *rest = stop + 1;
    return errno == 0 && stop != text && *text >= '0' && *text <= '9' && *stop == end;
}

static bool parse(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"seed", required_argument, NULL, 's'},
        {"seeds", required_argument, NULL, 'r'},
        {"jobs", required_argument, NULL, 'j'},
        {"json", no_argument, NULL, 'J'},
        {"twice", no_argument, NULL, 't'},
        {"keep-going", no_argument, NULL, 'k'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *rest;
    uint64_t jobs = 1;
    int option;
    bool ok = true;

    while (ok && (option = getopt_long(argc, argv, "vh", longs, NULL)) != -1) {
        switch (option) {
        case 's':
            ok = parse_number(optarg, 0, &options->first, &rest);
            options->last = options->first;
            break;
        case 'r':
            ok = parse_number(optarg, '-', &options->first, &rest) &&
                 parse_number(rest, 0, &options->last, &rest) && options->first <= options->last;
            break;
        case 'j':
            ok = parse_number(optarg, 0, &jobs, &rest) && jobs >= 1 && jobs <= JOBS_MAX;
            break;
        case 'v':
            options->verbose = true;
            break;
        case 'J':
            options->json = true;
            break;
        case 't':
            options->twice = true;
            break;
        case 'k':
            options->keep_going = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            return false;
        }
        if (!ok)
            fprintf(stderr, "gx-sim: '%s' is not a number or range that fits here\n", optarg);
    }
    options->jobs = (uint32_t)jobs;
    return ok && optind == argc;
}

int main(int argc, char **argv)
{
    struct options options = {.first = 1, .last = 100};
    struct sim_stats sum = {0};
    uint64_t failed = 0;

    program = argv[0];
    if (!parse(argc, argv, &options)) {
        fputs(usage, stderr);
        return 2;
    }
    signals_init();
    uint64_t done;
    if (options.first == options.last) {
        done = 1;
        failed = !run_seed(&options, options.first, &sum);
    } else {
        done = run_jobs(&options, &sum, &failed);
    }
    if (options.json)
        figures_json(done, failed, &sum);
    else
        figures_text(done, failed, &sum);
    return failed > 0;
}
