#include "snapshot.h"
#include "table.h"

/* Sites whose trainer some run's coordinator counts as present. */
static uint32_t present_mask(const struct gx_snapshot *s)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < GX_VIEW_ROWS; i++)
        if (s->file.view.rows[i].used)
            mask |= s->file.view.rows[i].present;
    return mask;
}

static void print_json(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    json_t *object = gx_snapshot_json(s), *sites = json_array();

    for (uint32_t i = 0; i < s->file.site_count; i++) {
        json_t *site = json_object();
        double heard = gx_snapshot_age_seconds(s, s->file.counters.link[i][GX_LINK_heard_ns]);
        gx_json_text(site, "name", s->file.site_names[i]);
        gx_json_text(site, "address", s->file.site_addresses[i]);
        json_object_set_new(site, "coordinator", json_boolean(i == 0));
        gx_json_text(site, "link", gx_link_state_name(gx_snapshot_link(s, i)));
        json_object_set_new(site, "heard_seconds_ago", heard < 0 ? json_null() : json_real(heard));
        json_object_set_new(site, "present", json_boolean(present_mask(s) & 1u << i));
        json_array_append_new(sites, site);
    }
    json_object_set_new(object, "sites", sites);
    gx_json_print(ctl, object);
}

static void print_table(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    static const char *const titles[] = {"site",     "address", "link", ">heard",
                                         "in a run", "role",    NULL};
    struct gx_table table;

    gx_table_init(&table, titles);
    for (uint32_t i = 0; i < s->file.site_count; i++) {
        gx_table_cell(&table, "%s", s->file.site_names[i]);
        gx_table_cell(&table, "%s", s->file.site_addresses[i]);
        gx_table_cell(&table, "%s", gx_link_state_name(gx_snapshot_link(s, i)));
        gx_table_seconds(&table,
                         gx_snapshot_age_seconds(s, s->file.counters.link[i][GX_LINK_heard_ns]));
        gx_table_cell(&table, "%s", present_mask(s) & 1u << i ? "yes" : "no");
        gx_table_cell(&table, "%s", i == 0 ? "coordinator" : "");
    }
    gx_table_print(&table, ctl->out);
    gx_table_fini(&table);
}

int gx_ctl_show_sites(const struct gx_ctl *ctl, char **arguments)
{
    (void)arguments;
    return gx_snapshot_show(ctl, print_json, print_table);
}
