#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gx-perf/markdown.h"

#define MS 1000000ull

static struct gx_perf_options options;
static struct gx_perf_report report;
static char folder[64], page[96], svg[96], path_before[4096];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/gx-page-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(page, sizeof(page), "%s/it's.md", folder);
    snprintf(svg, sizeof(svg), "%s/it's.svg", folder);
    snprintf(path_before, sizeof(path_before), "%s", getenv("PATH"));
    options = (struct gx_perf_options){.run = "r", .rounds = 10, .link = {.shard_bytes = 1408}};
    if (gx_perf_report_init(&report, &options) != 0)
        return -1;
    report.bytes = 25000000;
    report.site_count = 2;
    strcpy(report.site_names[0], "a");
    strcpy(report.site_names[1], "b");
    for (uint64_t i = 1; i <= 5; i++) {
        struct gx_event event = {.type = GX_EVENT_MEMBER,
                                 .round = i,
                                 .cohort = 3,
                                 .held_ns = i * 1000 * MS,
                                 .offered_last_ns = i * 10000 * MS,
                                 .completed_ns = i * 10000 * MS + i * 1100 * MS};
        gx_perf_report_event(&report, &event, i > 1);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    setenv("PATH", path_before, 1);
    gx_perf_report_fini(&report);
    unlink(page);
    unlink(svg);
    return rmdir(folder);
}

static const char *text_of(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in:\n%s", part, text);
}

static void the_page_has_percentiles_and_workers(void **state)
{
    (void)state;
    options.link.rate_bps = 200000000;
    report.busy.worker_count = 1;
    report.busy.workers[0] =
        (struct gx_perf_busy_worker){.busy_share = 0.125, .sent_bps = 1e6, .received_bps = 2e6};
    report.busy.links[1] = (struct gx_perf_busy_link){
        .lost_packets = 90, .rebuilt_advance_shards = 20, .rebuilt_asked_shards = 60};
    assert_int_equal(gx_perf_markdown_write(&report, page), 0);
    const char *text = text_of(page);
    assert_has(text, "| b | 90 | 20 | 60 |\n");
    assert_has(text, "# gx-perf: r at site a\n");
    assert_has(text, "| transfer, s | 3 | 5 | 5 | 5 | 5 |\n");
    assert_has(text, "| round / bound |");
    assert_has(text, "| 0 | 1 Mbit/s | 2 Mbit/s | 12.5% of a core |\n");
    assert_null(strstr(text, "realised"));
    assert_null(strstr(text, "since due"));
}

static void without_gnuplot_the_plot_is_text(void **state)
{
    const char *text;

    (void)state;
    setenv("PATH", folder, 1);
    assert_int_equal(gx_perf_markdown_write(&report, page), 0);
    text = text_of(page);
    assert_has(text, "transfer, s          p50           3 ###########################\n");
    assert_has(text, "round, s             p99         5.5 "
                     "##################################################\n");
    assert_int_equal(access(svg, F_OK), -1);
}

static void with_gnuplot_it_is_an_image(void **state)
{
    (void)state;
    if (system("command -v gnuplot >/dev/null 2>&1") != 0) {
        print_message("skip: gnuplot is not installed\n");
        skip();
    }
    options.link.rate_bps = 200000000;
    assert_int_equal(gx_perf_markdown_write(&report, page), 0);
    assert_has(text_of(page), "](it's.svg)\n");
    assert_has(text_of(svg), "transfer / bound");
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(gx_perf_markdown_write(&report, "/nowhere/page.md"), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_page_has_percentiles_and_workers),
        TEST(without_gnuplot_the_plot_is_text),
        TEST(with_gnuplot_it_is_an_image),
        TEST(a_folder_that_is_not_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
