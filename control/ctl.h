/* gx_ctl: gxctl's command line. commands.def is the table of commands; each is one file.
 *
 * Output    people's tables or JSON on `out`, messages on `err`.
 * Exit      0 ok, 1 failed, 2 usage or config, 3 gxd not there.
 */
#ifndef GX_CTL_H
#define GX_CTL_H

#include <stdbool.h>
#include <stdio.h>

#define GX_CTL_SOCKET_DEFAULT "/run/gx/gxd.sock"

enum gx_ctl_exit { GX_CTL_OK, GX_CTL_FAILED, GX_CTL_USAGE, GX_CTL_ABSENT };

struct gx_ctl {
    const char *socket;
    const char *state; /* gxd's state directory; NULL: SOCKET.state */
    bool json;
    FILE *out, *err;
};

/* Parses and runs one command line; returns the exit code. */
int gx_ctl_run(int argc, char **argv, FILE *out, FILE *err);

/* Prints "gxctl: …" on err and returns `code`. */
__attribute__((format(printf, 3, 4))) int gx_ctl_fail(const struct gx_ctl *ctl, int code,
                                                      const char *format, ...);

/* The commands. `arguments` has as many entries as the table says. */
#define GX_COMMAND(function, words, arguments, count, json, help)                                  \
    int gx_ctl_##function(const struct gx_ctl *ctl, char **arguments_);
#include "commands.def"
#undef GX_COMMAND

#endif
