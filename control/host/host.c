#include "host/host.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "snapshot.h"

#define HUGE_BYTES (2ull << 20)
#define BUFFER_BYTES (16ull << 20)

const struct gx_host_tuning gx_host_tunings[] = {
    {"/proc/sys/net/core/rmem_max", BUFFER_BYTES, "packets wait here while gxd is busy"},
    {"/proc/sys/net/core/wmem_max", BUFFER_BYTES, "packets wait here for the network"},
};
const unsigned gx_host_tuning_count = sizeof(gx_host_tunings) / sizeof(gx_host_tunings[0]);

/* ---- reading ---- */

static FILE *open_below(const struct gx_host *host, const char *path)
{
    char full[PATH_MAX];

    snprintf(full, sizeof(full), "%s%s", host->root, path);
    return fopen(full, "re");
}

bool gx_host_text(const struct gx_host *host, const char *path, char out[GX_HOST_TEXT_MAX])
{
    FILE *f = open_below(host, path);

    if (!f)
        return false;
    size_t bytes = fread(out, 1, GX_HOST_TEXT_MAX - 1, f);
    bool good = !ferror(f); /* a link that is down has no speed: EINVAL */
    out[bytes] = '\0';
    fclose(f);
    return good;
}

bool gx_host_line(const struct gx_host *host, const char *path, char *out, size_t bytes)
{
    char text[GX_HOST_TEXT_MAX];

    if (!gx_host_text(host, path, text))
        return false;
    size_t length = strcspn(text, "\n");
    if (length >= bytes)
        length = bytes - 1;
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

bool gx_host_number(const struct gx_host *host, const char *path, uint64_t *value)
{
    char line[64], *end;

    if (!gx_host_line(host, path, line, sizeof(line)))
        return false;
    *value = strtoull(line, &end, 10);
    return line[0] >= '0' && line[0] <= '9';
}

bool gx_host_interface_line(const struct gx_host *host, const char *name, char *out, size_t bytes)
{
    char path[128];

    snprintf(path, sizeof(path), "/sys/class/net/%.31s/%s", host->interface, name);
    return gx_host_line(host, path, out, bytes);
}

bool gx_host_link(const struct gx_host *host, const char *path, char *out, size_t bytes)
{
    char full[PATH_MAX], target[PATH_MAX];

    snprintf(full, sizeof(full), "%s%s", host->root, path);
    ssize_t n = readlink(full, target, sizeof(target) - 1);
    if (n < 0)
        return false;
    target[n] = '\0';
    const char *slash = strrchr(target, '/');
    snprintf(out, bytes, "%s", slash ? slash + 1 : target);
    return true;
}

/* ---- lists of cores ---- */

static uint64_t list_mask(const char *list, unsigned *count)
{
    uint64_t mask = 0; /* of the first 64 cores */

    *count = 0;
    while (*list >= '0' && *list <= '9') {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (unsigned long i = first; i <= last && i < 4096; i++) {
            mask |= i < 64 ? 1ull << i : 0;
            ++*count;
        }
        list = *end == ',' ? end + 1 : end;
    }
    return mask;
}

unsigned gx_host_list_count(const char *list)
{
    unsigned count;

    list_mask(list, &count);
    return count;
}

bool gx_host_list_meets(const char *a, const char *b)
{
    unsigned count;

    return (list_mask(a, &count) & list_mask(b, &count)) != 0;
}

/* ---- findings ---- */

void gx_host_say(struct gx_host *host, enum gx_host_level level, const char *todo,
                 const char *format, ...)
{
    static const char *const names[GX_HOST_LEVELS] = {"ok", "note", "warn", "fail"};
    char text[1024];
    va_list args;
    json_t *finding = json_object();

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_object_set_new(finding, "level", json_string(names[level]));
    json_object_set_new(finding, "check", json_string(host->title));
    json_object_set_new(finding, "interface",
                        host->interface ? json_string(host->interface) : json_null());
    json_object_set_new(finding, "text", json_string(text));
    json_object_set_new(finding, "todo", todo ? json_string(todo) : json_null());
    json_array_append_new(host->findings, finding);
}

uint64_t gx_host_available_bytes(const struct gx_host *host)
{
    char text[GX_HOST_TEXT_MAX];
    unsigned long long kilobytes = 0;
    const char *line;

    if (!gx_host_text(host, "/proc/meminfo", text) ||
        (line = strstr(text, "MemAvailable:")) == NULL ||
        sscanf(line, "MemAvailable: %llu", &kilobytes) != 1)
        return 0;
    return kilobytes * 1024;
}

uint64_t gx_host_huge_pages(const struct gx_host *host)
{
    return (host->memory_bytes + HUGE_BYTES - 1) / HUGE_BYTES;
}

/* ---- what gxd needs, on which interfaces ---- */

static void interface_add(struct gx_host *host, const char *name)
{
    for (unsigned i = 0; i < host->interface_count; i++)
        if (strcmp(host->interfaces[i], name) == 0)
            return;
    if (host->interface_count < GX_HOST_INTERFACES_MAX)
        snprintf(host->interfaces[host->interface_count++], GX_HOST_NAME_MAX, "%.31s", name);
}

/* Every one that is up, but the loopback. */
static void interfaces_find(struct gx_host *host)
{
    char path[PATH_MAX], state[32];

    snprintf(path, sizeof(path), "%s/sys/class/net", host->root);
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "lo") == 0)
            continue;
        host->interface = entry->d_name;
        if (gx_host_interface_line(host, "operstate", state, sizeof(state)) &&
            strcmp(state, "up") == 0)
            interface_add(host, entry->d_name);
    }
    host->interface = NULL;
    if (directory)
        closedir(directory);
}

