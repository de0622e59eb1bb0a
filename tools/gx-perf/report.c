#include "gx-perf/report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

static const struct percentile {
    const char *name;
    double p;
} percentiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
#define PERCENTILE_COUNT (sizeof(percentiles) / sizeof(percentiles[0]))

enum measure { HELD, ROUND };

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
    if (!counted || r->round_count == r->options->rounds)
        return;
    struct gx_perf_round *round = &r->rounds[r->round_count++];
    *round = (struct gx_perf_round){event->round, NAN, NAN, event->completed_ns, event->cohort};
    if (event->type == GX_EVENT_VOID)
        return;
    if (event->held_ns)
        round->held_seconds = (double)event->held_ns / 1e9;
    if (event->offered_last_ns && event->completed_ns >= event->offered_last_ns)
        round->seconds = (double)(event->completed_ns - event->offered_last_ns) / 1e9;
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

/* Percentiles of a measure over its bound (1: seconds). */
static void measure_percentiles(const struct gx_perf_report *r, enum measure measure, double bound,
                                double out[PERCENTILE_COUNT])
{
    double *values = calloc(r->round_count + 1, sizeof(*values));

    for (size_t i = 0; i < PERCENTILE_COUNT; i++)
        out[i] = NAN;
    if (!values)
        return;
    for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
        for (uint32_t k = 0; k < r->round_count; k++)
            values[k] =
                (measure == HELD ? r->rounds[k].held_seconds : r->rounds[k].seconds) / bound;
        out[i] = gx_perf_percentile(values, r->round_count, percentiles[i].p);
    }
    free(values);
}

static double bound_of(const struct gx_perf_report *r, enum measure measure)
{
    return measure == HELD ? gx_perf_transfer_bound(&r->options->link, r->bytes, r->site_count)
                           : gx_perf_round_bound(&r->options->link, r->bytes, r->site_count);
}

static double loss_of(const struct gx_perf_report *r)
{
    return r->totals.expected_shards
               ? (double)r->totals.lost_shards / (double)r->totals.expected_shards
               : NAN;
}

double gx_perf_report_held_seconds(const struct gx_perf_report *r)
{
    double values[PERCENTILE_COUNT];

    measure_percentiles(r, HELD, 1, values);
    return values[0];
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

static void set_percentiles(json_t *object, const char *prefix, const struct gx_perf_report *r,
                            enum measure measure, double bound)
{
    double values[PERCENTILE_COUNT];
    char key[64];

    measure_percentiles(r, measure, bound, values);
    for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
        snprintf(key, sizeof(key), "%s_%s", prefix, percentiles[i].name);
        set_real(object, key, values[i]);
    }
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
    set_real(object, "transfer_bound_seconds", bound_of(r, HELD));
    set_real(object, "round_bound_seconds", bound_of(r, ROUND));
    set_percentiles(object, "held_seconds", r, HELD, 1);
    set_percentiles(object, "round_seconds", r, ROUND, 1);
    set_percentiles(object, "transfer_ratio", r, HELD, bound_of(r, HELD));
    set_percentiles(object, "round_ratio", r, ROUND, bound_of(r, ROUND));
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

static void print_row(const struct gx_perf_report *r, FILE *out, const char *title,
                      enum measure measure, double bound)
{
    double values[PERCENTILE_COUNT];

    measure_percentiles(r, measure, bound, values);
    fprintf(out, "%-16s", title);
    for (size_t i = 0; i < PERCENTILE_COUNT; i++)
        if (isnan(values[i]))
            fprintf(out, "%10s", "-");
        else
            fprintf(out, "%10.4g", values[i]);
    fputc('\n', out);
}

void gx_perf_report_text(const struct gx_perf_report *r, FILE *out)
{
    char bytes[GX_UNITS_TEXT_MAX], sent[GX_UNITS_TEXT_MAX], redundant[GX_UNITS_TEXT_MAX];
    double loss = loss_of(r);

    fprintf(out, "%s at site %s, one of %u: %u rounds of %s as %s\n", r->options->run,
            r->site_names[r->site], r->site_count, r->round_count,
            gx_units_format_bytes(bytes, r->bytes), gx_format_name(r->options->format));
    fprintf(out, "%-16s%10s%10s%10s%10s\n", "", "p50", "p90", "p99", "p99.9");
    print_row(r, out, "transfer, s", HELD, 1);
    print_row(r, out, "round, s", ROUND, 1);
    if (!isnan(bound_of(r, HELD))) {
        print_row(r, out, "transfer / bound", HELD, bound_of(r, HELD));
        print_row(r, out, "round / bound", ROUND, bound_of(r, ROUND));
        fprintf(out, "bounds: transfer %.4g s, round %.4g s\n", bound_of(r, HELD),
                bound_of(r, ROUND));
    }
    fprintf(out, "sent %s, of that redundant %s", gx_units_format_bytes(sent, r->totals.sent_bytes),
            gx_units_format_bytes(redundant, r->totals.redundant_bytes));
    if (!isnan(loss))
        fprintf(out, "; lost on the way here %.3g%%", 100 * loss);
    fprintf(out,
            "\n%" PRIu64 " results checked, %" PRIu64 " errors, left out of %" PRIu64 ", %" PRIu64
            " void\n",
            r->checked, r->errors, r->left_out, r->voids);
}
