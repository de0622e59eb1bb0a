#include "host/host.h"

void gx_host_check_uring(struct gx_host *host)
{
    uint64_t disabled;

    if (!gx_host_number(host, "/proc/sys/kernel/io_uring_disabled", &disabled))
        return gx_host_say(
            host, GX_HOST_OK, NULL,
            "this kernel (before 6.6) has no switch against it; where it is missing, "
            "gxd uses ordinary socket calls");
    if (disabled == 0)
        return gx_host_say(host, GX_HOST_OK, NULL, "allowed");
    gx_host_say(host, GX_HOST_NOTE, "as root: sysctl -w kernel.io_uring_disabled=0",
                "switched off: gxd uses ordinary socket calls, which take more of the core");
}
