#include "notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKER_SILENT_NS 5000000000ull /* as gxctl judges "stuck" */

static void send_text(const struct gx_notify *notify, const char *text)
{
    int fd;

    if (!notify->address_bytes)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&notify->address,
               notify->address_bytes) < 0)
        fprintf(stderr, "gxd: cannot notify %s\n", notify->address.sun_path);
    close(fd);
}

static void address_read(struct gx_notify *notify, const char *path)
{
    size_t length = path ? strlen(path) : 0;

    if (length < 2 || length >= sizeof(notify->address.sun_path) ||
        (path[0] != '/' && path[0] != '@'))
        return;
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, path, length);
    if (path[0] == '@') /* an abstract socket */
        notify->address.sun_path[0] = '\0';
    notify->address_bytes = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

void gx_notify_init(struct gx_notify *notify)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    memset(notify, 0, sizeof(*notify));
    address_read(notify, getenv("NOTIFY_SOCKET"));
    if (notify->address_bytes && usec && (!pid || strtol(pid, NULL, 10) == (long)getpid()))
        notify->watchdog_ns = strtoull(usec, NULL, 10) * 1000;
    notify->watchdog_due_ns = UINT64_MAX;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void gx_notify_ready(struct gx_notify *notify, const char *status)
{
    char text[256];

    snprintf(text, sizeof(text), "READY=1\nSTATUS=%s", status);
    send_text(notify, text);
    if (notify->watchdog_ns)
        notify->watchdog_due_ns = 0;
}

void gx_notify_stopping(struct gx_notify *notify)
{
    if (!notify->stopping)
        send_text(notify, "STOPPING=1\nSTATUS=leaving the runs");
    notify->stopping = true;
}

void gx_notify_watchdog(struct gx_notify *notify, uint64_t heartbeat_ns, uint64_t now)
{
    if (now < notify->watchdog_due_ns)
        return;
    notify->watchdog_due_ns = now + notify->watchdog_ns / 3;
    if (now < heartbeat_ns + WORKER_SILENT_NS)
        send_text(notify, "WATCHDOG=1");
}
