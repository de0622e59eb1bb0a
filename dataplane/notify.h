/* gx_notify: what systemd is told (sd_notify(3)): ready, stopping, and signs of life for WatchdogSec=. The protocol is one
 * datagram to $NOTIFY_SOCKET, so no library is needed. Without that variable nothing is sent.
 *
 * Threads   main.
 */
#ifndef GX_NOTIFY_H
#define GX_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

struct gx_notify {
    struct sockaddr_un address;
    uint32_t address_bytes; /* 0: nobody listens */
    bool stopping;
    uint64_t watchdog_ns;     /* 0: no watchdog */
    uint64_t watchdog_due_ns; /* UINT64_MAX: never */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and removes them: they are not for children. */
void gx_notify_init(struct gx_notify *notify);
void gx_notify_ready(struct gx_notify *notify, const char *status);
void gx_notify_stopping(struct gx_notify *notify);

/* A sign of life when one is due, unless the worker's last heartbeat (CLOCK_MONOTONIC) is too old: a stuck worker is
 * then restarted by systemd. */
void gx_notify_watchdog(struct gx_notify *notify, uint64_t heartbeat_ns, uint64_t now);

#endif
