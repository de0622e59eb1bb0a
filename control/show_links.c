#include "snapshot.h"
#include "table.h"

#include <inttypes.h>
#include <string.h>

static uint64_t drops(const uint64_t *link)
{
    return link[GX_LINK_drop_checksum_total] + link[GX_LINK_drop_replay_total] +
           link[GX_LINK_drop_session_total] + link[GX_LINK_drop_message_total];
}

/* True when `text` holds `name` as a word of its own. */
static bool names_site(const char *text, const char *name)
{
    static const char word[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = strlen(name);

    for (const char *at = text; (at = strstr(at, name)) != NULL; at++)
        if ((at == text || !strchr(word, at[-1])) && (!at[length] || !strchr(word, at[length])))
            return true;
    return false;
}

/* What differs on a refused link: gxd's latest error that speaks of it. NULL: none. */
static const char *refused_detail(const struct gx_snapshot *s, uint32_t peer)
{
    const struct gx_stat_error *latest = NULL;

    for (unsigned i = 0; i < GX_STAT_ERRORS; i++) {
        const struct gx_stat_error *e = &s->file.errors[i];
        if (e->used && strstr(e->text, "refused") &&
            names_site(e->text, s->file.site_names[peer]) &&
            (!latest || e->last_ns > latest->last_ns))
            latest = e;
    }
    return latest ? latest->text : NULL;
}

/* Data shards rebuilt from parity that came before we could ask for it. */
static uint64_t rebuilt_advance(const uint64_t *link)
{
    uint64_t all = link[GX_LINK_rebuilt_shards_total];
    uint64_t asked = link[GX_LINK_rebuilt_asked_shards_total];

    return all > asked ? all - asked : 0; /* they are read one after the other */
}

static json_t *link_json(const struct gx_snapshot *s, uint32_t peer)
{
    const uint64_t *link = s->file.counters.link[peer];
    double heard = gx_snapshot_age_seconds(s, link[GX_LINK_heard_ns]);
    enum gx_link_state state = gx_snapshot_link(s, peer);
    bool refused = state == GX_LINK_STATE_REFUSED;
    json_t *object = json_object();

    gx_json_text(object, "peer", s->file.site_names[peer]);
    gx_json_text(object, "address", s->file.site_addresses[peer]);
    gx_json_text(object, "state", gx_link_state_name(state));
    gx_json_text(object, "refused",
                 refused ? gx_snapshot_reason_text(link[GX_LINK_refused]) : NULL);
    gx_json_text(object, "refused_detail", refused ? refused_detail(s, peer) : NULL);
    gx_json_u64(object, "path_needs_bytes", link[GX_LINK_path_needs_bytes]);
    gx_json_u64(object, "path_bytes", link[GX_LINK_path_bytes]);
    gx_json_u64(object, "path_back_bytes", link[GX_LINK_path_back_bytes]);
    json_object_set_new(object, "heard_seconds_ago", heard < 0 ? json_null() : json_real(heard));
    json_object_set_new(object, "rtt_seconds", json_real((double)link[GX_LINK_rtt_ns] / 1e9));
    json_object_set_new(object, "rtt_min_seconds",
                        json_real((double)link[GX_LINK_rtt_ns_min] / 1e9));
    json_object_set_new(object, "loss", json_real((double)link[GX_LINK_loss_ppm] / 1e6));
    json_object_set_new(object, "burst_packets",
                        json_real((double)link[GX_LINK_burst_milli] / 1e3));
    gx_json_u64(object, "allowed_bps", link[GX_LINK_allowed_bps]);
    gx_json_u64(object, "sent_bytes", link[GX_LINK_sent_bytes_total]);
    gx_json_u64(object, "redundant_bytes", link[GX_LINK_sent_redundant_bytes_total]);
    gx_json_u64(object, "received_bytes", link[GX_LINK_received_bytes_total]);
    gx_json_u64(object, "expected_packets", link[GX_LINK_expected_packets_total]);
    gx_json_u64(object, "lost_packets", link[GX_LINK_lost_packets_total]);
    gx_json_u64(object, "rebuilt_advance_shards", rebuilt_advance(link));
    gx_json_u64(object, "rebuilt_asked_shards", link[GX_LINK_rebuilt_asked_shards_total]);
    gx_json_u64(object, "dropped_packets", drops(link));
    gx_json_u64(object, "transfers_open", link[GX_LINK_transfers_open]);
    gx_json_u64(object, "sessions", link[GX_LINK_sessions_total]);
    gx_json_u64(object, "peer_restarts", link[GX_LINK_peer_restarts_total]);
    return object;
}

static void print_json(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    json_t *object = gx_snapshot_json(s), *links = json_array();

    for (uint32_t i = 0; i < s->file.site_count; i++)
        if (i != s->file.self)
            json_array_append_new(links, link_json(s, i));
    json_object_set_new(object, "links", links);
    gx_json_print(ctl, object);
}

static void add_row(struct gx_table *table, const struct gx_snapshot *s, uint32_t peer)
{
    const uint64_t *link = s->file.counters.link[peer];

    gx_table_cell(table, "%s", s->file.site_names[peer]);
    gx_table_cell(table, "%s", s->file.site_addresses[peer]);
    gx_table_cell(table, "%s", gx_link_state_name(gx_snapshot_link(s, peer)));
    gx_table_seconds(table, gx_snapshot_age_seconds(s, link[GX_LINK_heard_ns]));
    gx_table_duration(table, link[GX_LINK_rtt_ns]);
    gx_table_cell(table, "%.2f%%", (double)link[GX_LINK_loss_ppm] / 1e4);
    gx_table_bytes(table, link[GX_LINK_sent_bytes_total]);
    gx_table_bytes(table, link[GX_LINK_sent_redundant_bytes_total]);
    gx_table_bytes(table, link[GX_LINK_received_bytes_total]);
    gx_table_cell(table, "%" PRIu64, link[GX_LINK_lost_packets_total]);
    gx_table_cell(table, "%" PRIu64, rebuilt_advance(link));
    gx_table_cell(table, "%" PRIu64, link[GX_LINK_rebuilt_asked_shards_total]);
    gx_table_cell(table, "%" PRIu64, drops(link));
    gx_table_cell(table, "%" PRIu64, link[GX_LINK_transfers_open]);
}

static void print_refused(const struct gx_ctl *ctl, const struct gx_snapshot *s, uint32_t peer)
{
    const char *detail = refused_detail(s, peer);

    fprintf(ctl->out, "%s is refused: %s%s%s\n", s->file.site_names[peer],
            gx_snapshot_reason_text(s->file.counters.link[peer][GX_LINK_refused]),
            detail ? ": " : "", detail ? detail : "");
}

/* What is wrong with a link that is there, in words. */
static void print_path(const struct gx_ctl *ctl, const struct gx_snapshot *s, uint32_t peer)
{
    const char *name = s->file.site_names[peer];
    char text[GX_SNAPSHOT_PATH_MAX];

    if (gx_snapshot_path(s, peer, text))
        fprintf(ctl->out, "%s: %s\n", name, text);
    if (gx_snapshot_path_back(s, peer, text))
        fprintf(ctl->out, "%s: %s\n", name, text);
}

static void print_table(const struct gx_ctl *ctl, const struct gx_snapshot *s)
{
    static const char *const titles[] = {"link",     "address", "state",      ">heard",     ">rtt",
                                         ">loss",    ">sent",   ">redundant", ">received",  ">lost",
                                         ">advance", ">asked",  ">dropped",   ">transfers", NULL};
    struct gx_table table;

    gx_table_init(&table, titles);
    for (uint32_t i = 0; i < s->file.site_count; i++)
        if (i != s->file.self)
            add_row(&table, s, i);
    gx_table_print(&table, ctl->out);
    gx_table_fini(&table);
    for (uint32_t i = 0; i < s->file.site_count; i++) {
        if (gx_snapshot_link(s, i) == GX_LINK_STATE_REFUSED)
            print_refused(ctl, s, i);
        else if (i != s->file.self)
            print_path(ctl, s, i);
    }
}

int gx_ctl_show_links(const struct gx_ctl *ctl, char **arguments)
{
    (void)arguments;
    return gx_snapshot_show(ctl, print_json, print_table);
}
