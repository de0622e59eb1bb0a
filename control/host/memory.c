#include "host/host.h"

#include "units.h"

void gx_host_check_memory(struct gx_host *host)
{
    char have[GX_UNITS_TEXT_MAX], need[GX_UNITS_TEXT_MAX];
    uint64_t available = gx_host_available_bytes(host);

    gx_units_format_bytes(have, available);
    gx_units_format_bytes(need, host->memory_bytes);
    if (available == 0)
        gx_host_say(host, GX_HOST_NOTE, NULL, "not known: /proc/meminfo does not tell");
    else if (available >= host->memory_bytes)
        gx_host_say(host, GX_HOST_OK, NULL, "%s available; gxd and its trainers may take %s", have,
                    need);
    else
        gx_host_say(host, GX_HOST_WARN,
                    "lower `memory:` in gxd's config, or free memory; gxd refuses a run that needs "
                    "more than `memory:`",
                    "%s available, but gxd and its trainers may take %s (`memory:`)", have, need);
}
