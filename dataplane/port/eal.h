/* gx_eal: DPDK's environment, started once per process. Its arguments are made here from what the machine has: root or
 * not, huge pages free or not. Nobody is asked for them; `extra` is for what we did not foresee.
 *
 *   root, huge pages free   --in-memory -m N --iova-mode=va            leaves no file anywhere
 *   else                    --no-huge --no-shconf -m N --iova-mode=va  the same, in ordinary pages; also when `extra`
 *                                                                      says --no-huge
 *
 * PCI       EAL would take every NIC that it can drive from the kernel. It may see only those that `devices` name, by
 *           their address; with none it looks at no PCI device at all.
 * Threads   init and fini: the thread that owns the process. That thread keeps the CPUs it had: EAL's one lcore may run
 *           on all of them. A thread that moves packets calls gx_eal_thread() once.
 * Errors    -errno and one line in `error`, with what EAL said first. After a failed init the process cannot try again.
 * Logs      EAL and drivers write errors only, to stderr, each line behind "dpdk: ".
 */
#ifndef GX_PORT_EAL_H
#define GX_PORT_EAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gx_eal_config {
    const char *program; /* for EAL's argv[0] */
    uint32_t memory_mib; /* all that pools and drivers need; 0: 128 */
    const char *lcores;  /* CPUs such as "2" or "2,4-5"; NULL or "": those this thread may run on */
    const char *const *devices; /* device strings that will be opened */
    uint32_t device_count;
    const char *extra; /* more arguments, separated by blanks; NULL: none */
};

/* 0 also when it has been started before: the first caller's arguments hold. */
int gx_eal_init(const struct gx_eal_config *config, char *error, size_t error_bytes);
void gx_eal_fini(void);

/* "0000:01:00.0", and arguments behind a comma perhaps. */
bool gx_eal_is_pci(const char *device);
/* True when the memory is huge pages. */
bool gx_eal_huge(void);
/* Gives the calling thread an lcore of its own, and with it a cache in every pool. 0 or -errno. */
int gx_eal_thread(void);
/* What EAL or a driver said first since gx_eal_forget(), or "". */
const char *gx_eal_said(void);
void gx_eal_forget(void);

#endif
