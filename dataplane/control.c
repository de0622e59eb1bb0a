#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach.h"
#include "command.h"
#include "log.h"
#include "port/clock.h"

#define ASK_NS (5 * GX_NS_PER_S)
#define BACKLOG 16
#define LOCK_TRIES 50
#define LOCK_TRY_US 10000

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

void gx_control_hang_up(struct gx_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

void gx_control_free(struct gx_control_socket *control, struct gx_client *client)
{
    gx_control_hang_up(client);
    client->state = GX_CLIENT_FREE;
    gx_attach_release(control, client);
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
    gx_control_free(control, client);
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
static bool descriptors_take(struct msghdr *message, int out[GX_ATTACH_DESCRIPTORS])
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
    if (count == GX_ATTACH_DESCRIPTORS && !(message->msg_flags & MSG_CTRUNC)) {
        memcpy(out, all, GX_ATTACH_DESCRIPTORS * sizeof(int));
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
    int descriptors[GX_ATTACH_DESCRIPTORS];
    bool three;

    if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (bytes <= 0) {
        gx_control_free(control, client);
        return;
    }
    three = descriptors_take(&message, descriptors);
    if ((size_t)bytes == sizeof(request.attach) && three && !(message.msg_flags & MSG_TRUNC)) {
        client->request = request.attach;
        gx_attach_begin(control, client, descriptors);
        return;
    }
    for (int i = 0; three && i < GX_ATTACH_DESCRIPTORS; i++)
        close(descriptors[i]);
    if ((size_t)bytes == sizeof(request.command))
        gx_command_begin(control, client, &request.command);
    else
        gx_attach_refuse(
            control, client, -EPROTO, GX_REASON_COMMAND,
            "not a request with three descriptors: trainer and gxd are of different releases");
}

/* A client that was answered has nothing more to say: end of file, or noise, ends it. */
static void client_end(struct gx_control_socket *control, struct gx_client *client)
{
    struct gx_order order = {.type = GX_ORDER_DETACH, .trainer = &client->trainer};

    gx_control_hang_up(client);
    switch (client->state) {
    case GX_CLIENT_SERVED:
        gx_info_log("run '%s': trainer (pid %d) has gone", client->request.run, (int)client->pid);
        client->state = GX_CLIENT_LEAVING;
        gx_worker_order(control->worker, &order);
        break;
    case GX_CLIENT_COMMANDING:
        /* The worker's notice still ends what it was ordered, or the config would not say what is. */
        if (client->command.command != GX_CONTROL_LEAVE)
            break;
        gx_control_free(control, client);
        break;
    case GX_CLIENT_FILLING:
        gx_control_free(control, client);
        break;
    default: /* JOINING: gx_attach_joined() sees that it hung up */
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
            gx_attach_fill(control, client);
        if (client->state == GX_CLIENT_ASKING && now >= client->deadline_ns)
            gx_control_free(control, client);
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

void gx_control_notice(struct gx_control_socket *control, const struct gx_notice *notice)
{
    struct gx_client *client = client_of(control, notice->trainer);

    switch (notice->type) {
    case GX_NOTICE_ATTACHED:
        gx_attach_joined(control, client, notice);
        break;
    case GX_NOTICE_BROKEN:
        gx_attach_broken(control, client, notice);
        break;
    case GX_NOTICE_DETACHED:
        gx_debug_log("run '%s': arena and staging released", client->request.run);
        gx_control_free(control, client);
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
            gx_control_free(control, &control->clients[i]);
}
