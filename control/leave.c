#include <time.h>

#include "request.h"
#include "snapshot.h"

int gx_ctl_leave(const struct gx_ctl *ctl, char **arguments)
{
    struct gx_control_request request = {.command = GX_CONTROL_LEAVE};
    struct gx_control_reply reply;
    struct timespec start, end;

    (void)arguments;
    fputs("gxctl: leaving; waits until every present site has what it needs from here\n", ctl->err);
    clock_gettime(CLOCK_MONOTONIC, &start);
    int code = gx_request(ctl, &request, &reply);
    if (code != GX_CTL_OK)
        return code;
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    if (ctl->json) {
        json_t *object = json_object();
        json_object_set_new(object, "left", json_true());
        json_object_set_new(object, "waited_seconds", json_real(seconds));
        gx_json_print(ctl, object);
    } else {
        fprintf(ctl->out, "left after %.1f s; gxd ends\n", seconds);
    }
    return GX_CTL_OK;
}
