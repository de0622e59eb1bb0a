#include "port/eal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mman.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

#define ARGS_MAX 64
#define ARG_BYTES_MAX 512
#define TEXT_BYTES 4096
#define MEMORY_MIB 128
#define HUGE_SYS "/sys/kernel/mm/hugepages"

static struct {
    bool started, huge;
    char text[TEXT_BYTES]; /* the arguments, which EAL keeps pointers to */
    size_t text_bytes;
    char *argv[ARGS_MAX + 1];
    int argc;
    FILE *log;
    char said[256];
} eal;

/* ---- what EAL says ---- */

static ssize_t log_write(void *cookie, const char *bytes, size_t count)
{
    size_t length = count;

    (void)cookie;
    while (length && (bytes[length - 1] == '\n' || bytes[length - 1] == ' '))
        length--;
    if (length) {
        if (!eal.said[0]) /* the first is the cause */
            snprintf(eal.said, sizeof(eal.said), "%.*s", (int)length, bytes);
        fprintf(stderr, "dpdk: %.*s\n", (int)length, bytes);
    }
    return (ssize_t)count;
}

static void log_open(void)
{
    static const cookie_io_functions_t functions = {.write = log_write};

    eal.log = fopencookie(NULL, "w", functions);
    if (!eal.log)
        return;
    setvbuf(eal.log, NULL, _IOLBF, 1024);
    rte_openlog_stream(eal.log);
}

const char *gx_eal_said(void)
{
    return eal.said;
}

void gx_eal_forget(void)
{
    eal.said[0] = '\0';
}

/* ---- arguments ---- */

static int arg_add(const char *format, const char *value, char *error, size_t error_bytes)
{
    size_t room = sizeof(eal.text) - eal.text_bytes;
    int length = snprintf(eal.text + eal.text_bytes, room, format, value);

    if (eal.argc == ARGS_MAX || length < 0 || (size_t)length >= room) {
        snprintf(error, error_bytes, "too many arguments for DPDK's EAL: shorten `eal:`");
        return -E2BIG;
    }
    eal.argv[eal.argc++] = eal.text + eal.text_bytes;
    eal.text_bytes += (size_t)length + 1;
    return 0;
}

static int extra_add(const char *extra, char *error, size_t error_bytes)
{
    char words[ARG_BYTES_MAX], *rest = words;
    int ret = 0;

    if (strlen(extra) >= sizeof(words)) {
        snprintf(error, error_bytes, "`eal:` is longer than %zu bytes", sizeof(words) - 1);
        return -E2BIG;
    }
    strcpy(words, extra);
    for (char *word; !ret && (word = strtok_r(rest, " \t\n", &rest));)
        ret = arg_add("%s", word, error, error_bytes);
    return ret;
}

/* The CPUs that the calling thread may run on, "0,2,3". */
static void cpus_allowed(char *out, size_t out_bytes)
{
    cpu_set_t set;
    size_t at = 0;

    out[0] = '\0';
    if (sched_getaffinity(0, sizeof(set), &set))
        CPU_ZERO(&set);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && at + 8 < out_bytes; cpu++)
        if (CPU_ISSET(cpu, &set))
            at += (size_t)snprintf(out + at, out_bytes - at, "%s%u", at ? "," : "", cpu);
    if (!at)
        snprintf(out, out_bytes, "0");
}

/* ---- huge pages ---- */

static uint64_t huge_count(const char *directory, const char *name)
{
    char path[512];
    unsigned long long pages = 0;
    FILE *file;

    snprintf(path, sizeof(path), HUGE_SYS "/%s/%s", directory, name);
    file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%llu", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages;
}

/* KiB of these pages that nobody has and nobody has reserved. */
static uint64_t huge_free_kib(const char *directory, uint64_t page_kib)
{
    uint64_t pages = huge_count(directory, "free_hugepages");
    uint64_t reserved = huge_count(directory, "resv_hugepages");

    return pages > reserved ? (pages - reserved) * page_kib : 0;
}

