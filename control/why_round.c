/* Single rounds: stage times at this site, and at the coordinator why each site is in or out. */
#include <inttypes.h>
#include <string.h>

#include "table.h"
#include "units.h"
#include "why.h"

static const char *const stage_texts[GX_STAGE_COUNT] = {
#define GX_STAGE(name, text, help) text,
#include "stages.def"
#undef GX_STAGE
};

static const struct why_row {
    const char *name, *text, *todo;
} why_rows[GX_WHY_COUNT] = {
#define GX_WHY(name, text, todo) {#name, text, todo},
#include "why.def"
#undef GX_WHY
};

static const struct why_row *why_row(unsigned why)
{
    return &why_rows[why < GX_WHY_COUNT ? why : GX_WHY_UNKNOWN];
}

/* ---- collecting ---- */

static const struct gx_decision *decision_find(const struct gx_snapshot *s, const char *run,
                                               uint32_t fragment, uint64_t round)
{
    const struct gx_decision *best = NULL;

    for (unsigned i = 0; i < GX_DECISIONS; i++) {
        const struct gx_decision *d = &s->file.view.decisions[i];
        if (d->used && d->fragment == fragment && d->round == round && strcmp(d->run, run) == 0 &&
            (!best || d->epoch > best->epoch))
            best = d;
    }
    return best;
}

static void earliest(uint64_t *start_ns, uint64_t ns)
{
    if (ns && (*start_ns == 0 || ns < *start_ns))
        *start_ns = ns;
}

static uint64_t round_start(const struct gx_trace *trace, const struct gx_decision *d)
{
    uint64_t start_ns = d ? d->opened_ns : 0;

    for (unsigned i = 0; trace && i < GX_STAGE_COUNT; i++)
        earliest(&start_ns, trace->at_ns[i]);
    for (unsigned i = 0; trace && i < GX_SITES_MAX; i++) {
        earliest(&start_ns, trace->came_ns[i]);
        earliest(&start_ns, trace->went_ns[i]);
    }
    return start_ns;
}

/* Seconds after the round's start; null: not yet. */
static void put_seconds(json_t *object, const char *key, uint64_t ns, uint64_t start_ns)
{
    json_object_set_new(
        object, key, ns >= start_ns && ns ? json_real((double)(ns - start_ns) / 1e9) : json_null());
}

static json_t *sites_json(const struct gx_snapshot *s, const struct gx_trace *trace,
                          const struct gx_decision *d, uint64_t start_ns)
{
    json_t *sites = json_array();

    for (uint32_t i = 0; i < s->file.site_count; i++) {
        json_t *site = json_object();
        bool own = i == s->file.self;
        gx_json_text(site, "site", s->file.site_names[i]);
        json_object_set_new(site, "own", json_boolean(own));
        put_seconds(site, "held_here_seconds", trace && !own ? trace->came_ns[i] : 0, start_ns);
        put_seconds(site, "holds_ours_seconds", trace && !own ? trace->went_ns[i] : 0, start_ns);
        bool helped = trace && trace->helped_ns[i] && trace->helper[i] < s->file.site_count;
        gx_json_text(site, "helper", helped ? s->file.site_names[trace->helper[i]] : NULL);
        put_seconds(site, "helped_seconds", helped ? trace->helped_ns[i] : 0, start_ns);
        if (d) {
            const struct why_row *row = why_row(d->why[i]);
            gx_json_text(site, "why", row->name);
            gx_json_text(site, "text", row->text);
            gx_json_text(site, "todo", *row->todo ? row->todo : NULL);
            json_object_set_new(site, "holders", gx_snapshot_names_json(s, d->holders[i]));
            put_seconds(site, "offered_seconds", d->offered_ns[i], start_ns);
            put_seconds(site, "eligible_seconds", d->eligible_ns[i], start_ns);
        }
        json_array_append_new(sites, site);
    }
    return sites;
}

