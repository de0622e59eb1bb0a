#include "snapshot.h"
#include "table.h"

#include <inttypes.h>

struct counter {
    const char *name, *unit, *help;
};

static const struct counter site_counters[] = {
#define GX_SITE(name, unit, help) {#name, unit, help},
#define GX_LINK(name, unit, help)
#include "counters.def"
#undef GX_SITE
#undef GX_LINK
};

static const struct counter link_counters[] = {
#define GX_SITE(name, unit, help)
#define GX_LINK(name, unit, help) {#name, unit, help},
#include "counters.def"
#undef GX_SITE
#undef GX_LINK
};

static const struct gx_counters *counters_of(const struct gx_snapshot *s, uint64_t worker)
{
    return worker == 0 ? &s->first : &s->file.workers[worker];
}

static json_t *workers_json(const struct gx_snapshot *s)
{
    json_t *workers = json_array();

    for (uint64_t w = 0; w < s->file.worker_count; w++) {
        json_t *worker = json_object();

        for (unsigned i = 0; i < GX_SITE_COUNTER_COUNT; i++)
            gx_json_u64(worker, site_counters[i].name, counters_of(s, w)->site[i]);
        json_array_append_new(workers, worker);
    }
    return workers;
}

static void print_json(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    json_t *object = gx_snapshot_json(s), *site = json_object(), *links = json_object();

    for (unsigned i = 0; i < GX_SITE_COUNTER_COUNT; i++)
        gx_json_u64(site, site_counters[i].name, s->file.counters.site[i]);
    for (uint32_t peer = 0; peer < s->file.site_count; peer++) {
        if (peer == s->file.self)
            continue;
        json_t *link = json_object();
        for (unsigned i = 0; i < GX_LINK_COUNTER_COUNT; i++)
            gx_json_u64(link, link_counters[i].name, s->file.counters.link[peer][i]);
        json_object_set_new(links, s->file.site_names[peer], link);
    }
    json_object_set_new(object, "site_counters", site);
    json_object_set_new(object, "link_counters", links);
    json_object_set_new(object, "worker_counters", workers_json(s));
    gx_json_print(ctl, object);
}

static void add_row(struct gx_table *table, const char *link, const struct counter *counter,
                    uint64_t value)
{
    gx_table_cell(table, "%s", link);
    gx_table_cell(table, "%s", counter->name);
    gx_table_cell(table, "%" PRIu64, value);
    gx_table_cell(table, "%s", counter->unit);
    gx_table_cell(table, "%s", counter->help);
}

static void print_table(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    static const char *const titles[] = {"link", "counter", ">value", "unit", "meaning", NULL};
    struct gx_table table;

    gx_table_init(&table, titles);
    for (unsigned i = 0; i < GX_SITE_COUNTER_COUNT; i++)
        add_row(&table, "-", &site_counters[i], s->file.counters.site[i]);
    for (uint32_t peer = 0; peer < s->file.site_count; peer++)
        for (unsigned i = 0; peer != s->file.self && i < GX_LINK_COUNTER_COUNT; i++)
            add_row(&table, s->file.site_names[peer], &link_counters[i],
                    s->file.counters.link[peer][i]);
    for (uint64_t w = 0; s->file.worker_count > 1 && w < s->file.worker_count; w++)
        for (unsigned i = 0; i < GX_SITE_COUNTER_COUNT; i++) {
            char worker[16];

            snprintf(worker, sizeof(worker), "worker %u", (unsigned)w);
            if (counters_of(s, w)->site[i])
                add_row(&table, worker, &site_counters[i], counters_of(s, w)->site[i]);
        }
    gx_table_print(&table, ctl->out);
    gx_table_fini(&table);
}

int gx_ctl_show_counters(const struct gx_ctl *ctl, char **arguments)
{
    (void)arguments;
    return gx_snapshot_show(ctl, print_json, print_table);
}