/* Whether so much can really be had: a container may be allowed less than there is. EAL finds that out when it can no longer
 * do without. */
static bool huge_try(uint64_t kib, uint64_t page_kib)
{
    int size = (int)((uint32_t)__builtin_ctzll(page_kib * 1024) << MAP_HUGE_SHIFT);
    void *at = mmap(NULL, kib * 1024, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | size, -1, 0);
    bool had;

    if (at == MAP_FAILED)
        return false;
    had = !madvise(at, kib * 1024, MADV_POPULATE_WRITE) || errno == EINVAL; /* before 5.14 */
    munmap(at, kib * 1024);
    return had;
}

/* Of the pages of all sizes together, as EAL takes them. */
static uint64_t huge_sum_kib(uint64_t wanted_kib, bool try)
{
    uint64_t sum = 0, page_kib, kib;
    DIR *directory = opendir(HUGE_SYS);

    if (!directory)
        return 0;
    for (struct dirent *entry; sum < wanted_kib && (entry = readdir(directory));) {
        if (sscanf(entry->d_name, "hugepages-%" SCNu64 "kB", &page_kib) != 1 || !page_kib)
            continue;
        kib = huge_free_kib(entry->d_name, page_kib);
        if (kib > wanted_kib - sum)
            kib = (wanted_kib - sum + page_kib - 1) / page_kib * page_kib;
        if (kib && (!try || huge_try(kib, page_kib)))
            sum += kib;
    }
    closedir(directory);
    return sum;
}

/* Those that start at once go on one after the other then: what is free for one is gone when another has taken it. */
static bool huge_enough(const struct gx_eal_config *config, int runtime_fd)
{
    uint64_t kib = (uint64_t)(config->memory_mib ? config->memory_mib : MEMORY_MIB) * 1024;

    if (config->extra && strstr(config->extra, "--no-huge"))
        return false;
    if (geteuid() != 0 || huge_sum_kib(kib, false) < kib)
        return false;
    if (runtime_fd >= 0)
        flock(runtime_fd, LOCK_EX);
    return huge_sum_kib(kib, true) >= kib;
}

/* EAL makes a directory for its files even when it is told to have none. */
static void runtime_directory(char *out, size_t out_bytes)
{
    const char *base = getenv("XDG_RUNTIME_DIR");

    if (geteuid() == 0)
        base = "/var/run";
    else if (!base || access(base, W_OK))
        base = "/tmp";
    snprintf(out, out_bytes, "%s", base);
}

bool gx_eal_is_pci(const char *device)
{
    static const char shape[] = "xxxx:xx:xx.x";
    size_t i = 0;

    for (; shape[i]; i++)
        if (shape[i] == 'x' ? !isxdigit((unsigned char)device[i]) : device[i] != shape[i])
            return false;
    return device[i] == '\0' || device[i] == ',';
}

static int pci_add(const struct gx_eal_config *config, char *error, size_t error_bytes)
{
    uint32_t count = 0;
    int ret = 0;

    for (uint32_t i = 0; !ret && i < config->device_count; i++) {
        if (!gx_eal_is_pci(config->devices[i]))
            continue;
        count++;
        ret = arg_add("--allow=%s", config->devices[i], error, error_bytes);
    }
    if (!ret && !count)
        ret = arg_add("%s", "--no-pci", error, error_bytes);
    return ret;
}

