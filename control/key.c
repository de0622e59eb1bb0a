#include "ctl.h"

int gx_ctl_key(const struct gx_ctl *ctl, char **arguments)
{
    (void)arguments;
    return gx_ctl_fail(ctl, GX_CTL_USAGE,
                       "'key' is reserved: this release has `security: none` only, and no keys");
}
