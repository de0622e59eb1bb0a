#include "gx-perf/report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

static const struct percentile {
    const char *key, *title;
    double share;
} percentiles[] = {
#define PERCENTILE(key, title, share) {key, title, share},
    GX_PERF_PERCENTILES
#undef PERCENTILE
};
#define PERCENTILE_COUNT (sizeof(percentiles) / sizeof(percentiles[0]))

static const struct measure {
    const char *key, *title;
} measures[GX_PERF_MEASURE_COUNT] = {
#define MEASURE(id, key, title) {key, title},
    GX_PERF_MEASURES
#undef MEASURE
};

int gx_perf_report_init(struct gx_perf_report *report, const struct gx_perf_options *options)
{
    memset(report, 0, sizeof(*report));
    report->options = options;
    report->rounds = calloc(options->rounds, sizeof(report->rounds[0]));
    return report->rounds ? 0 : -ENOMEM;
}

void gx_perf_report_fini(struct gx_perf_report *report)
{
    free(report->rounds);
}

/* What a total grew by. A new gxd counts from zero again. */
static uint64_t growth(uint64_t now, uint64_t before)
{
    return now >= before ? now - before : now;
}

static void totals_add(struct gx_perf_report *r, const struct gx_event *event, int counted)
{
    const struct gx_perf_totals now = {event->sent_bytes, event->redundant_bytes,
                                       event->expected_shards, event->lost_shards};

    if (counted) {
        r->totals.sent_bytes += growth(now.sent_bytes, r->seen.sent_bytes);
        r->totals.redundant_bytes += growth(now.redundant_bytes, r->seen.redundant_bytes);
        r->totals.expected_shards += growth(now.expected_shards, r->seen.expected_shards);
        r->totals.lost_shards += growth(now.lost_shards, r->seen.lost_shards);
    }
    r->seen = now;
}

void gx_perf_report_event(struct gx_perf_report *r, const struct gx_event *event, int counted)
{
    totals_add(r, event, counted);
    r->left_out += event->type == GX_EVENT_LEFT_OUT;
    r->voids += event->type == GX_EVENT_VOID;
    if (!counted) {
        r->warm_ns = event->completed_ns;
        r->warm_cohort = event->cohort;
    }
    if (!counted || r->round_count == r->options->rounds)
        return;
    struct gx_perf_round *round = &r->rounds[r->round_count++];
    *round = (struct gx_perf_round){.round = event->round,
                                    .held_seconds = NAN,
                                    .seconds = NAN,
                                    .due_seconds = NAN,
                                    .link_loss = NAN,
                                    .link_idle = NAN,
                                    .completed_ns = event->completed_ns,
                                    .cohort = event->cohort};
    if (event->type == GX_EVENT_VOID)
        return;
    if (event->held_ns)
        round->held_seconds = (double)event->held_ns / 1e9;
    if (event->offered_last_ns && event->completed_ns >= event->offered_last_ns)
        round->seconds = (double)(event->completed_ns - event->offered_last_ns) / 1e9;
}

void gx_perf_report_offered(struct gx_perf_report *r, uint64_t offered_ns)
{
    if (r->round_count)
        r->rounds[r->round_count - 1].offered_ns = offered_ns;
}

