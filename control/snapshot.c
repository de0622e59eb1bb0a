#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROW_TRIES 100

static const char *const reason_texts[] = {
#define GX_REASON(name, text) text,
#include "errors.def"
#undef GX_REASON
};

/* Copies a row that its writer guards with a sequence, odd while it writes. A row whose writer died in the middle is
 * taken as it is. */
static void copy_row(void *to, const void *from, size_t bytes, const uint32_t *sequence)
{
    for (int i = 0; i < ROW_TRIES; i++) {
        uint32_t before = __atomic_load_n(sequence, __ATOMIC_ACQUIRE);
        memcpy(to, from, bytes);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (before % 2 == 0 && before == __atomic_load_n(sequence, __ATOMIC_RELAXED))
            return;
    }
}

/* The other process may be broken: texts end, indices are in range. */
static void sanitize(struct gx_stat_file *f)
{
    if (f->site_count > GX_SITES_MAX)
        f->site_count = GX_SITES_MAX;
    if (f->worker_count < 1 || f->worker_count > GX_WORKERS_MAX)
        f->worker_count = 1;
    if (f->self >= GX_SITES_MAX)
        f->self = 0;
    for (unsigned i = 0; i < GX_SITES_MAX; i++) {
        f->site_names[i][GX_NAME_MAX - 1] = '\0';
        f->site_addresses[i][sizeof(f->site_addresses[i]) - 1] = '\0';
    }
    f->port[sizeof(f->port) - 1] = '\0';
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++)
        f->view.rows[i].run[GX_NAME_MAX - 1] = '\0';
    for (unsigned i = 0; i < GX_DECISIONS; i++)
        f->view.decisions[i].run[GX_NAME_MAX - 1] = '\0';
    for (unsigned i = 0; i < GX_STAT_ERRORS; i++)
        f->errors[i].text[sizeof(f->errors[i].text) - 1] = '\0';
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static enum gx_snapshot_state state_of(const struct gx_snapshot *s, bool alive)
{
    uint64_t beat_ns = s->file.counters.site[GX_SITE_heartbeat_ns];

    if (!alive)
        return GX_SNAPSHOT_DEAD;
    if (!s->file.ready)
        return GX_SNAPSHOT_STARTING;
    if (s->now_ns > beat_ns && s->now_ns - beat_ns > GX_SNAPSHOT_STUCK_NS)
        return GX_SNAPSHOT_STUCK;
    return GX_SNAPSHOT_RUNNING;
}

static void copy_file(struct gx_stat_file *to, const struct gx_stat_file *from)
{
    memcpy(to, from, sizeof(*to));
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++)
        copy_row(&to->view.rows[i], &from->view.rows[i], sizeof(from->view.rows[i]),
                 &from->view.rows[i].sequence);
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++)
        for (unsigned t = 0; from->view.rows[i].used && t < GX_TRACES; t++)
            copy_row(&to->view.traces[i][t], &from->view.traces[i][t],
                     sizeof(from->view.traces[i][t]), &from->view.traces[i][t].sequence);
    for (unsigned i = 0; i < GX_DECISIONS; i++)
        copy_row(&to->view.decisions[i], &from->view.decisions[i], sizeof(from->view.decisions[i]),
                 &from->view.decisions[i].sequence);
    for (unsigned i = 0; i < GX_STAT_ERRORS; i++)
        copy_row(&to->errors[i], &from->errors[i], sizeof(from->errors[i]),
                 &from->errors[i].sequence);
    sanitize(to);
}

/* Names both versions of a file that gx_stat_open() refused. */
static int fail_version(const struct gx_ctl *ctl, const char *directory)
{
    struct {
        uint64_t magic;
        uint32_t version_major, version_minor;
        uint64_t bytes;
    } header = {0};
    char path[PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s/counters", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, &header, sizeof(header), 0);
    if (fd >= 0)
        close(fd);
    if (n != (ssize_t)sizeof(header) || header.magic != GX_STAT_MAGIC)
        return gx_ctl_fail(ctl, GX_CTL_FAILED, "%s is no counters file", path);
    return gx_ctl_fail(ctl, GX_CTL_FAILED,
                       "%s has version %u.%u (%llu bytes), this gxctl reads %u.%u (%zu bytes): use "
                       "the gxctl that came with that gxd",
                       path, header.version_major, header.version_minor,
                       (unsigned long long)header.bytes, GX_STAT_VERSION_MAJOR,
                       GX_STAT_VERSION_MINOR, sizeof(struct gx_stat_file));
}

static int fail_open(const struct gx_ctl *ctl, const char *directory, int rc)
{
    if (rc == -EPROTO)
        return fail_version(ctl, directory);
    if (rc == -ENOENT || rc == -ENOTDIR)
        return gx_ctl_fail(ctl, GX_CTL_ABSENT,
                           "no gxd has ever run at %s (%s/counters is not there); -s names another "
                           "socket",
                           ctl->socket, directory);
    return gx_ctl_fail(ctl, GX_CTL_FAILED, "%s/counters: %s", directory, strerror(-rc));
}

static void directory_of(const struct gx_ctl *ctl, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s%s", ctl->state ? ctl->state : ctl->socket,
             ctl->state ? "" : ".state");
}

