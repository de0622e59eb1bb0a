#include <string.h>

#include "host/host.h"
#include "snapshot.h"

static const struct check {
    const char *title;
    bool each;
    void (*run)(struct gx_host *host);
} checks[] = {
#define GX_HOST_CHECK(function, title, each) {title, each, gx_host_check_##function},
#include "checks.def"
#undef GX_HOST_CHECK
};

static void run_checks(struct gx_host *host)
{
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        host->title = checks[i].title;
        host->interface = NULL;
        if (!checks[i].each)
            checks[i].run(host);
        for (unsigned k = 0; checks[i].each && k < host->interface_count; k++) {
            host->interface = host->interfaces[k];
            checks[i].run(host);
        }
    }
    host->title = "interfaces";
    host->interface = NULL;
    if (host->interface_count == 0 && !host->chosen)
        gx_host_say(host, GX_HOST_WARN,
                    "ip -br link lists them all; name the one for gxd: gxctl host check eth1",
                    "no interface but the loopback is up");
}

static unsigned level_count(const struct gx_host *host, const char *level)
{
    unsigned count = 0;
    json_t *finding;
    size_t i;

    json_array_foreach(host->findings, i, finding) count +=
        strcmp(json_string_value(json_object_get(finding, "level")), level) == 0;
    return count;
}

/* A line that is longer than 110 columns goes on below its beginning. */
static void print_wrapped(FILE *out, const char *text, unsigned indent)
{
    unsigned column = indent;

    while (*text) {
        unsigned word = (unsigned)strcspn(text, " ");
        if (column > indent && column + 1 + word > 110) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_people(const struct gx_ctl *ctl, const struct gx_host *host)
{
    json_t *finding;
    size_t i;

    json_array_foreach(host->findings, i, finding)
    {
        const char *interface = json_string_value(json_object_get(finding, "interface"));
        const char *todo = json_string_value(json_object_get(finding, "todo"));
        char title[64];
        snprintf(title, sizeof(title), "%s%s%s",
                 json_string_value(json_object_get(finding, "check")), interface ? " " : "",
                 interface ? interface : "");
        fprintf(ctl->out, "%-5s %-22s ", json_string_value(json_object_get(finding, "level")),
                title);
        print_wrapped(ctl->out, json_string_value(json_object_get(finding, "text")), 29);
        if (todo) {
            fprintf(ctl->out, "%25sdo: ", "");
            print_wrapped(ctl->out, todo, 29);
        }
    }
    fprintf(ctl->out, "\n%u ok, %u to note, %u to improve, %u to repair", level_count(host, "ok"),
            level_count(host, "note"), level_count(host, "warn"), level_count(host, "fail"));
    fputs(level_count(host, "fail")   ? ": gxd will not work like this\n"
          : level_count(host, "warn") ? ": gxd works; what can be improved costs speed or safety\n"
                                      : ": this machine is ready for gxd\n",
          ctl->out);
}

static void print_json(const struct gx_ctl *ctl, const struct gx_host *host)
{
    json_t *object = json_object();

    json_object_set(object, "findings", host->findings);
    gx_json_u64(object, "ok", level_count(host, "ok"));
    gx_json_u64(object, "notes", level_count(host, "note"));
    gx_json_u64(object, "warnings", level_count(host, "warn"));
    gx_json_u64(object, "failures", level_count(host, "fail"));
    gx_json_print(ctl, object);
}

int gx_ctl_host_check(const struct gx_ctl *ctl, char **arguments)
{
    struct gx_host host;
    int code = gx_host_prepare(&host, ctl, arguments);

    if (code == GX_CTL_OK) {
        run_checks(&host);
        (ctl->json ? print_json : print_people)(ctl, &host);
        if (level_count(&host, "fail"))
            code = GX_CTL_FAILED;
    }
    gx_host_fini(&host);
    return code;
}