void gx_perf_report_due(struct gx_perf_report *r, uint64_t due_ns)
{
    struct gx_perf_round *round = r->round_count ? &r->rounds[r->round_count - 1] : NULL;

    if (round && !isnan(round->seconds) && round->completed_ns >= due_ns)
        round->due_seconds = (double)(round->completed_ns - due_ns) / 1e9;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double gx_perf_percentile(double *values, size_t count, double p)
{
    size_t known = 0;

    for (size_t i = 0; i < count; i++)
        if (!isnan(values[i]))
            values[known++] = values[i];
    if (known == 0)
        return NAN;
    qsort(values, known, sizeof(values[0]), compare_doubles);
    /* 0.9 * 10 is a little more than 9 in binary */
    size_t rank = (size_t)ceil(p * (double)known - 1e-9);
    return values[rank ? rank - 1 : 0];
}

static double transfer_bound(const struct gx_perf_report *r, const struct gx_perf_link *link)
{
    return gx_perf_transfer_bound(link, r->bytes, r->site_count);
}

static double round_bound(const struct gx_perf_report *r, const struct gx_perf_link *link)
{
    return gx_perf_round_bound(link, r->bytes, r->site_count);
}

double gx_perf_report_value(const struct gx_perf_report *r, const struct gx_perf_round *round,
                            enum gx_perf_measure measure)
{
    const struct gx_perf_link *link = &r->options->link;
    struct gx_perf_link realised = *link;

    realised.loss = round->link_loss;
    switch (measure) {
    case GX_PERF_HELD_SECONDS:
        return round->held_seconds;
    case GX_PERF_ROUND_SECONDS:
        return round->seconds;
    case GX_PERF_DUE_SECONDS:
        return round->due_seconds;
    case GX_PERF_TRANSFER_RATIO:
        return round->held_seconds / transfer_bound(r, link);
    case GX_PERF_ROUND_RATIO:
        return round->seconds / round_bound(r, link);
    case GX_PERF_TRANSFER_REALISED:
        return round->held_seconds / transfer_bound(r, &realised);
    case GX_PERF_ROUND_REALISED:
        return round->seconds / round_bound(r, &realised);
    case GX_PERF_LINK_IDLE:
        return round->link_idle;
    case GX_PERF_MEASURE_COUNT:
        break;
    }
    return NAN;
}

double gx_perf_report_percentile(const struct gx_perf_report *r, enum gx_perf_measure measure,
                                 double p)
{
    double *values = calloc(r->round_count + 1, sizeof(*values)), found = NAN;

    for (uint32_t i = 0; values && i < r->round_count; i++)
        values[i] = gx_perf_report_value(r, &r->rounds[i], measure);
    if (values)
        found = gx_perf_percentile(values, r->round_count, p);
    free(values);
    return found;
}

const char *gx_perf_measure_title(enum gx_perf_measure measure)
{
    return measures[measure].title;
}

double gx_perf_report_rate_bps(const struct gx_perf_report *r)
{
    uint64_t last_ns = r->round_count ? r->rounds[r->round_count - 1].completed_ns : 0;

    if (last_ns <= r->warm_ns || r->site_count < 2)
        return NAN;
    double bits = 0;
    for (uint32_t i = 0; i < r->round_count; i++)
        bits += 8.0 * (double)r->bytes * __builtin_popcount(r->rounds[i].cohort & ~(1u << r->site));
    return 1e9 * bits / (double)(last_ns - r->warm_ns);
}

static double loss_of(const struct gx_perf_report *r)
{
    return r->totals.expected_shards
               ? (double)r->totals.lost_shards / (double)r->totals.expected_shards
               : NAN;
}

/* ---- JSON ---- */

static void set_real(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

static void set_u64(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_percentiles(json_t *object, const struct gx_perf_report *r,
                            enum gx_perf_measure measure)
{
    char key[64];

    for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
        snprintf(key, sizeof(key), "%s_%s", measures[measure].key, percentiles[i].key);
        set_real(object, key, gx_perf_report_percentile(r, measure, percentiles[i].share));
    }
}

static json_t *workers_json(const struct gx_perf_report *r)
{
    json_t *workers = json_array();

    for (uint32_t i = 0; i < r->busy.worker_count; i++) {
        json_t *worker = json_object();
        set_real(worker, "busy_share", r->busy.workers[i].busy_share);
        set_real(worker, "sent_bps", r->busy.workers[i].sent_bps);
        set_real(worker, "received_bps", r->busy.workers[i].received_bps);
        json_array_append_new(workers, worker);
    }
    return workers;
}

static json_t *links_json(const struct gx_perf_report *r)
{
    json_t *links = json_array();

    for (uint32_t i = 0; i < r->site_count && r->busy.worker_count; i++) {
        const struct gx_perf_busy_link *link = &r->busy.links[i];
        if (i == r->site)
            continue;
        json_t *object = json_object();
        json_object_set_new(object, "peer", json_string(r->site_names[i]));
        set_u64(object, "lost_packets", link->lost_packets);
        set_u64(object, "rebuilt_advance_shards", link->rebuilt_advance_shards);
        set_u64(object, "rebuilt_asked_shards", link->rebuilt_asked_shards);
        json_array_append_new(links, object);
    }
    return links;
}

static json_t *cohort_json(const struct gx_perf_report *r, uint32_t cohort)
{
    json_t *names = json_array();

    for (uint32_t i = 0; i < r->site_count; i++)
        if (cohort & 1u << i)
            json_array_append_new(names, json_string(r->site_names[i]));
    return names;
}

static json_t *rounds_json(const struct gx_perf_report *r)
{
    json_t *rounds = json_array();

    for (uint32_t i = 0; i < r->round_count; i++) {
        json_t *round = json_object();
        set_u64(round, "round", r->rounds[i].round);
        set_u64(round, "bytes", r->bytes);
        set_real(round, "held_seconds", r->rounds[i].held_seconds);
        set_real(round, "seconds", r->rounds[i].seconds);
        set_real(round, "due_seconds", r->rounds[i].due_seconds);
        set_real(round, "link_loss", r->rounds[i].link_loss);
        set_real(round, "link_idle", r->rounds[i].link_idle);
        set_u64(round, "completed_ns", r->rounds[i].completed_ns);
        json_object_set_new(round, "cohort", cohort_json(r, r->rounds[i].cohort));
        json_array_append_new(rounds, round);
    }
    return rounds;
}

json_t *gx_perf_report_object(const struct gx_perf_report *r)
{
    json_t *object = json_object();

    json_object_set_new(object, "run", json_string(r->options->run));
    json_object_set_new(object, "site", json_string(r->site_names[r->site]));
    set_u64(object, "sites", r->site_count);
    json_object_set_new(object, "format", json_string(gx_format_name(r->options->format)));
    json_object_set_new(object, "rounds", rounds_json(r));
    set_real(object, "transfer_bound_seconds", transfer_bound(r, &r->options->link));
    set_real(object, "round_bound_seconds", round_bound(r, &r->options->link));
    for (int measure = 0; measure < GX_PERF_MEASURE_COUNT; measure++)
        set_percentiles(object, r, (enum gx_perf_measure)measure);
    set_real(object, "goodput_bps", gx_perf_report_rate_bps(r));
    json_object_set_new(object, "workers", workers_json(r));
    json_object_set_new(object, "links", links_json(r));
    set_real(object, "loss", loss_of(r));
    set_u64(object, "sent_bytes", r->totals.sent_bytes);
    set_u64(object, "redundant_bytes", r->totals.redundant_bytes);
    set_u64(object, "checked_rounds", r->checked);
    set_u64(object, "left_out_rounds", r->left_out);
    set_u64(object, "void_rounds", r->voids);
    set_u64(object, "states_adopted", r->behind);
    set_u64(object, "reattached", r->reattached);
    set_u64(object, "errors", r->errors);
    return object;
}

void gx_perf_report_json(const struct gx_perf_report *r, FILE *out)
{
    json_t *object = gx_perf_report_object(r);

    json_dumpf(object, out, JSON_REAL_PRECISION(9));
    fputc('\n', out);
    json_decref(object);
}

/* ---- text ---- */

const char *gx_perf_cohort_text(const struct gx_perf_report *r, uint32_t cohort, char *out)
{
    size_t at = 0;

    out[0] = '\0';
    for (uint32_t i = 0; i < r->site_count; i++)
        if (cohort & 1u << i)
            at += (size_t)sprintf(out + at, "%s%s", at ? "," : "", r->site_names[i]);
    return out;
}

/* A measure of which nothing is known has no row, unless it always has one. */
static void print_row(const struct gx_perf_report *r, FILE *out, enum gx_perf_measure measure,
                      bool always)
{
    if (!always && isnan(gx_perf_report_percentile(r, measure, 1)))
        return;
    fprintf(out, "%-20s", measures[measure].title);
    for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
        double value = gx_perf_report_percentile(r, measure, percentiles[i].share);
        if (isnan(value))
            fprintf(out, "%10s", "-");
        else
            fprintf(out, "%10.4g", value);
    }
    fputc('\n', out);
}

static void print_workers(const struct gx_perf_report *r, FILE *out)
{
    char sent[GX_UNITS_TEXT_MAX], received[GX_UNITS_TEXT_MAX];

    for (uint32_t i = 0; i < r->busy.worker_count; i++) {
        const struct gx_perf_busy_worker *w = &r->busy.workers[i];
        fprintf(out, "worker %u: sent %s, received %s; busy %.1f%% of the time\n", i,
                gx_units_format_rate(sent, (uint64_t)w->sent_bps),
                gx_units_format_rate(received, (uint64_t)w->received_bps), 100 * w->busy_share);
    }
}

static void print_links(const struct gx_perf_report *r, FILE *out)
{
    for (uint32_t i = 0; i < r->site_count && r->busy.worker_count; i++) {
        const struct gx_perf_busy_link *link = &r->busy.links[i];
        if (i != r->site)
            fprintf(out,
                    "from %s: %" PRIu64 " packets lost; shards rebuilt: %" PRIu64
                    " from parity sent in advance, %" PRIu64 " from parity asked for\n",
                    r->site_names[i], link->lost_packets, link->rebuilt_advance_shards,
                    link->rebuilt_asked_shards);
    }
}

void gx_perf_report_text(const struct gx_perf_report *r, FILE *out)
{
    char bytes[GX_UNITS_TEXT_MAX], sent[GX_UNITS_TEXT_MAX], redundant[GX_UNITS_TEXT_MAX];
    double loss = loss_of(r);

    fprintf(out, "%s at site %s, one of %u: %u rounds of %s as %s\n", r->options->run,
            r->site_names[r->site], r->site_count, r->round_count,
            gx_units_format_bytes(bytes, r->bytes), gx_format_name(r->options->format));
    fprintf(out, "%-20s", "");
    for (size_t i = 0; i < PERCENTILE_COUNT; i++)
        fprintf(out, "%10s", percentiles[i].title);
    fputc('\n', out);
    for (int measure = 0; measure < GX_PERF_MEASURE_COUNT; measure++)
        print_row(r, out, (enum gx_perf_measure)measure, measure <= GX_PERF_ROUND_SECONDS);
    if (r->options->link.rate_bps)
        fprintf(out, "bounds: transfer %.4g s, round %.4g s\n",
                transfer_bound(r, &r->options->link), round_bound(r, &r->options->link));
    print_workers(r, out);
    print_links(r, out);
    fprintf(out, "sent %s, of that redundant %s", gx_units_format_bytes(sent, r->totals.sent_bytes),
            gx_units_format_bytes(redundant, r->totals.redundant_bytes));
    if (!isnan(loss))
        fprintf(out, "; lost on the way here %.3g%%", 100 * loss);
    fprintf(out,
            "\n%" PRIu64 " results checked, %" PRIu64 " errors, left out of %" PRIu64 ", %" PRIu64
            " void\n",
            r->checked, r->errors, r->left_out, r->voids);
}
