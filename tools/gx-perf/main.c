#ifdef GX_DPDK
#include "gx-perf/local.h"
#endif
#include <errno.h>
#include <string.h>

#include "gx-perf/markdown.h"
#include "gx-perf/options.h"
#include "gx-perf/perf.h"
#include "gx-perf/realised.h"
#include "gx-perf/report.h"

static int run_local(const struct gx_perf_options *options)
{
#ifdef GX_DPDK
    return gx_perf_local_run(options);
#else
    (void)options;
    fputs("gx-perf: --local: this gx-perf was built without DPDK, which has the rings for it; "
          "install "
          "libdpdk-dev and build again\n",
          stderr);
    return GX_PERF_FAILED;
#endif
}

static int realise(struct gx_perf_report *report, const char *path)
{
    unsigned line = 0;
    FILE *file = fopen(path, "re");
    int rc = file ? gx_perf_realised_read(report, file, &line) : -errno;

    if (file)
        fclose(file);
    if (rc == -EPROTO)
        fprintf(stderr, "gx-perf: --realised %s: line %u is not of a slot log of gx-wan\n", path,
                line);
    else if (rc != 0)
        fprintf(stderr, "gx-perf: --realised %s: %s\n", path, strerror(-rc));
    return rc == 0 ? GX_PERF_OK : GX_PERF_FAILED;
}

static int write_report(const struct gx_perf_report *report, const char *path)
{
    int rc = gx_perf_markdown_write(report, path);

    if (rc != 0)
        fprintf(stderr, "gx-perf: --report %s: %s\n", path, strerror(-rc));
    return rc == 0 ? GX_PERF_OK : GX_PERF_FAILED;
}

/* The first of what went wrong. */
static int first(int code, int next)
{
    return code == GX_PERF_OK ? next : code;
}

static int run_site(const struct gx_perf_options *options)
{
    struct gx_perf_report report;
    int code;

    if (gx_perf_report_init(&report, options) != 0) {
        fputs("gx-perf: out of memory\n", stderr);
        return GX_PERF_FAILED;
    }
    code = gx_perf_run(options, &report);
    if (code != GX_PERF_OK && report.errors == 0)
        report.errors = 1; /* whatever ended it early */
    if (options->realised_path && report.round_count)
        code = first(code, realise(&report, options->realised_path));
    if (options->json)
        gx_perf_report_json(&report, stdout);
    else if (report.round_count)
        gx_perf_report_text(&report, stdout);
    if (options->report_path && report.round_count)
        code = first(code, write_report(&report, options->report_path));
    gx_perf_report_fini(&report);
    return code;
}

int main(int argc, char **argv)
{
    struct gx_perf_options options;
    int code;

    switch (gx_perf_options_parse(argc, argv, &options)) {
    case GX_PERF_OPTIONS_HELP:
        return GX_PERF_OK;
    case GX_PERF_OPTIONS_USAGE:
        return GX_PERF_USAGE;
    case GX_PERF_OPTIONS_RUN:
        break;
    }
    code = options.local ? run_local(&options) : run_site(&options);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == GX_PERF_OK)
        code = GX_PERF_FAILED;
    return code;
}
