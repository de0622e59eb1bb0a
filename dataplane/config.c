#include "config.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_value.h"

#define FILE_BYTES_MAX (1u << 20)

struct raw_site {
    char *name, *address;
};

struct raw {
    char *values[GX_KEY_COUNT]; /* those outside sites[] */
    struct raw_site *sites;
    unsigned sites_count;
};

/* ---- second pass: libcyaml ---- */

static const cyaml_schema_field_t site_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct raw_site, name, 1, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("address", CYAML_FLAG_POINTER, struct raw_site, address, 1,
                           CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t site_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_site, site_fields),
};

/* libcyaml's schema, made from the table. A section is a mapping at offset 0 of struct raw, so that
 * all values lie in one array. */
struct schema {
    cyaml_schema_field_t fields[GX_SCOPE_COUNT][GX_KEY_COUNT + GX_SCOPE_COUNT + 1];
    unsigned counts[GX_SCOPE_COUNT];
    cyaml_schema_value_t top;
};

static void schema_init(struct schema *s)
{
    static const char *const names[GX_SCOPE_COUNT] = {
        [GX_SCOPE_PORT] = "port", [GX_SCOPE_LOG] = "log"};
    const cyaml_schema_field_t sites = CYAML_FIELD_SEQUENCE("sites", CYAML_FLAG_POINTER, struct raw,
                                                            sites, &site_schema, 1, GX_SITES_MAX);

    memset(s, 0, sizeof(*s)); /* a zero key ends each list */
    for (int key = 0; key < GX_KEY_COUNT; key++) {
        enum gx_config_scope scope = gx_config_key_scope(key);
        if (scope == GX_SCOPE_SITE)
            continue;
        cyaml_schema_field_t *field = &s->fields[scope][s->counts[scope]++];
        field->key = gx_config_key_leaf(key);
        field->data_offset =
            (uint32_t)(offsetof(struct raw, values) + (size_t)key * sizeof(char *));
        field->value.type = CYAML_STRING;
        field->value.flags = (enum cyaml_flag)(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL);
        field->value.data_size = sizeof(char);
        field->value.string.max = CYAML_UNLIMITED;
    }
    for (int scope = GX_SCOPE_PORT; scope <= GX_SCOPE_LOG; scope++) {
        cyaml_schema_field_t *field = &s->fields[GX_SCOPE_TOP][s->counts[GX_SCOPE_TOP]++];
        field->key = names[scope];
        field->value.type = CYAML_MAPPING;
        field->value.flags = CYAML_FLAG_OPTIONAL;
        field->value.data_size = sizeof(struct raw);
        field->value.mapping.fields = s->fields[scope];
    }
    s->fields[GX_SCOPE_TOP][s->counts[GX_SCOPE_TOP]] = sites;
    s->top = (cyaml_schema_value_t){
        CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw, s->fields[GX_SCOPE_TOP])};
}

static const cyaml_config_t cyaml_config = {.mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};

/* ---- what holds between values ---- */

static int set_sites(struct gx_config_loader *l, const struct raw *raw)
{
    struct gx_config *c = l->config;
    struct gx_endpoint endpoints[GX_SITES_MAX];
    char key[32];

    c->site_count = raw->sites_count;
    for (unsigned i = 0; i < c->site_count; i++) {
        const unsigned *lines = l->file->site_lines[i];
        snprintf(key, sizeof(key), "sites[%u].name", i);
        int rc = gx_config_name_set(l, lines[0], key, raw->sites[i].name, c->sites[i].name);
        snprintf(key, sizeof(key), "sites[%u].address", i);
        if (rc == 0)
            rc =
                gx_config_address_set(l, lines[1], key, raw->sites[i].address, c->sites[i].address);
        if (rc != 0)
            return rc;
        gx_endpoint_parse(c->sites[i].address, &endpoints[i]);
        if (gx_endpoint_any(&endpoints[i]))
            return gx_config_fail(l->file, lines[1],
                                  "%s: '%s' cannot be dialled: give the address that peers see",
                                  key, c->sites[i].address);
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(c->sites[i].name, c->sites[j].name) == 0)
                return gx_config_fail(
                    l->file, lines[0],
                    "sites[%u].name: '%s' is also the name of sites[%u] (line %u): names "
                    "must differ",
                    i, c->sites[i].name, j, l->file->site_lines[j][0]);
            if (memcmp(&endpoints[i], &endpoints[j], sizeof(endpoints[i])) == 0)
                return gx_config_fail(
                    l->file, lines[1],
                    "%s: '%s' is also the address of site '%s' (line %u): addresses must differ",
                    key, c->sites[i].address, c->sites[j].name, l->file->site_lines[j][1]);
        }
    }
    return 0;
}

