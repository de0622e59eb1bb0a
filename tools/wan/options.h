/* gx_wan_options: gx-wan's command line. */
#ifndef GX_WAN_OPTIONS_H
#define GX_WAN_OPTIONS_H

#include "wan/address.h"
#include "wan/impair.h"
#include "wan/trace.h"

#include <stdbool.h>
#include <stdint.h>

#define GX_WAN_PORTS_MAX 16
#define GX_WAN_WORKERS_MAX 16
#define GX_WAN_HEADER_BYTES                                                                        \
    42 /* Ethernet, IPv4 and UDP: what a frame has besides the UDP payload */
#define GX_WAN_ETHERNET_BYTES 14

struct gx_wan_port_options {
    struct gx_wan_address listen; /* --udp: what the site's peers dial */
    struct gx_wan_address target; /* --udp: what the site's gxd binds */
    const char *device;           /* --port: DPDK device string; points into argv */
    struct gx_impair_config up;   /* rate and queue */
    struct gx_impair_config down;
    bool own_rate; /* which a trace does not change */
};

/* What a path has been given for itself, which a trace does not change. */
struct gx_wan_path_own {
    bool delay, loss;
};

struct gx_wan_options {
    bool udp; /* relay UDP; else bridge DPDK ports */
    struct gx_wan_port_options ports[GX_WAN_PORTS_MAX];
    uint32_t port_count;
    uint32_t worker_count;                                             /* 1 without --udp */
    struct gx_impair_config paths[GX_WAN_PORTS_MAX][GX_WAN_PORTS_MAX]; /* [from][to] */
    struct gx_wan_path_own own[GX_WAN_PORTS_MAX][GX_WAN_PORTS_MAX];
    struct gx_wan_trace trace;
    uint32_t spared_bytes;  /* of what a packet holds, from its start: corruption leaves them */
    const char *log_path;   /* NULL: no log; points into argv */
    const char *slots_path; /* the same */
};

enum gx_wan_options_result { GX_WAN_OPTIONS_RUN, GX_WAN_OPTIONS_HELP, GX_WAN_OPTIONS_USAGE };

/* Parses the command line. HELP: it was printed on stdout. USAGE: what is wrong was printed on
 * stderr. */
enum gx_wan_options_result gx_wan_options_parse(int argc, char **argv, struct gx_wan_options *out);
void gx_wan_options_fini(struct gx_wan_options *options);

#endif
