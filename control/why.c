/* gxctl why: the sentences that an operator would otherwise put together from every other show. */
#include "why.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

/* ---- findings: a sentence, and what to do ---- */

__attribute__((format(printf, 4, 5))) void gx_why_say(struct gx_why_report *report,
                                                      const char *subject, const char *todo,
                                                      const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_t *finding = json_object();
    gx_json_text(finding, "about", subject);
    gx_json_text(finding, "text", text);
    gx_json_text(finding, "todo", todo && *todo ? todo : NULL);
    json_array_append_new(report->findings, finding);
}

static void print_findings(const struct gx_ctl *ctl, const struct gx_why_report *report)
{
    json_t *finding;
    size_t i;

    json_array_foreach(report->findings, i, finding)
    {
        const char *todo = json_string_value(json_object_get(finding, "todo"));
        fprintf(ctl->out, "%s: %s\n", json_string_value(json_object_get(finding, "about")),
                json_string_value(json_object_get(finding, "text")));
        if (todo)
            fprintf(ctl->out, "    do: %s\n", todo);
    }
}

/* ---- the site and its links ---- */

static void look_at_path(struct gx_why_report *report, const struct gx_snapshot *s, uint32_t peer,
                         const char *about)
{
    const uint64_t *link = s->file.counters.link[peer];
    char text[GX_SNAPSHOT_PATH_MAX], todo[200];

    if (gx_snapshot_path(s, peer, text)) {
        snprintf(todo, sizeof(todo),
                 "write `mtu: %" PRIu64 "` into the config of every site and restart each gxd; or "
                 "make tunnels and routers between carry the larger packets",
                 link[GX_LINK_path_bytes]);
        gx_why_say(report, about,
                   link[GX_LINK_path_bytes] ? todo : "wait some seconds: then the size is told",
                   "%s", text);
    }
    if (gx_snapshot_path_back(s, peer, text)) {
        snprintf(todo, sizeof(todo), "gxctl why, at %s, knows more", s->file.site_names[peer]);
        gx_why_say(report, about, todo, "%s", text);
    }
}

static void look_at_link(struct gx_why_report *report, const struct gx_snapshot *s, uint32_t peer)
{
    const uint64_t *link = s->file.counters.link[peer];
    double heard = gx_snapshot_age_seconds(s, link[GX_LINK_heard_ns]);
    char about[GX_NAME_MAX + 8];

    snprintf(about, sizeof(about), "link %s", s->file.site_names[peer]);
    if (link[GX_LINK_twins_total])
        gx_why_say(report, about, "stop one of them, or correct its `site:`",
                   "two gxd call themselves %s: they took the link from each other %" PRIu64
                   " times",
                   s->file.site_names[peer], link[GX_LINK_twins_total]);
    switch (gx_snapshot_link(s, peer)) {
    case GX_LINK_STATE_REFUSED:
        gx_why_say(report, about, "gxctl show links names what differs; make the configs agree",
                   "refused: %s", gx_snapshot_reason_text(link[GX_LINK_refused]));
        break;
    case GX_LINK_STATE_DOWN:
        if (heard < 0)
            gx_why_say(
                report, about,
                "is gxd running there, is that its address, does a firewall let UDP through?",
                "down: nothing was ever heard from %s; %" PRIu64 " packets were sent there",
                s->file.site_addresses[peer], link[GX_LINK_sent_packets_total]);
        else
            gx_why_say(report, about, "is gxd running there, is the network between broken?",
                       "down: %s was last heard %.0f s ago", s->file.site_addresses[peer], heard);
        break;
    case GX_LINK_STATE_MTU:
    case GX_LINK_STATE_UP:
        look_at_path(report, s, peer, about);
        if (link[GX_LINK_loss_ppm] > 200000)
            gx_why_say(report, about,
                       "look for the bottleneck, or lower the rate: gxctl set site.rate=…",
                       "loses %.0f%% of what is sent", (double)link[GX_LINK_loss_ppm] / 1e4);
        break;
    case GX_LINK_STATE_SELF:
        break;
    }
}

