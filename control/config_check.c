#include "config.h"
#include "snapshot.h"
#include "units.h"

static int print_json(const struct gx_ctl *ctl, const char *path, const char *error)
{
    json_t *object = json_object();

    gx_json_text(object, "file", path);
    json_object_set_new(object, "valid", json_boolean(!error));
    gx_json_text(object, "error", error);
    gx_json_print(ctl, object);
    return error ? GX_CTL_USAGE : GX_CTL_OK;
}

int gx_ctl_config_check(const struct gx_ctl *ctl, char **arguments)
{
    struct gx_config config;
    uint8_t key[GX_PSK_BYTES];
    char error[512], rate[GX_UNITS_TEXT_MAX], memory[GX_UNITS_TEXT_MAX];
    int rc = gx_config_load(arguments[0], &config, error, sizeof(error));

    if (rc == 0 && config.secure)
        rc = gx_config_key_load(&config, key, error, sizeof(error));
    if (ctl->json)
        return print_json(ctl, arguments[0], rc ? error : NULL);
    if (rc != 0)
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "%s", error);
    fprintf(ctl->out, "%s: right. Site %s of %u (coordinator %s), rate %s, memory %s, socket %s\n",
            arguments[0], config.site, config.site_count, config.sites[0].name,
            gx_units_format_rate(rate, config.rate_bps),
            gx_units_format_bytes(memory, config.memory_bytes), config.socket);
    return GX_CTL_OK;
}
