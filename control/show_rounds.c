#include "snapshot.h"
#include "table.h"

#include <inttypes.h>

static const char *digest_text(const struct gx_digest *digest, unsigned bytes, char *out)
{
    for (unsigned i = 0; i < bytes; i++)
        sprintf(out + 2 * i, "%02x", digest->b[i]);
    return out;
}

/* Seconds to the deadline; negative when it is not armed. */
static double deadline_seconds(const struct gx_snapshot *s, const struct gx_round_row *row)
{
    if (row->deadline_ns == 0)
        return -1;
    return row->deadline_ns > s->now_ns ? (double)(row->deadline_ns - s->now_ns) / 1e9 : 0;
}

static json_t *row_json(const struct gx_snapshot *s, const struct gx_round_row *row)
{
    json_t *object = json_object();
    double deadline = deadline_seconds(s, row);
    char digest[2 * GX_DIGEST_BYTES + 1];

    gx_json_text(object, "run", row->run);
    gx_json_u64(object, "fragment", row->fragment);
    gx_json_text(object, "phase", gx_snapshot_phase_name(row->phase));
    gx_json_text(object, "reason", row->reason ? gx_snapshot_reason_text(row->reason) : NULL);
    json_object_set_new(object, "trainer", json_boolean(row->trainer));
    gx_json_u64(object, "epoch", row->epoch);
    gx_json_u64(object, "applied_round", row->applied);
    gx_json_u64(object, "decided_round", row->decided);
    gx_json_u64(object, "offered_round", row->offered);
    gx_json_u64(object, "contribution_bytes", row->bytes);
    gx_json_u64(object, "divisor", row->divisor);
    json_object_set_new(object, "cohort", gx_snapshot_names_json(s, row->cohort));
    json_object_set_new(object, "present", gx_snapshot_names_json(s, row->present));
    json_object_set_new(object, "offers", gx_snapshot_names_json(s, row->offers));
    json_object_set_new(object, "held", gx_snapshot_names_json(s, row->held));
    json_object_set_new(object, "eligible", gx_snapshot_names_json(s, row->eligible));
    json_object_set_new(object, "deadline_seconds",
                        deadline < 0 ? json_null() : json_real(deadline));
    gx_json_u64(object, "rounds_member", row->rounds_member);
    gx_json_u64(object, "rounds_left_out", row->rounds_left_out);
    gx_json_u64(object, "rounds_void", row->rounds_void);
    gx_json_u64(object, "states_fetched", row->states_fetched);
    gx_json_text(object, "state_digest", digest_text(&row->state, GX_DIGEST_BYTES, digest));
    return object;
}

static void print_json(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    json_t *object = gx_snapshot_json(s), *rounds = json_array();

    for (unsigned i = 0; i < GX_VIEW_ROWS; i++)
        if (s->file.view.rows[i].used)
            json_array_append_new(rounds, row_json(s, &s->file.view.rows[i]));
    json_object_set_new(object, "rounds", rounds);
    gx_json_print(ctl, object);
}

static void add_row(struct gx_table *table, const struct gx_snapshot *s,
                    const struct gx_round_row *row)
{
    char names[GX_SNAPSHOT_NAMES_MAX], digest[17];

    gx_table_cell(table, "%s", row->run);
    gx_table_cell(table, "%u", row->fragment);
    gx_table_cell(table, "%s", gx_snapshot_phase_name(row->phase));
    gx_table_cell(table, "%u", row->epoch);
    gx_table_cell(table, "%" PRIu64, row->applied);
    gx_table_cell(table, "%" PRIu64, row->decided);
    gx_table_cell(table, "%" PRIu64, row->offered);
    gx_table_cell(table, "%s", gx_snapshot_names(s, row->cohort, names));
    gx_table_cell(table, "%s", gx_snapshot_names(s, row->present, names));
    gx_table_cell(table, "%s", gx_snapshot_names(s, row->offers, names));
    gx_table_cell(table, "%s", gx_snapshot_names(s, row->held, names));
    gx_table_seconds(table, deadline_seconds(s, row));
    gx_table_bytes(table, row->bytes);
    gx_table_cell(table, "%s", digest_text(&row->state, 6, digest));
}

static void print_table(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    static const char *const titles[] = {"run",      ">fragment", "phase",  ">epoch",  ">applied",
                                         ">decided", ">offered",  "cohort", "present", "offers",
                                         "held",     ">deadline", ">bytes", "state",   NULL};
    struct gx_table table;

    gx_table_init(&table, titles);
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++)
        if (s->file.view.rows[i].used)
            add_row(&table, s, &s->file.view.rows[i]);
    if (table.cell_count)
        gx_table_print(&table, ctl->out);
    else
        fputs("no run\n", ctl->out);
    gx_table_fini(&table);
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++) {
        const struct gx_round_row *row = &s->file.view.rows[i];
        if (row->used && row->reason)
            fprintf(ctl->out, "%s, fragment %u: %s\n", row->run, row->fragment,
                    gx_snapshot_reason_text(row->reason));
    }
}

int gx_ctl_show_rounds(const struct gx_ctl *ctl, char **arguments)
{
    (void)arguments;
    return gx_snapshot_show(ctl, print_json, print_table);
}
