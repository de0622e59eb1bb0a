#include "host/host.h"

#include <string.h>

/* Where no huge pages are reserved, these are what an arena can have. */
void gx_host_check_thp(struct gx_host *host)
{
    char line[128];

    if (!gx_host_line(host, "/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof(line)))
        return gx_host_say(host, GX_HOST_NOTE, NULL, "this kernel has none");
    if (strstr(line, "[never]"))
        gx_host_say(host, GX_HOST_NOTE,
                    "as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
                    "switched off: matters only where no huge pages are reserved");
    else
        gx_host_say(host, GX_HOST_OK, NULL, "%s",
                    strstr(line, "[always]") ? "always" : "for programs that ask (madvise)");
}
