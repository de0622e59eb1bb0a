/* main: what of a gxd may block. It starts the parts in their order and serves signals, the attach socket, the journal
 * and the log. The packets are the worker's (worker.c). */
#include "main.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port/clock.h"

#define LEAVE_NS                                                                                   \
    (1700 * GX_NS_PER_MS) /* SIGTERM to exit within 2 s, the rest is for the worker's end */
#define STOP_NS (200 * GX_NS_PER_MS)
#define RETRY_MIN_NS (100 * GX_NS_PER_MS)
#define RETRY_MAX_NS (5 * GX_NS_PER_S)

enum { FD_SIGNAL, FD_WAKE, FD_CONTROL, FD_COUNT = FD_CONTROL + GX_CONTROL_FDS };

/* ---- start ---- */

static void random_fill(void *out, size_t bytes)
{
    while (getrandom(out, bytes, 0) != (ssize_t)bytes) /* short only when a signal came */
        ;
}

static uint64_t random_u64(void)
{
    uint64_t value = 0;

    while (!value)
        random_fill(&value, sizeof(value));
    return value;
}

/* PROTOCOL.md section 1: the largest multiple of 64 that fits beside IP, UDP and our header. */
static uint32_t shard_bytes(uint32_t mtu, bool v6)
{
    uint32_t headers = (v6 ? 40 : 20) + 8 + GX_HEADER_BYTES;
    uint32_t bytes = (mtu - headers) / 64 * 64;

    return bytes > GX_SHARD_MAX_BYTES ? GX_SHARD_MAX_BYTES : bytes;
}

static int links_configure(struct gxd *gxd)
{
    const struct gx_config *config = &gxd->config;
    struct gx_links_config *links = &gxd->core_config.links;
    bool v6 = false;

    links->site_count = config->site_count;
    links->self = config->self;
    for (uint32_t i = 0; i < config->site_count; i++) {
        memcpy(links->names[i], config->sites[i].name, GX_NAME_MAX);
        if (gx_addr_parse(&links->addrs[i], config->sites[i].address)) {
            gx_error_log("sites[%u].address '%s' is no numeric host:port", i,
                         config->sites[i].address);
            return -EINVAL;
        }
        if (!gxd->ports[0]->ops->reaches(gxd->ports[0], &links->addrs[i])) {
            gx_error_log("site %s at %s is not reached from port %s: %s", config->sites[i].name,
                         config->sites[i].address,
                         config->port_device[0] ? config->port_address : config->port_udp,
                         config->port_device[0] ? "it is on another network: give port.gateway"
                                                : "give both IPv4 or both IPv6");
            return -EINVAL;
        }
        v6 |= gx_addr_is_v6(&links->addrs[i]);
        links->ip_udp_bytes[i] = gx_addr_is_v6(&links->addrs[i]) ? 48 : 28;
        for (uint32_t w = 1; w < config->workers; w++) {
            gxd->core_config.lane_addrs[w - 1][i] = links->addrs[i];
            gx_addr_shift(&gxd->core_config.lane_addrs[w - 1][i], w); /* the config has room */
        }
    }
    links->rate_bps = config->rate_bps;
    links->recv_rate_bps = config->recv_rate_bps;
    links->rate_algorithm = config->rate_algorithm;
    links->loss_floor = config->loss_floor_percent / 100.0;
    links->mtu = config->mtu;
    links->shard_bytes = shard_bytes(config->mtu, v6);
    links->incarnation = random_u64();
    links->seed = random_u64();
    random_fill(links->secret, sizeof(links->secret));
    links->counters = gxd->stat->workers;
    links->workers = config->workers;
    return 0;
}

static int security_configure(struct gxd *gxd)
{
    struct gx_links_config *links = &gxd->core_config.links;
    char error[512];
    int ret;

    links->secure = gxd->config.secure;
    if (!links->secure) {
        gx_warn_log("security: none: whoever is on the path can read and change what is sent; "
                    "gxctl key generate, `security: psk` and `key` prevent that");
        return 0;
    }
    ret = gx_config_key_load(&gxd->config, links->psk, error, sizeof(error));
    if (ret)
        gx_error_log("%s", error);
    return ret ? -EINVAL : 0;
}

