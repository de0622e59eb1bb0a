#include "ctl.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

const struct gx_ctl_command gx_ctl_commands[] = {
#define GX_COMMAND(function, words, arguments, min, max, json, help)                               \
    {words, arguments, min, max, json, help, gx_ctl_##function},
#include "commands.def"
#undef GX_COMMAND
};
const unsigned gx_ctl_command_count = sizeof(gx_ctl_commands) / sizeof(gx_ctl_commands[0]);

enum option_id {
#define GX_OPTION(id, name, letter, argument, help) OPTION_##id,
#include "options.def"
#undef GX_OPTION
    OPTIONS
};

const struct gx_ctl_option gx_ctl_options[] = {
#define GX_OPTION(id, name, letter, argument, help) {name, letter, argument, help},
#include "options.def"
#undef GX_OPTION
};
const unsigned gx_ctl_option_count = OPTIONS;

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

int gx_ctl_help(const struct gx_ctl *ctl, char **arguments)
{
    char left[64];

    (void)arguments;
    fputs("usage: gxctl [-s SOCKET] [--json] [COMMAND]\n\nCommands (none: show):\n", ctl->out);
    for (unsigned i = 0; i < gx_ctl_command_count; i++) {
        snprintf(left, sizeof(left), "%s %s", gx_ctl_commands[i].words,
                 gx_ctl_commands[i].arguments);
        /* a column is 24 characters wide; "…" has two bytes more than it is wide */
        fprintf(ctl->out, "  %-*s %s\n", strstr(left, "…") ? 26 : 24, left,
                gx_ctl_commands[i].help);
    }
    fputs("\nOptions:\n", ctl->out);
    for (unsigned i = 0; i < gx_ctl_option_count; i++) {
        const struct gx_ctl_option *o = &gx_ctl_options[i];
        char letter[8] = "";
        if (o->letter)
            snprintf(letter, sizeof(letter), "-%c, ", o->letter);
        snprintf(left, sizeof(left), "%s--%s %s", letter, o->name, o->argument);
        fprintf(ctl->out, "  %-24s %s\n", left, o->help);
    }
    fputs("\nExit code: 0 ok, 1 failed, 2 usage or config, 3 gxd not there.\n", ctl->out);
    return GX_CTL_OK;
}

/* ---- commands ---- */

/* How many of the leading words are the command's; 0: it is another command. */
static int command_match(const struct gx_ctl_command *command, int word_count, char **words)
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

/* Words that follow a command and are none of its arguments: the first is the culprit. */
static int fail_arguments(const struct gx_ctl *ctl, const struct gx_ctl_command *command, int count,
                          char **arguments)
{
    const char *space = *command->arguments ? " " : "";

    if (count > command->arguments_max)
        return gx_ctl_fail(
            ctl, GX_CTL_USAGE, "'%s' is one word too many; the command is: gxctl %s%s%s",
            arguments[command->arguments_max], command->words, space, command->arguments);
    return gx_ctl_fail(ctl, GX_CTL_USAGE, "'%s' lacks %s; the command is: gxctl %s%s%s",
                       command->words, command->arguments, command->words, space,
                       command->arguments);
}

static int run_command(struct gx_ctl *ctl, int word_count, char **words)
{
    static char show[] = "show";
    char *summary[] = {show};
    const struct gx_ctl_command *best = NULL;
    int used = 0;

    if (word_count == 0) {
        words = summary;
        word_count = 1;
    }
    for (unsigned i = 0; i < gx_ctl_command_count; i++) {
        int n = command_match(&gx_ctl_commands[i], word_count, words);
        if (n > used) {
            used = n;
            best = &gx_ctl_commands[i];
        }
    }
    if (!best)
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "'%s%s%s' is no command; gxctl --help lists them",
                           words[0], word_count > 1 ? " " : "", word_count > 1 ? words[1] : "");
    ctl->argument_count = word_count - used;
    if (ctl->argument_count < best->arguments_min || ctl->argument_count > best->arguments_max)
        return fail_arguments(ctl, best, ctl->argument_count, words + used);
    if (ctl->json && !best->json)
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "'%s' has no --json", best->words);
    return best->run(ctl, words + used);
}

/* ---- options ---- */

static int take_interval(struct gx_ctl *ctl, const char *text)
{
    if (gx_units_duration(text, &ctl->interval_ns) != 0 || ctl->interval_ns < 10000000)
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "--interval: '%s' is not %s, 10ms at least", text,
                           GX_UNITS_DURATION);
    return GX_CTL_OK;
}

static int take_count(struct gx_ctl *ctl, const char *text)
{
    char *end;

    ctl->count = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || ctl->count == 0)
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "--count: '%s' is not a whole number from 1 on",
                           text);
    return GX_CTL_OK;
}

static int take_option(struct gx_ctl *ctl, enum option_id id, const char *value)
{
    switch (id) {
    case OPTION_SOCKET:
        ctl->socket = value;
        break;
    case OPTION_STATE:
        ctl->state = value;
        break;
    case OPTION_JSON:
        ctl->json = true;
        break;
    case OPTION_INTERVAL:
        return take_interval(ctl, value);
    case OPTION_COUNT:
        return take_count(ctl, value);
    case OPTION_CONFIG:
        ctl->config = value;
        break;
    case OPTION_ROOT:
        ctl->root = value;
        break;
    case OPTION_HELP:
    case OPTIONS:
        break;
    }
    return GX_CTL_OK;
}

/* getopt's tables, made from ours; an option's value is 256 + its place, its letter means the same. */
static void options_make(struct option longs[OPTIONS + 1], char *letters)
{
    *letters++ = ':';
    for (int i = 0; i < OPTIONS; i++) {
        bool argument = *gx_ctl_options[i].argument != '\0';
        longs[i] = (struct option){gx_ctl_options[i].name, argument, NULL, 256 + i};
        if (gx_ctl_options[i].letter) {
            *letters++ = gx_ctl_options[i].letter;
            if (argument)
                *letters++ = ':';
        }
    }
    *letters = '\0';
    longs[OPTIONS] = (struct option){0};
}

static int option_find(int option)
{
    for (int i = 0; option < 256 && i < OPTIONS; i++)
        if (gx_ctl_options[i].letter == option)
            return i;
    return option - 256;
}

int gx_ctl_run(int argc, char **argv, FILE *out, FILE *err)
{
    struct option longs[OPTIONS + 1];
    char letters[2 * OPTIONS + 2];
    struct gx_ctl ctl = {.out = out, .err = err, .root = "", .interval_ns = 1000000000};
    int option, code;

    ctl.socket = getenv("GX_SOCKET");
    if (!ctl.socket || !*ctl.socket)
        ctl.socket = GX_CTL_SOCKET_DEFAULT;
    options_make(longs, letters);
    optind = 0; /* 0, not 1: GNU's way to start anew */
    opterr = 0;
    while ((option = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        if (option == ':')
            return gx_ctl_fail(&ctl, GX_CTL_USAGE, "%s needs a value", argv[optind - 1]);
        if (option == '?')
            return gx_ctl_fail(&ctl, GX_CTL_USAGE, "%s is no option; gxctl --help lists them",
                               argv[optind - 1]);
        option = option_find(option);
        if (option == OPTION_HELP)
            return gx_ctl_help(&ctl, NULL);
        code = take_option(&ctl, (enum option_id)option, optarg);
        if (code != GX_CTL_OK)
            return code;
    }
    return run_command(&ctl, argc - optind, argv + optind);
}
