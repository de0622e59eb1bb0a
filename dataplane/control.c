#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "command.h"
#include "log.h"
#include "port/clock.h"
#include "units.h"

#define ASK_NS (5 * GX_NS_PER_S)
#define BACKLOG 16
#define LOCK_TRIES 50
#define LOCK_TRY_US 10000
#define DESCRIPTORS 3

/* ---- the socket ---- */

static int lock_busy(int fd, const char *path, char *error, size_t error_bytes)
{
    char pid[16] = "";
    ssize_t bytes = pread(fd, pid, sizeof(pid) - 1, 0);

    pid[bytes > 0 ? strcspn(pid, "\n") : 0] = '\0';
    snprintf(error, error_bytes,
             "%s: another gxd (pid %s) serves this socket: stop it, or choose another `socket:`",
             path, *pid ? pid : "unknown");
    return -EWOULDBLOCK;
}

int gx_control_lock(const char *socket_path, char *error, size_t error_bytes)
{
    char path[GX_CONFIG_PATH_MAX + 8];
    int fd, busy = 0;

    snprintf(path, sizeof(path), "%s.lock", socket_path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        int ret = -errno;

        snprintf(error, error_bytes, "%s: cannot open the lock file: %s", path, strerror(-ret));
        return ret;
    }
    /* A gxd that was killed holds it until the system has taken its devices apart. */
    for (int i = 0; i < LOCK_TRIES && (busy = flock(fd, LOCK_EX | LOCK_NB)); i++)
        usleep(LOCK_TRY_US);
    if (busy) {
        int ret = lock_busy(fd, path, error, error_bytes);

        close(fd);
        return ret;
    }
    if (ftruncate(fd, 0) || dprintf(fd, "%d\n", (int)getpid()) < 0)
        gx_warn_log("%s: cannot write the pid: %s", path, strerror(errno));
    return fd;
}

static int socket_listen(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret;

    if (fd < 0)
        return -errno;
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    unlink(path); /* of a dead gxd: the lock is ours */
    /* Never open wider than it shall be: nobody connects before listen. */
    if (bind(fd, (struct sockaddr *)(void *)&name, sizeof(name)) || chmod(path, 0660) ||
        listen(fd, BACKLOG)) {
        ret = -errno;
        close(fd);
        return ret;
    }
    return fd;
}

int gx_control_open(struct gx_control_socket *control, struct gx_config *config,
                    const struct gx_core_config *core_config, struct gx_worker *worker,
                    struct gx_counters *counters, char *error, size_t error_bytes)
{
    memset(control, 0, sizeof(*control));
    control->config = config;
    control->core_config = core_config;
    control->worker = worker;
    control->counters = counters;
    counters->site[GX_SITE_memory_budget_bytes] = config->memory_bytes;
    control->listen_fd = socket_listen(config->socket);
    if (control->listen_fd >= 0)
        return 0;
    snprintf(error, error_bytes, "%s: cannot listen: %s", config->socket,
             strerror(-control->listen_fd));
    return control->listen_fd;
}

/* ---- clients ---- */

static const char *run_of(const struct gx_client *client)
{
    return client->request.run;
}

static void memory_count(struct gx_control_socket *control)
{
    uint64_t arenas = 0, staging = 0;

    for (uint32_t i = 0; i < GX_CLIENTS_MAX; i++) {
        const struct gx_client *client = &control->clients[i];

        if (client->state == GX_CLIENT_FREE || !client->trainer.map.base)
            continue;
        arenas += client->trainer.map.bytes;
        staging += client->staging_bytes;
    }
    control->counters->site[GX_SITE_arena_bytes] = arenas;
    control->counters->site[GX_SITE_staging_bytes] = staging;
}