static const char *outcome_of(const struct gx_snapshot *s, const struct gx_trace *trace,
                              const struct gx_decision *d)
{
    bool over = (trace && trace->at_ns[GX_STAGE_DECIDED]) || (d && d->flags & GX_DECISION_OVER);
    uint32_t members = trace && trace->at_ns[GX_STAGE_DECIDED] ? trace->members
                       : d                                     ? d->members
                                                               : 0;

    if (!over)
        return "open";
    if (!members)
        return "void";
    return members & 1u << s->file.self ? "member" : "left out";
}

static json_t *round_json(const struct gx_snapshot *s, const char *run, uint32_t fragment,
                          uint64_t round, const struct gx_trace *trace, const struct gx_decision *d)
{
    json_t *object = json_object(), *stages = json_object();
    uint64_t start_ns = round_start(trace, d);
    double ago = gx_snapshot_age_seconds(s, start_ns);
    uint32_t members = trace && trace->members ? trace->members : d ? d->members : 0;

    gx_json_text(object, "run", run);
    gx_json_u64(object, "fragment", fragment);
    gx_json_u64(object, "round", round);
    gx_json_u64(object, "epoch", trace && trace->epoch ? trace->epoch : d ? d->epoch : 0);
    gx_json_text(object, "outcome_here", outcome_of(s, trace, d));
    json_object_set_new(object, "cohort", gx_snapshot_names_json(s, members));
    json_object_set_new(object, "start_seconds_ago", ago < 0 ? json_null() : json_real(ago));
    for (unsigned i = 0; i < GX_STAGE_COUNT; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%s_seconds", stage_texts[i]);
        put_seconds(stages, key, trace ? trace->at_ns[i] : 0, start_ns);
    }
    if (d) {
        put_seconds(stages, "coordinator_opened_seconds", d->opened_ns, start_ns);
        put_seconds(stages, "coordinator_deadline_seconds", d->deadline_ns, start_ns);
        put_seconds(stages, "coordinator_decided_seconds", d->decided_ns, start_ns);
        put_seconds(stages, "coordinator_durable_seconds", d->durable_ns, start_ns);
    }
    json_object_set_new(object, "stages", stages);
    json_object_set_new(object, "coordinator_here", json_boolean(d != NULL));
    json_object_set_new(object, "sites", sites_json(s, trace, d, start_ns));
    return object;
}

/* Adds the round of a fragment, if anything is known of it. */
static bool add_round(struct gx_why_report *report, const struct gx_snapshot *s, const char *run,
                      uint32_t fragment, int row, uint64_t round)
{
    const struct gx_decision *d = decision_find(s, run, fragment, round);
    const struct gx_trace *trace = row >= 0 ? gx_why_trace(s, (unsigned)row, round) : NULL;

    if (!d && !trace)
        return false;
    json_array_append_new(report->rounds, round_json(s, run, fragment, round, trace, d));
    return true;
}

static int row_find(const struct gx_snapshot *s, const char *run, uint32_t fragment)
{
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++) {
        const struct gx_round_row *row = &s->file.view.rows[i];
        if (row->used && row->fragment == fragment && strcmp(row->run, run) == 0)
            return (int)i;
    }
    return -1;
}

void gx_why_history(struct gx_why_report *report, const struct gx_snapshot *s, const char *run)
{
    for (uint32_t fragment = 0; fragment < GX_FRAGMENTS_MAX; fragment++) {
        int row = row_find(s, run, fragment);
        uint64_t last = row >= 0 ? s->file.view.rows[row].decided + 1 : 0;
        for (uint64_t back = GX_TRACES; last && back-- > 0;)
            if (back < last)
                add_round(report, s, run, fragment, row, last - back);
    }
}

