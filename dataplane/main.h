/* gxd: one complete gateway: core, ports, workers, attach socket, journal, counters. A process may have several, each with
 * a config, socket and state directory of its own (gx-perf --local); program gxd has one.
 *
 * Life      fill in config and the fields below it; start; serve until gxd_ended(); halt; finish.
 * Threads   one at a time calls all of this: "main". Each worker has its own, unless `worker_elsewhere`.
 * Errors    -errno, and lines in the log. After a failed start nothing is given back: the process ends.
 */
#ifndef GX_MAIN_H
#define GX_MAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "control.h"
#include "core.h"
#include "journal.h"
#include "log.h"
#include "notify.h"
#include "port/port.h"
#include "stat/file.h"
#include "worker.h"

#define GXD_VERSION "0.1.0"

struct gxd {
    struct gx_config config;
    struct gx_notify notify;
    int signal_fd;         /* a signalfd; a first signal leaves the run, a second ends. -1: none */
    bool worker_elsewhere; /* no threads are made: the caller runs gx_worker_run() */
    /* main's own. */
    struct gx_core_config core_config;
    struct gx_stat_file *stat;
    int stat_fd, lock_fd;
    int wake_fd; /* an eventfd that ends a wait in serve */
    struct gx_port *ports[GX_WORKERS_MAX];
    struct gx_core *core;
    struct gx_worker workers[GX_WORKERS_MAX]; /* as many as the config says … */
    uint32_t started, ready;                  /* … of which so many run, and are on their ports */
    struct gx_control_socket control;
    struct gx_journal_file journal;
    uint64_t journal_retry_ns, journal_backoff_ns;
    uint64_t leave_end_ns; /* 0: not leaving on a signal */
    bool halted, ended;
    int exit_code;
};

/* -EINVAL: the config is at fault. */
int gxd_start(struct gxd *gxd);
/* Waits for something to do, and does it. */
void gxd_serve(struct gxd *gxd);
/* Any thread: it shall end. Wakes serve. */
void gxd_end(struct gxd *gxd);
bool gxd_ended(const struct gxd *gxd);
/* Stops the workers; those that are elsewhere are only told to. Ports that share memory are closed (finish) after both. */
void gxd_halt(struct gxd *gxd);
/* Closes everything, after a halt if there was none. */
void gxd_finish(struct gxd *gxd);

#endif
