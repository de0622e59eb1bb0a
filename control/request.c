#include "request.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fail_connect(const struct gx_ctl *ctl, int error)
{
    if (error == ENOENT)
        return gx_ctl_fail(ctl, GX_CTL_ABSENT, "no gxd at %s; -s names another socket",
                           ctl->socket);
    if (error == ECONNREFUSED)
        return gx_ctl_fail(ctl, GX_CTL_ABSENT, "gxd at %s is dead: nobody answers", ctl->socket);
    if (error == EACCES)
        return gx_ctl_fail(ctl, GX_CTL_FAILED,
                           "%s: you may not speak to this gxd: be root, or in the socket's group",
                           ctl->socket);
    return gx_ctl_fail(ctl, GX_CTL_FAILED, "%s: %s", ctl->socket, strerror(error));
}

static int connect_to(const struct gx_ctl *ctl, int *fd)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    if (strlen(ctl->socket) >= sizeof(name.sun_path))
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "%s: too long for a socket's path", ctl->socket);
    strcpy(name.sun_path, ctl->socket);
    *fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (*fd < 0 || connect(*fd, (struct sockaddr *)(void *)&name, sizeof(name)) != 0)
        return fail_connect(ctl, errno);
    return GX_CTL_OK;
}

static int exchange(const struct gx_ctl *ctl, int fd, const struct gx_control_request *request,
                    struct gx_control_reply *reply)
{
    const ssize_t header = (ssize_t)offsetof(struct gx_control_reply, text);

    if (send(fd, request, sizeof(*request), MSG_NOSIGNAL) != (ssize_t)sizeof(*request))
        return gx_ctl_fail(ctl, GX_CTL_ABSENT, "gxd at %s hung up", ctl->socket);
    ssize_t bytes = recv(fd, reply, sizeof(*reply), 0);
    if (bytes <= 0)
        return gx_ctl_fail(ctl, GX_CTL_ABSENT, "gxd at %s ended without an answer", ctl->socket);
    if (bytes <= header || reply->version != GX_CONTROL_VERSION)
        return gx_ctl_fail(ctl, GX_CTL_FAILED,
                           "gxd at %s is of another release: use the gxctl that came with it",
                           ctl->socket);
    reply->text[bytes - header - 1] = '\0';
    if (reply->error)
        return gx_ctl_fail(ctl, reply->error == -EINVAL ? GX_CTL_USAGE : GX_CTL_FAILED, "%s",
                           *reply->text ? reply->text : strerror(-reply->error));
    return GX_CTL_OK;
}

int gx_request(const struct gx_ctl *ctl, struct gx_control_request *request,
               struct gx_control_reply *reply)
{
    int fd = -1, code = connect_to(ctl, &fd);

    request->version = GX_CONTROL_VERSION;
    if (code == GX_CTL_OK)
        code = exchange(ctl, fd, request, reply);
    if (fd >= 0)
        close(fd);
    return code;
}
