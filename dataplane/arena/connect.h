/* gx_connect: the trainer's end of the attach socket.
 *
 * Errors    0 or -errno, with one line in `error` (GX_CONNECT_TEXT_MAX bytes) that names the socket and what to do.
 */
#ifndef GX_ARENA_CONNECT_H
#define GX_ARENA_CONNECT_H

#include <stdbool.h>

#include "arena.h"

#define GX_CONNECT_TEXT_MAX 384

/* Connects without waiting. -ENOENT, -ECONNREFUSED: no gxd there; -EAGAIN: it is too busy to accept. */
int gx_connect(const char *path, int *fd, char *error);

/* Sends the request with its three descriptors and waits for the reply, whose error is returned. -EPIPE: gxd is gone. */
int gx_connect_register(int fd, const struct gx_attach_request *request, const int descriptors[3],
                        struct gx_attach_reply *reply, char *error);

/* True when gxd has hung up. What it said before is left in `error`, which stays as it is otherwise. */
bool gx_connect_gone(int fd, char *error);

#endif
