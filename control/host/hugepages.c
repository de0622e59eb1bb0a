#include "host/host.h"

#include "units.h"

void gx_host_check_hugepages(struct gx_host *host)
{
    uint64_t total, unused, wanted = gx_host_huge_pages(host);
    char todo[256];

    if (!gx_host_number(host, GX_HOST_HUGE_PATH "/nr_hugepages", &total) ||
        !gx_host_number(host, GX_HOST_HUGE_PATH "/free_hugepages", &unused))
        return gx_host_say(
            host, GX_HOST_NOTE, "nothing; a kernel with CONFIG_HUGETLBFS would allow them",
            "this kernel has none of 2 MiB: gxd uses ordinary pages, which cost speed "
            "above a few Gbit/s");
    snprintf(todo, sizeof(todo),
             "as root: gxctl host init (reserves %llu; gxctl host fini gives them back)",
             (unsigned long long)wanted);
    if (total == 0)
        gx_host_say(
            host, GX_HOST_WARN, todo,
            "none is reserved. gxd runs without them, slower above a few Gbit/s; ports that "
            "drive a network card directly need them");
    else if (unused < wanted)
        gx_host_say(
            host, GX_HOST_WARN, todo,
            "%llu of %llu (2 MiB each) are free, but the config's `memory:` would fill %llu; "
            "the rest comes from ordinary pages",
            (unsigned long long)unused, (unsigned long long)total, (unsigned long long)wanted);
    else
        gx_host_say(host, GX_HOST_OK, NULL, "%llu of %llu (2 MiB each) are free, %llu are wanted",
                    (unsigned long long)unused, (unsigned long long)total,
                    (unsigned long long)wanted);
}
