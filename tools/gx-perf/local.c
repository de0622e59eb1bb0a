#include "gx-perf/local.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gx-perf/dpdk_rings.h"
#include "gx-perf/perf.h"
#include "main.h"
#include "port/clock.h"

#define SITES GX_PERF_LOCAL_SITES
#define RATE_BPS 100000000000ull /* without --link-rate: more than any core gives */
#define PATH_BYTES 96
#define READY_NS (10 * GX_NS_PER_S)

_Static_assert(GX_SITE_work_house_ns_total - GX_SITE_work_port_receive_ns_total ==
                   GX_PERF_STAGES - 1,
               "a counter per stage");

struct local;

struct site {
    struct local *local;
    uint32_t index;
    struct gxd gxd;
    struct gx_perf_options options;
    struct gx_perf_report report;
    char socket[PATH_BYTES];
    pthread_t main, trainer;
    sem_t started;
    int start_error, code;
    struct gx_perf_work before;
};

struct local {
    const struct gx_perf_options *options;
    char folder[PATH_BYTES / 2], key[PATH_BYTES];
    uint32_t cores;
    pthread_t workers[SITES]; /* `cores` of them */
    pthread_barrier_t halted, drained;
    struct site sites[SITES];
};

__attribute__((format(printf, 1, 2))) static int say(const char *format, ...)
{
    va_list args;

    fputs("gx-perf: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return GX_PERF_FAILED;
}

/* ---- what a site did ---- */

static double cpu_seconds(const struct local *l, const struct site *s)
{
    struct timespec used = {0};
    clockid_t id;

    if (pthread_getcpuclockid(l->workers[s->index % l->cores], &id) == 0)
        clock_gettime(id, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void work_read(const struct site *s, struct gx_perf_work *out)
{
    const struct gx_counters *counters = &s->gxd.stat->workers[0];
    const uint64_t *site = counters->site;

    out->cpu_seconds = cpu_seconds(s->local, s);
    for (int i = 0; i < GX_PERF_STAGES; i++)
        out->stage_seconds[i] = (double)site[GX_SITE_work_port_receive_ns_total + i] / 1e9;
    out->copied_bytes =
        site[GX_SITE_port_copied_driver_bytes_total] + site[GX_SITE_port_copied_memory_bytes_total];
    out->sent_bytes = site[GX_SITE_port_sent_in_place_bytes_total] + out->copied_bytes;
    out->copied_bytes += counters->link[!s->index][GX_LINK_copied_bytes_total];
    out->flattened_bytes = site[GX_SITE_port_copied_receive_bytes_total];
}

static void work_since(struct site *s, struct gx_perf_work *out)
{
    const struct gx_perf_work *before = &s->before;

    work_read(s, out);
    out->cpu_seconds -= before->cpu_seconds;
    for (int i = 0; i < GX_PERF_STAGES; i++)
        out->stage_seconds[i] -= before->stage_seconds[i];
    out->copied_bytes -= before->copied_bytes;
    out->sent_bytes -= before->sent_bytes;
    out->flattened_bytes -= before->flattened_bytes;
    out->contribution_bytes = s->report.bytes * s->report.round_count;
}

static void on_warm(void *ctx)
{
    struct site *s = ctx;

    work_read(s, &s->before);
}

/* ---- threads ---- */

static void *main_thread(void *ctx)
{
    struct site *s = ctx;

    s->start_error = gxd_start(&s->gxd);
    sem_post(&s->started);
    if (s->start_error)
        return NULL;
    while (!gxd_ended(&s->gxd))
        gxd_serve(&s->gxd);
    gxd_halt(&s->gxd);
    pthread_barrier_wait(&s->local->halted);
    pthread_barrier_wait(&s->local->drained);
    gxd_finish(&s->gxd);
    return NULL;
}

static void *trainer_thread(void *ctx)
{
    struct site *s = ctx;

    s->code = gx_perf_run(&s->options, &s->report);
    return NULL;
}

static void *worker_thread(void *ctx)
{
    struct site *s = ctx;
    struct gx_worker *workers[SITES];
    uint32_t count = s->local->cores == 1 ? SITES : 1;

    for (uint32_t i = 0; i < count; i++)
        workers[i] = &s[i].gxd.workers[0];
    gx_worker_run(workers, count);
    return NULL;
}

/* ---- a site's beginning ---- */

static int config_write(const struct local *l, const struct site *s, const char *path)
{
    static const char *const devices[SITES] = {GX_PERF_RING_A, GX_PERF_RING_B};
    uint64_t rate_bps = l->options->link.rate_bps ? l->options->link.rate_bps : RATE_BPS;
    FILE *file = fopen(path, "we");

    if (!file)
        return -errno;
    fprintf(file,
            "site: %c\n"
            "port: {device: %s, address: 10.0.0.%u/24}\n"
            "socket: %s\n"
            "rate: %" PRIu64 "bit\n"
            "rate_control: fixed\n"
            "mtu: %u\n"
            "%s%s%s"
            "memory: 1TiB\n"
            "log: {level: warn}\n"
            "sites:\n"
            "  - {name: a, address: \"10.0.0.1:7440\"}\n"
            "  - {name: b, address: \"10.0.0.2:7440\"}\n",
            (int)('a' + s->index), devices[s->index], s->index + 1, s->socket, rate_bps,
            l->options->mtu, l->options->encrypt ? "security: psk\nkey: " : "",
            l->options->encrypt ? l->key : "", l->options->encrypt ? "\n" : "");
    return fclose(file) ? -errno : 0;
}

static int key_write(struct local *l)
{
    FILE *file;
    mode_t mask = umask(077);

    snprintf(l->key, sizeof(l->key), "%s/key", l->folder);
    file = fopen(l->key, "we");
    umask(mask);
    if (!file)
        return say("%s: %s", l->key, strerror(errno));
    for (int i = 0; i < 32; i++)
        fprintf(file, "%02x", i);
    return fclose(file) ? say("%s: %s", l->key, strerror(errno)) : GX_PERF_OK;
}

static int site_start(struct local *l, uint32_t index)
{
    struct site *s = &l->sites[index];
    char path[PATH_BYTES], error[512];
    int ret;

    s->local = l;
    s->index = index;
    snprintf(path, sizeof(path), "%s/%u.yaml", l->folder, index);
    snprintf(s->socket, sizeof(s->socket), "%s/%u.sock", l->folder, index);
    ret = config_write(l, s, path);
    if (ret)
        return say("%s: %s", path, strerror(-ret));
    if (gx_config_load(path, &s->gxd.config, error, sizeof(error)))
        return say("%s", error);
    s->gxd.signal_fd = -1;
    s->gxd.notify.watchdog_due_ns = UINT64_MAX;
    s->gxd.worker_elsewhere = true;
    s->options = *l->options;
    s->options.socket = s->socket;
    s->options.background = index > 0;
    s->options.on_warm = on_warm;
    s->options.on_warm_ctx = s;
    if (gx_perf_report_init(&s->report, &s->options) || sem_init(&s->started, 0, 0) ||
        pthread_create(&s->main, NULL, main_thread, s))
        return say("no memory for a site");
    while (sem_wait(&s->started))
        ;
    return s->start_error ? GX_PERF_FAILED : GX_PERF_OK;
}

static bool is_ready(const struct site *s)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    uint64_t end_ns = gx_clock_ns() + READY_NS;

    while (!__atomic_load_n(&s->gxd.stat->ready, __ATOMIC_ACQUIRE)) {
        if (gxd_ended(&s->gxd) || gx_clock_ns() > end_ns)
            return false;
        nanosleep(&moment, NULL);
    }
    return true;
}

/* ---- the whole ---- */

static int workers_start(struct local *l)
{
    for (uint32_t i = 0; i < l->cores; i++)
        if (pthread_create(&l->workers[i], NULL, worker_thread, &l->sites[i]))
            return say("no thread for a worker");
    for (uint32_t i = 0; i < SITES; i++)
        if (!is_ready(&l->sites[i]))
            return say("site %c does not get ready", (int)('a' + i));
    return GX_PERF_OK;
}

static int measure(struct local *l)
{
    int code = GX_PERF_OK;
    uint32_t started = 0;

    for (; started < SITES; started++)
        if (pthread_create(&l->sites[started].trainer, NULL, trainer_thread, &l->sites[started]))
            break;
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(l->sites[i].trainer, NULL);
        if (l->sites[i].code != GX_PERF_OK && l->sites[i].report.errors == 0)
            l->sites[i].report.errors = 1;
        code = code ? code : l->sites[i].code;
    }
    return started < SITES ? say("no thread for a trainer") : code;
}

static void result_print(struct local *l)
{
    struct gx_perf_local result = {.cores = l->cores, .tsc_hz = rte_get_tsc_hz()};

    for (uint32_t i = 0; i < SITES; i++) {
        result.reports[i] = &l->sites[i].report;
        work_since(&l->sites[i], &result.work[i]);
    }
    if (l->options->json)
        gx_perf_local_json(&result, stdout);
    else if (result.reports[0]->round_count && result.reports[1]->round_count)
        gx_perf_local_text(&result, stdout);
}

static void stop(struct local *l)
{
    for (uint32_t i = 0; i < SITES; i++)
        gxd_end(&l->sites[i].gxd);
    pthread_barrier_wait(&l->halted);
    for (uint32_t i = 0; i < l->cores; i++)
        pthread_join(l->workers[i], NULL);
    gx_perf_rings_drain(l->sites[0].gxd.ports[0], l->sites[1].gxd.ports[0]);
    pthread_barrier_wait(&l->drained);
    for (uint32_t i = 0; i < SITES; i++)
        pthread_join(l->sites[i].main, NULL);
    gx_perf_rings_close();
}

static int folder_make(struct local *l)
{
    const char *base = getenv("TMPDIR");

    if (!base || !*base)
        base = "/tmp";
    if ((size_t)snprintf(l->folder, sizeof(l->folder), "%s/gx-perf-XXXXXX", base) >=
        sizeof(l->folder))
        return say("TMPDIR %s is too long a path for sockets: give a shorter one", base);
    return mkdtemp(l->folder) ? GX_PERF_OK : say("%s: %s", l->folder, strerror(errno));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static void folder_remove(const struct local *l)
{
    nftw(l->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Ctrl-C leaves no folder behind. */
static void *signal_thread(void *ctx)
{
    sigset_t set;
    int number;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    while (sigwait(&set, &number))
        ;
    folder_remove(ctx);
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
    return NULL;
}

static int signals_open(struct local *l)
{
    sigset_t set;
    pthread_t thread;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    /* Before the first thread, so that all have it. */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, signal_thread, l))
        return say("no thread for signals");
    pthread_detach(thread);
    return GX_PERF_OK;
}

static int run(struct local *l)
{
    char error[512];
    int code = GX_PERF_OK;

    if (gx_perf_rings_open(l->options->mtu, error, sizeof(error)))
        return say("%s", error);
    pthread_barrier_init(&l->halted, NULL, SITES + 1);
    pthread_barrier_init(&l->drained, NULL, SITES + 1);
    if (l->options->encrypt)
        code = key_write(l);
    for (uint32_t i = 0; code == GX_PERF_OK && i < SITES; i++)
        code = site_start(l, i);
    if (code == GX_PERF_OK && l->options->link.loss > 0 &&
        !gx_perf_rings_lose(l->options->link.loss))
        code = say("this DPDK has no callbacks on receipt: leave --link-loss out");
    if (code == GX_PERF_OK)
        code = workers_start(l);
    if (code != GX_PERF_OK)
        return code;
    code = measure(l);
    result_print(l);
    stop(l);
    for (uint32_t i = 0; i < SITES; i++)
        gx_perf_report_fini(&l->sites[i].report);
    return code;
}

int gx_perf_local_run(const struct gx_perf_options *options)
{
    struct local *l = calloc(1, sizeof(*l));
    int code;

    if (!l)
        return say("out of memory");
    l->options = options;
    l->cores = options->cores;
    code = folder_make(l);
    if (code == GX_PERF_OK) {
        code = signals_open(l);
        if (code == GX_PERF_OK)
            code = run(l);
        folder_remove(l);
    }
    return code; /* `l` stays: after a failed start its threads still run */
}
