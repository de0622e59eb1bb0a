#include "gx-perf/markdown.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "units.h"

#define PATH_BYTES 4096
#define BAR_COLUMNS 50
#define GNUPLOT "command -v gnuplot >/dev/null 2>&1 && exec gnuplot >/dev/null 2>&1"

static const struct percentile {
    const char *title;
    double share;
} percentiles[] = {
#define PERCENTILE(key, title, share) {title, share},
    GX_PERF_PERCENTILES
#undef PERCENTILE
};
#define PERCENTILE_COUNT (sizeof(percentiles) / sizeof(percentiles[0]))

static bool is_known(const struct gx_perf_report *r, enum gx_perf_measure measure)
{
    return isfinite(gx_perf_report_percentile(r, measure, 1));
}

static bool is_plotted(const struct gx_perf_report *r, enum gx_perf_measure measure)
{
    bool over_bound = measure >= GX_PERF_TRANSFER_RATIO;

    return measure != GX_PERF_LINK_IDLE && is_known(r, measure) &&
           over_bound == (r->options->link.rate_bps > 0);
}

static const char *y_title(const struct gx_perf_report *r)
{
    return r->options->link.rate_bps ? "time / bound" : "seconds";
}

/* ---- the plot ---- */

/* Data blocks: a line for each measured value: which share of the rounds is at most so slow. */
static void plot_data(const struct gx_perf_report *r, FILE *out)
{
    for (int measure = 0; measure < GX_PERF_MEASURE_COUNT; measure++) {
        if (!is_plotted(r, (enum gx_perf_measure)measure))
            continue;
        fprintf(out, "$m%d << EOD\n", measure);
        for (uint32_t i = 1; i <= r->round_count; i++) {
            double share = (double)i / r->round_count;
            fprintf(out, "%.6f %.6f\n", 100 * share,
                    gx_perf_report_percentile(r, (enum gx_perf_measure)measure, share));
        }
        fputs("EOD\n", out);
    }
}

static void plot_script(const struct gx_perf_report *r, const char *path, FILE *out)
{
    const char *comma = "plot ";

    fputs("set terminal svg size 800,420 background rgb 'white'\nset output '", out);
    for (const char *c = path; *c; c++)
        fputs(*c == '\'' ? "''" : (char[]){*c, '\0'}, out);
    fprintf(out,
            "'\nset xlabel '%% of the rounds that take at most so long'\nset ylabel '%s'\n"
            "set grid\nset key left top\nset xrange [0:100]\n",
            y_title(r));
    plot_data(r, out);
    for (int measure = 0; measure < GX_PERF_MEASURE_COUNT; measure++) {
        if (!is_plotted(r, (enum gx_perf_measure)measure))
            continue;
        fprintf(out, "%s$m%d with steps lw 2 title '%s'", comma, measure,
                gx_perf_measure_title((enum gx_perf_measure)measure));
        comma = ", ";
    }
    fputc('\n', out);
}

/* False: gnuplot is not there, or failed. */
static bool plot_svg(const struct gx_perf_report *r, const char *path)
{
    void (*before)(int) = signal(SIGPIPE, SIG_IGN); /* of a gnuplot that ends at once */
    FILE *gnuplot = popen(GNUPLOT, "we");
    int status = -1;

    if (gnuplot) {
        plot_script(r, path, gnuplot);
        status = pclose(gnuplot);
    }
    signal(SIGPIPE, before);
    return status == 0;
}

/* From 0 to the slowest; a bar each measure and percentile. */
static void plot_text(const struct gx_perf_report *r, FILE *out)
{
    double slowest = 0;

    for (int m = 0; m < GX_PERF_MEASURE_COUNT; m++)
        if (is_plotted(r, (enum gx_perf_measure)m))
            slowest = fmax(slowest, gx_perf_report_percentile(r, (enum gx_perf_measure)m, 1));
    fputs("```\n", out);
    for (int m = 0; slowest > 0 && m < GX_PERF_MEASURE_COUNT; m++) {
        if (!is_plotted(r, (enum gx_perf_measure)m))
            continue;
        for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
            double value =
                gx_perf_report_percentile(r, (enum gx_perf_measure)m, percentiles[i].share);
            fprintf(out, "%-20s %-6s %8.4g ", gx_perf_measure_title((enum gx_perf_measure)m),
                    percentiles[i].title, value);
            for (int column = 0; column < (int)lround(BAR_COLUMNS * value / slowest); column++)
                fputc('#', out);
            fputc('\n', out);
        }
    }
    fputs("```\n", out);
}

/* ---- the page ---- */

