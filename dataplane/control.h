/* gx_control_socket: the attach socket and everybody on it: trainers (api/arena.h) and gxctl's commands
 * (api/control.h).
 *
 * Trust     anybody who may open the socket (0660) may send anything at any pace: nothing here waits for a client,
 *           the number of clients is bounded, a silent one is dropped after 5 s.
 * Life      of a trainer: asking → filling (its arena's pages are made present, a slice per pass) → joining (ordered to
 *           the worker) → served → leaving (hung up; its offers are still being sent) → free. Memory counts against
 *           `memory:` from filling to free.
 * Threads   main.
 */
#ifndef GX_CONTROL_SOCKET_H
#define GX_CONTROL_SOCKET_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/control.h"
#include "config.h"
#include "core.h"
#include "stat/file.h"
#include "worker.h"

#define GX_CLIENTS_MAX 40
#define GX_CONTROL_FDS (GX_CLIENTS_MAX + 1)

enum gx_client_state {
    GX_CLIENT_FREE,
    GX_CLIENT_ASKING,
    GX_CLIENT_FILLING,
    GX_CLIENT_JOINING,
    GX_CLIENT_SERVED,
    GX_CLIENT_LEAVING,
    GX_CLIENT_COMMANDING, /* gxctl, waits for its answer */
};

struct gx_client {
    enum gx_client_state state;
    int fd; /* -1: hung up */
    pid_t pid;
    uid_t uid;
    uint64_t cookie;      /* tells this use of the entry from the next */
    uint64_t deadline_ns; /* of ASKING */
    /* Of COMMANDING. */
    struct gx_control_request command;
    uint64_t value, before; /* of a setting */
    struct gx_attach_request request;
    struct gx_schema schema; /* its pointers stand into the request */
    struct gx_trainer trainer;
    uint64_t staging_bytes;
    bool yields; /* LEAVING: it was asked to make room */
};

struct gx_control_socket {
    struct gx_config *config; /* `gxctl set` changes it */
    const struct gx_core_config *core_config;
    struct gx_worker *worker;
    struct gx_counters *counters;
    struct gx_stat_file *stat; /* NULL, or whose rate is kept true */
    int listen_fd;
    uint64_t cookies;
    bool leave_asked; /* gxctl asked to leave: main ends once the worker has left */
    struct gx_client clients[GX_CLIENTS_MAX];
};

/* Takes the socket's lock (SOCKET.lock), which is held by the returned descriptor. -EWOULDBLOCK: another gxd has it. */
int gx_control_lock(const char *socket_path, char *error, size_t error_bytes);

/* Replaces a stale socket and listens. Only with the lock. */
int gx_control_open(struct gx_control_socket *control, struct gx_config *config,
                    const struct gx_core_config *core_config, struct gx_worker *worker,
                    struct gx_counters *counters, char *error, size_t error_bytes);
/* Removes the socket, hangs up on everybody and frees their runs: after the worker and the core have ended. */
void gx_control_close(struct gx_control_socket *control);

/* Descriptors to poll, GX_CONTROL_FDS at most; serve takes them back with their revents. */
uint32_t gx_control_fds(const struct gx_control_socket *control, struct pollfd *fds);
void gx_control_serve(struct gx_control_socket *control, const struct pollfd *fds, uint32_t count);
/* When serve must be called even if nothing happens; UINT64_MAX: never. */
uint64_t gx_control_due_ns(const struct gx_control_socket *control);

/* A notice of the worker's about a trainer or a command. */
void gx_control_notice(struct gx_control_socket *control, const struct gx_notice *notice);

#endif
