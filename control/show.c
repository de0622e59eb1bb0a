#include "snapshot.h"
#include "units.h"

#include <inttypes.h>
#include <string.h>

struct run_summary {
    const char *name;
    uint32_t fragments;
    uint32_t trainer;
    uint64_t applied_min, applied_max;
};

/* One entry a run, from its fragments' rows. */
static unsigned runs_collect(const struct gx_snapshot *s, struct run_summary *runs)
{
    unsigned count = 0, r;

    for (unsigned i = 0; i < GX_VIEW_ROWS; i++) {
        const struct gx_round_row *row = &s->file.view.rows[i];
        if (!row->used)
            continue;
        for (r = 0; r < count && strcmp(runs[r].name, row->run) != 0; r++)
            ;
        if (r == count)
            runs[count++] = (struct run_summary){.name = row->run, .applied_min = UINT64_MAX};
        runs[r].fragments++;
        runs[r].trainer |= row->trainer;
        if (row->applied < runs[r].applied_min)
            runs[r].applied_min = row->applied;
        if (row->applied > runs[r].applied_max)
            runs[r].applied_max = row->applied;
    }
    return count;
}

static void links_count(const struct gx_snapshot *s, unsigned counts[GX_LINK_STATES])
{
    memset(counts, 0, GX_LINK_STATES * sizeof(counts[0]));
    for (uint32_t i = 0; i < s->file.site_count; i++)
        counts[gx_snapshot_link(s, i)]++;
}

/* The number of distinct errors, and the one that happened last. */
static unsigned errors_count(const struct gx_snapshot *s, const struct gx_stat_error **last)
{
    unsigned count = 0;

    *last = NULL;
    for (unsigned i = 0; i < GX_STAT_ERRORS; i++) {
        const struct gx_stat_error *e = &s->file.errors[i];
        if (!e->used)
            continue;
        count++;
        if (!*last || e->last_ns > (*last)->last_ns)
            *last = e;
    }
    return count;
}

static double uptime_seconds(const struct gx_snapshot *s)
{
    return s->realtime_ns > s->file.started_ns ? (double)(s->realtime_ns - s->file.started_ns) / 1e9
                                               : 0;
}

static json_t *runs_json(const struct gx_snapshot *s)
{
    struct run_summary runs[GX_VIEW_ROWS];
    unsigned count = runs_collect(s, runs);
    json_t *array = json_array();

    for (unsigned i = 0; i < count; i++) {
        json_t *run = json_object();
        gx_json_text(run, "run", runs[i].name);
        gx_json_u64(run, "fragments", runs[i].fragments);
        json_object_set_new(run, "trainer", json_boolean(runs[i].trainer));
        gx_json_u64(run, "applied_round_min", runs[i].applied_min);
        gx_json_u64(run, "applied_round_max", runs[i].applied_max);
        json_array_append_new(array, run);
    }
    return array;
}

static json_t *links_json(const struct gx_snapshot *s)
{
    unsigned counts[GX_LINK_STATES];
    json_t *object = json_object();

    links_count(s, counts);
    gx_json_u64(object, "up", counts[GX_LINK_STATE_UP]);
    gx_json_u64(object, "down", counts[GX_LINK_STATE_DOWN]);
    gx_json_u64(object, "refused", counts[GX_LINK_STATE_REFUSED]);
    gx_json_u64(object, "mtu", counts[GX_LINK_STATE_MTU]);
    return object;
}

