#include "ctl.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct command {
    const char *words, *arguments;
    int argument_count;
    bool json;
    const char *help;
    int (*run)(const struct gx_ctl *ctl, char **arguments);
} commands[] = {
#define GX_COMMAND(function, words, arguments, count, json, help)                                  \
    {words, arguments, count, json, help, gx_ctl_##function},
#include "commands.def"
#undef GX_COMMAND
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

int gx_ctl_fail(const struct gx_ctl *ctl, int code, const char *format, ...)
{
    va_list args;

    fputs("gxctl: ", ctl->err);
    va_start(args, format);
    vfprintf(ctl->err, format, args);
    va_end(args);
    fputc('\n', ctl->err);
    return code;
}

static void print_help(FILE *out)
{
    fputs("usage: gxctl [-s SOCKET] [--json] [COMMAND]\n\nCommands (none: show):\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof(left), "%s %s", commands[i].words, commands[i].arguments);
        fprintf(out, "  %-18s %s\n", left, commands[i].help);
    }
    fputs("\nOptions:\n"
          "  -s, --socket PATH  gxd's socket (default: $GX_SOCKET, else " GX_CTL_SOCKET_DEFAULT
          ")\n"
          "  --state DIR        gxd's state directory (default: "
          "SOCKET.state)\n"
          "  --json             of any show: one JSON object, units in the keys\n"
          "  -h, --help         this\n"
          "\nExit code: 0 ok, 1 failed (gxd stuck), 2 usage or config, 3 gxd not there.\n",
          out);
}

/* How many of the leading words are the command's; 0: it is another command. */
static int command_match(const struct command *command, int word_count, char **words)
{
    const char *rest = command->words;

    for (int i = 0; i < word_count; i++) {
        size_t length = strcspn(rest, " ");
        if (strlen(words[i]) != length || strncmp(words[i], rest, length) != 0)
            return 0;
        if (rest[length] == '\0')
            return i + 1;
        rest += length + 1;
    }
    return 0;
}

static int run_command(const struct gx_ctl *ctl, int word_count, char **words)
{
    static char show[] = "show";
    char *summary[] = {show};
    const struct command *best = NULL;
    int used = 0;

    if (word_count == 0) {
        words = summary;
        word_count = 1;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        int n = command_match(&commands[i], word_count, words);
        if (n > used) {
            used = n;
            best = &commands[i];
        }
    }
    if (!best)
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "'%s%s%s' is no command; gxctl --help lists them",
                           words[0], word_count > 1 ? " " : "", word_count > 1 ? words[1] : "");
    if (word_count - used != best->argument_count)
        return gx_ctl_fail(
            ctl, GX_CTL_USAGE, "'%s %s' has %d argument%s, not %d; the command is: gxctl %s %s",
            best->words, words[word_count - 1], best->argument_count,
            best->argument_count == 1 ? "" : "s", word_count - used, best->words, best->arguments);
    if (ctl->json && !best->json)
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "'%s' has no --json", best->words);
    return best->run(ctl, words + used);
}

int gx_ctl_run(int argc, char **argv, FILE *out, FILE *err)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'},
        {"state", required_argument, NULL, 'S'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct gx_ctl ctl = {.out = out, .err = err};
    int option;

    ctl.socket = getenv("GX_SOCKET");
    if (!ctl.socket || !*ctl.socket)
        ctl.socket = GX_CTL_SOCKET_DEFAULT;
    optind = 0; /* 0, not 1: GNU's way to start anew */
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":s:h", options, NULL)) != -1) {
        switch (option) {
        case 's':
            ctl.socket = optarg;
            break;
        case 'S':
            ctl.state = optarg;
            break;
        case 'j':
            ctl.json = true;
            break;
        case 'h':
            print_help(out);
            return GX_CTL_OK;
        case ':':
            return gx_ctl_fail(&ctl, GX_CTL_USAGE, "%s needs a value", argv[optind - 1]);
        default:
            return gx_ctl_fail(&ctl, GX_CTL_USAGE, "%s is no option; gxctl --help lists them",
                               argv[optind - 1]);
        }
    }
    return run_command(&ctl, argc - optind, argv + optind);
}
