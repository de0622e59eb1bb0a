/* A configuration as text: `gxctl config show`. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "config.h"
#include "config_file.h"

static const char *const log_levels[] = {"error", "warn", "info", "debug"};

const char *gx_log_level_name(enum gx_log_level level)
{
    return log_levels[level];
}

int gx_log_level_parse(const char *text, enum gx_log_level *level)
{
    for (int i = GX_LOG_ERROR; i <= GX_LOG_DEBUG; i++)
        if (strcmp(log_levels[i], text) == 0) {
            *level = (enum gx_log_level)i;
            return 0;
        }
    return -EINVAL;
}

struct unit {
    uint64_t factor;
    const char *name;
};

/* The largest unit that divides the value, so that nothing is rounded. */
static const char *print_unit(char *out, uint64_t value, const struct unit *units)
{
    while (units->factor > 1 && (value % units->factor != 0 || value == 0))
        units++;
    snprintf(out, GX_CONFIG_TEXT_MAX, "%" PRIu64 "%s", value / units->factor, units->name);
    return out;
}

static const char *print_rate(char *out, uint64_t bps)
{
    static const struct unit units[] = {
        {1000000000, "Gbit"}, {1000000, "Mbit"}, {1000, "Kbit"}, {1, "bit"}};

    return print_unit(out, bps, units);
}

static const char *print_duration(char *out, uint64_t ns)
{
    static const struct unit units[] = {
        {1000000000, "s"}, {1000000, "ms"}, {1000, "us"}, {1, "ns"}};

    return print_unit(out, ns, units);
}

static const char *print_bytes(char *out, uint64_t bytes)
{
    static const struct unit units[] = {
        {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, ""}};

    return print_unit(out, bytes, units);
}

static const char *print_text(char *out, const char *text)
{
    snprintf(out, GX_CONFIG_TEXT_MAX, "%s", text);
    return out;
}

static const char *print_count(char *out, uint32_t count)
{
    snprintf(out, GX_CONFIG_TEXT_MAX, "%u", count);
    return out;
}

const char *gx_config_value(const struct gx_config *c, int key, char *out)
{
    switch ((enum gx_config_key)key) {
    case GX_KEY_site:
        return print_text(out, c->site);
    case GX_KEY_port_udp:
        return print_text(out, c->port_udp);
    case GX_KEY_port_device:
        return print_text(out, c->port_device);
    case GX_KEY_port_address:
        return print_text(out, c->port_address);
    case GX_KEY_port_gateway:
        return print_text(out, c->port_gateway);
    case GX_KEY_port_udp_port:
        return c->port_device[0] ? print_count(out, c->port_udp_port) : print_text(out, "");
    case GX_KEY_lcores:
        return print_text(out, c->lcores);
    case GX_KEY_eal:
        return print_text(out, c->eal);
    case GX_KEY_socket:
        return print_text(out, c->socket);
    case GX_KEY_state:
        return print_text(out, c->state);
    case GX_KEY_rate:
        return print_rate(out, c->rate_bps);
    case GX_KEY_recv_rate:
        return print_rate(out, c->recv_rate_bps);
    case GX_KEY_rate_control:
        return print_text(out, c->rate_algorithm->name);
    case GX_KEY_loss_floor:
        return print_count(out, c->loss_floor_percent);
    case GX_KEY_memory:
        return print_bytes(out, c->memory_bytes);
    case GX_KEY_mtu:
        return print_count(out, c->mtu);
    case GX_KEY_workers:
        return print_count(out, c->workers);
    case GX_KEY_priority:
        return print_count(out, c->priority);
    case GX_KEY_deadline:
        return print_duration(out, c->deadline_ns);
    case GX_KEY_fetch_wait:
        return print_duration(out, c->fetch_wait_ns);
    case GX_KEY_rewind_after:
        return print_duration(out, c->rewind_after_ns);
    case GX_KEY_start_sites:
        return print_count(out, c->start_sites);
    case GX_KEY_min_sites:
        return print_count(out, c->min_sites);
    case GX_KEY_keep_rounds:
        return print_count(out, c->keep_rounds);
    case GX_KEY_log_level:
        return print_text(out, gx_log_level_name(c->log_level));
    case GX_KEY_security:
        return print_text(out, c->secure ? "psk" : "none");
    case GX_KEY_key:
        return print_text(out, c->key);
    case GX_KEY_sites_name:
    case GX_KEY_sites_address:
    case GX_KEY_COUNT:
        break;
    }
    return print_text(out, "");
}

/* Text in quotes: YAML gives brackets, colons and words like "no" a meaning of their own. */
static void print_line(const struct gx_config *config, int key, const char *indent, FILE *out)
{
    const char *type = gx_config_keys[key].type;
    static const char *const bare[] = {"rate", "size", "duration", "whole number", "choice"};
    bool quoted = true;

    for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++)
        quoted &= strcmp(type, bare[i]) != 0;
    char value[GX_CONFIG_TEXT_MAX];

    fprintf(out, "%s%s: %s", indent, gx_config_key_leaf(key), quoted ? "\"" : "");
    for (const char *at = gx_config_value(config, key, value); *at; at++)
        fprintf(out, quoted && (*at == '"' || *at == '\\') ? "\\%c" : "%c", *at);
    fprintf(out, "%s%s\n", quoted ? "\"" : "", config->given >> key & 1 ? "" : "  # default");
}

static void print_section(const struct gx_config *config, enum gx_config_scope scope,
                          const char *title, FILE *out)
{
    if (title)
        fprintf(out, "%s:\n", title);
    for (int key = 0; key < GX_KEY_COUNT; key++) {
        char value[GX_CONFIG_TEXT_MAX];
        if (gx_config_key_scope(key) == scope && *gx_config_value(config, key, value))
            print_line(config, key, title ? "  " : "", out);
    }
}

void gx_config_print(const struct gx_config *config, FILE *out)
{
    print_section(config, GX_SCOPE_TOP, NULL, out);
    print_section(config, GX_SCOPE_PORT, "port", out);
    print_section(config, GX_SCOPE_LOG, "log", out);
    fputs("sites:\n", out);
    for (uint32_t i = 0; i < config->site_count; i++)
        fprintf(out, "  - {name: \"%s\", address: \"%s\"}\n", config->sites[i].name,
                config->sites[i].address);
}
