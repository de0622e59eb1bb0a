#include <string.h>

#include "request.h"
#include "snapshot.h"

int gx_ctl_run_rewind(const struct gx_ctl *ctl, char **arguments)
{
    struct gx_control_request request = {.command = GX_CONTROL_REWIND};
    struct gx_control_reply reply;

    if (strlen(arguments[0]) >= sizeof(request.run))
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "'%s' is too long for a run's name", arguments[0]);
    strcpy(request.run, arguments[0]);
    int code = gx_request(ctl, &request, &reply);
    if (code != GX_CTL_OK)
        return code;
    if (ctl->json) {
        json_t *object = json_object();
        gx_json_text(object, "run", request.run);
        json_object_set_new(object, "rewind_asked", json_true());
        gx_json_print(ctl, object);
    } else {
        fprintf(ctl->out,
                "run %s gets a new epoch from the newest state that a present site has; gxctl show "
                "rounds shows it\n",
                request.run);
    }
    return GX_CTL_OK;
}
