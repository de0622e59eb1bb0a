/* gxctl monitor: two snapshots make a sample of rates. */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "snapshot.h"
#include "table.h"
#include "units.h"

struct sample {
    const struct gx_snapshot *from, *to;
    double seconds;
};

static uint64_t grown(uint64_t before, uint64_t after)
{
    return after > before ? after - before : 0; /* less: gxd has started anew */
}

static double site_rate(const struct sample *p, enum gx_site_counter counter)
{
    return (double)grown(p->from->file.counters.site[counter], p->to->file.counters.site[counter]) /
           p->seconds;
}

static double link_rate(const struct sample *p, uint32_t peer, enum gx_link_counter counter)
{
    return (double)grown(p->from->file.counters.link[peer][counter],
                         p->to->file.counters.link[peer][counter]) /
           p->seconds;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static double send_bps(const struct sample *p, uint32_t peer)
{
    return 8 * link_rate(p, peer, GX_LINK_sent_bytes_total);
}

/* What all links send, of what the site may. */
static double rate_used(const struct sample *p)
{
    double sum = 0;

    for (uint32_t i = 0; i < p->to->file.site_count; i++)
        if (i != p->to->file.self)
            sum += send_bps(p, i);
    return share(sum, (double)p->to->file.rate_bps);
}

static double dropped_rate(const struct sample *p, uint32_t peer)
{
    return link_rate(p, peer, GX_LINK_drop_checksum_total) +
           link_rate(p, peer, GX_LINK_drop_replay_total) +
           link_rate(p, peer, GX_LINK_drop_session_total) +
           link_rate(p, peer, GX_LINK_drop_message_total);
}

/* Why a link does not send faster. */
static const char *send_pressure(const struct sample *p, uint32_t peer)
{
    const uint64_t *link = p->to->file.counters.link[peer];

    if (gx_snapshot_link(p->to, peer) != GX_LINK_STATE_UP)
        return gx_link_state_name(gx_snapshot_link(p->to, peer));
    if (link[GX_LINK_transfers_open] == 0)
        return "nothing to send";
    if (rate_used(p) > 0.9)
        return "at the site's rate";
    if (link_rate(p, peer, GX_LINK_sent_data_shards_total) +
            link_rate(p, peer, GX_LINK_sent_parity_shards_total) ==
        0)
        return "waits: the peer is not ready";
    return "below the rate: the peer's grant, or repairs";
}

static double worker_awake(const struct sample *p)
{
    return share(site_rate(p, GX_SITE_sleeps_total), site_rate(p, GX_SITE_loops_total));
}

/* ---- JSON ---- */

static json_t *link_json(const struct sample *p, uint32_t peer)
{
    const uint64_t *link = p->to->file.counters.link[peer];
    double expected = link_rate(p, peer, GX_LINK_expected_packets_total);
    json_t *o = json_object();

    gx_json_text(o, "peer", p->to->file.site_names[peer]);
    gx_json_text(o, "state", gx_link_state_name(gx_snapshot_link(p->to, peer)));
    json_object_set_new(o, "rtt_seconds", json_real((double)link[GX_LINK_rtt_ns] / 1e9));
    json_object_set_new(o, "send_bps", json_real(send_bps(p, peer)));
    json_object_set_new(o, "send_packets_per_second",
                        json_real(link_rate(p, peer, GX_LINK_sent_packets_total)));
    json_object_set_new(o, "send_redundant_share",
                        json_real(share(link_rate(p, peer, GX_LINK_sent_redundant_bytes_total),
                                        link_rate(p, peer, GX_LINK_sent_bytes_total))));
    json_object_set_new(o, "send_loss", json_real((double)link[GX_LINK_loss_ppm] / 1e6));
    gx_json_u64(o, "send_transfers_open", link[GX_LINK_transfers_open]);
    gx_json_text(o, "send_pressure", send_pressure(p, peer));
    json_object_set_new(o, "receive_bps",
                        json_real(8 * link_rate(p, peer, GX_LINK_received_bytes_total)));
    json_object_set_new(o, "receive_packets_per_second",
                        json_real(link_rate(p, peer, GX_LINK_received_packets_total)));
    json_object_set_new(o, "receive_loss",
                        json_real(share(link_rate(p, peer, GX_LINK_lost_packets_total), expected)));
    json_object_set_new(o, "receive_dropped_per_second", json_real(dropped_rate(p, peer)));
    return o;
}

static json_t *stages_json(const struct sample *p)
{
    json_t *o = json_object();

    json_object_set_new(o, "rate_used_share", json_real(rate_used(p)));
    json_object_set_new(o, "hash_bytes_per_second",
                        json_real(site_rate(p, GX_SITE_hashed_bytes_total)));
    json_object_set_new(o, "reduce_bytes_per_second",
                        json_real(site_rate(p, GX_SITE_reduced_bytes_total)));
    json_object_set_new(o, "journal_records_per_second",
                        json_real(site_rate(p, GX_SITE_journal_records_total)));
    json_object_set_new(o, "journal_busy_share",
                        json_real(site_rate(p, GX_SITE_journal_write_seconds_ns) / 1e9));
    json_object_set_new(o, "worker_loops_per_second", json_real(site_rate(p, GX_SITE_loops_total)));
    json_object_set_new(o, "worker_sleeps_per_second",
                        json_real(site_rate(p, GX_SITE_sleeps_total)));
    return o;
}

static void print_json(const struct gx_ctl *ctl, const struct sample *p)
{
    json_t *object = gx_snapshot_json(p->to), *links = json_array(), *runs = json_array();

    gx_json_u64(object, "time_unix_ns", p->to->realtime_ns);
    json_object_set_new(object, "interval_seconds", json_real(p->seconds));
    for (uint32_t i = 0; i < p->to->file.site_count; i++)
        if (i != p->to->file.self)
            json_array_append_new(links, link_json(p, i));
    json_object_set_new(object, "links", links);
    json_object_set_new(object, "stages", stages_json(p));
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++) {
        const struct gx_round_row *row = &p->to->file.view.rows[i];
        if (!row->used)
            continue;
        json_t *run = json_object();
        gx_json_text(run, "run", row->run);
        gx_json_u64(run, "fragment", row->fragment);
        gx_json_text(run, "phase", gx_snapshot_phase_name(row->phase));
        gx_json_u64(run, "applied_round", row->applied);
        json_array_append_new(runs, run);
    }
    json_object_set_new(object, "rounds", runs);
    json_dumpf(object, ctl->out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', ctl->out);
    json_decref(object);
}

/* ---- people ---- */

static void cell_rate(struct gx_table *table, double bps)
{
    char text[GX_UNITS_TEXT_MAX];

    gx_table_cell(table, "%s", gx_units_format_rate(text, (uint64_t)bps));
}

static void cell_bytes(struct gx_table *table, double bytes)
{
    char text[GX_UNITS_TEXT_MAX];

    gx_table_cell(table, "%s/s", gx_units_format_bytes(text, (uint64_t)bytes));
}

static void rows_link(struct gx_table *t, const struct sample *p, uint32_t peer)
{
    const uint64_t *link = p->to->file.counters.link[peer];
    double dropped = dropped_rate(p, peer);

    gx_table_cell(t, "%s", p->to->file.site_names[peer]);
    gx_table_cell(t, "send");
    cell_rate(t, send_bps(p, peer));
    gx_table_cell(t, "%.0f", link_rate(p, peer, GX_LINK_sent_packets_total));
    gx_table_cell(t, "%.2f%%", (double)link[GX_LINK_loss_ppm] / 1e4);
    gx_table_cell(t, "%.1f%%",
                  100 * share(link_rate(p, peer, GX_LINK_sent_redundant_bytes_total),
                              link_rate(p, peer, GX_LINK_sent_bytes_total)));
    gx_table_cell(t, "%" PRIu64 " open; %s", link[GX_LINK_transfers_open], send_pressure(p, peer));

    gx_table_cell(t, "%s", p->to->file.site_names[peer]);
    gx_table_cell(t, "receive");
    cell_rate(t, 8 * link_rate(p, peer, GX_LINK_received_bytes_total));
    gx_table_cell(t, "%.0f", link_rate(p, peer, GX_LINK_received_packets_total));
    gx_table_cell(t, "%.2f%%",
                  100 * share(link_rate(p, peer, GX_LINK_lost_packets_total),
                              link_rate(p, peer, GX_LINK_expected_packets_total)));
    gx_table_cell(t, "%.1f%%",
                  100 * share(link_rate(p, peer, GX_LINK_shards_duplicate_total),
                              link_rate(p, peer, GX_LINK_received_packets_total)));
    if (dropped > 0)
        gx_table_cell(t, "%.0f/s dropped: gxctl show counters", dropped);
    else
        gx_table_cell(t, "-");
}

static void row_stage(struct gx_table *t, const char *stage)
{
    gx_table_cell(t, "-");
    gx_table_cell(t, "%s", stage);
}

static void cells_empty(struct gx_table *t, int count)
{
    while (count-- > 0)
        gx_table_cell(t, "-");
}

static void rows_site(struct gx_table *t, const struct sample *p)
{
    row_stage(t, "hash");
    cell_bytes(t, site_rate(p, GX_SITE_hashed_bytes_total));
    cells_empty(t, 4);
    row_stage(t, "reduce");
    cell_bytes(t, site_rate(p, GX_SITE_reduced_bytes_total));
    cells_empty(t, 4);
    row_stage(t, "journal");
    gx_table_cell(t, "%.1f records/s", site_rate(p, GX_SITE_journal_records_total));
    cells_empty(t, 3);
    gx_table_cell(t, "%.1f%% of the time in fsync",
                  site_rate(p, GX_SITE_journal_write_seconds_ns) / 1e7);
    row_stage(t, "worker");
    gx_table_cell(t, "%.0f passes/s", site_rate(p, GX_SITE_loops_total));
    cells_empty(t, 3);
    gx_table_cell(t, "%s",
                  site_rate(p, GX_SITE_loops_total) == 0 ? "does not turn"
                  : worker_awake(p) < 0.01               ? "busy all the time"
                                                         : "sleeps when there is nothing to do");
}

static void rows_runs(struct gx_table *t, const struct sample *p)
{
    for (unsigned i = 0; i < GX_VIEW_ROWS; i++) {
        const struct gx_round_row *row = &p->to->file.view.rows[i];
        if (!row->used || row->fragment != 0)
            continue;
        row_stage(t, "rounds");
        gx_table_cell(t, "%" PRIu64 " applied", row->applied);
        cells_empty(t, 3);
        gx_table_cell(t, "%s: %s", row->run, gx_snapshot_phase_name(row->phase));
    }
}

static void print_people(const struct gx_ctl *ctl, const struct sample *p, bool in_place)
{
    static const char *const titles[] = {"link",  "stage",  ">rate",         ">packets/s",
                                         ">lost", ">extra", "back-pressure", NULL};
    char at[32], rate[GX_UNITS_TEXT_MAX];
    time_t now = (time_t)(p->to->realtime_ns / 1000000000);
    struct gx_table table;
    struct tm utc;

    gmtime_r(&now, &utc);
    strftime(at, sizeof(at), "%H:%M:%SZ", &utc);
    if (in_place)
        fputs("\033[H\033[J", ctl->out);
    fprintf(ctl->out, "%s  %s, gxd %s, %.0f%% of %s used over %.1f s\n", at,
            p->to->file.site_names[p->to->file.self], gx_snapshot_state_name(p->to->state),
            100 * rate_used(p), gx_units_format_rate(rate, p->to->file.rate_bps), p->seconds);
    gx_table_init(&table, titles);
    for (uint32_t i = 0; i < p->to->file.site_count; i++)
        if (i != p->to->file.self)
            rows_link(&table, p, i);
    rows_site(&table, p);
    rows_runs(&table, p);
    gx_table_print(&table, ctl->out);
    gx_table_fini(&table);
    if (!in_place)
        fputc('\n', ctl->out);
}

/* ---- the loop ---- */

static void wait_interval(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

    nanosleep(&t, NULL);
}

int gx_ctl_monitor(const struct gx_ctl *ctl, char **arguments)
{
    bool in_place = !ctl->json && fileno(ctl->out) >= 0 && isatty(fileno(ctl->out));
    struct gx_snapshot *before, *after;
    int code = gx_snapshot_take(ctl, &before);

    (void)arguments;
    if (code != GX_CTL_OK)
        return code;
    for (uint64_t i = 0; ctl->count == 0 || i < ctl->count; i++) {
        wait_interval(ctl->interval_ns);
        code = gx_snapshot_take(ctl, &after);
        if (code != GX_CTL_OK)
            break;
        struct sample sample = {before, after, (double)(after->now_ns - before->now_ns) / 1e9};
        if (ctl->json)
            print_json(ctl, &sample);
        else
            print_people(ctl, &sample, in_place);
        fflush(ctl->out);
        gx_snapshot_free(before);
        before = after;
        if (ferror(ctl->out)) {
            code = GX_CTL_FAILED;
            break;
        }
    }
    if (code == GX_CTL_OK)
        code = gx_snapshot_exit(ctl, before);
    gx_snapshot_free(before);
    return code;
}
