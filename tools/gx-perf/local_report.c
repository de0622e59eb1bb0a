#include <inttypes.h>
#include <math.h>

#include <jansson.h>

#include "gx-perf/local.h"
#include "units.h"

static const char *const stages[GX_PERF_STAGES] = {
    "port_receive", "core_receive", "trainers", "jobs", "core_send", "port_send", "house",
};

static double ratio(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

/* What each site received while a transfer ran, the slower one's median. */
static double goodput_bps(const struct gx_perf_local *local)
{
    double bps = NAN;

    for (uint32_t i = 0; i < GX_PERF_LOCAL_SITES; i++) {
        const struct gx_perf_report *r = local->reports[i];
        double mine =
            ratio(8 * (double)r->bytes, gx_perf_report_percentile(r, GX_PERF_HELD_SECONDS, 0.5));

        if (isnan(bps) || mine < bps)
            bps = mine;
    }
    return bps;
}

/* What both received, per second that the workers' threads ran: all that rounds take is in it. */
static double goodput_bps_per_core(const struct gx_perf_local *local)
{
    const struct gx_perf_work *a = &local->work[0], *b = &local->work[1];
    double seconds = a->cpu_seconds + (local->cores > 1 ? b->cpu_seconds : 0);

    return ratio(8 * (double)(a->contribution_bytes + b->contribution_bytes), seconds);
}

static double copied_ratio(const struct gx_perf_local *local)
{
    const struct gx_perf_work *a = &local->work[0], *b = &local->work[1];

    return ratio((double)(a->copied_bytes + b->copied_bytes),
                 (double)(a->sent_bytes + b->sent_bytes));
}

static double stage_sum(const struct gx_perf_local *local, int stage)
{
    return local->work[0].stage_seconds[stage] + local->work[1].stage_seconds[stage];
}

/* Of a stage, per byte of contributions that both sites received. */
static double cycles_per_byte(const struct gx_perf_local *local, int stage)
{
    const struct gx_perf_work *a = &local->work[0], *b = &local->work[1];

    return ratio(stage_sum(local, stage) * (double)local->tsc_hz,
                 (double)(a->contribution_bytes + b->contribution_bytes));
}

/* ---- JSON ---- */

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *work_json(const struct gx_perf_local *local, uint32_t site)
{
    const struct gx_perf_work *w = &local->work[site];
    json_t *object = json_object(), *seconds = json_object();

    json_object_set_new(object, "site", json_string(local->reports[site]->site_names[site]));
    json_object_set_new(object, "cpu_seconds", real_or_null(w->cpu_seconds));
    for (int i = 0; i < GX_PERF_STAGES; i++)
        json_object_set_new(seconds, stages[i], json_real(w->stage_seconds[i]));
    json_object_set_new(object, "stage_seconds", seconds);
    json_object_set_new(object, "sent_payload_bytes", json_integer((json_int_t)w->sent_bytes));
    json_object_set_new(object, "copied_bytes", json_integer((json_int_t)w->copied_bytes));
    json_object_set_new(object, "joined_bytes", json_integer((json_int_t)w->flattened_bytes));
    return object;
}

void gx_perf_local_json(const struct gx_perf_local *local, FILE *out)
{
    json_t *object = json_object(), *sites = json_array(), *workers = json_array();
    json_t *cycles = json_object();

    json_object_set_new(object, "cores", json_integer(local->cores));
    json_object_set_new(object, "shard_bytes",
                        json_integer(local->reports[0]->options->link.shard_bytes));
    json_object_set_new(object, "goodput_bps", real_or_null(goodput_bps(local)));
    json_object_set_new(object, "goodput_bps_per_core", real_or_null(goodput_bps_per_core(local)));
    json_object_set_new(object, "copied_bytes_per_sent_byte", real_or_null(copied_ratio(local)));
    for (int i = 0; i < GX_PERF_STAGES; i++)
        json_object_set_new(cycles, stages[i], real_or_null(cycles_per_byte(local, i)));
    json_object_set_new(object, "stage_cycles_per_byte", cycles);
    json_object_set_new(object, "tsc_hz", json_integer((json_int_t)local->tsc_hz));
    for (uint32_t i = 0; i < GX_PERF_LOCAL_SITES; i++) {
        json_array_append_new(workers, work_json(local, i));
        json_array_append_new(sites, gx_perf_report_object(local->reports[i]));
    }
    json_object_set_new(object, "workers", workers);
    json_object_set_new(object, "sites", sites);
    json_dumpf(object, out, JSON_REAL_PRECISION(9));
    fputc('\n', out);
    json_decref(object);
}

/* ---- text ---- */

void gx_perf_local_text(const struct gx_perf_local *local, FILE *out)
{
    char each[GX_UNITS_TEXT_MAX], core[GX_UNITS_TEXT_MAX];
    const struct gx_perf_work *a = &local->work[0], *b = &local->work[1];
    double sum = 0;

    for (uint32_t i = 0; i < GX_PERF_LOCAL_SITES; i++) {
        gx_perf_report_text(local->reports[i], out);
        fputc('\n', out);
    }
    fprintf(out, "on %u core%s: goodput %s each way; %s received per core\n", local->cores,
            local->cores == 1 ? "" : "s", gx_units_format_rate(each, (uint64_t)goodput_bps(local)),
            gx_units_format_rate(core, (uint64_t)goodput_bps_per_core(local)));
    fprintf(
        out,
        "bytes copied per byte sent: %.4g; joined on arrival, because rings bring a frame in two "
        "pieces: %.4g\n",
        copied_ratio(local),
        ratio((double)(a->flattened_bytes + b->flattened_bytes),
              (double)(a->sent_bytes + b->sent_bytes)));
    for (int i = 0; i < GX_PERF_STAGES; i++)
        sum += stage_sum(local, i);
    fprintf(out, "%-16s%10s%10s%14s\n", "both workers", "s", "share", "cycles/byte");
    for (int i = 0; i < GX_PERF_STAGES; i++)
        fprintf(out, "%-16s%10.3f%9.1f%%%14.3f\n", stages[i], stage_sum(local, i),
                100 * ratio(stage_sum(local, i), sum), cycles_per_byte(local, i));
}