/* The interface that has the address of "host:port". */
static void interface_of(struct gx_host *host, const char *address)
{
    char text[64], have[INET6_ADDRSTRLEN];
    struct ifaddrs *all, *at;
    bool v6 = address[0] == '[';

    snprintf(text, sizeof(text), "%s", address + v6);
    char *end = v6 ? strchr(text, ']') : strrchr(text, ':');
    if (end)
        *end = '\0';
    if (getifaddrs(&all) != 0)
        return;
    for (at = all; at; at = at->ifa_next) {
        if (!at->ifa_addr || at->ifa_addr->sa_family != (v6 ? AF_INET6 : AF_INET))
            continue;
        const void *raw =
            v6 ? (const void *)&((struct sockaddr_in6 *)(void *)at->ifa_addr)->sin6_addr
               : (const void *)&((struct sockaddr_in *)(void *)at->ifa_addr)->sin_addr;
        if (inet_ntop(v6 ? AF_INET6 : AF_INET, raw, have, sizeof(have)) && strcmp(have, text) == 0)
            interface_add(host, at->ifa_name);
    }
    freeifaddrs(all);
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static enum gx_host_port port_of(const char *driver)
{
    if (starts(driver, "net_af_xdp"))
        return GX_HOST_PORT_XDP;
    if (starts(driver, "net_af_packet") || starts(driver, "eth_af_packet"))
        return GX_HOST_PORT_PACKET;
    if (starts(driver, "udp "))
        return GX_HOST_PORT_UDP;
    return starts(driver, "net_") ? GX_HOST_PORT_OTHER : GX_HOST_PORT_PCI;
}

static bool on_interface(const struct gx_host *host)
{
    return host->port == GX_HOST_PORT_XDP || host->port == GX_HOST_PORT_PACKET;
}

bool gx_host_port_takes(const struct gx_host *host)
{
    return host->port == GX_HOST_PORT_XDP && host->interface &&
           strcmp(host->interface, host->port_interface) == 0;
}

bool gx_host_interface_there(const struct gx_host *host, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/sys/class/net/%s", host->root, name);
    return *name && !strchr(name, '/') && access(path, F_OK) == 0;
}

static void port_interface(struct gx_host *host, const char *name, size_t length)
{
    if (!on_interface(host))
        return;
    snprintf(host->port_interface, sizeof(host->port_interface), "%.*s", (int)length, name);
    if (gx_host_interface_there(host, host->port_interface))
        interface_add(host, host->port_interface);
}

static void device_configure(struct gx_host *host, const struct gx_config *config)
{
    const char *iface = strstr(config->port_device, ",iface=");

    snprintf(host->device, sizeof(host->device), "%s", config->port_device);
    snprintf(host->gateway, sizeof(host->gateway), "%s", config->port_gateway);
    host->port = port_of(config->port_device);
    if (iface)
        port_interface(host, iface + strlen(",iface="), strcspn(iface + strlen(",iface="), ","));
}

/* Without a config: what a gxd that runs here says of itself, "net_af_xdp eth1 10.0.0.1:7440 (…)". */
static void look_at_gxd(struct gx_host *host, const struct gx_ctl *ctl)
{
    const struct gx_stat_file *f;
    struct gx_snapshot *s;

    if (*host->root || gx_snapshot_look(ctl, &s) != 0)
        return;
    f = &s->file;
    if (s->state == GX_SNAPSHOT_RUNNING || s->state == GX_SNAPSHOT_STUCK) {
        const char *word = f->port + strcspn(f->port, " ");
        host->configured = host->running = true;
        host->memory_bytes = f->counters.site[GX_SITE_memory_budget_bytes];
        host->rate_bps = f->rate_bps;
        host->mtu = f->mtu;
        host->gateway_lost = f->counters.site[GX_SITE_port_gateway_lost];
        snprintf(host->device, sizeof(host->device), "%s", f->port);
        host->port = port_of(f->port);
        word += *word == ' ';
        if (host->port == GX_HOST_PORT_UDP)
            interface_of(host, word);
        else
            port_interface(host, word, strcspn(word, " "));
    }
    gx_snapshot_free(s);
}

static int configure(struct gx_host *host, const struct gx_ctl *ctl)
{
    struct gx_config config;
    char error[512];

    if (!ctl->config) {
        look_at_gxd(host, ctl);
        return GX_CTL_OK;
    }
    if (gx_config_load(ctl->config, &config, error, sizeof(error)) != 0)
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "%s", error);
    host->configured = true;
    host->memory_bytes = config.memory_bytes;
    host->rate_bps = config.rate_bps;
    host->mtu = config.mtu;
    host->workers = config.workers;
    host->priority = config.priority;
    if (config.port_device[0]) {
        device_configure(host, &config);
        return GX_CTL_OK;
    }
    host->port = GX_HOST_PORT_UDP;
    interface_of(host, config.port_udp);
    return GX_CTL_OK;
}

int gx_host_prepare(struct gx_host *host, const struct gx_ctl *ctl, char **interfaces)
{
    memset(host, 0, sizeof(*host));
    host->root = ctl->root;
    host->memory_bytes = 2ull << 30;
    host->mtu = 1500;
    host->workers = 1;
    host->findings = json_array();
    int code = configure(host, ctl);
    for (int i = 0; code == GX_CTL_OK && i < ctl->argument_count; i++) {
        if (!gx_host_interface_there(host, interfaces[i]))
            code = gx_ctl_fail(ctl, GX_CTL_USAGE,
                               "'%s' is no interface here: ip -br link lists them", interfaces[i]);
        interface_add(host, interfaces[i]);
    }
    host->chosen = host->interface_count > 0 || host->port == GX_HOST_PORT_PCI ||
                   on_interface(host) || host->port == GX_HOST_PORT_OTHER;
    if (code == GX_CTL_OK && !host->chosen)
        interfaces_find(host);
    return code;
}

void gx_host_fini(struct gx_host *host)
{
    json_decref(host->findings);
}
