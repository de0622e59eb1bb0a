/* gx_stat_file: the file SOCKET.state/counters, mapped by gxd for writing and by gxctl read-only. gxd holds a lock
 * (an OFD lock) on it while it lives: nobody holds the lock means that the counters are the last ones of a dead gxd. The
 * version is written last, with release; a reader refuses another major version naming both. */
#ifndef GX_STAT_FILE_H
#define GX_STAT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gx.h"
#include "stat/counters.h"
#include "stat/known.h"
#include "stat/view.h"
#include "wire/header.h"

#define GX_STAT_MAGIC 0x3074617473786700ull
#define GX_STAT_VERSION_MAJOR 1u
#define GX_STAT_VERSION_MINOR 0u
#define GX_STAT_ERRORS 64 /* distinct errors kept */

/* A distinct error with count, first and last time (CLOCK_REALTIME ns). */
struct gx_stat_error {
    uint32_t sequence; /* odd while being written */
    uint32_t used;
    uint64_t count;
    uint64_t first_ns, last_ns;
    char text[200];
};

struct gx_stat_file {
    uint64_t magic;
    uint32_t version_major; /* written last, with release */
    uint32_t version_minor;
    uint64_t bytes; /* sizeof(struct gx_stat_file) of the writer */
    uint32_t pid;
    uint32_t self, site_count;
    uint32_t ready;            /* 1 once the worker runs and the attach socket listens */
    uint64_t started_ns;       /* CLOCK_REALTIME … */
    uint64_t started_clock_ns; /* … and CLOCK_MONOTONIC, at the same moment */
    uint64_t incarnation;
    uint64_t rate_bps;
    uint64_t mtu;
    uint64_t shard_bytes;
    uint64_t worker_count;
    char site_names[GX_SITES_MAX][GX_NAME_MAX];
    char site_addresses[GX_SITES_MAX][64];
    char port[64]; /* what the port really is, e.g. "udp 127.0.0.1:7440 (io_uring, GSO, GRO)" */
    /* One block per worker. `counters` is worker 0's; in a reader's copy it may be the sum (gx_counters_add()). */
    union {
        struct gx_counters counters;
        struct gx_counters workers[GX_WORKERS_MAX];
    };
    struct gx_known known[GX_SITES_MAX]; /* what this gxd began with */
    struct gx_view view;
    struct gx_stat_error errors[GX_STAT_ERRORS];
};

/* gxd: creates (or takes over) and locks `directory`/counters. -EWOULDBLOCK: another gxd lives. *fd keeps the lock. */
int gx_stat_create(const char *directory, struct gx_stat_file **file, int *fd);
void gx_stat_close(struct gx_stat_file *file, int fd);

/* gxctl: maps read-only. *alive says whether a gxd holds the lock. -ENOENT, -EPROTO (another version). */
int gx_stat_open(const char *directory, const struct gx_stat_file **file, bool *alive);
void gx_stat_unmap(const struct gx_stat_file *file);

/* Counts a distinct error by its text (main only). */
void gx_stat_error(struct gx_stat_file *file, const char *text, uint64_t realtime_ns);

#endif