static void known_configure(struct gxd *gxd)
{
    for (uint32_t i = 0; i < gxd->config.site_count; i++) {
        struct gx_known *known = &gxd->core_config.links.known[i];

        *known = gx_known_aged(&gxd->stat->known[i], gxd->stat->started_ns);
        if (known->packets > 0)
            gx_info_log("site %s: known from before: loss %.2f%%, in bursts of %.1f, %.1f Mbit/s",
                        gxd->config.sites[i].name, (double)known->loss_ppm / 1e4,
                        (double)known->burst_milli / 1e3, (double)known->rate_bps / 1e6);
    }
}

static int core_configure(struct gxd *gxd)
{
    struct gx_core_config *core = &gxd->core_config;
    const struct gx_config *config = &gxd->config;

    core->deadline_ns = config->deadline_ns;
    core->fetch_wait_ns = config->fetch_wait_ns;
    core->rewind_after_ns = config->rewind_after_ns;
    core->start_sites = config->start_sites;
    core->min_sites = config->min_sites;
    core->keep_rounds = config->keep_rounds;
    core->memory_bytes = config->memory_bytes;
    core->counters = gxd->stat->workers;
    core->view = &gxd->stat->view;
    known_configure(gxd);
    return links_configure(gxd);
}

static void stat_fill(struct gxd *gxd)
{
    const struct gx_config *config = &gxd->config;
    struct gx_stat_file *stat = gxd->stat;

    stat->self = config->self;
    stat->site_count = config->site_count;
    stat->incarnation = gxd->core_config.links.incarnation;
    stat->rate_bps = config->rate_bps;
    stat->mtu = config->mtu;
    stat->shard_bytes = gxd->core_config.links.shard_bytes;
    stat->worker_count = config->workers;
    for (uint32_t i = 0; i < config->site_count; i++) {
        memcpy(stat->site_names[i], config->sites[i].name, sizeof(stat->site_names[i]));
        memcpy(stat->site_addresses[i], config->sites[i].address, sizeof(stat->site_addresses[i]));
    }
    gxd->ports[0]->ops->describe(gxd->ports[0], stat->port);
}

/* gxctl knows only the socket: SOCKET.state leads it to the state directory wherever that is. */
static void state_link(const struct gx_config *config)
{
    char link[GX_CONFIG_PATH_MAX + 8], target[PATH_MAX], found[PATH_MAX];

    snprintf(link, sizeof(link), "%s.state", config->socket);
    if (!realpath(config->state, target) || (realpath(link, found) && !strcmp(found, target)))
        return;
    unlink(link); /* a link to a former place; a directory stays and is told of below */
    if (symlink(target, link))
        gx_warn_log("%s: cannot be made a link to %s: %s; gxctl looks there: move it away", link,
                    target, strerror(errno));
}

/* Of the gxd before this one. */
static void known_find(const struct gx_config *config, struct gx_known known[GX_SITES_MAX])
{
    const struct gx_stat_file *last;
    bool alive;

    memset(known, 0, GX_SITES_MAX * sizeof(*known));
    if (gx_stat_open(config->state, &last, &alive))
        return;
    for (uint32_t i = 0; i < config->site_count; i++)
        known[i] = gx_known_of(last, config->sites[i].name);
    gx_stat_unmap(last);
}

static int state_open(struct gxd *gxd)
{
    const char *directory = gxd->config.state;
    struct gx_known known[GX_SITES_MAX];
    int ret;

    known_find(&gxd->config, known); /* the file is about to be replaced */
    ret = gx_stat_create(directory, &gxd->stat, &gxd->stat_fd);
    if (ret == -EWOULDBLOCK)
        gx_error_log("%s: another gxd keeps its state here: choose another `state:`", directory);
    else if (ret)
        gx_error_log("%s: cannot create the state directory and its counters: %s", directory,
                     strerror(-ret));
    if (ret)
        return ret;
    gx_log_init(gxd->config.log_level, gxd->stat);
    memcpy(gxd->stat->known, known, sizeof(known));
    state_link(&gxd->config);
    return 0;
}

static int replay_entry(void *ctx, const uint8_t *entry, size_t bytes)
{
    return gx_core_replay(ctx, entry, bytes);
}

