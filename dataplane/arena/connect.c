#include "arena/connect.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REPLY_MS 60000
#define REPLY_MS_PER_GIB 2000 /* gxd makes every page present before it answers */

int gx_connect(const char *path, int *out, char *error)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd, ret;

    if (strlen(path) >= sizeof(name.sun_path)) {
        snprintf(error, GX_CONNECT_TEXT_MAX, "%s: a socket's path has at most %zu bytes", path,
                 sizeof(name.sun_path) - 1);
        return -ENAMETOOLONG;
    }
    strcpy(name.sun_path, path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)(void *)&name, sizeof(name)) == 0) {
        *out = fd;
        return 0;
    }
    ret = -errno;
    if (fd >= 0)
        close(fd);
    if (ret == -ENOENT || ret == -ECONNREFUSED)
        snprintf(error, GX_CONNECT_TEXT_MAX, "%s: no gxd answers there; is it running?", path);
    else
        snprintf(error, GX_CONNECT_TEXT_MAX, "%s: cannot connect: %s", path, strerror(-ret));
    return ret;
}

static int request_send(int fd, const struct gx_attach_request *request, const int descriptors[3])
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = {0};
    struct iovec iov = {(void *)(uintptr_t)request, sizeof(*request)};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(c), descriptors, 3 * sizeof(int));
    return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int reply_receive(int fd, struct gx_attach_reply *reply, int timeout_ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    ssize_t bytes;
    int n;

    do
        n = poll(&ready, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n ? -errno : -ETIMEDOUT;
    bytes = recv(fd, reply, sizeof(*reply), 0);
    if (bytes < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    if (bytes == 0)
        return -EPIPE;
    if ((size_t)bytes != sizeof(*reply) || reply->site_count > GX_SITES_MAX)
        return -EPROTO;
    reply->text[sizeof(reply->text) - 1] = '\0';
    for (uint32_t i = 0; i < GX_SITES_MAX; i++)
        reply->site_names[i][GX_NAME_MAX - 1] = '\0';
    return 0;
}

int gx_connect_register(int fd, const struct gx_attach_request *request, const int descriptors[3],
                        struct gx_attach_reply *reply, char *error)
{
    int gib = (int)(request->arena_bytes >> 30);
    int ret = request_send(fd, request, descriptors);

    if (!ret)
        ret = reply_receive(fd, reply, REPLY_MS + gib * REPLY_MS_PER_GIB);
    if (ret) {
        snprintf(error, GX_CONNECT_TEXT_MAX, "gxd did not answer the registration of run '%s': %s",
                 request->run, ret == -EPIPE ? "it hung up" : strerror(-ret));
        return ret;
    }
    if (reply->error >= 0)
        return 0;
    snprintf(error, GX_CONNECT_TEXT_MAX, "gxd refused run '%s': %s", request->run, reply->text);
    return reply->error;
}

bool gx_connect_gone(int fd, char *error)
{
    struct gx_attach_reply farewell;
    ssize_t bytes = recv(fd, &farewell, sizeof(farewell), MSG_DONTWAIT);

    if (bytes < 0)
        return errno != EAGAIN && errno != EINTR;
    if ((size_t)bytes == sizeof(farewell)) {
        farewell.text[sizeof(farewell.text) - 1] = '\0';
        snprintf(error, GX_CONNECT_TEXT_MAX, "gxd hung up: %s", farewell.text);
    } else if (bytes == 0) {
        snprintf(error, GX_CONNECT_TEXT_MAX, "gxd is gone: it closed the connection");
    }
    return true;
}