int gx_why_round(const struct gx_ctl *ctl, struct gx_why_report *report,
                 const struct gx_snapshot *s, const char *run, uint64_t round)
{
    bool any = false;

    for (uint32_t fragment = 0; fragment < GX_FRAGMENTS_MAX; fragment++)
        any |= add_round(report, s, run, fragment, row_find(s, run, fragment), round);
    if (!any)
        return gx_ctl_fail(ctl, GX_CTL_FAILED,
                           "nothing is known of round %" PRIu64
                           " of run '%s': it has not begun, or "
                           "it is not among the last %d that are kept",
                           round, run, GX_TRACES);
    if (s->file.self != 0)
        gx_why_say(report, "cohort", NULL,
                   "why a site was left out is known at the coordinator, %s: gxctl why %s %" PRIu64
                   " there",
                   s->file.site_names[0], run, round);
    return GX_CTL_OK;
}

/* ---- the coordinator's open rounds ---- */

static const struct flag_text {
    uint32_t flag;
    bool when;
    const char *text, *todo;
} flag_texts[] = {
    {GX_DECISION_HALTED, true,
     "the coordinator decides nothing: a site has a record that its log lacks",
     "restore the journal, or: gxctl run rewind RUN"},
    {GX_DECISION_REWINDING, true, "a new epoch is on its way to the log", NULL},
    {GX_DECISION_RECOVERING, true,
     "the coordinator has restarted and waits, 3 s at most, for the reports of all sites", NULL},
    {GX_DECISION_HELD, true, "the decision is held for a site that fetches a state", NULL},
    {GX_DECISION_STARTED, false, "round 1 waits for start_sites present sites",
     "start gxd and the trainers at the missing sites, or lower start_sites"},
};

static void look_at_open(struct gx_why_report *report, const struct gx_snapshot *s,
                         const struct gx_decision *d)
{
    char about[GX_NAME_MAX + 64], names[GX_SNAPSHOT_NAMES_MAX];
    double left = d->deadline_ns > s->now_ns ? (double)(d->deadline_ns - s->now_ns) / 1e9 : 0;

    snprintf(about, sizeof(about), "run %s, fragment %u, coordinator", d->run, d->fragment);
    for (size_t i = 0; i < sizeof(flag_texts) / sizeof(flag_texts[0]); i++)
        if (((d->flags & flag_texts[i].flag) != 0) == flag_texts[i].when)
            gx_why_say(report, about, flag_texts[i].todo, "%s (present: %s)", flag_texts[i].text,
                       gx_snapshot_names(s, d->present, names));
    if (d->decided_ns) {
        gx_why_say(report, about, "is the disk full or slow? gxctl show errors",
                   "round %" PRIu64 " is decided and waits for the log", d->round);
        return;
    }
    if (!d->opened_ns)
        return;
    for (uint32_t i = 0; i < s->file.site_count; i++) {
        const struct why_row *row = why_row(d->why[i]);
        if (d->why[i] == GX_WHY_ELIGIBLE || d->why[i] == GX_WHY_UNKNOWN)
            continue;
        gx_why_say(report, about, row->todo,
                   "round %" PRIu64 " is open, %.1f s to its deadline; site %s: %s%s%s", d->round,
                   left, s->file.site_names[i], row->text,
                   d->why[i] == GX_WHY_NOT_HELD ? " yet; held by: " : "",
                   d->why[i] == GX_WHY_NOT_HELD ? gx_snapshot_names(s, d->holders[i], names) : "");
    }
}

/* The newest row of its fragment, and not over. */
static bool is_open(const struct gx_snapshot *s, const struct gx_decision *d)
{
    if (!d->used || d->flags & GX_DECISION_OVER)
        return false;
    for (unsigned i = 0; i < GX_DECISIONS; i++) {
        const struct gx_decision *other = &s->file.view.decisions[i];
        if (other->used && other->fragment == d->fragment && strcmp(other->run, d->run) == 0 &&
            (other->epoch > d->epoch || (other->epoch == d->epoch && other->round > d->round)))
            return false;
    }
    return true;
}