/* Tells the port of memory that it will send from, or will no more. A port that refuses copies instead. */
static void memory_tell(struct gx_control_socket *control, const struct gx_map *map, bool add)
{
    struct gx_port *port = control->worker->port;
    int ret = 0;

    if (!port || !map->base)
        return;
    if (add && port->ops->memory_add)
        ret = port->ops->memory_add(port, map->base, map->bytes);
    else if (!add && port->ops->memory_remove)
        port->ops->memory_remove(port, map->base, map->bytes);
    if (ret)
        gx_warn_log("port: cannot register an arena's memory: %s; its packets are copied",
                    strerror(-ret));
}

static void client_hang_up(struct gx_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

/* Everything it held goes. The worker must not know its trainer (any more). */
static void client_free(struct gx_control_socket *control, struct gx_client *client)
{
    client_hang_up(client);
    if (client->trainer.run)
        gx_run_destroy(client->trainer.run);
    memory_tell(control, &client->trainer.map, false);
    gx_map_close(&client->trainer.map);
    if (client->trainer.wake_gxd >= 0)
        close(client->trainer.wake_gxd);
    if (client->trainer.wake_trainer >= 0)
        close(client->trainer.wake_trainer);
    client->state = GX_CLIENT_FREE;
    memory_count(control);
}

static void reply_send(const struct gx_control_socket *control, const struct gx_client *client,
                       int error, enum gx_reason reason, const char *text)
{
    struct gx_attach_reply reply = {.version = GX_ATTACH_VERSION,
                                    .error = error,
                                    .reason = (uint32_t)reason,
                                    .site_index = control->config->self,
                                    .site_count = control->config->site_count};

    for (uint32_t i = 0; i < control->config->site_count; i++)
        memcpy(reply.site_names[i], control->config->sites[i].name, GX_NAME_MAX);
    snprintf(reply.text, sizeof(reply.text), "%s", text);
    /* A client whose socket is full hears nothing: it hangs up or is hung up on anyway. */
    if (client->fd >= 0)
        send(client->fd, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void client_refuse(struct gx_control_socket *control, struct gx_client *client, int error,
                          enum gx_reason reason, const char *text)
{
    /* Who is told to come again does so several times a second. */
    enum gx_log_level level = error == -EAGAIN ? GX_LOG_DEBUG : GX_LOG_WARN;

    gx_log(level, "trainer refused (pid %d, uid %u, run '%.31s'): %s", (int)client->pid,
           (unsigned)client->uid, run_of(client), text);
    reply_send(control, client, error, reason, text);
    client_free(control, client);
}

/* ---- what a trainer asks for ---- */

/* The one that has this run already, if any. */
static struct gx_client *run_holder(struct gx_control_socket *control,
                                    const struct gx_client *asking)
{
    for (uint32_t i = 0; i < GX_CLIENTS_MAX; i++) {
        struct gx_client *other = &control->clients[i];

        if (other != asking && other->state >= GX_CLIENT_FILLING &&
            other->state <= GX_CLIENT_LEAVING && !strcmp(run_of(other), run_of(asking)))
            return other;
    }
    return NULL;
}

/* A trainer that has gone may have left a state that other sites could need: whoever is here needs the room more. */
static void leaver_yield(struct gx_control_socket *control, struct gx_client *leaver)
{
    struct gx_order order = {.type = GX_ORDER_YIELD, .trainer = &leaver->trainer};

    if (!leaver->yields)
        gx_worker_order(control->worker, &order);
    leaver->yields = true;
}

static bool leavers_yield(struct gx_control_socket *control)
{
    bool any = false;

    for (uint32_t i = 0; i < GX_CLIENTS_MAX; i++)
        if (control->clients[i].state == GX_CLIENT_LEAVING) {
            leaver_yield(control, &control->clients[i]);
            any = true;
        }
    return any;
}

/* False: `memory:` is too small; the text has the sum and the key. */
static bool memory_fits(const struct gx_control_socket *control, uint64_t arena_bytes,
                        uint64_t staging_bytes, char *text)
{
    const uint64_t *site = control->counters->site;
    uint64_t used = site[GX_SITE_arena_bytes] + site[GX_SITE_staging_bytes];
    uint64_t budget = control->config->memory_bytes, sum = used + arena_bytes + staging_bytes;
    char a[GX_UNITS_TEXT_MAX], s[GX_UNITS_TEXT_MAX], u[GX_UNITS_TEXT_MAX], b[GX_UNITS_TEXT_MAX];

    if (sum <= budget && arena_bytes <= budget && staging_bytes <= budget)
        return true;
    snprintf(
        text, GX_MAP_TEXT_MAX,
        "needs %s for its arena and %s for staging, %s are in use by other runs, together %" PRIu64
        " bytes; the config allows %s: set `memory: %" PRIu64 "MiB` or more",
        gx_units_format_bytes(a, arena_bytes), gx_units_format_bytes(s, staging_bytes),
        gx_units_format_bytes(u, used), sum, gx_units_format_bytes(b, budget), (sum >> 20) + 1);
    return false;
}

static bool is_eventfd(int fd)
{
    char link[64], target[64];
    ssize_t bytes;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    bytes = readlink(link, target, sizeof(target) - 1);
    if (bytes < 0)
        return false;
    target[bytes] = '\0';
    return !strcmp(target, "anon_inode:[eventfd]");
}

/* Checks everything that can be checked without touching the arena. */
static int attach_check(struct gx_control_socket *control, struct gx_client *client, int arena_fd,
                        uint64_t *arena_bytes, enum gx_reason *reason, char *text)
{
    const struct gx_links_config *links = &control->core_config->links;
    struct gx_client *holder;
    int64_t bytes;

    *reason = GX_REASON_COMMAND;
    if (client->request.version_min > GX_ATTACH_VERSION ||
        client->request.version_max < GX_ATTACH_VERSION) {
        *reason = GX_REASON_VERSION;
        snprintf(text, GX_MAP_TEXT_MAX, "this gxd speaks attach version %u, the trainer %u to %u",
                 GX_ATTACH_VERSION, client->request.version_min, client->request.version_max);
        return -EPROTO;
    }
    if (gx_map_schema(&client->schema, &client->request, text))
        return -EINVAL;
    holder = run_holder(control, client);
    if (holder) {
        *reason = GX_REASON_BUSY;
        if (holder->state == GX_CLIENT_LEAVING)
            leaver_yield(control, holder);
        snprintf(
            text, GX_MAP_TEXT_MAX,
            holder->state == GX_CLIENT_LEAVING
                ? "the last offer of an earlier trainer (pid %d) is still being sent: try again"
                : "another trainer (pid %d) serves this run here: stop it, or use another name",
            (int)holder->pid);
        return holder->state == GX_CLIENT_LEAVING ? -EAGAIN : -EBUSY;
    }
    if (!is_eventfd(client->trainer.wake_gxd) || !is_eventfd(client->trainer.wake_trainer)) {
        snprintf(text, GX_MAP_TEXT_MAX, "the second and third descriptor must be eventfds");
        return -EINVAL;
    }
    bytes = gx_map_check(&client->schema, &client->request, arena_fd, text);
    if (bytes < 0)
        return (int)bytes;
    client->staging_bytes = gx_run_staging_bytes(&client->schema, links->site_count,
                                                 links->shard_bytes, links->workers);
    if (!memory_fits(control, (uint64_t)bytes, client->staging_bytes, text)) {
        *reason = GX_REASON_MEMORY;
        /* What trainers that have gone still hold is about to be free. */
        return leavers_yield(control) ? -EAGAIN : -ENOMEM;
    }
    *arena_bytes = (uint64_t)bytes;
    return 0;
}

static void attach_begin(struct gx_control_socket *control, struct gx_client *client,
                         const int descriptors[DESCRIPTORS])
{
    char text[GX_MAP_TEXT_MAX] = "";
    enum gx_reason reason;
    uint64_t arena_bytes = 0;
    int ret;

    client->request.run[GX_NAME_MAX - 1] = '\0';
    client->trainer.wake_gxd = descriptors[1];
    client->trainer.wake_trainer = descriptors[2];
    client->trainer.fragment_count = client->request.fragment_count;
    ret = attach_check(control, client, descriptors[0], &arena_bytes, &reason, text);
    if (!ret)
        ret = gx_map_open(&client->trainer.map, &client->schema, descriptors[0], arena_bytes, text);
    close(descriptors[0]); /* the mapping keeps it */
    if (ret) {
        client_refuse(control, client, ret, reason, text);
        return;
    }
    client->state = GX_CLIENT_FILLING;
    memory_count(control);
}

/* A slice of the arena; the last one orders the worker to take the trainer. */
static void attach_fill(struct gx_control_socket *control, struct gx_client *client)
{
    struct gx_order order = {.type = GX_ORDER_ATTACH, .trainer = &client->trainer};
    int ret = gx_map_populate(&client->trainer.map);

    if (ret > 0)
        return;
    if (ret < 0) {
        char text[GX_MAP_TEXT_MAX];

        snprintf(text, sizeof(text), "cannot make the arena's pages present: %s", strerror(-ret));
        client_refuse(control, client, ret, GX_REASON_MEMORY, text);
        return;
    }
    memory_tell(control, &client->trainer.map, true);
    client->trainer.run = gx_run_create(&client->schema, control->core_config,
                                        client->trainer.map.base, client->trainer.map.bytes);
    if (!client->trainer.run) {
        client_refuse(control, client, -ENOMEM, GX_REASON_MEMORY,
                      "the system has no memory left for staging: lower `memory:` or free some");
        return;
    }
    client->state = GX_CLIENT_JOINING;
    gx_worker_order(control->worker, &order);
}

static void on_attached(struct gx_control_socket *control, struct gx_client *client,
                        const struct gx_notice *notice)
{
    struct gx_order order = {.type = GX_ORDER_DETACH, .trainer = &client->trainer};
    char arena[GX_UNITS_TEXT_MAX], staging[GX_UNITS_TEXT_MAX];

    if (notice->error) {
        bool room = notice->error == -ENOSPC && leavers_yield(control);

        /* libgx tries again on -EAGAIN. */
        client_refuse(control, client, notice->error == -EBUSY || room ? -EAGAIN : notice->error,
                      notice->reason, gx_reason_text(notice->reason));
        return;
    }
    gx_info_log("run '%s': trainer %s (pid %d, uid %u), %u fragments, arena %s, staging %s",
                run_of(client), client->request.again ? "attached again" : "registered",
                (int)client->pid, (unsigned)client->uid, client->request.fragment_count,
                gx_units_format_bytes(arena, client->trainer.map.bytes),
                gx_units_format_bytes(staging, client->staging_bytes));
    client->state = GX_CLIENT_SERVED;
    if (client->fd >= 0) {
        reply_send(control, client, 0, GX_REASON_NONE, "");
        return;
    }
    client->state = GX_CLIENT_LEAVING;
    gx_worker_order(control->worker, &order);
}

/* ---- what gxctl asks for: command.c ---- */

void gx_control_reply_send(struct gx_control_socket *control, struct gx_client *client, int error,
                           uint64_t before, uint64_t after, const char *text)
{
    struct gx_control_reply reply = {.version = GX_CONTROL_VERSION,
                                     .error = error,
                                     .before = before,
                                     .after = after,
                                     .given = control->config->given};

    reply.text_bytes = (uint32_t)snprintf(reply.text, sizeof(reply.text), "%s", text) + 1;
    if (reply.text_bytes > sizeof(reply.text))
        reply.text_bytes = sizeof(reply.text);
    if (client->fd >= 0)
        send(client->fd, &reply, offsetof(struct gx_control_reply, text) + reply.text_bytes,
             MSG_DONTWAIT | MSG_NOSIGNAL);
    client_free(control, client);
}

/* ---- sockets ---- */

static void client_accept(struct gx_control_socket *control)
{
    struct ucred peer = {0};
    socklen_t length = sizeof(peer);
    struct gx_client *client = NULL;
    int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);
    for (uint32_t i = 0; i < GX_CLIENTS_MAX && !client; i++)
        if (control->clients[i].state == GX_CLIENT_FREE)
            client = &control->clients[i];
    if (!client) {
        gx_warn_log("connection refused (pid %d, uid %u): %d clients are connected, no more fit",
                    (int)peer.pid, (unsigned)peer.uid, GX_CLIENTS_MAX);
        close(fd);
        return;
    }
    memset(client, 0, sizeof(*client));
    client->state = GX_CLIENT_ASKING;
    client->fd = fd;
    client->pid = peer.pid;
    client->uid = peer.uid;
    client->cookie = ++control->cookies;
    client->deadline_ns = gx_clock_ns() + ASK_NS;
    client->trainer.wake_gxd = client->trainer.wake_trainer = -1;
    gx_debug_log("connected: pid %d, uid %u, gid %u", (int)peer.pid, (unsigned)peer.uid,
                 (unsigned)peer.gid);
}

/* Takes the descriptors of a message; closes them unless there are exactly three. */
static bool descriptors_take(struct msghdr *message, int out[DESCRIPTORS])
{
    int all[16];
    size_t count = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        size_t bytes = c->cmsg_len - CMSG_LEN(0);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        if (bytes > sizeof(all) - count * sizeof(int))
            bytes = sizeof(all) - count * sizeof(int);
        memcpy(all + count, CMSG_DATA(c), bytes);
        count += bytes / sizeof(int);
    }
    if (count == DESCRIPTORS && !(message->msg_flags & MSG_CTRUNC)) {
        memcpy(out, all, DESCRIPTORS * sizeof(int));
        return true;
    }
    for (size_t i = 0; i < count; i++)
        close(all[i]);
    return false;
}

static void client_ask(struct gx_control_socket *control, struct gx_client *client)
{
    union {
        struct gx_attach_request attach;
        struct gx_control_request command;
    } request;
    _Alignas(struct cmsghdr) char rights[CMSG_SPACE(8 * sizeof(int))];
    struct iovec iov = {&request, sizeof(request)};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = rights, .msg_controllen = sizeof(rights)};
    ssize_t bytes = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    int descriptors[DESCRIPTORS];
    bool three;

    if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (bytes <= 0) {
        client_free(control, client);
        return;
    }
    three = descriptors_take(&message, descriptors);
    if ((size_t)bytes == sizeof(request.attach) && three && !(message.msg_flags & MSG_TRUNC)) {
        client->request = request.attach;
        attach_begin(control, client, descriptors);
        return;
    }
    for (int i = 0; three && i < DESCRIPTORS; i++)
        close(descriptors[i]);
    if ((size_t)bytes == sizeof(request.command))
        gx_command_begin(control, client, &request.command);
    else
        client_refuse(
            control, client, -EPROTO, GX_REASON_COMMAND,
            "not a request with three descriptors: trainer and gxd are of different releases");
}