/* What is wrong with the port itself is wrong with every link. */
static void look_at_port(struct gx_why_report *report, const struct gx_snapshot *s)
{
    const uint64_t *site = s->file.counters.site;

    if (!site[GX_SITE_port_link_up] && site[GX_SITE_loops_total])
        gx_why_say(report, "port", "ip link shows it; then look at cable, switch, or the other end",
                   "the link of %s is down", s->file.port);
    if (site[GX_SITE_port_gateway_lost])
        gx_why_say(report, "port", "is that address right, is the router alive?",
                   "port.gateway does not answer: what goes to other networks is dropped (%" PRIu64
                   " packets so far)",
                   site[GX_SITE_port_unresolved_packets_total]);
    if (site[GX_SITE_port_address_conflicts_total])
        gx_why_say(report, "port", "give each host an address of its own (port.address)",
                   "another host claimed this port's address, %" PRIu64 " times",
                   site[GX_SITE_port_address_conflicts_total]);
    if (site[GX_SITE_own_name_hellos_total])
        gx_why_say(
            report, "site", "gxd's log says from where; correct the `site:` of one of the two",
            "another gxd calls itself %s, as this one does (%" PRIu64 " of its packets came)",
            s->file.site_names[s->file.self], site[GX_SITE_own_name_hellos_total]);
}

static void look_at_strangers(struct gx_why_report *report, const struct gx_snapshot *s)
{
    const uint64_t *site = s->file.counters.site;

    if (site[GX_SITE_packets_version_total])
        gx_why_say(report, "packets", "install the same release at every site",
                   "%" PRIu64 " of another protocol version were dropped",
                   site[GX_SITE_packets_version_total]);
}

/* ---- runs ---- */

static void look_at_offered(struct gx_why_report *report, const struct gx_snapshot *s,
                            const struct gx_round_row *row, const char *about)
{
    uint32_t missing = row->present & ~row->offers;
    char names[GX_SNAPSHOT_NAMES_MAX], present[GX_SNAPSHOT_NAMES_MAX];
    char todo[256] = "";

    if (s->file.self != 0)
        snprintf(todo, sizeof(todo), "gxctl why %s, at the coordinator %s, knows more", row->run,
                 s->file.site_names[0]);
    if (!(row->present & 1u << s->file.self))
        gx_why_say(report, about, todo,
                   "round %" PRIu64 " is offered, but the coordinator does not count this site as "
                   "present: it may not hear us",
                   row->offered);
    else if (missing)
        gx_why_say(report, about, todo,
                   "round %" PRIu64 " is offered here and waits for the offers of %s (present: %s)",
                   row->offered, gx_snapshot_names(s, missing, names),
                   gx_snapshot_names(s, row->present, present));
    else
        gx_why_say(report, about, todo,
                   "round %" PRIu64 " is offered by all that are present (%s); it waits until each "
                   "contribution is held by two sites, then for the coordinator's log",
                   row->offered, gx_snapshot_names(s, row->present, present));
}

static void look_at_decided(struct gx_why_report *report, const struct gx_snapshot *s,
                            const struct gx_round_row *row, const struct gx_trace *trace,
                            const char *about)
{
    char names[GX_SNAPSHOT_NAMES_MAX];
    uint32_t missing = trace ? trace->members : row->cohort;

    for (uint32_t i = 0; trace && i < s->file.site_count; i++)
        if (trace->came_ns[i] || i == s->file.self)
            missing &= ~(1u << i);
    if (missing)
        gx_why_say(report, about, "gxctl monitor: does data arrive from there?",
                   "round %" PRIu64 " is decided; still on the way here: the contribution of %s",
                   row->applied + 1, gx_snapshot_names(s, missing, names));
    else
        gx_why_say(report, about, NULL, "round %" PRIu64 " is decided and is being averaged",
                   row->applied + 1);
}

static void look_at_row(struct gx_why_report *report, const struct gx_snapshot *s, unsigned index)
{
    const struct gx_round_row *row = &s->file.view.rows[index];
    const struct gx_trace *next = gx_why_trace(s, index, row->applied + 1);
    const struct gx_trace *last = gx_why_trace(s, index, row->applied);
    char about[GX_NAME_MAX + 24];
    double since;

    snprintf(about, sizeof(about), "run %s, fragment %u", row->run, row->fragment);
    if (!row->trainer) {
        gx_why_say(report, about, "start it: gx-train -s … --run …", "its trainer here has gone");
        return;
    }
    switch ((enum gx_round_phase)row->phase) {
    case GX_PHASE_NONE:
    case GX_PHASE_IDLE:
        since = last ? gx_snapshot_age_seconds(s, last->at_ns[GX_STAGE_APPLIED]) : -1;
        if (since >= 0)
            gx_why_say(report, about, "nothing, if its inner steps take that long",
                       "the trainer has round %" PRIu64
                       " since %.1f s and has not offered the next",
                       row->applied, since);
        else
            gx_why_say(report, about, "wait: it loads or receives its parameters",
                       "the trainer has not offered a round yet");
        break;
    case GX_PHASE_OFFERED:
        look_at_offered(report, s, row, about);
        break;
    case GX_PHASE_DECIDED:
        look_at_decided(report, s, row, next, about);
        break;
    case GX_PHASE_REDUCED:
        gx_why_say(report, about, "wait for its outer step; is it alive?",
                   "round %" PRIu64 " is ready; the trainer has not published its new state",
                   row->applied + 1);
        break;
    case GX_PHASE_BEHIND:
        gx_why_say(report, about, "wait: a state is asked for; who has it: gxctl show rounds",
                   "behind: the rounds went on to %" PRIu64 ", the trainer has %" PRIu64,
                   row->decided, row->applied);
        break;
    case GX_PHASE_FETCHING:
        gx_why_say(report, about, "wait: gxctl monitor shows the rate",
                   "behind: a state is on its way here");
        break;
    case GX_PHASE_REFUSED:
        gx_why_say(report, about, "start all trainers with the same model and format",
                   "the coordinator refuses this site: %s", gx_snapshot_reason_text(row->reason));
        break;
    }
}

