#include "host/host.h"

#include <sched.h>

/* The worker wants a core of its own; main and the trainer need another. */
void gx_host_check_cores(struct gx_host *host)
{
    char online[128] = "";
    cpu_set_t set;
    unsigned count = 0;

    if (gx_host_line(host, "/sys/devices/system/cpu/online", online, sizeof(online)))
        count = gx_host_list_count(online);
    if (count == 0)
        return gx_host_say(host, GX_HOST_NOTE, NULL, "not known: /sys does not tell");
    /* A container may be allowed fewer. */
    if (!*host->root && sched_getaffinity(0, sizeof(set), &set) == 0 &&
        (unsigned)CPU_COUNT(&set) < count) {
        gx_host_say(host, CPU_COUNT(&set) < 2 ? GX_HOST_WARN : GX_HOST_NOTE,
                    "give the container or the service more cores (systemd: AllowedCPUs=)",
                    "%u are online, but only %d may be used here", count, CPU_COUNT(&set));
        return;
    }
    if (count < 2)
        gx_host_say(host, GX_HOST_WARN, "give this machine a second core",
                    "one: gxd's worker and the trainer take it from each other");
    else
        gx_host_say(host, GX_HOST_OK, NULL,
                    "%u online (%s): one for gxd's worker, the others for the trainer", count,
                    online);
}
