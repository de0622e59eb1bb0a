#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gx-perf/options.h"

static struct gx_perf_options options;

static enum gx_perf_options_result parse(const char *line)
{
    static char text[500];
    char *argv[32];
    int argc = 0;

    snprintf(text, sizeof(text), "gx-perf %s", line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return gx_perf_options_parse(argc, argv, &options);
}

static void a_run_alone_takes_the_defaults(void **state)
{
    (void)state;
    unsetenv("GX_SOCKET");
    assert_int_equal(parse("--run x"), GX_PERF_OPTIONS_RUN);
    assert_string_equal(options.socket, "/run/gx/gxd.sock");
    assert_int_equal(options.bytes, 25000000);
    assert_int_equal(options.rounds, 10);
    assert_int_equal(options.format, GX_FP32);
    assert_int_equal(options.link.rate_bps, 0);
    assert_int_equal(options.link.shard_bytes, 1408);
    assert_int_equal(options.wait_ns, 10000000000);
    assert_false(options.json);
}

static void the_contracts_line_is_understood(void **state)
{
    (void)state;
    assert_int_equal(
        parse("-s /tmp/a.sock --run NAME --bytes 25M --rounds 12 --format e3m0 --check --link-rate "
              "200Mbit --link-delay 25ms --link-loss 0.01 --json"),
        GX_PERF_OPTIONS_RUN);
    assert_string_equal(options.socket, "/tmp/a.sock");
    assert_string_equal(options.run, "NAME");
    assert_int_equal(options.rounds, 12);
    assert_int_equal(options.format, GX_E3M0);
    assert_true(options.check && options.json);
    assert_int_equal(options.link.rate_bps, 200000000);
    assert_true(options.link.delay_seconds == 0.025);
    assert_true(options.link.loss == 0.01);
}

static void local_needs_no_run_and_no_gxd(void **state)
{
    (void)state;
    assert_int_equal(parse("--local"), GX_PERF_OPTIONS_RUN);
    assert_true(options.local);
    assert_string_equal(options.run, "local");
    assert_int_equal(options.mtu, 1500);
    assert_int_equal(options.link.shard_bytes, 1408);
    assert_in_range(options.cores, 1, 2);
    assert_false(options.encrypt);
    assert_int_equal(parse("--local --encrypt --link-loss 5%"), GX_PERF_OPTIONS_RUN);
    assert_true(options.encrypt && options.link.loss == 0.05);
    assert_int_equal(parse("--local --cores 1 --mtu 9000 --run x"), GX_PERF_OPTIONS_RUN);
    assert_int_equal(options.cores, 1);
    assert_int_equal(options.link.shard_bytes, 8896);
    assert_string_equal(options.run, "x");
}

static void what_local_cannot_mean_is_usage(void **state)
{
    (void)state;
    assert_int_equal(parse("--run x --encrypt"), GX_PERF_OPTIONS_USAGE);
    assert_int_equal(parse("--local --cores 3"), GX_PERF_OPTIONS_USAGE);
    assert_int_equal(parse("--local --mtu 500"), GX_PERF_OPTIONS_USAGE);
    assert_int_equal(parse("--local --no-offer"), GX_PERF_OPTIONS_USAGE);
    assert_int_equal(parse("--local --link-rate 1Gbit --link-delay 1ms"), GX_PERF_OPTIONS_USAGE);
    assert_int_equal(parse("--local --report x.md"), GX_PERF_OPTIONS_USAGE);
    assert_int_equal(parse("--local --state /tmp/x"), GX_PERF_OPTIONS_USAGE);
    assert_int_equal(parse("--run x --cores 1"), GX_PERF_OPTIONS_USAGE);
    assert_int_equal(parse("--run x --mtu 1500"), GX_PERF_OPTIONS_USAGE);
    assert_int_equal(parse("--run x --no-offer"), GX_PERF_OPTIONS_RUN);
    assert_true(options.no_offer);
}

static void reports_are_named(void **state)
{
    (void)state;
    assert_int_equal(parse("--run x --link-rate 1Mbit --realised s --report r.md --state d "
                           "--interval 2s"),
                     GX_PERF_OPTIONS_RUN);
    assert_string_equal(options.realised_path, "s");
    assert_string_equal(options.report_path, "r.md");
    assert_string_equal(options.state, "d");
    assert_int_equal(options.interval_ns, 2000000000);
    assert_int_equal(parse("--run x"), GX_PERF_OPTIONS_RUN);
    assert_null(options.report_path);
}

static void seconds_need_no_unit(void **state)
{
    (void)state;
    assert_int_equal(parse("--run x --wait 2.5 --timeout 1min"), GX_PERF_OPTIONS_RUN);
    assert_int_equal(options.wait_ns, 2500000000);
    assert_int_equal(options.timeout_ns, 60000000000);
}

static void the_environment_names_the_socket(void **state)
{
    (void)state;
    setenv("GX_SOCKET", "/tmp/env.sock", 1);
    assert_int_equal(parse("--run x"), GX_PERF_OPTIONS_RUN);
    assert_string_equal(options.socket, "/tmp/env.sock");
    unsetenv("GX_SOCKET");
}

static void nonsense_is_refused(void **state)
{
    static const char *const lines[] = {
        "",
        "--run x --bytes lots",
        "--run x --bytes 9999999T",
        "--run x --rounds 0",
        "--run x --rounds -1",
        "--run x --format fp64",
        "--run x --digest md5",
        "--run x --link-rate 0bit",
        "--run x --link-loss 1",
        "--run x --link-rate 1Mbit --link-delay 25",
        "--run x --link-delay 25ms",
        "--run x --wait soon",
        "--run x --interval 5",
        "--run x --no-offer --interval 5s",
        "--run x --realised slots",
        "--run x --bogus",
        "--run x stray",
        "--run",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (parse(lines[i]) != GX_PERF_OPTIONS_USAGE)
            fail_msg("'%s' was taken", lines[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_alone_takes_the_defaults),
        cmocka_unit_test(the_contracts_line_is_understood),
        cmocka_unit_test(local_needs_no_run_and_no_gxd),
        cmocka_unit_test(what_local_cannot_mean_is_usage),
        cmocka_unit_test(reports_are_named),
        cmocka_unit_test(seconds_need_no_unit),
        cmocka_unit_test(the_environment_names_the_socket),
        cmocka_unit_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
