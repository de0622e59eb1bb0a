#include <string.h>

#include "snapshot.h"
#include "table.h"
#include "units.h"

/* A run's first row; its fragments have the same sums. */
static bool run_first(const struct gx_snapshot *s, unsigned row)
{
    for (unsigned i = 0; i < row; i++)
        if (s->file.view.rows[i].used &&
            strcmp(s->file.view.rows[i].run, s->file.view.rows[row].run) == 0)
            return false;
    return s->file.view.rows[row].used;
}

/* A line of /proc/PID/status in bytes; negative when it cannot be read: gxd is dead, or another user's. */
static double process_bytes(const struct gx_snapshot *s, const char *field)
{
    char path[64], line[256];
    double kilobytes = -1;

    snprintf(path, sizeof(path), "/proc/%u/status", s->file.pid);
    FILE *f = s->state == GX_SNAPSHOT_DEAD ? NULL : fopen(path, "r");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
            sscanf(line + strlen(field) + 1, "%lf", &kilobytes);
    if (f)
        fclose(f);
    return kilobytes < 0 ? -1 : kilobytes * 1024;
}

static uint64_t site_free(const uint64_t *site)
{
    uint64_t used = site[GX_SITE_arena_bytes] + site[GX_SITE_staging_bytes];

    return site[GX_SITE_memory_budget_bytes] > used ? site[GX_SITE_memory_budget_bytes] - used : 0;
}

static const struct process_row {
    const char *field, *json, *text;
} process_rows[] = {
    {"VmRSS", "resident_bytes", "resident"},
    {"HugetlbPages", "huge_pages_bytes", "in huge pages"},
    {"VmLck", "locked_bytes", "locked"},
};
#define PROCESS_ROWS (sizeof(process_rows) / sizeof(process_rows[0]))

static void print_json(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    const uint64_t *site = s->file.counters.site;
    json_t *object = gx_snapshot_json(s), *runs = json_array(), *process = json_object();

    gx_json_u64(object, "budget_bytes", site[GX_SITE_memory_budget_bytes]);
    gx_json_u64(object, "arena_bytes", site[GX_SITE_arena_bytes]);
    gx_json_u64(object, "staging_bytes", site[GX_SITE_staging_bytes]);
    gx_json_u64(object, "free_bytes", site_free(site));
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++) {
        const struct gx_round_row *row = &s->file.view.rows[i];
        if (!run_first(s, i))
            continue;
        json_t *run = json_object();
        gx_json_text(run, "run", row->run);
        gx_json_u64(run, "arena_bytes", row->arena_bytes);
        gx_json_u64(run, "staging_bytes", row->staging_bytes);
        json_array_append_new(runs, run);
    }
    json_object_set_new(object, "runs", runs);
    for (size_t i = 0; i < PROCESS_ROWS; i++) {
        double bytes = process_bytes(s, process_rows[i].field);
        json_object_set_new(process, process_rows[i].json,
                            bytes < 0 ? json_null() : json_integer((json_int_t)bytes));
    }
    json_object_set_new(object, "process", process);
    gx_json_print(ctl, object);
}

static void print_table(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    static const char *const titles[] = {"run", ">arena", ">staging", NULL};
    const uint64_t *site = s->file.counters.site;
    char text[GX_UNITS_TEXT_MAX];
    struct gx_table table;

    gx_table_init(&table, titles);
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++) {
        if (!run_first(s, i))
            continue;
        gx_table_cell(&table, "%s", s->file.view.rows[i].run);
        gx_table_bytes(&table, s->file.view.rows[i].arena_bytes);
        gx_table_bytes(&table, s->file.view.rows[i].staging_bytes);
    }
    gx_table_cell(&table, "all, trainers included");
    gx_table_bytes(&table, site[GX_SITE_arena_bytes]);
    gx_table_bytes(&table, site[GX_SITE_staging_bytes]);
    gx_table_print(&table, ctl->out);
    gx_table_fini(&table);
    fprintf(ctl->out, "\nfree     %s", gx_units_format_bytes(text, site_free(site)));
    fprintf(ctl->out, " of %s (the config's `memory:`)\n",
            gx_units_format_bytes(text, site[GX_SITE_memory_budget_bytes]));
    for (size_t i = 0; i < PROCESS_ROWS; i++) {
        double bytes = process_bytes(s, process_rows[i].field);
        if (bytes >= 0)
            fprintf(ctl->out, "%-9s%s %s\n", i ? "" : "process",
                    gx_units_format_bytes(text, (uint64_t)bytes), process_rows[i].text);
    }
}

int gx_ctl_show_memory(const struct gx_ctl *ctl, char **arguments)
{
    (void)arguments;
    return gx_snapshot_show(ctl, print_json, print_table);
}
