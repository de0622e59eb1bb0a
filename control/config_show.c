#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "config_file.h"
#include "request.h"
#include "snapshot.h"
#include "units.h"

/* ---- from the running gxd ---- */

/* What gxd says is a file that gx_config_load() reads. */
static int load_text(const struct gx_ctl *ctl, const char *text, struct gx_config *config)
{
    char path[64], error[512];
    int fd = memfd_create("gx-config", MFD_CLOEXEC), rc;

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        rc = errno;
        if (fd >= 0)
            close(fd);
        return gx_ctl_fail(ctl, GX_CTL_FAILED, "memfd: %s", strerror(rc));
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    rc = gx_config_load(path, config, error, sizeof(error));
    close(fd);
    if (rc != 0)
        return gx_ctl_fail(
            ctl, GX_CTL_FAILED,
            "gxd's config has keys that this gxctl does not know (%s): use the gxctl "
            "that came with it",
            error);
    return GX_CTL_OK;
}

static int load_running(const struct gx_ctl *ctl, struct gx_config *config)
{
    static struct gx_control_reply reply;
    struct gx_control_request request = {.command = GX_CONTROL_CONFIG};
    int code = gx_request(ctl, &request, &reply);

    if (code == GX_CTL_OK)
        code = load_text(ctl, reply.text, config);
    config->given = reply.given;
    return code;
}

/* ---- JSON: the keys of the file, with their units ---- */

struct type {
    const char *name, *unit; /* as config.def's types are called */
    int (*parse)(const char *text, uint64_t *value);
    double divisor;
};

static const struct type types[] = {
    {"rate", "_bps", gx_units_rate, 1},
    {"size", "_bytes", gx_units_bytes, 1},
    {"duration", "_seconds", gx_units_duration, 1e9},
    {"whole number", "", gx_units_bytes, 1},
};

static void put_value(json_t *object, int key, const char *text)
{
    char name[64];
    uint64_t value;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(gx_config_keys[key].type, types[i].name) != 0 ||
            types[i].parse(text, &value) != 0)
            continue;
        const char *unit = key == GX_KEY_mtu ? "_bytes" : types[i].unit;
        snprintf(name, sizeof(name), "%s%s", gx_config_keys[key].path, unit);
        json_object_set_new(object, name,
                            types[i].divisor > 1 ? json_real((double)value / types[i].divisor)
                                                 : json_integer((json_int_t)value));
        return;
    }
    gx_json_text(object, gx_config_keys[key].path, text);
}

static void print_json(const struct gx_ctl *ctl, const struct gx_config *config)
{
    json_t *object = json_object(), *values = json_object(), *defaults = json_array(),
           *sites = json_array();

    for (int key = 0; key < GX_KEY_COUNT; key++) {
        char text[GX_CONFIG_TEXT_MAX];
        if (gx_config_key_scope(key) == GX_SCOPE_SITE || !*gx_config_value(config, key, text))
            continue;
        put_value(values, key, text);
        if (!(config->given >> key & 1))
            json_array_append_new(defaults, json_string(gx_config_keys[key].path));
    }
    for (uint32_t i = 0; i < config->site_count; i++) {
        json_t *site = json_object();
        gx_json_text(site, "name", config->sites[i].name);
        gx_json_text(site, "address", config->sites[i].address);
        json_array_append_new(sites, site);
    }
    json_object_set_new(object, "config", values);
    json_object_set_new(object, "sites", sites);
    json_object_set_new(object, "defaults", defaults);
    gx_json_print(ctl, object);
}

int gx_ctl_config_show(const struct gx_ctl *ctl, char **arguments)
{
    struct gx_config config = {0};
    char error[512];

    if (ctl->argument_count == 0) {
        int code = load_running(ctl, &config);
        if (code != GX_CTL_OK)
            return code;
    } else if (gx_config_load(arguments[0], &config, error, sizeof(error)) != 0) {
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "%s", error);
    }
    if (ctl->json)
        print_json(ctl, &config);
    else
        gx_config_print(&config, ctl->out);
    return GX_CTL_OK;
}
