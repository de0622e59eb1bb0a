#include "host/host.h"

#include <string.h>

void gx_host_check_governor(struct gx_host *host)
{
    char governor[64];

    if (!gx_host_line(host, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor,
                      sizeof(governor)))
        return gx_host_say(host, GX_HOST_OK, NULL,
                           "the clock is not ours to set here (usual in virtual machines)");
    if (strcmp(governor, "performance") == 0)
        return gx_host_say(host, GX_HOST_OK, NULL, "performance");
    gx_host_say(host, GX_HOST_NOTE,
                "as root, on a server that only serves gx: cpupower frequency-set -g performance "
                "(package linux-cpupower)",
                "%s: a core that slept needs some 100 us to reach its full clock", governor);
}
