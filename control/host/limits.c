#include "host/host.h"

#include <sys/resource.h>
#include <unistd.h>

#include "units.h"

#define LOCKED_BYTES_WANTED (64ull << 20)
#define FILES_WANTED 1024

/* Of this shell: gxd's own when it is started from here; the systemd unit brings its own. */
void gx_host_check_limits(struct gx_host *host)
{
    char text[GX_UNITS_TEXT_MAX];
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur < LOCKED_BYTES_WANTED)
        gx_host_say(
            host, GX_HOST_NOTE,
            "start gxd by systemd (its unit has LimitMEMLOCK=infinity), or: ulimit -l "
            "unlimited, allowed by `* - memlock unlimited` in /etc/security/limits.conf",
            "a program started from this shell may lock %s of memory: too little for AF_XDP "
            "and for large io_uring buffers; plain UDP works",
            gx_units_format_bytes(text, limit.rlim_cur));
    else
        gx_host_say(host, GX_HOST_OK, NULL, "locked memory: enough");
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FILES_WANTED)
        gx_host_say(host, GX_HOST_WARN, "ulimit -n 1024",
                    "a program started from this shell may open %llu files: gxd may need more",
                    (unsigned long long)limit.rlim_cur);
    if (host->priority && geteuid() != 0 && getrlimit(RLIMIT_RTPRIO, &limit) == 0 &&
        limit.rlim_cur < host->priority)
        gx_host_say(
            host, GX_HOST_WARN,
            "start gxd as root, or by systemd with LimitRTPRIO=99 and RestrictRealtime=no in "
            "a drop-in, or leave `priority` out",
            "a program started from this shell may have real-time priority %llu at most: "
            "gxd does not start with `priority: %llu`",
            (unsigned long long)limit.rlim_cur, (unsigned long long)host->priority);
}