static void print_json(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    const struct gx_stat_file *f = &s->file;
    const struct gx_stat_error *last;
    double beat = gx_snapshot_age_seconds(s, f->counters.site[GX_SITE_heartbeat_ns]);
    json_t *object = gx_snapshot_json(s);
    char incarnation[20];

    snprintf(incarnation, sizeof(incarnation), "%016" PRIx64, f->incarnation);
    gx_json_text(object, "incarnation", incarnation);
    gx_json_text(object, "coordinator", f->site_names[0]);
    gx_json_u64(object, "site_index", f->self);
    gx_json_u64(object, "site_count", f->site_count);
    gx_json_text(object, "port", f->port);
    gx_json_u64(object, "rate_bps", f->rate_bps);
    gx_json_u64(object, "mtu_bytes", f->mtu);
    gx_json_u64(object, "shard_bytes", f->shard_bytes);
    json_object_set_new(object, "uptime_seconds",
                        s->state == GX_SNAPSHOT_DEAD ? json_null() : json_real(uptime_seconds(s)));
    json_object_set_new(object, "heartbeat_seconds_ago", beat < 0 ? json_null() : json_real(beat));
    gx_json_u64(object, "memory_budget_bytes", f->counters.site[GX_SITE_memory_budget_bytes]);
    gx_json_u64(object, "arena_bytes", f->counters.site[GX_SITE_arena_bytes]);
    gx_json_u64(object, "staging_bytes", f->counters.site[GX_SITE_staging_bytes]);
    json_object_set_new(object, "links", links_json(s));
    json_object_set_new(object, "runs", runs_json(s));
    gx_json_u64(object, "distinct_errors", errors_count(s, &last));
    gx_json_text(object, "last_error", last ? last->text : NULL);
    gx_json_print(ctl, object);
}

static void print_memory(const struct gx_ctl *ctl, const struct gx_stat_file *f)
{
    char arena[GX_UNITS_TEXT_MAX], staging[GX_UNITS_TEXT_MAX], budget[GX_UNITS_TEXT_MAX];

    fprintf(ctl->out, "memory   %s arenas + %s staging of %s\n",
            gx_units_format_bytes(arena, f->counters.site[GX_SITE_arena_bytes]),
            gx_units_format_bytes(staging, f->counters.site[GX_SITE_staging_bytes]),
            gx_units_format_bytes(budget, f->counters.site[GX_SITE_memory_budget_bytes]));
}

static void print_runs(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    struct run_summary runs[GX_VIEW_ROWS];
    unsigned count = runs_collect(s, runs);

    if (count == 0)
        fputs("runs     none\n", ctl->out);
    for (unsigned i = 0; i < count; i++) {
        fprintf(ctl->out, "%-9s%s: %u fragment%s, applied round %" PRIu64, i ? "" : "runs",
                runs[i].name, runs[i].fragments, runs[i].fragments == 1 ? "" : "s",
                runs[i].applied_min);
        if (runs[i].applied_max != runs[i].applied_min)
            fprintf(ctl->out, " to %" PRIu64, runs[i].applied_max);
        fputs(runs[i].trainer ? "\n" : ", no trainer here\n", ctl->out);
    }
}

static void print_summary(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    const struct gx_stat_file *f = &s->file;
    const struct gx_stat_error *last;
    char rate[GX_UNITS_TEXT_MAX];
    unsigned links[GX_LINK_STATES], errors = errors_count(s, &last);

    fprintf(ctl->out, "gxd      %s, pid %u", gx_snapshot_state_name(s->state), f->pid);
    if (s->state != GX_SNAPSHOT_DEAD)
        fprintf(ctl->out, ", up %.0f s", uptime_seconds(s));
    fprintf(ctl->out, "\nsite     %s, one of %u, coordinator %s\n", f->site_names[f->self],
            f->site_count, f->site_names[0]);
    fprintf(ctl->out, "port     %s\n", f->port);
    fprintf(ctl->out, "rate     %s, MTU %" PRIu64 ", shards of %" PRIu64 " bytes\n",
            gx_units_format_rate(rate, f->rate_bps), f->mtu, f->shard_bytes);
    print_memory(ctl, f);
    links_count(s, links);
    fprintf(ctl->out, "links    %u up, %u down, %u refused", links[GX_LINK_STATE_UP],
            links[GX_LINK_STATE_DOWN], links[GX_LINK_STATE_REFUSED]);
    if (links[GX_LINK_STATE_MTU])
        fprintf(ctl->out, ", %u lose full packets (gxctl show links)", links[GX_LINK_STATE_MTU]);
    fputc('\n', ctl->out);
    print_runs(ctl, s);
    if (errors)
        fprintf(ctl->out, "errors   %u distinct, the last: %s\n", errors, last->text);
    else
        fputs("errors   none\n", ctl->out);
}

int gx_ctl_show(const struct gx_ctl *ctl, char **arguments)
{
    (void)arguments;
    return gx_snapshot_show(ctl, print_json, print_summary);
}