/* A client that was answered has nothing more to say: end of file, or noise, ends it. */
static void client_end(struct gx_control_socket *control, struct gx_client *client)
{
    struct gx_order order = {.type = GX_ORDER_DETACH, .trainer = &client->trainer};

    client_hang_up(client);
    switch (client->state) {
    case GX_CLIENT_SERVED:
        gx_info_log("run '%s': trainer (pid %d) has gone", run_of(client), (int)client->pid);
        client->state = GX_CLIENT_LEAVING;
        gx_worker_order(control->worker, &order);
        break;
    case GX_CLIENT_COMMANDING:
        /* The worker's notice still ends what it was ordered, or the config would not say what is. */
        if (client->command.command != GX_CONTROL_LEAVE)
            break;
        client_free(control, client);
        break;
    case GX_CLIENT_FILLING:
        client_free(control, client);
        break;
    default: /* JOINING: on_attached sees that it hung up */
        break;
    }
}

uint32_t gx_control_fds(const struct gx_control_socket *control, struct pollfd *fds)
{
    fds[0] = (struct pollfd){.fd = control->listen_fd, .events = POLLIN};
    /* One place per client, so that serve finds its own; -1 is left out by poll. */
    for (uint32_t i = 0; i < GX_CLIENTS_MAX; i++)
        fds[1 + i] = (struct pollfd){
            .fd = control->clients[i].state == GX_CLIENT_FREE ? -1 : control->clients[i].fd,
            .events = POLLIN};
    return GX_CONTROL_FDS;
}