static int args_make(const struct gx_eal_config *config, char *error, size_t error_bytes)
{
    uint32_t memory_mib = config->memory_mib ? config->memory_mib : MEMORY_MIB;
    char number[16], cpus[ARG_BYTES_MAX];
    int ret;

    eal.argc = 0;
    eal.text_bytes = 0;
    snprintf(number, sizeof(number), "%u", memory_mib);
    if (config->lcores && config->lcores[0])
        snprintf(cpus, sizeof(cpus), "%s", config->lcores);
    else
        cpus_allowed(cpus, sizeof(cpus));

    ret = arg_add("%s", config->program, error, error_bytes);
    if (!ret)
        ret = arg_add("--log-level=*:%s", "error", error, error_bytes);
    if (!ret)
        ret = arg_add("--iova-mode=%s", "va", error, error_bytes);
    if (!ret)
        ret = arg_add("--lcores=0@(%s)", cpus, error, error_bytes);
    if (!ret)
        ret = arg_add("-m%s", number, error, error_bytes);
    if (!ret)
        ret = arg_add("%s", "--no-telemetry", error, error_bytes);
    if (!ret && eal.huge)
        ret = arg_add("%s", "--in-memory", error, error_bytes);
    if (!ret && !eal.huge)
        ret = arg_add("%s", "--no-huge", error, error_bytes);
    if (!ret && !eal.huge)
        ret = arg_add("%s", "--no-shconf", error, error_bytes);
    if (!ret)
        ret = arg_add("--file-prefix=%s", "gx", error, error_bytes);
    if (!ret)
        ret = pci_add(config, error, error_bytes);
    if (!ret && config->extra)
        ret = extra_add(config->extra, error, error_bytes);
    eal.argv[eal.argc] = NULL;
    return ret;
}

/* EAL makes BASE/dpdk and BASE/dpdk/gx one after the other. Whoever is at it holds a shared lock on BASE, and they are removed
 * only where nobody is: the last of several that start at once. */
static int runtime_enter(const char *base)
{
    int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        flock(fd, LOCK_SH);
    return fd;
}

static void runtime_leave(const char *base, int fd)
{
    char path[ARG_BYTES_MAX + 16];

    if (fd < 0)
        return;
    if (!flock(fd, LOCK_EX | LOCK_NB)) {
        snprintf(path, sizeof(path), "%s/dpdk/gx", base);
        rmdir(path); /* both only when empty */
        snprintf(path, sizeof(path), "%s/dpdk", base);
        rmdir(path);
    }
    close(fd);
}

int gx_eal_init(const struct gx_eal_config *config, char *error, size_t error_bytes)
{
    char base[ARG_BYTES_MAX];
    cpu_set_t cpus;
    bool have_cpus;
    int runtime_fd, ret;

    if (eal.started)
        return 0;
    runtime_directory(base, sizeof(base));
    if (geteuid() != 0)
        setenv("XDG_RUNTIME_DIR", base, 1);
    runtime_fd = runtime_enter(base);
    eal.huge = huge_enough(config, runtime_fd);
    ret = args_make(config, error, error_bytes);
    if (ret) {
        runtime_leave(base, runtime_fd);
        return ret;
    }
    have_cpus = sched_getaffinity(0, sizeof(cpus), &cpus) == 0;
    log_open();
    ret = rte_eal_init(eal.argc, eal.argv);
    runtime_leave(base, runtime_fd);
    if (ret < 0) {
        ret = rte_errno ? -rte_errno : -EIO;
        snprintf(error, error_bytes, "DPDK does not start: %s%s%s; %s", strerror(-ret),
                 eal.said[0] ? "; " : "", eal.said,
                 eal.huge && ret == -ENOMEM
                     ? "somebody else took the huge pages just now? try again"
                     : "look at `lcores:` and `eal:` in the config");
        return ret;
    }
    eal.started = true;
    if (have_cpus)
        sched_setaffinity(0, sizeof(cpus), &cpus);
    return 0;
}

void gx_eal_fini(void)
{
    if (!eal.started)
        return;
    /* No rte_eal_cleanup(): it unmaps memory under EAL's interrupt thread, which nothing in 22.11 ends, and a memif peer that
     * hangs up just then is a crash. No file is left, devices are closed, and the process is about to end. */
    rte_openlog_stream(NULL);
    if (eal.log)
        fclose(eal.log);
    eal.log = NULL;
    eal.started = false;
}

bool gx_eal_huge(void)
{
    return eal.huge;
}

int gx_eal_thread(void)
{
    if (rte_lcore_id() != LCORE_ID_ANY)
        return 0;
    return rte_thread_register() ? -rte_errno : 0;
}