static int journal_open(struct gxd *gxd)
{
    uint64_t count = 0, torn_bytes = 0;
    char path[512];
    int ret;

    gxd->journal.fd = -1;
    if (gxd->config.self != 0) /* the first site is the coordinator */
        return 0;
    gx_journal_file_path(path, sizeof(path), gxd->config.state, &gxd->config);
    ret = gx_journal_file_open(&gxd->journal, path, replay_entry, gxd->core, &count, &torn_bytes);
    if (ret == -EBADMSG)
        gx_error_log(
            "%s: damaged after %llu records: the %llu bytes behind them are more than a crash "
            "can tear; restore the file, or move it away to begin a new epoch",
            path, (unsigned long long)count, (unsigned long long)torn_bytes);
    else if (ret == -EPROTO)
        gx_error_log("%s: record %llu is of another version of the journal: start the gxd that "
                     "wrote it, or move the file away to begin a new epoch",
                     path, (unsigned long long)count + 1);
    else if (ret)
        gx_error_log("%s: cannot open the journal: %s", path, strerror(-ret));
    if (ret)
        return ret;
    if (torn_bytes)
        gx_warn_log(
            "%s: cut off %llu bytes of an entry that a crash tore; it was never acknowledged", path,
            (unsigned long long)torn_bytes);
    gx_info_log("%s: %llu records", path, (unsigned long long)count);
    return 0;
}

static int wake_open(struct gxd *gxd)
{
    gxd->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return gxd->wake_fd < 0 ? -errno : 0;
}

static int port_open(struct gxd *gxd)
{
    const struct gx_config *c = &gxd->config;
    struct gx_port_config config = {
        .address = c->port_device[0] ? c->port_address : c->port_udp,
        .device = c->port_device,
        .gateway = c->port_gateway,
        .udp_port = (uint16_t)c->port_udp_port,
        .mtu = c->mtu,
        .lcores = c->lcores,
        .eal = c->eal,
    };
    char error[512];
    int ret = gx_ports_open(&config, gxd->ports, c->workers, error, sizeof(error));

    if (ret)
        gx_error_log("%s", error);
    return ret;
}

static int workers_start(struct gxd *gxd)
{
    int ret = 0;

    while (gxd->started < gxd->config.workers && !ret) {
        ret = gx_worker_start(&gxd->workers[gxd->started], gxd->config.priority);
        gxd->started += ret == 0;
    }
    if (ret == -EPERM && gxd->config.priority)
        gx_error_log(
            "priority: %u is not permitted here: start gxd as root or with CAP_SYS_NICE, "
            "raise the limit (LimitRTPRIO=%u and RestrictRealtime=no in its unit), or leave "
            "`priority` out",
            gxd->config.priority, gxd->config.priority);
    else if (ret)
        gx_error_log("cannot start worker %u: %s", gxd->started, strerror(-ret));
    return ret;
}

static int workers_open(struct gxd *gxd)
{
    char error[256];
    int ret;

    for (uint32_t w = 0; w < gxd->config.workers; w++) {
        ret = gx_worker_init(gxd->workers, w, gxd->core, gxd->ports[w], &gxd->stat->workers[w],
                             gxd->wake_fd);
        if (ret) {
            gx_error_log("cannot make worker %u: %s", w, strerror(-ret));
            return ret;
        }
    }
    ret = gx_control_open(&gxd->control, &gxd->config, &gxd->core_config, &gxd->workers[0],
                          &gxd->stat->counters, error, sizeof(error));
    if (ret) {
        gx_error_log("%s", error);
        return ret;
    }
    gxd->control.stat = gxd->stat;
    return gxd->worker_elsewhere ? 0 : workers_start(gxd);
}

int gxd_start(struct gxd *gxd)
{
    char error[256];
    int ret;

    gx_log_init(gxd->config.log_level, NULL);
    gxd->lock_fd = gx_control_lock(gxd->config.socket, error, sizeof(error));
    if (gxd->lock_fd < 0) {
        gx_error_log("%s", error);
        return gxd->lock_fd;
    }
    ret = wake_open(gxd);
    if (!ret)
        ret = state_open(gxd);
    if (!ret)
        ret = port_open(gxd);
    if (!ret)
        ret = core_configure(gxd);
    if (!ret)
        ret = security_configure(gxd);
    if (ret)
        return ret;
    stat_fill(gxd);
    gxd->core = gx_core_create(&gxd->core_config, gx_clock_ns());
    explicit_bzero(gxd->core_config.links.psk, sizeof(gxd->core_config.links.psk));
    explicit_bzero(gxd->core_config.links.secret, sizeof(gxd->core_config.links.secret));
    if (!gxd->core) {
        gx_error_log("out of memory");
        return -ENOMEM;
    }
    ret = journal_open(gxd);
    return ret ? ret : workers_open(gxd);
}

