/* gx_request: asks the running gxd something on its socket (api/control.h) and waits for the answer. */
#ifndef GX_REQUEST_H
#define GX_REQUEST_H

#include "api/control.h"
#include "ctl.h"

/* Fills in the request's version. 0 and the reply, whose text ends; or an exit code after a message: ABSENT when no gxd
 * answers, USAGE when the request was wrong (-EINVAL), FAILED when gxd could not do it. */
int gx_request(const struct gx_ctl *ctl, struct gx_control_request *request,
               struct gx_control_reply *reply);

#endif
