/* gx_perf_options: gx-perf's command line. */
#ifndef GX_PERF_OPTIONS_H
#define GX_PERF_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "gx-perf/bound.h"
#include "gx.h"

#define GX_PERF_SOCKET_DEFAULT "/run/gx/gxd.sock"
#define GX_PERF_ROUNDS_MAX 1000000u

struct gx_perf_options {
    const char *socket, *run; /* point into argv or the environment */
    uint64_t bytes;           /* of a contribution at most */
    uint32_t rounds;          /* counted: one more is the warm-up */
    enum gx_format format;
    enum gx_digest_kind digest;
    bool check, json;
    bool local;     /* two gateways in this process instead of a gxd at `socket` */
    bool no_offer;  /* only receives */
    uint32_t cores; /* of local: 1 or 2 */
    uint32_t mtu;   /* of local */
    bool encrypt;   /* of local */
    struct gx_perf_link link;
    const char *state;         /* gxd's state directory; NULL: SOCKET.state */
    const char *realised_path; /* gx-wan's slot log; NULL: none */
    const char *report_path;   /* of the Markdown report; NULL: none is wanted */
    uint64_t interval_ns;      /* between the rounds' due times; 0: back to back */
    uint64_t wait_ns;          /* for gxd's socket */
    uint64_t timeout_ns;       /* for anything else to happen */
    /* Not from the command line. */
    bool background;            /* another site's gx-perf in this process has the terminal */
    void (*on_warm)(void *ctx); /* the counted rounds begin; NULL: nobody asks */
    void *on_warm_ctx;
};

enum gx_perf_options_result { GX_PERF_OPTIONS_RUN, GX_PERF_OPTIONS_HELP, GX_PERF_OPTIONS_USAGE };

/* HELP: it was printed on stdout. USAGE: what is wrong was printed on stderr. */
enum gx_perf_options_result gx_perf_options_parse(int argc, char **argv,
                                                  struct gx_perf_options *out);

#endif