/* ---- the command ---- */

const struct gx_trace *gx_why_trace(const struct gx_snapshot *s, unsigned row, uint64_t round)
{
    const struct gx_trace *trace = &s->file.view.traces[row][round % GX_TRACES];

    return round && trace->round == round ? trace : NULL;
}

static void look_at_all(struct gx_why_report *report, const struct gx_snapshot *s)
{
    bool any = false;

    if (s->state == GX_SNAPSHOT_DEAD)
        gx_why_say(report, "gxd", "start it: systemctl start gxd@NAME, or gxd -c FILE",
                   "dead; what follows was true when it died");
    if (s->state == GX_SNAPSHOT_STUCK)
        gx_why_say(report, "gxd", "look at its log, then restart it; trainers survive that",
                   "alive, but its worker does not turn");
    look_at_port(report, s);
    for (uint32_t i = 0; i < s->file.site_count; i++)
        look_at_link(report, s, i);
    look_at_strangers(report, s);
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++) {
        if (!s->file.view.rows[i].used)
            continue;
        any = true;
        look_at_row(report, s, i);
    }
    if (!any)
        gx_why_say(report, "runs", "start gx-train here, with this gxd's socket and the run's name",
                   "no trainer is registered at this site");
    gx_why_open(report, s, NULL);
}

static bool run_known(const struct gx_snapshot *s, const char *run)
{
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++)
        if (s->file.view.rows[i].used && strcmp(s->file.view.rows[i].run, run) == 0)
            return true;
    for (unsigned i = 0; i < GX_DECISIONS; i++)
        if (s->file.view.decisions[i].used && strcmp(s->file.view.decisions[i].run, run) == 0)
            return true;
    return false;
}

static int look(const struct gx_ctl *ctl, const struct gx_snapshot *s, char **arguments,
                struct gx_why_report *report)
{
    const char *run = ctl->argument_count > 0 ? arguments[0] : NULL;
    char *end = NULL;

    if (!run) {
        look_at_all(report, s);
        return GX_CTL_OK;
    }
    if (!run_known(s, run))
        return gx_ctl_fail(ctl, GX_CTL_FAILED,
                           "no run '%s' is known here; gxctl show rounds lists them", run);
    if (ctl->argument_count == 2) {
        uint64_t round = strtoull(arguments[1], &end, 10);
        if (arguments[1][0] < '0' || arguments[1][0] > '9' || *end || round == 0)
            return gx_ctl_fail(ctl, GX_CTL_USAGE, "'%s' is no round: they count 1, 2, 3…",
                               arguments[1]);
        return gx_why_round(ctl, report, s, run, round);
    }
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++)
        if (s->file.view.rows[i].used && strcmp(s->file.view.rows[i].run, run) == 0)
            look_at_row(report, s, i);
    gx_why_open(report, s, run);
    gx_why_history(report, s, run);
    return GX_CTL_OK;
}

int gx_ctl_why(const struct gx_ctl *ctl, char **arguments)
{
    struct gx_why_report report = {json_array(), json_array()};
    struct gx_snapshot *s;
    int code = gx_snapshot_take(ctl, &s);

    if (code == GX_CTL_OK) {
        code = look(ctl, s, arguments, &report);
        if (code == GX_CTL_OK && ctl->json) {
            json_t *object = gx_snapshot_json(s);
            json_object_set(object, "findings", report.findings);
            json_object_set(object, "rounds", report.rounds);
            gx_json_print(ctl, object);
        } else if (code == GX_CTL_OK) {
            print_findings(ctl, &report);
            gx_why_print_rounds(ctl, &report);
        }
        if (code == GX_CTL_OK)
            code = gx_snapshot_exit(ctl, s);
        gx_snapshot_free(s);
    }
    json_decref(report.findings);
    json_decref(report.rounds);
    return code;
}
