#include "host/host.h"

#include <string.h>

#include "units.h"

void gx_host_check_memory(struct gx_host *host)
{
    char text[GX_HOST_TEXT_MAX], have[GX_UNITS_TEXT_MAX], need[GX_UNITS_TEXT_MAX];
    unsigned long long kilobytes = 0;
    const char *line;

    if (!gx_host_text(host, "/proc/meminfo", text) ||
        (line = strstr(text, "MemAvailable:")) == NULL ||
        sscanf(line, "MemAvailable: %llu", &kilobytes) != 1)
        return gx_host_say(host, GX_HOST_NOTE, NULL, "not known: /proc/meminfo does not tell");
    gx_units_format_bytes(have, kilobytes * 1024);
    gx_units_format_bytes(need, host->memory_bytes);
    if (kilobytes * 1024 >= host->memory_bytes)
        return gx_host_say(host, GX_HOST_OK, NULL, "%s available; gxd and its trainers may take %s",
                           have, need);
    gx_host_say(
        host, GX_HOST_WARN,
        "lower `memory:` in gxd's config, or free memory; gxd refuses a run that needs more "
        "than `memory:`",
        "%s available, but gxd and its trainers may take %s (`memory:`)", have, need);
}
