#include "host/host.h"

#include <stdlib.h>
#include <string.h>

#include "units.h"

static void check_speed(struct gx_host *host, const char *speed)
{
    char rate[GX_UNITS_TEXT_MAX], wanted[GX_UNITS_TEXT_MAX], duplex[32] = "";
    long mbit = strtol(speed, NULL, 10);

    gx_host_interface_line(host, "duplex", duplex, sizeof(duplex));
    if (mbit <= 0)
        return gx_host_say(
            host, GX_HOST_OK, NULL,
            "up; it tells no speed (usual for virtual interfaces): set `rate:` to what "
            "the uplink really carries");
    gx_units_format_rate(rate, (uint64_t)mbit * 1000000);
    if (strcmp(duplex, "half") == 0)
        return gx_host_say(host, GX_HOST_WARN,
                           "look at cable and switch port; both ends must negotiate the same way",
                           "up at %s, but half duplex: it collides with itself", rate);
    if (host->rate_bps > (uint64_t)mbit * 1000000)
        return gx_host_say(host, GX_HOST_WARN,
                           "lower `rate:` in the config, or use a faster interface",
                           "up at %s, but the config's `rate:` is %s", rate,
                           gx_units_format_rate(wanted, host->rate_bps));
    gx_host_say(host, GX_HOST_OK, NULL, "up at %s", rate);
}

void gx_host_check_link(struct gx_host *host)
{
    char state[32] = "unknown", carrier[8] = "", speed[32] = "", todo[160];

    gx_host_interface_line(host, "operstate", state, sizeof(state));
    gx_host_interface_line(host, "carrier", carrier, sizeof(carrier));
    gx_host_interface_line(host, "speed", speed, sizeof(speed));
    if (strcmp(state, "down") == 0 || strcmp(carrier, "0") == 0) {
        snprintf(todo, sizeof(todo),
                 "as root: ip link set dev %s up; then look at cable and switch", host->interface);
        return gx_host_say(host, GX_HOST_FAIL, todo, "down (%s)",
                           strcmp(carrier, "0") == 0 ? "no signal from the other end" : state);
    }
    check_speed(host, speed);
}