/* Everything that a key's absence stands for, then what must hold between keys. */
static int set_derived(struct gx_config_loader *l)
{
    struct gx_config *c = l->config;

    if (l->file->lines[GX_KEY_state] == 0)
        snprintf(c->state, sizeof(c->state), "%s.state", c->socket);
    if (l->file->lines[GX_KEY_recv_rate] == 0)
        c->recv_rate_bps = c->rate_bps;
    if (l->file->lines[GX_KEY_fetch_wait] == 0)
        c->fetch_wait_ns = c->deadline_ns;
    if (l->file->lines[GX_KEY_start_sites] == 0)
        c->start_sites = c->site_count;
    if (c->secure && !c->key[0])
        return gx_config_fail(l->file, l->file->lines[GX_KEY_security],
                              "security: 'psk' needs `key`: the file with the key of all sites, "
                              "made by gxctl key generate");
    if (!c->secure && c->key[0])
        return gx_config_fail(l->file, l->file->lines[GX_KEY_key],
                              "key: '%s' has no use with `security: none`: set `security: psk`",
                              c->key);
    if (c->min_sites > c->start_sites)
        return gx_config_fail(l->file, l->file->lines[GX_KEY_min_sites],
                              "min_sites: %u is more than start_sites, %u", c->min_sites,
                              c->start_sites);
    return 0;
}

/* What belongs to a device stands with a device, and a device has what it needs. Gives the port's IP version. */
static int set_port(struct gx_config_loader *l, int *family)
{
    static const enum gx_config_key with_device[] = {
        GX_KEY_port_address, GX_KEY_port_gateway, GX_KEY_port_udp_port, GX_KEY_lcores, GX_KEY_eal};
    const struct gx_config *c = l->config;
    const unsigned *lines = l->file->lines;
    struct gx_endpoint port;

    if (!c->port_device[0]) {
        for (size_t i = 0; i < sizeof(with_device) / sizeof(with_device[0]); i++)
            if (lines[with_device[i]])
                return gx_config_fail(l->file, lines[with_device[i]],
                                      "%s: belongs to port.device, which is not given",
                                      gx_config_keys[with_device[i]].path);
        gx_endpoint_parse(c->port_udp, &port);
        *family = port.family;
        return 0;
    }
    if (c->port_udp[0])
        return gx_config_fail(l->file, lines[GX_KEY_port_device],
                              "port.device: port.udp is given too (line %u): keep one",
                              lines[GX_KEY_port_udp]);
    if (!c->port_address[0])
        return gx_config_fail(l->file, lines[GX_KEY_port_device],
                              "port.address is missing: port.device needs an address of its own, "
                              "such as 10.0.0.1/24");
    *family = gx_config_host_family(c->port_address, true);
    if (c->port_gateway[0] && gx_config_host_family(c->port_gateway, false) != *family)
        return gx_config_fail(l->file, lines[GX_KEY_port_gateway],
                              "port.gateway: '%s' is of another IP version than port.address '%s'",
                              c->port_gateway, c->port_address);
    return 0;
}

/* Worker w is at port + w. */
static int set_lanes(struct gx_config_loader *l, const char *key, unsigned line,
                     const char *address)
{
    const struct gx_config *c = l->config;
    struct gx_endpoint endpoint;

    gx_endpoint_parse(address, &endpoint);
    if (endpoint.port + c->workers - 1 <= UINT16_MAX)
        return 0;
    return gx_config_fail(
        l->file, line,
        "%s: '%s' has no room above it for the ports of %u workers: choose a port "
        "up to %u",
        key, address, c->workers, UINT16_MAX + 1 - c->workers);
}

/* Sites at one address need ports apart from one another. */
static int set_site_lanes(struct gx_config_loader *l, unsigned i)
{
    const struct gx_config *c = l->config;
    struct gx_endpoint a, b;
    char key[32];
    int rc;

    snprintf(key, sizeof(key), "sites[%u].address", i);
    rc = set_lanes(l, key, l->file->site_lines[i][1], c->sites[i].address);
    gx_endpoint_parse(c->sites[i].address, &a);
    for (unsigned j = 0; rc == 0 && j < i; j++) {
        gx_endpoint_parse(c->sites[j].address, &b);
        if (a.family == b.family && memcmp(a.host, b.host, sizeof(a.host)) == 0 &&
            (unsigned)abs(a.port - b.port) < c->workers)
            rc = gx_config_fail(l->file, l->file->site_lines[i][1],
                                "%s: '%s' is one of the ports of site '%s' (line %u), which has %u "
                                "workers: keep them %u ports apart",
                                key, c->sites[i].address, c->sites[j].name,
                                l->file->site_lines[j][1], c->workers, c->workers);
    }
    return rc;
}

