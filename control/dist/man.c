/* gxctl help man: the man pages of gxctl and gxd, from the tables of commands, options, settings and config keys. */
#include <string.h>

#include "config_file.h"
#include "ctl.h"

/* roff gives a backslash, a hyphen and a dot at the beginning of a line a meaning. */
static void put(FILE *out, const char *text)
{
    bool start = true;

    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else if (strncmp(text, "…", 3) == 0) {
            fputs("...", out);
            text += 2;
        } else
            fputc(*text, out);
        start = *text == '\n';
    }
}

/* A tagged paragraph: bold words, plain arguments, then what they mean. */
static void entry(FILE *out, const char *bold, const char *plain, const char *text)
{
    fputs(".TP\n\\fB", out);
    put(out, bold);
    fputs("\\fR", out);
    if (*plain) {
        fputc(' ', out);
        put(out, plain);
    }
    fputc('\n', out);
    put(out, text);
    fputc('\n', out);
}

static void head(FILE *out, const char *name, const char *section, const char *what)
{
    fprintf(
        out,
        ".\\\" made by: gxctl help man %s\n.TH %s %s \"\" gx \"gx manual\"\n.SH NAME\n%s \\- %s\n",
        name, name, section, name, what);
}

static void page_gxctl(FILE *out)
{
    head(out, "gxctl", "8", "configure and watch the gxd at this site");
    fputs(".SH SYNOPSIS\n.B gxctl\n[\\fB\\-s\\fR SOCKET] [\\fB\\-\\-json\\fR] [COMMAND]\n"
          ".SH DESCRIPTION\n",
          out);
    put(out,
        "Every show reads the counters that gxd keeps in a file and costs gxd nothing; after "
        "gxd's death it prints the last ones. Commands that change something speak to gxd on its "
        "socket. Without a command: show.\n");
    fputs(".SH COMMANDS\n", out);
    for (unsigned i = 0; i < gx_ctl_command_count; i++)
        entry(out, gx_ctl_commands[i].words, gx_ctl_commands[i].arguments, gx_ctl_commands[i].help);
    fputs(".SH SETTINGS\nWhat \\fBset\\fR changes until gxd ends:\n", out);
#define GX_SETTING(id, name, kind, json, config_key, help) entry(out, name, "", help);
#include "settings.def"
#undef GX_SETTING
    fputs(".SH OPTIONS\n", out);
    for (unsigned i = 0; i < gx_ctl_option_count; i++) {
        const struct gx_ctl_option *o = &gx_ctl_options[i];
        char name[48];
        if (o->letter)
            snprintf(name, sizeof(name), "-%c, --%s", o->letter, o->name);
        else
            snprintf(name, sizeof(name), "--%s", o->name);
        entry(out, name, o->argument, o->help);
    }
    fputs(".SH EXIT STATUS\n"
          "0 ok, 1 failed (or gxd is stuck), 2 usage or config, 3 gxd is not there.\n"
          ".SH SEE ALSO\n.BR gxd (8),\n.BR gx\\-perf (1),\n.BR gx\\-wan (1)\n",
          out);
}

static void page_gxd(FILE *out)
{
    head(out, "gxd", "8", "the gateway of one site: exchanges contributions with the other sites");
    fputs(".SH SYNOPSIS\n.B gxd\n\\fB\\-c\\fR FILE [\\fB\\-\\-check\\fR]\n.SH DESCRIPTION\n", out);
    put(out,
        "gxd moves the contributions of a training run between sites, decides with the other "
        "sites which of them a round averages, and hands the mean to the trainer at this site. "
        "One runs at each site. It logs to standard error, a line an event.\n");
    fputs(".SH OPTIONS\n", out);
    entry(out, "-c, --config", "FILE", "run with this config file");
    entry(out, "--check", "", "check the config file and end");
    entry(out, "--version", "", "print the version");
    entry(out, "--help", "", "print a summary and the keys of the config file");
    fputs(".SH CONFIG FILE\nYAML. The keys:\n", out);
    for (int key = 0; key < GX_KEY_COUNT; key++) {
        const struct gx_config_key_row *row = &gx_config_keys[key];
        char type[160];
        snprintf(type, sizeof(type), "(%s; %s%s)", row->type, row->text ? "default: " : "required",
                 row->text ? row->text : "");
        entry(out, row->path, type, row->help);
    }
    fputs(".SH SIGNALS\n", out);
    entry(
        out, "SIGTERM, SIGINT", "",
        "leave the runs: serve until every present site has what it needs, 2 s at most, and end; a "
        "second one does not wait");
    fputs(".SH ENVIRONMENT\n", out);
    entry(out, "NOTIFY_SOCKET, WATCHDOG_USEC", "", "of systemd: readiness and signs of life");
    fputs(".SH FILES\n", out);
    entry(out, "/etc/gx/NAME.yaml", "", "the config of the service gxd@NAME");
    entry(out, "/run/gx/gxd.sock", "", "where trainers and gxctl find gxd (socket:)");
    entry(out, "SOCKET.state/", "", "counters and, at the coordinator, the journal (state:)");
    fputs(".SH EXIT STATUS\n0 ended in order, 1 failed, 2 usage or config.\n"
          ".SH SEE ALSO\n.BR gxctl (8),\n.BR gx\\-train (1)\n",
          out);
}

int gx_ctl_help_man(const struct gx_ctl *ctl, char **arguments)
{
    if (strcmp(arguments[0], "gxctl") == 0)
        page_gxctl(ctl->out);
    else if (strcmp(arguments[0], "gxd") == 0)
        page_gxd(ctl->out);
    else
        return gx_ctl_fail(
            ctl, GX_CTL_USAGE,
            "'%s' has no page here: gxctl and gxd have; control/dist/man.sh makes the "
            "others from --help",
            arguments[0]);
    return GX_CTL_OK;
}