void gx_control_serve(struct gx_control_socket *control, const struct pollfd *fds, uint32_t count)
{
    uint64_t now = gx_clock_ns();

    /* First those that hung up: a restarted trainer asks for the run that its predecessor still has. */
    for (uint32_t i = 0; i < GX_CLIENTS_MAX && i + 1 < count; i++)
        if (control->clients[i].state > GX_CLIENT_ASKING && fds[1 + i].revents)
            client_end(control, &control->clients[i]);
    for (uint32_t i = 0; i < GX_CLIENTS_MAX && i + 1 < count; i++) {
        struct gx_client *client = &control->clients[i];

        if (client->state == GX_CLIENT_ASKING && fds[1 + i].revents)
            client_ask(control, client);
        else if (client->state == GX_CLIENT_FILLING)
            attach_fill(control, client);
        if (client->state == GX_CLIENT_ASKING && now >= client->deadline_ns)
            client_free(control, client);
    }
    if (count && fds[0].revents)
        client_accept(control);
}

uint64_t gx_control_due_ns(const struct gx_control_socket *control)
{
    uint64_t due = UINT64_MAX;

    for (uint32_t i = 0; i < GX_CLIENTS_MAX; i++) {
        const struct gx_client *client = &control->clients[i];

        if (client->state == GX_CLIENT_FILLING)
            return 0;
        if (client->state == GX_CLIENT_ASKING && client->deadline_ns < due)
            due = client->deadline_ns;
    }
    return due;
}