int gx_snapshot_look(const struct gx_ctl *ctl, struct gx_snapshot **out)
{
    char directory[PATH_MAX];
    const struct gx_stat_file *file;
    bool alive;

    directory_of(ctl, directory);
    int rc = gx_stat_open(directory, &file, &alive);
    if (rc != 0)
        return rc;
    struct gx_snapshot *s = calloc(1, sizeof(*s));
    if (s) {
        copy_file(&s->file, file);
        s->first = s->file.counters;
        for (uint64_t w = 1; w < s->file.worker_count; w++)
            gx_counters_add(&s->file.counters, &s->file.workers[w]);
        s->now_ns = clock_ns(CLOCK_MONOTONIC);
        s->realtime_ns = clock_ns(CLOCK_REALTIME);
        s->state = state_of(s, alive);
    }
    gx_stat_unmap(file);
    *out = s;
    return s ? 0 : -ENOMEM;
}

int gx_snapshot_take(const struct gx_ctl *ctl, struct gx_snapshot **out)
{
    char directory[PATH_MAX];
    int rc = gx_snapshot_look(ctl, out);

    directory_of(ctl, directory);
    return rc == 0 ? 0 : fail_open(ctl, directory, rc);
}

void gx_snapshot_free(struct gx_snapshot *snapshot)
{
    free(snapshot);
}

int gx_snapshot_exit(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    double beat = gx_snapshot_age_seconds(s, s->file.counters.site[GX_SITE_heartbeat_ns]);

    switch (s->state) {
    case GX_SNAPSHOT_RUNNING:
        return GX_CTL_OK;
    case GX_SNAPSHOT_STUCK:
        return gx_ctl_fail(ctl, GX_CTL_FAILED,
                           "gxd (pid %u) is stuck: its worker's last sign of life is %.0f s old",
                           s->file.pid, beat);
    case GX_SNAPSHOT_STARTING:
        return gx_ctl_fail(ctl, GX_CTL_ABSENT, "gxd (pid %u) is starting, not ready yet",
                           s->file.pid);
    case GX_SNAPSHOT_DEAD:
        break;
    }
    return gx_ctl_fail(ctl, GX_CTL_ABSENT,
                       "gxd is dead (it was pid %u): these are its last counters", s->file.pid);
}

int gx_snapshot_show(const struct gx_ctl *ctl, gx_snapshot_print *json, gx_snapshot_print *people)
{
    struct gx_snapshot *snapshot;
    int code = gx_snapshot_take(ctl, &snapshot);

    if (code != GX_CTL_OK)
        return code;
    (ctl->json ? json : people)(ctl, snapshot);
    code = gx_snapshot_exit(ctl, snapshot);
    gx_snapshot_free(snapshot);
    return code;
}

const char *gx_snapshot_state_name(enum gx_snapshot_state state)
{
    static const char *const names[] = {"running", "stuck", "starting", "dead"};

    return names[state];
}

enum gx_link_state gx_snapshot_link(const struct gx_snapshot *s, uint32_t site)
{
    const uint64_t *link = s->file.counters.link[site];

    if (site == s->file.self)
        return GX_LINK_STATE_SELF;
    if (link[GX_LINK_refused])
        return GX_LINK_STATE_REFUSED;
    if (!link[GX_LINK_up] || s->state == GX_SNAPSHOT_DEAD)
        return GX_LINK_STATE_DOWN;
    return link[GX_LINK_path_short] ? GX_LINK_STATE_MTU : GX_LINK_STATE_UP;
}