/* ---- the journal ---- */

static void journal_failed(struct gxd *gxd, int error, uint64_t now)
{
    gxd->journal_backoff_ns = gxd->journal_backoff_ns ? gxd->journal_backoff_ns * 2 : RETRY_MIN_NS;
    if (gxd->journal_backoff_ns > RETRY_MAX_NS)
        gxd->journal_backoff_ns = RETRY_MAX_NS;
    gxd->journal_retry_ns = now + gxd->journal_backoff_ns;
    gx_error_log("%s: cannot write the journal: %s; no round is decided until it can be written",
                 gxd->journal.path, strerror(-error));
}

/* Makes all that waits durable with one sync, then says so to the worker, in order. */
static void journal_serve(struct gxd *gxd)
{
    struct gx_journal_slice slices[GX_JOURNAL_BATCH_MAX];
    uint64_t sequences[GX_JOURNAL_BATCH_MAX];
    uint64_t start_ns = gx_clock_ns();
    const struct gx_entry *entry;
    size_t count = 0;
    int ret;

    if (start_ns < gxd->journal_retry_ns)
        return;
    for (;
         count < GX_JOURNAL_BATCH_MAX && (entry = gx_mailbox_peek(&gxd->workers[0].journal, count));
         count++) {
        slices[count] = (struct gx_journal_slice){entry->bytes, entry->byte_count};
        sequences[count] = entry->sequence;
    }
    if (!count)
        return;
    ret = gx_journal_file_append(&gxd->journal, slices, count);
    if (ret) {
        journal_failed(gxd, ret, start_ns);
        return;
    }
    if (gxd->journal_backoff_ns)
        gx_info_log("%s: the journal can be written again", gxd->journal.path);
    gxd->journal_retry_ns = gxd->journal_backoff_ns = 0;
    gxd->stat->counters.site[GX_SITE_journal_write_seconds_ns] += gx_clock_ns() - start_ns;
    gx_mailbox_done(&gxd->workers[0].journal, count);
    for (size_t i = 0; i < count; i++) {
        struct gx_order order = {.type = GX_ORDER_JOURNALLED, .sequence = sequences[i]};

        gx_worker_order(&gxd->workers[0], &order);
    }
}

/* ---- the loop ---- */

static void on_ready(struct gxd *gxd)
{
    const struct gx_config *config = &gxd->config;

    __atomic_store_n(&gxd->stat->ready, 1, __ATOMIC_RELEASE);
    gx_info_log("gxd %s: site %s (%u of %u) ready: %s, trainers at %s", GXD_VERSION, config->site,
                config->self + 1, config->site_count, gxd->stat->port, config->socket);
    gx_notify_ready(&gxd->notify, gxd->stat->port);
}

static void notice_serve(struct gxd *gxd, const struct gx_notice *notice)
{
    switch (notice->type) {
    case GX_NOTICE_READY:
        if (++gxd->ready == gxd->config.workers)
            on_ready(gxd);
        break;
    case GX_NOTICE_FAILED:
        gx_error_log("the port does not start: %s", strerror(-notice->error));
        gxd->exit_code = EXIT_FAILURE;
        gxd->ended = true;
        break;
    case GX_NOTICE_NOTE:
        gx_log(notice->level, "%s", notice->text);
        break;
    case GX_NOTICE_LEFT:
        gx_control_notice(&gxd->control, notice);
        gxd->ended |= gxd->leave_end_ns || gxd->control.leave_asked;
        break;
    default:
        gx_control_notice(&gxd->control, notice);
        break;
    }
}

static void notices_serve(struct gxd *gxd)
{
    const struct gx_notice *notice;

    for (uint32_t w = 0; w < gxd->config.workers; w++)
        while ((notice = gx_mailbox_peek(&gxd->workers[w].notices, 0))) {
            notice_serve(gxd, notice);
            gx_mailbox_done(&gxd->workers[w].notices, 1);
        }
}

