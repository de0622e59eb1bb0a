#include "host/host.h"

#include <string.h>

#include "units.h"

/* "/proc/sys/net/core/rmem_max" → "net.core.rmem_max" */
static void name_of(const char *path, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s", path + strlen("/proc/sys/"));
    for (; *out; out++)
        if (*out == '/')
            *out = '.';
}

void gx_host_check_sysctls(struct gx_host *host)
{
    char name[64], todo[160], have[GX_UNITS_TEXT_MAX], want[GX_UNITS_TEXT_MAX];
    uint64_t value;
    bool slow = host->rate_bps && host->rate_bps <= 1000000000;

    for (unsigned i = 0; i < gx_host_tuning_count; i++) {
        const struct gx_host_tuning *t = &gx_host_tunings[i];
        name_of(t->path, name, sizeof(name));
        if (!gx_host_number(host, t->path, &value)) {
            gx_host_say(host, GX_HOST_NOTE, NULL, "%s is not there: not seen in this container?",
                        name);
            continue;
        }
        gx_units_format_bytes(have, value);
        if (value >= t->value || (slow && value >= t->value / 4)) {
            gx_host_say(host, GX_HOST_OK, NULL, "%s is %s", name, have);
            continue;
        }
        snprintf(todo, sizeof(todo), "as root: gxctl host init, or: sysctl -w %s=%llu", name,
                 (unsigned long long)t->value);
        gx_host_say(host, GX_HOST_WARN, todo,
                    "%s is %s, %s is better: %s; too small, and some are lost above 1 Gbit/s", name,
                    have, gx_units_format_bytes(want, t->value), t->why);
    }
}
