#include "host/host.h"

void gx_host_check_isolation(struct gx_host *host)
{
    char isolated[128] = "", online[128] = "";

    gx_host_line(host, "/sys/devices/system/cpu/online", online, sizeof(online));
    if (gx_host_line(host, "/sys/devices/system/cpu/isolated", isolated, sizeof(isolated)) &&
        *isolated)
        return gx_host_say(host, GX_HOST_OK, NULL,
                           "cores %s are kept free of other programs: let gxd use them (systemd: "
                           "CPUAffinity= in gxd@.service)",
                           isolated);
    if (gx_host_list_count(online) < 4)
        return gx_host_say(host, GX_HOST_OK, NULL,
                           "no core is set apart; with so few cores none should be");
    gx_host_say(
        host, GX_HOST_NOTE,
        "only above some 5 Gbit/s: boot with isolcpus=2 nohz_full=2 on the kernel's command "
        "line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub and reboot), and "
        "set CPUAffinity=2 for gxd@.service",
        "no core is set apart: other programs may delay gxd's worker by milliseconds");
}
