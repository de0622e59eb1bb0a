/* gx_wan_report: what gx-wan says about its traffic. docs/gx-wan.md explains the fields. */
#ifndef GX_WAN_REPORT_H
#define GX_WAN_REPORT_H

#include "wan/network.h"

#include <stdio.h>

/* All counters since the start as one line of JSON, flushed. */
void gx_wan_report_json(const struct gx_wan_network *network, FILE *out);

/* For a terminal: rewrites one line with each port's rates and drops. `live` keeps what the last
 * call saw and starts as zeros. */
struct gx_wan_report_live {
    uint64_t at_ns;
    uint64_t up_bytes[GX_WAN_PORTS_MAX];
};

void gx_wan_report_live(const struct gx_wan_network *network, struct gx_wan_report_live *live,
                        uint64_t now_ns, FILE *out);

#endif