/* ---- the worker's notices ---- */

static struct gx_client *client_of(struct gx_control_socket *control,
                                   const struct gx_trainer *trainer)
{
    for (uint32_t i = 0; i < GX_CLIENTS_MAX; i++)
        if (&control->clients[i].trainer == trainer)
            return &control->clients[i];
    return NULL;
}

static void on_broken(struct gx_control_socket *control, struct gx_client *client,
                      const struct gx_notice *notice)
{
    gx_error_log("run '%s': trainer (pid %d) is broken and was dropped: %s", run_of(client),
                 (int)client->pid, notice->text);
    reply_send(control, client, -EPIPE, notice->reason, notice->text);
    client_hang_up(client);
    client->state = GX_CLIENT_LEAVING;
}

void gx_control_notice(struct gx_control_socket *control, const struct gx_notice *notice)
{
    struct gx_client *client = client_of(control, notice->trainer);

    switch (notice->type) {
    case GX_NOTICE_ATTACHED:
        on_attached(control, client, notice);
        break;
    case GX_NOTICE_BROKEN:
        on_broken(control, client, notice);
        break;
    case GX_NOTICE_DETACHED:
        gx_debug_log("run '%s': arena and staging released", run_of(client));
        client_free(control, client);
        break;
    case GX_NOTICE_OBEYED:
        gx_command_obeyed(control, notice);
        break;
    case GX_NOTICE_LEFT:
        gx_command_left(control);
        break;
    default:
        break;
    }
}

void gx_control_close(struct gx_control_socket *control)
{
    close(control->listen_fd);
    unlink(control->config->socket);
    for (uint32_t i = 0; i < GX_CLIENTS_MAX; i++)
        if (control->clients[i].state != GX_CLIENT_FREE)
            client_free(control, &control->clients[i]);
}
