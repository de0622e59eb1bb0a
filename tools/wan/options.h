/* gx_wan_options: gx-wan's command line. */
#ifndef GX_WAN_OPTIONS_H
#define GX_WAN_OPTIONS_H

#include "wan/address.h"
#include "wan/impair.h"

#include <stdint.h>

#define GX_WAN_PORTS_MAX 16
#define GX_WAN_WORKERS_MAX 16
#define GX_WAN_HEADER_BYTES                                                                        \
    42 /* Ethernet, IPv4 and UDP: what a frame has besides the UDP payload */

struct gx_wan_port_options {
    struct gx_wan_address listen; /* what the site's peers dial */
    struct gx_wan_address target; /* what the site's gxd binds */
};

struct gx_wan_options {
    struct gx_wan_port_options ports[GX_WAN_PORTS_MAX];
    uint32_t port_count;
    uint32_t worker_count;
    struct gx_impair_config up;   /* of every port: its rate and queue */
    struct gx_impair_config path; /* of every pair of ports: delay and losses */
    struct gx_impair_config down; /* of every port: its rate and queue */
    const char *log_path;         /* NULL: no log; points into argv */
};

enum gx_wan_options_result { GX_WAN_OPTIONS_RUN, GX_WAN_OPTIONS_HELP, GX_WAN_OPTIONS_USAGE };

/* Parses the command line. HELP: it was printed on stdout. USAGE: what is wrong was printed on
 * stderr. */
enum gx_wan_options_result gx_wan_options_parse(int argc, char **argv, struct gx_wan_options *out);

#endif