/* The first signal leaves the run, a second one does not wait for that. */
static void signal_serve(struct gxd *gxd)
{
    struct gx_order order = {.type = GX_ORDER_LEAVE};
    struct signalfd_siginfo info;

    if (read(gxd->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (gxd->leave_end_ns) {
        gxd->ended = true;
        return;
    }
    gx_info_log("%s: leaving", info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
    gx_notify_stopping(&gxd->notify);
    gxd->leave_end_ns = gx_clock_ns() + LEAVE_NS;
    gx_worker_order(&gxd->workers[0], &order);
}

static int timeout_ms(const struct gxd *gxd)
{
    uint64_t due = gx_control_due_ns(&gxd->control), now = gx_clock_ns();

    if (gxd->journal_retry_ns && gxd->journal_retry_ns < due)
        due = gxd->journal_retry_ns;
    if (gxd->leave_end_ns && gxd->leave_end_ns < due)
        due = gxd->leave_end_ns;
    if (gxd->notify.watchdog_due_ns < due)
        due = gxd->notify.watchdog_due_ns;
    if (due == UINT64_MAX)
        return -1;
    return due <= now ? 0 : (int)((due - now) / GX_NS_PER_MS) + 1;
}

/* The oldest of the workers'. */
static uint64_t heartbeat_ns(const struct gxd *gxd)
{
    uint64_t oldest = UINT64_MAX;

    for (uint32_t w = 0; w < gxd->config.workers; w++) {
        uint64_t beat = GX_COUNTER_READ(gxd->stat->workers[w].site[GX_SITE_heartbeat_ns]);

        oldest = beat < oldest ? beat : oldest;
    }
    return oldest;
}

void gxd_serve(struct gxd *gxd)
{
    struct pollfd fds[FD_COUNT] = {
        [FD_SIGNAL] = {.fd = gxd->signal_fd, .events = POLLIN},
        [FD_WAKE] = {.fd = gxd->wake_fd, .events = POLLIN},
    };
    uint32_t count = gx_control_fds(&gxd->control, &fds[FD_CONTROL]);
    eventfd_t wakes;

    if (poll(fds, FD_CONTROL + count, timeout_ms(gxd)) < 0)
        return;
    /* Before the mailboxes: a wake that comes while they are read is then not lost. */
    eventfd_read(gxd->wake_fd, &wakes);
    journal_serve(gxd); /* rounds wait for it */
    notices_serve(gxd);
    gx_notify_watchdog(&gxd->notify, heartbeat_ns(gxd), gx_clock_ns());
    gx_control_serve(&gxd->control, &fds[FD_CONTROL], count);
    if (fds[FD_SIGNAL].revents)
        signal_serve(gxd);
    if (gxd->leave_end_ns && gx_clock_ns() >= gxd->leave_end_ns) {
        gx_warn_log("not every site has what it needs from here: ending all the same");
        gxd->ended = true;
    }
}

void gxd_end(struct gxd *gxd)
{
    __atomic_store_n(&gxd->ended, true, __ATOMIC_RELEASE);
    eventfd_write(gxd->wake_fd, 1);
}

bool gxd_ended(const struct gxd *gxd)
{
    return __atomic_load_n(&gxd->ended, __ATOMIC_ACQUIRE);
}

void gxd_halt(struct gxd *gxd)
{
    struct gx_order order = {.type = GX_ORDER_STOP};

    if (gxd->halted)
        return;
    gxd->halted = true;
    gx_notify_stopping(&gxd->notify); /* also where gxctl asked to leave */
    if (gxd->worker_elsewhere) {
        for (uint32_t w = 0; w < gxd->config.workers; w++)
            gx_worker_order(&gxd->workers[w], &order);
        return;
    }
    /* In its own time or not at all: the system takes back what a stuck worker holds. */
    for (uint32_t w = gxd->started; w-- > 0;) {
        if (!gx_worker_stop(&gxd->workers[w], STOP_NS))
            continue;
        gx_error_log("worker %u does not stop", w);
        unlink(gxd->config.socket);
        _exit(gxd->exit_code ? gxd->exit_code : 1);
    }
}

void gxd_finish(struct gxd *gxd)
{
    gxd_halt(gxd);
    notices_serve(gxd); /* what they said last */
    for (uint32_t w = gxd->config.workers; w-- > 0;) {
        gxd->ports[w]->ops->close(gxd->ports[w]);
        gxd->workers[w].port = NULL;
    }
    gx_core_destroy(gxd->core);
    gx_control_close(&gxd->control);
    gx_journal_file_close(&gxd->journal);
    for (uint32_t w = 0; w < gxd->config.workers; w++)
        gx_worker_fini(&gxd->workers[w]);
    gx_log_init(gxd->config.log_level, NULL);
    gx_stat_close(gxd->stat, gxd->stat_fd);
    close(gxd->wake_fd);
    close(gxd->lock_fd);
    gx_info_log("gxd ended");
}
