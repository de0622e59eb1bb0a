/* gx_host: this machine, as `gxctl host check` sees it. A check reads /proc and /sys, changes nothing, needs no rights, and
 * says one or more things, each with what to do about it in words that need no knowledge of DPDK.
 *
 * Levels    ok; note: could be better, nothing is lost at moderate rates; warn: costs speed or safety; fail: gxd will not
 *           work like that.
 */
#ifndef GX_HOST_H
#define GX_HOST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl.h"

#define GX_HOST_INTERFACES_MAX 16
#define GX_HOST_NAME_MAX 32
#define GX_HOST_TEXT_MAX 4096

enum gx_host_level { GX_HOST_OK, GX_HOST_NOTE, GX_HOST_WARN, GX_HOST_FAIL, GX_HOST_LEVELS };

/* How gxd's packets get in and out. */
enum gx_host_port {
    GX_HOST_PORT_UNKNOWN, /* no config, no gxd that runs */
    GX_HOST_PORT_UDP,
    GX_HOST_PORT_XDP,
    GX_HOST_PORT_PACKET,
    GX_HOST_PORT_PCI,
    GX_HOST_PORT_OTHER, /* memif, tap: devices that the machine does not have before */
};

struct gx_host {
    const char *root;      /* "" or a directory instead of / */
    uint64_t memory_bytes; /* what gxd shall have: of --config, else the default */
    uint64_t rate_bps;     /* 0: not known */
    uint64_t mtu;
    bool configured; /* --config was given, or a gxd runs */
    bool running;    /* what follows is a gxd's that runs */
    enum gx_host_port port;
    char device[256];                      /* as in port.device, or the running gxd's words */
    char port_interface[GX_HOST_NAME_MAX]; /* that the port stands on, "": none, or not found */
    char gateway[64];                      /* port.gateway, "": none */
    bool gateway_lost;                     /* as the running gxd sees it */
    uint64_t workers;
    uint64_t priority; /* 0: none, or not known */
    bool chosen;       /* the interfaces were named, or follow from the config */
    unsigned interface_count;
    char interfaces[GX_HOST_INTERFACES_MAX][GX_HOST_NAME_MAX];
    const char *title;     /* of the check that runs */
    const char *interface; /* that it looks at, NULL: the whole machine */
    json_t *findings;
};

/* Reads the first line (or all of it) of a file below the root; false: it is not there. */
bool gx_host_line(const struct gx_host *host, const char *path, char *out, size_t bytes);
bool gx_host_text(const struct gx_host *host, const char *path, char out[GX_HOST_TEXT_MAX]);
bool gx_host_number(const struct gx_host *host, const char *path, uint64_t *value);
/* A file of the interface that is looked at. */
bool gx_host_interface_line(const struct gx_host *host, const char *name, char *out, size_t bytes);
/* The last part of where a link below the root points to. */
bool gx_host_link(const struct gx_host *host, const char *path, char *out, size_t bytes);

/* Does the port take packets of the interface that is looked at away from the kernel? */
bool gx_host_port_takes(const struct gx_host *host);
/* Is there such an interface? */
bool gx_host_interface_there(const struct gx_host *host, const char *name);

/* Adds a finding of the check that runs. `todo` NULL: nothing to do. */
__attribute__((format(printf, 4, 5))) void gx_host_say(struct gx_host *host,
                                                       enum gx_host_level level, const char *todo,
                                                       const char *format, ...);

/* "a-b,c" lists of cores: how many, and is one of them in both. */
unsigned gx_host_list_count(const char *list);
bool gx_host_list_meets(const char *a, const char *b);

/* MemAvailable; 0: not known. */
uint64_t gx_host_available_bytes(const struct gx_host *host);

/* How many huge pages of 2 MiB gxd wants. */
uint64_t gx_host_huge_pages(const struct gx_host *host);

/* Fills in what gxd needs, from --config or the defaults. An exit code. */
int gx_host_prepare(struct gx_host *host, const struct gx_ctl *ctl, char **interfaces);
void gx_host_fini(struct gx_host *host);

#define GX_HOST_CHECK(function, title, each) void gx_host_check_##function(struct gx_host *host);
#include "checks.def"
#undef GX_HOST_CHECK

/* What host init sets, and host check expects: at least `value`. */
struct gx_host_tuning {
    const char *path;
    uint64_t value;
    const char *why;
};
extern const struct gx_host_tuning gx_host_tunings[];
extern const unsigned gx_host_tuning_count;
#define GX_HOST_HUGE_PATH "/sys/kernel/mm/hugepages/hugepages-2048kB"

#endif
