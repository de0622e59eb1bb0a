#include "config_value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

#define MEMORY_BYTES_MIN (1ull << 20)
#define REWIND_NS_MAX (365 * GX_DEADLINE_NS_MAX)
#define MTU_MIN 576
#define MTU_MAX 9000
#define PRIORITY_MAX 99 /* of SCHED_RR, on Linux */

/* ---- names and addresses ---- */

static bool name_valid(const char *name)
{
    size_t length =
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return length > 0 && name[length] == '\0' && length < GX_NAME_MAX;
}

int gx_config_name_set(struct gx_config_loader *l, unsigned line, const char *key, const char *text,
                       char *out)
{
    if (!name_valid(text))
        return gx_config_fail(l->file, line, "%s: '%s' is not a name: 1 to %d of A-Z a-z 0-9 . _ -",
                              key, text, GX_NAME_MAX - 1);
    strcpy(out, text);
    return 0;
}

int gx_endpoint_parse(const char *text, struct gx_endpoint *out)
{
    char host[GX_CONFIG_ADDRESS_MAX], *end;
    const char *colon = strrchr(text, ':');

    memset(out, 0, sizeof(*out));
    if (!colon || strlen(text) >= sizeof(host) || colon[1] < '0' || colon[1] > '9')
        return -EINVAL;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || port == 0 || port > UINT16_MAX)
        return -EINVAL;
    size_t length = (size_t)(colon - text);
    out->port = (uint16_t)port;
    out->family = AF_INET;
    if (text[0] == '[') {
        if (length < 2 || text[length - 1] != ']')
            return -EINVAL;
        out->family = AF_INET6;
        text++;
        length -= 2;
    }
    memcpy(host, text, length);
    host[length] = '\0';
    return inet_pton(out->family, host, out->host) == 1 ? 0 : -EINVAL;
}

bool gx_endpoint_any(const struct gx_endpoint *e)
{
    static const uint8_t zeros[16];

    return memcmp(e->host, zeros, sizeof(zeros)) == 0;
}

int gx_config_address_set(struct gx_config_loader *l, unsigned line, const char *key,
                          const char *text, char *out)
{
    struct gx_endpoint endpoint;

    if (gx_endpoint_parse(text, &endpoint) != 0)
        return gx_config_fail(l->file, line,
                              "%s: '%s' is not a numeric address with a port: \"10.0.0.1:7440\" or "
                              "\"[2001:db8::1]:7440\"",
                              key, text);
    strcpy(out, text);
    return 0;
}

int gx_config_host_family(const char *text, bool prefix)
{
    char host[GX_CONFIG_ADDRESS_MAX], *end;
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    uint8_t bytes[16];
    int family;
    unsigned long bits;

    if (length >= sizeof(host) || (slash != NULL) != prefix)
        return 0;
    memcpy(host, text, length);
    host[length] = '\0';
    family = strchr(host, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, host, bytes) != 1)
        return 0;
    if (!prefix)
        return family;
    bits = strtoul(slash + 1, &end, 10);
    return slash[1] >= '0' && slash[1] <= '9' && !*end && bits > 0 &&
                   bits <= (family == AF_INET ? 32 : 128)
               ? family
               : 0;
}

static int set_host(struct gx_config_loader *l, enum gx_config_key key, const char *text,
                    bool prefix, char *out)
{
    if (strlen(text) >= GX_CONFIG_ADDRESS_MAX || !gx_config_host_family(text, prefix))
        return gx_config_fail(l->file, l->file->lines[key], "%s: '%s' is not %s",
                              gx_config_keys[key].path, text,
                              prefix ? "a numeric address with the length of its network's prefix: "
                                       "10.0.0.1/24 or \"2001:db8::1/64\""
                                     : "a numeric address: 10.0.0.254");
    strcpy(out, text);
    return 0;
}

/* ---- what only one key has, or few ---- */

static int set_cpus(struct gx_config_loader *l, const char *text, char *out)
{
    if (strlen(text) >= GX_CONFIG_ADDRESS_MAX || text[strspn(text, "0123456789,-")] ||
        text[0] < '0' || text[0] > '9')
        return gx_config_fail(l->file, l->file->lines[GX_KEY_lcores],
                              "lcores: '%s' is not a list of CPUs: \"2\" or \"2,4-5\"", text);
    strcpy(out, text);
    return 0;
}

static int set_path(struct gx_config_loader *l, enum gx_config_key key, const char *text, char *out,
                    size_t out_bytes)
{
    if (strlen(text) >= out_bytes)
        return gx_config_fail(l->file, l->file->lines[key],
                              "%s: '%s' is %zu bytes long, at most %zu are possible",
                              gx_config_keys[key].path, text, strlen(text), out_bytes - 1);
    strcpy(out, text);
    return 0;
}

static int set_rate(struct gx_config_loader *l, enum gx_config_key key, const char *text,
                    uint64_t *out)
{
    if (gx_units_rate(text, out) != 0)
        return gx_config_fail(l->file, l->file->lines[key], "%s: '%s' is not %s",
                              gx_config_keys[key].path, text, GX_UNITS_RATE);
    if (*out == 0)
        return gx_config_fail(l->file, l->file->lines[key], "%s: '%s' would send nothing: give %s",
                              gx_config_keys[key].path, text, GX_UNITS_RATE);
    return 0;
}