static int set_self(struct gx_config_loader *l)
{
    struct gx_config *c = l->config;
    struct gx_endpoint own;
    int family = 0, rc = set_port(l, &family);
    char names[GX_SITES_MAX * (GX_NAME_MAX + 2)] = "";

    if (rc != 0)
        return rc;
    for (c->self = 0; c->self < c->site_count; c->self++) {
        if (strcmp(c->sites[c->self].name, c->site) == 0)
            break;
        size_t at = strlen(names);
        snprintf(names + at, sizeof(names) - at, "%s%s", at ? ", " : "", c->sites[c->self].name);
    }
    if (c->self == c->site_count)
        return gx_config_fail(l->file, l->file->lines[GX_KEY_site],
                              "site: '%s' is not in `sites`, which has %s", c->site, names);
    for (unsigned i = 0; i < c->site_count; i++) {
        gx_endpoint_parse(c->sites[i].address, &own);
        if (own.family != family)
            return gx_config_fail(
                l->file, l->file->site_lines[i][1],
                "sites[%u].address: '%s' is IPv%d, but %s '%s' is IPv%d", i, c->sites[i].address,
                own.family == AF_INET ? 4 : 6, c->port_device[0] ? "port.address" : "port.udp",
                c->port_device[0] ? c->port_address : c->port_udp, family == AF_INET ? 4 : 6);
        rc = set_site_lanes(l, i);
        if (rc != 0)
            return rc;
    }
    if (!c->port_device[0])
        rc = set_lanes(l, "port.udp", l->file->lines[GX_KEY_port_udp], c->port_udp);
    return rc;
}

static int set_all(struct gx_config_loader *l, const struct raw *raw)
{
    int rc = set_sites(l, raw);

    for (int key = 0; rc == 0 && key < GX_KEY_COUNT; key++) {
        const char *text = raw->values[key];
        l->config->given |= (text ? 1ull : 0) << key;
        if (!text && !gx_config_keys[key].derived)
            text = gx_config_keys[key].text;
        if (text)
            rc = gx_config_value_set(l, (enum gx_config_key)key, text);
    }
    if (rc == 0)
        rc = set_derived(l);
    return rc == 0 ? set_self(l) : rc;
}

static int load_values(struct gx_config_loader *l)
{
    struct schema *schema = malloc(sizeof(*schema));
    struct raw *raw = NULL;

    if (!schema)
        return -ENOMEM;
    schema_init(schema);
    cyaml_err_t error = cyaml_load_data((const uint8_t *)l->file->data, l->file->bytes,
                                        &cyaml_config, &schema->top, (cyaml_data_t **)&raw, NULL);
    int rc = error == CYAML_OK ? set_all(l, raw)
                               : gx_config_fail(l->file, 1, "%s", cyaml_strerror(error));
    cyaml_free(&cyaml_config, &schema->top, raw, 0);
    free(schema);
    return rc;
}

/* ---- file ---- */

static int read_file(struct gx_config_file *file)
{
    struct stat stat;
    int rc = 0, fd = open(file->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &stat) != 0)
        rc = -errno;
    else if (S_ISDIR(stat.st_mode))
        rc = -EISDIR;
    else if (!(file->data = malloc(FILE_BYTES_MAX + 1)))
        rc = -ENOMEM;
    while (rc == 0 && file->bytes <= FILE_BYTES_MAX) {
        ssize_t n = read(fd, file->data + file->bytes, FILE_BYTES_MAX + 1 - file->bytes);
        if (n == 0)
            break;
        if (n > 0)
            file->bytes += (size_t)n;
        else if (errno != EINTR)
            rc = -errno;
    }
    close(fd);
    return rc == 0 && file->bytes > FILE_BYTES_MAX ? -EFBIG : rc;
}

int gx_config_load(const char *path, struct gx_config *config, char *error, size_t error_bytes)
{
    struct gx_config_file file = {.path = path, .error = error, .error_bytes = error_bytes};
    struct gx_config_loader loader = {.file = &file, .config = config};
    int rc;

    error[0] = '\0';
    memset(config, 0, sizeof(*config));
    rc = read_file(&file);
    if (rc == 0)
        rc = gx_config_check_shape(&file);
    if (rc == 0)
        rc = load_values(&loader);
    if (rc != 0 && error[0] == '\0')
        snprintf(error, error_bytes, "%s: cannot be read: %s", path, strerror(-rc));
    free(file.data);
    return rc;
}
