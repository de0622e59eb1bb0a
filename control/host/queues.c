#include "host/host.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>

static unsigned count_queues(const struct gx_host *host)
{
    char path[PATH_MAX];
    unsigned count = 0;

    snprintf(path, sizeof(path), "%s/sys/class/net/%s/queues", host->root, host->interface);
    DIR *directory = opendir(path);
    for (struct dirent *e; directory && (e = readdir(directory)) != NULL;)
        count += strncmp(e->d_name, "rx-", 3) == 0;
    if (directory)
        closedir(directory);
    return count;
}

/* A card spreads what it receives over its queues. An AF_XDP port has as many as gxd has workers; what lands in the
 * others goes to the kernel, and gxd never sees it. */
void gx_host_check_queues(struct gx_host *host)
{
    unsigned count = count_queues(host);
    char todo[200];

    if (count == 0)
        return gx_host_say(host, GX_HOST_OK, NULL, "not known");
    if (!gx_host_port_takes(host) || count <= host->workers)
        return gx_host_say(host, GX_HOST_OK, NULL, "%u to receive by", count);
    snprintf(todo, sizeof(todo),
             "as root: ethtool -L %s combined %llu (or rx %llu), before gxd starts",
             host->interface, (unsigned long long)host->workers, (unsigned long long)host->workers);
    gx_host_say(
        host, GX_HOST_FAIL, todo,
        "%u to receive by, but gxd reads %llu: what the card puts into the others is lost to "
        "gxd, and which peers that hits is chance",
        count, (unsigned long long)host->workers);
}
