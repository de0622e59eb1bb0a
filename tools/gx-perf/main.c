#ifdef GX_DPDK
#include "gx-perf/local.h"
#endif
#include "gx-perf/options.h"
#include "gx-perf/perf.h"
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
    if (options->json)
        gx_perf_report_json(&report, stdout);
    else if (report.round_count)
        gx_perf_report_text(&report, stdout);
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
