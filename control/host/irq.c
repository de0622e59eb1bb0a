#include "host/host.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define IRQS_MAX 256

/* Interrupts whose names in /proc/interrupts belong to the interface or to its device ("virtio1-input.0"). */
static unsigned irqs_by_name(const struct gx_host *host, const char *device,
                             unsigned irqs[IRQS_MAX])
{
    char path[PATH_MAX], line[4096];
    unsigned count = 0;

    snprintf(path, sizeof(path), "%s/proc/interrupts", host->root);
    FILE *f = fopen(path, "re");
    while (f && count < IRQS_MAX && fgets(line, sizeof(line), f)) {
        char *end;
        unsigned long irq = strtoul(line, &end, 10);
        const char *name = line + strlen(line);
        while (name > line && !isblank((unsigned char)name[-1]))
            name--;
        size_t length = strlen(device);
        bool of_device =
            length && strncmp(name, device, length) == 0 && !isalnum((unsigned char)name[length]);
        if (*end == ':' && (of_device || strstr(name, host->interface)))
            irqs[count++] = (unsigned)irq;
    }
    if (f)
        fclose(f);
    return count;
}

static unsigned irqs_by_device(const struct gx_host *host, unsigned irqs[IRQS_MAX])
{
    char path[PATH_MAX];
    unsigned count = 0;

    snprintf(path, sizeof(path), "%s/sys/class/net/%s/device/msi_irqs", host->root,
             host->interface);
    DIR *directory = opendir(path);
    for (struct dirent *e; directory && count < IRQS_MAX && (e = readdir(directory)) != NULL;)
        if (isdigit((unsigned char)e->d_name[0]))
            irqs[count++] = (unsigned)strtoul(e->d_name, NULL, 10);
    if (directory)
        closedir(directory);
    return count;
}

void gx_host_check_irq(struct gx_host *host)
{
    unsigned irqs[IRQS_MAX];
    char path[128], device[64] = "", isolated[128] = "", cores[128] = "", todo[200];
    unsigned count, bad = 0, readable = 0;

    snprintf(path, sizeof(path), "/sys/class/net/%s/device", host->interface);
    gx_host_link(host, path, device, sizeof(device));
    count = irqs_by_device(host, irqs);
    if (count == 0)
        count = irqs_by_name(host, device, irqs);
    if (count == 0)
        return gx_host_say(host, GX_HOST_OK, NULL, "it has none of its own");
    gx_host_line(host, "/sys/devices/system/cpu/isolated", isolated, sizeof(isolated));
    for (unsigned i = 0; i < count; i++) {
        char of_irq[128];
        snprintf(path, sizeof(path), "/proc/irq/%u/smp_affinity_list", irqs[i]);
        if (!gx_host_line(host, path, of_irq, sizeof(of_irq)))
            continue;
        readable++;
        if (readable == 1)
            snprintf(cores, sizeof(cores), "%s", of_irq);
        else if (strcmp(cores, of_irq) != 0)
            snprintf(cores, sizeof(cores), "%s", "several sets of cores");
        if (gx_host_list_meets(of_irq, isolated))
            bad = irqs[i];
    }
    if (bad) {
        snprintf(todo, sizeof(todo),
                 "as root: echo 0 > /proc/irq/%u/smp_affinity_list, likewise the others; and stop "
                 "irqbalance, which would move them back",
                 bad);
        return gx_host_say(host, GX_HOST_WARN, todo,
                           "interrupt %u may run on the cores that are set apart for gxd (%s)", bad,
                           isolated);
    }
    gx_host_say(host, GX_HOST_OK, NULL,
                "%u, served by %s%s; the kernel does its part of the work for each packet there",
                count, readable && cores[0] != 's' ? "cores " : "",
                readable ? cores : "cores unknown");
}