bool gx_snapshot_path(const struct gx_snapshot *s, uint32_t peer, char out[GX_SNAPSHOT_PATH_MAX])
{
    const uint64_t *link = s->file.counters.link[peer];
    unsigned long long carries = link[GX_LINK_path_bytes], full = link[GX_LINK_path_needs_bytes];

    if (gx_snapshot_link(s, peer) != GX_LINK_STATE_MTU)
        return false;
    if (carries)
        snprintf(out, GX_SNAPSHOT_PATH_MAX,
                 "the path carries %llu bytes, a full packet has %llu (`mtu: %llu`): no shard is "
                 "sent there",
                 carries, full, (unsigned long long)s->file.mtu);
    else
        snprintf(out, GX_SNAPSHOT_PATH_MAX,
                 "full packets (%llu bytes, `mtu: %llu`) get lost, small ones do not: no shard is "
                 "sent there; the size that passes is being looked for",
                 full, (unsigned long long)s->file.mtu);
    return true;
}

bool gx_snapshot_path_back(const struct gx_snapshot *s, uint32_t peer,
                           char out[GX_SNAPSHOT_PATH_MAX])
{
    const uint64_t *link = s->file.counters.link[peer];

    if (!link[GX_LINK_path_back_bytes] || !link[GX_LINK_up])
        return false;
    snprintf(out, GX_SNAPSHOT_PATH_MAX,
             "its path to here carries %llu bytes, less than a full packet: it sends no shard here",
             (unsigned long long)link[GX_LINK_path_back_bytes]);
    return true;
}

const char *gx_link_state_name(enum gx_link_state state)
{
    static const char *const names[] = {"self", "up", "down", "refused", "mtu"};

    return names[state];
}

const char *gx_snapshot_phase_name(uint32_t phase)
{
    static const char *const names[] = {
        [GX_PHASE_NONE] = "none",         [GX_PHASE_IDLE] = "idle",
        [GX_PHASE_OFFERED] = "offered",   [GX_PHASE_DECIDED] = "decided",
        [GX_PHASE_REDUCED] = "reduced",   [GX_PHASE_BEHIND] = "behind",
        [GX_PHASE_FETCHING] = "fetching", [GX_PHASE_REFUSED] = "refused",
    };

    return phase < sizeof(names) / sizeof(names[0]) ? names[phase] : "unknown";
}

const char *gx_snapshot_reason_text(uint64_t reason)
{
    if (reason >= sizeof(reason_texts) / sizeof(reason_texts[0]))
        return "a reason that this gxctl does not know";
    return reason_texts[reason];
}

double gx_snapshot_age_seconds(const struct gx_snapshot *s, uint64_t then_ns)
{
    if (then_ns == 0 || then_ns > s->now_ns)
        return then_ns == 0 ? -1 : 0;
    return (double)(s->now_ns - then_ns) / 1e9;
}

const char *gx_snapshot_names(const struct gx_snapshot *s, uint32_t mask, char *out)
{
    size_t at = 0;

    for (uint32_t i = 0; i < s->file.site_count; i++)
        if (mask & 1u << i)
            at += (size_t)snprintf(out + at, GX_SNAPSHOT_NAMES_MAX - at, "%s%s", at ? "," : "",
                                   s->file.site_names[i]);
    if (at == 0)
        strcpy(out, "-");
    return out;
}

json_t *gx_snapshot_names_json(const struct gx_snapshot *s, uint32_t mask)
{
    json_t *names = json_array();

    for (uint32_t i = 0; i < s->file.site_count; i++)
        if (mask & 1u << i)
            json_array_append_new(names, json_string(s->file.site_names[i]));
    return names;
}

void gx_json_u64(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

void gx_json_text(json_t *object, const char *key, const char *value)
{
    /* json_string() gives NULL for text that is not UTF-8 */
    json_t *text = value ? json_string(value) : NULL;

    json_object_set_new(object, key, text ? text : json_null());
}

json_t *gx_snapshot_json(const struct gx_snapshot *s)
{
    json_t *object = json_object();

    gx_json_text(object, "site", s->file.site_names[s->file.self]);
    gx_json_text(object, "state", gx_snapshot_state_name(s->state));
    gx_json_u64(object, "pid", s->file.pid);
    return object;
}

void gx_json_print(const struct gx_ctl *ctl, json_t *object)
{
    json_dumpf(object, ctl->out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    fputc('\n', ctl->out);
    json_decref(object);
}
