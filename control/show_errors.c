#include "snapshot.h"
#include "table.h"

#include <inttypes.h>
#include <time.h>

static void print_json(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    json_t *object = gx_snapshot_json(s), *errors = json_array();

    for (unsigned i = 0; i < GX_STAT_ERRORS; i++) {
        const struct gx_stat_error *e = &s->file.errors[i];
        if (!e->used)
            continue;
        json_t *error = json_object();
        gx_json_text(error, "text", e->text);
        gx_json_u64(error, "count", e->count);
        gx_json_u64(error, "first_unix_ns", e->first_ns);
        gx_json_u64(error, "last_unix_ns", e->last_ns);
        json_array_append_new(errors, error);
    }
    json_object_set_new(object, "errors", errors);
    gx_json_print(ctl, object);
}

static void add_time(struct gx_table *table, uint64_t realtime_ns)
{
    time_t seconds = (time_t)(realtime_ns / 1000000000);
    struct tm parts;
    char text[32];

    localtime_r(&seconds, &parts);
    strftime(text, sizeof(text), "%F %T", &parts);
    gx_table_cell(table, "%s", text);
}

static void print_table(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    static const char *const titles[] = {">count", "first", "last", "error", NULL};
    struct gx_table table;

    gx_table_init(&table, titles);
    for (unsigned i = 0; i < GX_STAT_ERRORS; i++) {
        const struct gx_stat_error *e = &s->file.errors[i];
        if (!e->used)
            continue;
        gx_table_cell(&table, "%" PRIu64, e->count);
        add_time(&table, e->first_ns);
        add_time(&table, e->last_ns);
        gx_table_cell(&table, "%s", e->text);
    }
    if (table.cell_count)
        gx_table_print(&table, ctl->out);
    else
        fputs("no errors\n", ctl->out);
    gx_table_fini(&table);
}

int gx_ctl_show_errors(const struct gx_ctl *ctl, char **arguments)
{
    (void)arguments;
    return gx_snapshot_show(ctl, print_json, print_table);
}
