/* gx_attach: what a trainer asks of gxd (api/arena.h), from its request to the worker's word that it is served. Part of the
 * attach socket: control.c.
 *
 * Life      begin → fill, a slice per pass → joined or refused → released, with the client's end.
 * Threads   main.
 */
#ifndef GX_ATTACH_H
#define GX_ATTACH_H

#include "control.h"

#define GX_ATTACH_DESCRIPTORS 3

/* client->request has arrived with these descriptors, which are ours now: everything is checked, and the arena mapped. */
void gx_attach_begin(struct gx_control_socket *control, struct gx_client *client,
                     const int descriptors[GX_ATTACH_DESCRIPTORS]);
/* Makes a slice of the arena's pages present; the last one orders the worker to take the trainer. */
void gx_attach_fill(struct gx_control_socket *control, struct gx_client *client);
/* The worker's notices: it has taken the trainer or will not; the trainer breaks the rules of the arena. */
void gx_attach_joined(struct gx_control_socket *control, struct gx_client *client,
                      const struct gx_notice *notice);
void gx_attach_broken(struct gx_control_socket *control, struct gx_client *client,
                      const struct gx_notice *notice);
/* Says why, and forgets the client. */
void gx_attach_refuse(struct gx_control_socket *control, struct gx_client *client, int error,
                      enum gx_reason reason, const char *text);
/* Gives back run, arena and eventfds of a client that is FREE. The worker must not know its trainer (any more). */
void gx_attach_release(struct gx_control_socket *control, struct gx_client *client);

/* control.c: hangs up; and forgets the client with everything it held. */
void gx_control_hang_up(struct gx_client *client);
void gx_control_free(struct gx_control_socket *control, struct gx_client *client);

#endif