static void write_head(const struct gx_perf_report *r, FILE *out)
{
    const struct gx_perf_link *link = &r->options->link;
    char bytes[GX_UNITS_TEXT_MAX], rate[GX_UNITS_TEXT_MAX], date[32];
    time_t now = time(NULL);
    struct tm utc;

    strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &utc));
    fprintf(out, "# gx-perf: %s at site %s\n\n%s; %u sites, %u rounds of %s as %s", r->options->run,
            r->site_names[r->site], date, r->site_count, r->round_count,
            gx_units_format_bytes(bytes, r->bytes), gx_format_name(r->options->format));
    if (r->options->interval_ns)
        fprintf(out, ", due every %.3g s", 1e-9 * (double)r->options->interval_ns);
    if (link->rate_bps)
        fprintf(
            out,
            ". Link: %s, %.4g ms one way, loss %.4g%%; bounds %.4g s (transfer), %.4g s (round)",
            gx_units_format_rate(rate, link->rate_bps), 1e3 * link->delay_seconds, 100 * link->loss,
            gx_perf_transfer_bound(link, r->bytes, r->site_count),
            gx_perf_round_bound(link, r->bytes, r->site_count));
    fputs(".\n\n", out);
}

static void write_percentiles(const struct gx_perf_report *r, FILE *out)
{
    fputs("| |", out);
    for (size_t i = 0; i < PERCENTILE_COUNT; i++)
        fprintf(out, " %s |", percentiles[i].title);
    fputs(" most |\n|---|", out);
    for (size_t i = 0; i <= PERCENTILE_COUNT; i++)
        fputs("---|", out);
    fputc('\n', out);
    for (int m = 0; m < GX_PERF_MEASURE_COUNT; m++) {
        enum gx_perf_measure measure = (enum gx_perf_measure)m;
        if (!is_known(r, measure))
            continue;
        fprintf(out, "| %s |", gx_perf_measure_title(measure));
        for (size_t i = 0; i < PERCENTILE_COUNT; i++)
            fprintf(out, " %.4g |", gx_perf_report_percentile(r, measure, percentiles[i].share));
        fprintf(out, " %.4g |\n", gx_perf_report_percentile(r, measure, 1));
    }
    fputc('\n', out);
}

/* Rate and the time that it took, side by side. */
static void write_workers(const struct gx_perf_report *r, FILE *out)
{
    char sent[GX_UNITS_TEXT_MAX], received[GX_UNITS_TEXT_MAX];

    if (r->busy.worker_count == 0)
        return;
    fputs("| gxd's worker | sent | received | busy |\n|---|---|---|---|\n", out);
    for (uint32_t i = 0; i < r->busy.worker_count; i++) {
        const struct gx_perf_busy_worker *w = &r->busy.workers[i];
        fprintf(out, "| %u | %s | %s | %.1f%% of a core |\n", i,
                gx_units_format_rate(sent, (uint64_t)w->sent_bps),
                gx_units_format_rate(received, (uint64_t)w->received_bps), 100 * w->busy_share);
    }
    fputc('\n', out);
}

/* How losses were dealt with. */
static void write_links(const struct gx_perf_report *r, FILE *out)
{
    if (r->busy.worker_count == 0 || r->site_count < 2)
        return;
    fputs("| from site | packets lost | shards rebuilt from parity sent in advance | from parity "
          "asked "
          "for |\n|---|---|---|---|\n",
          out);
    for (uint32_t i = 0; i < r->site_count; i++) {
        const struct gx_perf_busy_link *link = &r->busy.links[i];
        if (i != r->site)
            fprintf(out, "| %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |\n", r->site_names[i],
                    link->lost_packets, link->rebuilt_advance_shards, link->rebuilt_asked_shards);
    }
    fputc('\n', out);
}

static void write_sums(const struct gx_perf_report *r, FILE *out)
{
    char rate[GX_UNITS_TEXT_MAX], sent[GX_UNITS_TEXT_MAX], redundant[GX_UNITS_TEXT_MAX];
    double bps = gx_perf_report_rate_bps(r);

    if (!isnan(bps))
        fprintf(out, "Received %s of contributions, pauses between rounds included. ",
                gx_units_format_rate(rate, (uint64_t)bps));
    fprintf(out, "Sent %s, of that redundant %s. ",
            gx_units_format_bytes(sent, r->totals.sent_bytes),
            gx_units_format_bytes(redundant, r->totals.redundant_bytes));
    fprintf(out,
            "%" PRIu64 " results checked, %" PRIu64 " errors; left out of %" PRIu64
            " rounds, %" PRIu64 " void, which have no times.\n",
            r->checked, r->errors, r->left_out, r->voids);
}

static void svg_path(char *out, size_t bytes, const char *path)
{
    size_t length = strlen(path);

    if (length > 3 && strcmp(path + length - 3, ".md") == 0)
        length -= 3;
    snprintf(out, bytes, "%.*s.svg", (int)length, path);
}

int gx_perf_markdown_write(const struct gx_perf_report *r, const char *path)
{
    char svg[PATH_BYTES];
    const char *name;
    FILE *out = fopen(path, "we");

    if (!out)
        return -errno;
    svg_path(svg, sizeof(svg), path);
    name = strrchr(svg, '/') ? strrchr(svg, '/') + 1 : svg;
    write_head(r, out);
    write_percentiles(r, out);
    write_workers(r, out);
    write_links(r, out);
    if (plot_svg(r, svg))
        fprintf(out, "![%s by the share of the rounds](%s)\n\n", y_title(r), name);
    else
        plot_text(r, out);
    write_sums(r, out);
    bool failed = ferror(out) != 0;
    return fclose(out) != 0 ? -errno : failed ? -EIO : 0;
}