static int set_duration(struct gx_config_loader *l, enum gx_config_key key, const char *text,
                        uint64_t max_ns, uint64_t *out)
{
    if (gx_units_duration(text, out) != 0)
        return gx_config_fail(l->file, l->file->lines[key], "%s: '%s' is not %s",
                              gx_config_keys[key].path, text, GX_UNITS_DURATION);
    if (*out == 0 || *out > max_ns)
        return gx_config_fail(l->file, l->file->lines[key],
                              "%s: '%s' is not above 0 and at most %lluh", gx_config_keys[key].path,
                              text, (unsigned long long)(max_ns / 3600000000000));
    return 0;
}

static int set_memory(struct gx_config_loader *l, const char *text)
{
    uint64_t *out = &l->config->memory_bytes;

    if (gx_units_bytes(text, out) != 0)
        return gx_config_fail(l->file, l->file->lines[GX_KEY_memory], "memory: '%s' is not %s",
                              text, GX_UNITS_BYTES);
    if (*out < MEMORY_BYTES_MIN)
        return gx_config_fail(
            l->file, l->file->lines[GX_KEY_memory],
            "memory: '%s' is too small for any run: give 1MiB at least, such as 2GiB", text);
    return 0;
}

static int set_count(struct gx_config_loader *l, enum gx_config_key key, const char *text,
                     uint32_t min, uint32_t max, uint32_t *out)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < min || value > max)
        return gx_config_fail(l->file, l->file->lines[key],
                              "%s: '%s' is not a whole number from %u to %u",
                              gx_config_keys[key].path, text, min, max);
    *out = (uint32_t)value;
    return 0;
}

static int set_workers(struct gx_config_loader *l, const char *text)
{
    return set_count(l, GX_KEY_workers, text, 1, GX_WORKERS_MAX, &l->config->workers);
}

static int set_log_level(struct gx_config_loader *l, const char *text)
{
    if (gx_log_level_parse(text, &l->config->log_level) == 0)
        return 0;
    return gx_config_fail(l->file, l->file->lines[GX_KEY_log_level],
                          "log.level: '%s' is not error, warn, info or debug", text);
}

static int set_rate_control(struct gx_config_loader *l, const char *text)
{
    l->config->rate_algorithm = gx_rate_find(text);
    if (l->config->rate_algorithm)
        return 0;
    return gx_config_fail(l->file, l->file->lines[GX_KEY_rate_control],
                          "rate_control: '%s' is none of path, fixed", text);
}

static int set_security(struct gx_config_loader *l, const char *text)
{
    l->config->secure = strcmp(text, "psk") == 0;
    if (l->config->secure || strcmp(text, "none") == 0)
        return 0;
    return gx_config_fail(l->file, l->file->lines[GX_KEY_security],
                          "security: '%s' is neither psk nor none", text);
}

int gx_config_value_set(struct gx_config_loader *l, enum gx_config_key key, const char *text)
{
    struct gx_config *c = l->config;

    switch (key) {
    case GX_KEY_site:
        return gx_config_name_set(l, l->file->lines[key], "site", text, c->site);
    case GX_KEY_port_udp:
        return gx_config_address_set(l, l->file->lines[key], "port.udp", text, c->port_udp);
    case GX_KEY_port_device:
        return set_path(l, key, text, c->port_device, sizeof(c->port_device));
    case GX_KEY_port_address:
        return set_host(l, key, text, true, c->port_address);
    case GX_KEY_port_gateway:
        return set_host(l, key, text, false, c->port_gateway);
    case GX_KEY_port_udp_port:
        return set_count(l, key, text, 1, UINT16_MAX, &c->port_udp_port);
    case GX_KEY_lcores:
        return set_cpus(l, text, c->lcores);
    case GX_KEY_eal:
        return set_path(l, key, text, c->eal, sizeof(c->eal));
    case GX_KEY_socket:
        return set_path(l, key, text, c->socket, sizeof(c->socket));
    case GX_KEY_state:
        return set_path(l, key, text, c->state, sizeof(c->state));
    case GX_KEY_rate:
        return set_rate(l, key, text, &c->rate_bps);
    case GX_KEY_recv_rate:
        return set_rate(l, key, text, &c->recv_rate_bps);
    case GX_KEY_rate_control:
        return set_rate_control(l, text);
    case GX_KEY_loss_floor:
        return set_count(l, key, text, 0, 50, &c->loss_floor_percent);
    case GX_KEY_memory:
        return set_memory(l, text);
    case GX_KEY_mtu:
        return set_count(l, key, text, MTU_MIN, MTU_MAX, &c->mtu);
    case GX_KEY_workers:
        return set_workers(l, text);
    case GX_KEY_priority:
        return set_count(l, key, text, 0, PRIORITY_MAX, &c->priority);
    case GX_KEY_deadline:
        return set_duration(l, key, text, GX_DEADLINE_NS_MAX, &c->deadline_ns);
    case GX_KEY_fetch_wait:
        return set_duration(l, key, text, GX_DEADLINE_NS_MAX, &c->fetch_wait_ns);
    case GX_KEY_rewind_after:
        return set_duration(l, key, text, REWIND_NS_MAX, &c->rewind_after_ns);
    case GX_KEY_start_sites:
        return set_count(l, key, text, 1, c->site_count, &c->start_sites);
    case GX_KEY_min_sites:
        return set_count(l, key, text, 1, c->site_count, &c->min_sites);
    case GX_KEY_keep_rounds:
        return set_count(l, key, text, 1, 2, &c->keep_rounds);
    case GX_KEY_log_level:
        return set_log_level(l, text);
    case GX_KEY_security:
        return set_security(l, text);
    case GX_KEY_key:
        return set_path(l, key, text, c->key, sizeof(c->key));
    case GX_KEY_sites_name:
    case GX_KEY_sites_address:
    case GX_KEY_COUNT:
        break;
    }
    return 0;
}
