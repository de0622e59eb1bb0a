#include "config.h"
#include "ctl.h"
#include "units.h"

int gx_ctl_config_check(const struct gx_ctl *ctl, char **arguments)
{
    struct gx_config config;
    char error[512], rate[GX_UNITS_TEXT_MAX], memory[GX_UNITS_TEXT_MAX];

    if (gx_config_load(arguments[0], &config, error, sizeof(error)) != 0)
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "%s", error);
    fprintf(ctl->out, "%s: right. Site %s of %u (coordinator %s), rate %s, memory %s, socket %s\n",
            arguments[0], config.site, config.site_count, config.sites[0].name,
            gx_units_format_rate(rate, config.rate_bps),
            gx_units_format_bytes(memory, config.memory_bytes), config.socket);
    return GX_CTL_OK;
}
