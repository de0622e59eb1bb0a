/* gx_command: what gxctl asks of a running gxd (api/control.h). Part of the attach socket: control.c.
 *
 * Life      begin; what the worker must do is ordered, and its notice (obeyed, left) brings the answer.
 * Threads   main.
 */
#ifndef GX_COMMAND_H
#define GX_COMMAND_H

#include "control.h"

void gx_command_begin(struct gx_control_socket *control, struct gx_client *client,
                      const struct gx_control_request *request);
void gx_command_obeyed(struct gx_control_socket *control, const struct gx_notice *notice);
void gx_command_left(struct gx_control_socket *control);

/* control.c: answers and forgets the client. */
void gx_control_reply_send(struct gx_control_socket *control, struct gx_client *client, int error,
                           uint64_t before, uint64_t after, const char *text);

#endif