void gx_why_open(struct gx_why_report *report, const struct gx_snapshot *s, const char *run)
{
    for (unsigned i = 0; i < GX_DECISIONS; i++) {
        const struct gx_decision *d = &s->file.view.decisions[i];
        if (is_open(s, d) && (!run || strcmp(d->run, run) == 0))
            look_at_open(report, s, d);
    }
}

/* ---- people ---- */

static void cell_seconds(struct gx_table *table, const json_t *value)
{
    if (json_is_number(value))
        gx_table_cell(table, "%.3f s", json_number_value(value));
    else
        gx_table_cell(table, "-");
}

/* A site has its own contribution from the start. */
static void cell_held(struct gx_table *table, const json_t *site, const char *key)
{
    const json_t *helper = json_object_get(site, "helper"), *held = json_object_get(site, key);

    if (strcmp(key, "held_here_seconds") == 0 && json_is_string(helper) && json_is_number(held)) {
        gx_table_cell(table, "%.3f s, with %s", json_number_value(held), json_string_value(helper));
        return;
    }
    if (json_is_true(json_object_get(site, "own")))
        gx_table_cell(table, "own");
    else
        cell_seconds(table, json_object_get(site, key));
}

static void print_names(FILE *out, const json_t *names)
{
    size_t i;
    json_t *name;

    json_array_foreach(names, i, name) fprintf(out, "%s%s", i ? "," : "", json_string_value(name));
    if (json_array_size(names) == 0)
        fputc('-', out);
}

static void print_stages(const struct gx_ctl *ctl, json_t *stages)
{
    const char *key;
    json_t *value;
    bool any = false;

    json_object_foreach(stages, key, value)
    {
        if (!json_is_number(value))
            continue;
        fprintf(ctl->out, "%s%.*s %.3f s",
                any ? ", " : "  after its start: ", (int)(strlen(key) - strlen("_seconds")), key,
                json_number_value(value));
        any = true;
    }
    if (any)
        fputc('\n', ctl->out);
}

static void print_sites(const struct gx_ctl *ctl, const json_t *round)
{
    static const char *const known[] = {"  site",    ">offered", ">eligible", ">held here",
                                        ">has ours", "why",      NULL};
    static const char *const unknown[] = {"  site", ">held here", ">has ours", NULL};
    bool coordinator = json_is_true(json_object_get(round, "coordinator_here"));
    struct gx_table table;
    json_t *site;
    size_t i;

    gx_table_init(&table, coordinator ? known : unknown);
    json_array_foreach(json_object_get(round, "sites"), i, site)
    {
        gx_table_cell(&table, "  %s", json_string_value(json_object_get(site, "site")));
        if (coordinator) {
            cell_seconds(&table, json_object_get(site, "offered_seconds"));
            cell_seconds(&table, json_object_get(site, "eligible_seconds"));
        }
        cell_held(&table, site, "held_here_seconds");
        cell_held(&table, site, "holds_ours_seconds");
        if (coordinator)
            gx_table_cell(&table, "%s", json_string_value(json_object_get(site, "text")));
    }
    gx_table_print(&table, ctl->out);
    gx_table_fini(&table);
}

void gx_why_print_rounds(const struct gx_ctl *ctl, const struct gx_why_report *report)
{
    json_t *round;
    size_t i;

    json_array_foreach(report->rounds, i, round)
    {
        fprintf(ctl->out,
                "run %s, fragment %" JSON_INTEGER_FORMAT ", round %" JSON_INTEGER_FORMAT
                ": %s, cohort ",
                json_string_value(json_object_get(round, "run")),
                json_integer_value(json_object_get(round, "fragment")),
                json_integer_value(json_object_get(round, "round")),
                json_string_value(json_object_get(round, "outcome_here")));
        print_names(ctl->out, json_object_get(round, "cohort"));
        fputc('\n', ctl->out);
        print_stages(ctl, json_object_get(round, "stages"));
        print_sites(ctl, round);
    }
}
