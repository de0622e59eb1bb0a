/* gx_ctl: gxctl's command line. commands.def is the table of commands, options.def that of options; each command is one
 * file.
 *
 * Output    people's tables or JSON on `out`, messages on `err`.
 * Exit      0 ok, 1 failed, 2 usage or config, 3 gxd not there.
 */
#ifndef GX_CTL_H
#define GX_CTL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define GX_CTL_SOCKET_DEFAULT "/run/gx/gxd.sock"

enum gx_ctl_exit { GX_CTL_OK, GX_CTL_FAILED, GX_CTL_USAGE, GX_CTL_ABSENT };

struct gx_ctl {
    const char *socket;
    const char *state; /* gxd's state directory, or where host init records; NULL: the default */
    bool json;
    uint64_t interval_ns;
    uint64_t count;     /* 0: no end */
    const char *config; /* NULL: none was named */
    const char *root;   /* "" or a directory instead of / */
    int argument_count;
    FILE *out, *err;
};

struct gx_ctl_command {
    const char *words, *arguments;
    int arguments_min, arguments_max;
    bool json;
    const char *help;
    int (*run)(const struct gx_ctl *ctl, char **arguments);
};

struct gx_ctl_option {
    const char *name;
    char letter; /* 0: none */
    const char *argument, *help;
};

extern const struct gx_ctl_command gx_ctl_commands[];
extern const unsigned gx_ctl_command_count;
extern const struct gx_ctl_option gx_ctl_options[];
extern const unsigned gx_ctl_option_count;

/* Parses and runs one command line; returns the exit code. */
int gx_ctl_run(int argc, char **argv, FILE *out, FILE *err);

/* Prints "gxctl: …" on err and returns `code`. */
__attribute__((format(printf, 3, 4))) int gx_ctl_fail(const struct gx_ctl *ctl, int code,
                                                      const char *format, ...);

/* The commands. `arguments` has ctl->argument_count entries, as many as the table allows. */
#define GX_COMMAND(function, words, arguments, min, max, json, help)                               \
    int gx_ctl_##function(const struct gx_ctl *ctl, char **arguments_);
#include "commands.def"
#undef GX_COMMAND

#endif
