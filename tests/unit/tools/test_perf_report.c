#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gx-perf/report.h"

static struct gx_perf_options options;
static struct gx_perf_report report;

static int setup(void **state)
{
    (void)state;
    options = (struct gx_perf_options){
        .run = "r", .rounds = 10, .link = {.rate_bps = 200000000, .shard_bytes = 1408}};
    assert_int_equal(gx_perf_report_init(&report, &options), 0);
    report.bytes = 25000000;
    report.site = 1;
    report.site_count = 2;
    strcpy(report.site_names[0], "a");
    strcpy(report.site_names[1], "b");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gx_perf_report_fini(&report);
    return 0;
}

static struct gx_event event_of(uint64_t round, uint64_t total)
{
    return (struct gx_event){.type = GX_EVENT_MEMBER,
                             .round = round,
                             .divisor = 2001,
                             .cohort = 3,
                             .offered_last_ns = 1000,
                             .held_ns = round * 1000000000,
                             .completed_ns = 1000 + round * 2000000000,
                             .sent_bytes = total * 100,
                             .redundant_bytes = total * 10,
                             .expected_shards = total * 1000,
                             .lost_shards = total * 20};
}

static json_t *report_json(void)
{
    char *text = NULL;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);

    gx_perf_report_json(&report, f);
    fclose(f);
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    free(text);
    return object;
}

static double real_of(const json_t *object, const char *key)
{
    assert_true(json_is_real(json_object_get(object, key)));
    return json_real_value(json_object_get(object, key));
}

static void percentiles_are_nearest_ranks(void **state)
{
    double values[] = {5, 1, 4, NAN, 2, 3, 9, 8, 7, 6, 10};

    (void)state;
    assert_true(gx_perf_percentile(values, 11, 0.5) == 5);
    assert_true(gx_perf_percentile(values, 10, 0.9) == 9);
    assert_true(gx_perf_percentile(values, 10, 0.99) == 10);
    assert_true(gx_perf_percentile(values, 1, 0.5) == 1);
    assert_true(isnan(gx_perf_percentile(values, 0, 0.5)));
    double unknown[] = {NAN, NAN};
    assert_true(isnan(gx_perf_percentile(unknown, 2, 0.5)));
}

static void the_warm_up_is_not_counted(void **state)
{
    struct gx_event warm_up = event_of(1, 5), first = event_of(2, 7), second = event_of(3, 12);

    (void)state;
    gx_perf_report_event(&report, &warm_up, 0);
    assert_int_equal(report.round_count, 0);
    gx_perf_report_event(&report, &first, 1);
    gx_perf_report_event(&report, &second, 1);
    assert_int_equal(report.round_count, 2);
    assert_int_equal(report.totals.sent_bytes, 700);
    assert_int_equal(report.totals.lost_shards, 140);
    assert_true(report.rounds[0].held_seconds == 2);
    assert_true(report.rounds[1].seconds == 6);
}

static void totals_go_on_after_a_restart_of_gxd(void **state)
{
    struct gx_event before = event_of(2, 10), after = event_of(3, 4);

    (void)state;
    gx_perf_report_event(&report, &before, 1);
    gx_perf_report_event(&report, &after, 1);
    assert_int_equal(report.totals.sent_bytes, 1400);
}

static void a_void_round_has_no_times(void **state)
{
    struct gx_event event = event_of(2, 1);

    (void)state;
    event.type = GX_EVENT_VOID;
    event.cohort = 0;
    gx_perf_report_event(&report, &event, 1);
    assert_true(isnan(report.rounds[0].seconds));
    assert_int_equal(report.voids, 1);
    json_t *object = report_json();
    json_t *round = json_array_get(json_object_get(object, "rounds"), 0);
    assert_true(json_is_null(json_object_get(round, "seconds")));
    assert_int_equal(json_array_size(json_object_get(round, "cohort")), 0);
    json_decref(object);
}

static void a_round_that_was_due_counts_from_then(void **state)
{
    struct gx_event late = event_of(2, 1), gone = event_of(3, 1);

    (void)state;
    gx_perf_report_event(&report, &late, 1);
    gx_perf_report_due(&report, late.completed_ns - 3000000000);
    gone.type = GX_EVENT_VOID;
    gx_perf_report_event(&report, &gone, 1);
    gx_perf_report_due(&report, gone.completed_ns - 3000000000);
    assert_true(report.rounds[0].due_seconds == 3);
    assert_true(isnan(report.rounds[1].due_seconds));
    assert_true(gx_perf_report_percentile(&report, GX_PERF_DUE_SECONDS, 0.99) == 3);
}

static void the_rate_is_of_the_whole_time(void **state)
{
    struct gx_event warm_up = event_of(1, 5), first = event_of(2, 7), alone = event_of(3, 7);

    (void)state;
    alone.cohort = 2;
    assert_true(isnan(gx_perf_report_rate_bps(&report)));
    gx_perf_report_event(&report, &warm_up, 0);
    gx_perf_report_event(&report, &first, 1);
    gx_perf_report_event(&report, &alone, 1);
    assert_true(fabs(gx_perf_report_rate_bps(&report) - 8 * 25e6 / 4) < 1e-3);
}

static void clocks_of_two_machines_give_no_seconds(void **state)
{
    struct gx_event event = event_of(2, 1);

    (void)state;
    event.offered_last_ns = event.completed_ns + 1;
    gx_perf_report_event(&report, &event, 1);
    assert_true(isnan(report.rounds[0].seconds));
}

static void the_json_has_the_keys_that_others_read(void **state)
{
    static const char *const keys[] = {
        "transfer_ratio_p50", "transfer_ratio_p90", "transfer_ratio_p99", "transfer_ratio_p999",
        "round_ratio_p50",    "round_ratio_p90",    "round_ratio_p99",    "round_ratio_p999",
    };
    struct gx_event event = event_of(2, 1);

    (void)state;
    gx_perf_report_event(&report, &event, 1);
    json_t *object = report_json();
    json_t *round = json_array_get(json_object_get(object, "rounds"), 0);
    assert_int_equal(json_integer_value(json_object_get(round, "round")), 2);
    assert_int_equal(json_integer_value(json_object_get(round, "bytes")), 25000000);
    assert_true(real_of(round, "held_seconds") == 2);
    assert_true(real_of(round, "seconds") == 4);
    assert_string_equal(json_string_value(json_array_get(json_object_get(round, "cohort"), 1)),
                        "b");
    double bound = 25e6 * (1498.0 / 1408.0) / 25e6;
    assert_true(fabs(real_of(object, "transfer_bound_seconds") - bound) < 1e-8);
    assert_true(fabs(real_of(object, "round_bound_seconds") - bound) < 1e-8);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        assert_true(fabs(real_of(object, keys[i]) - (i < 4 ? 2 : 4) / bound) < 1e-8);
    assert_true(real_of(object, "loss") == 0.02);
    assert_int_equal(json_integer_value(json_object_get(object, "sent_bytes")), 100);
    assert_int_equal(json_integer_value(json_object_get(object, "redundant_bytes")), 10);
    assert_int_equal(json_integer_value(json_object_get(object, "errors")), 0);
    json_decref(object);
}

static void without_a_link_the_bounds_are_null(void **state)
{
    struct gx_event event = event_of(2, 1);

    (void)state;
    options.link.rate_bps = 0;
    gx_perf_report_event(&report, &event, 1);
    json_t *object = report_json();
    assert_true(json_is_null(json_object_get(object, "transfer_bound_seconds")));
    assert_true(json_is_null(json_object_get(object, "round_ratio_p50")));
    assert_true(real_of(object, "held_seconds_p50") == 2);
    json_decref(object);
}

static void the_table_shows_ratios(void **state)
{
    struct gx_event event = event_of(2, 1);
    char *text = NULL;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);

    (void)state;
    gx_perf_report_event(&report, &event, 1);
    gx_perf_report_text(&report, f);
    fclose(f);
    assert_non_null(strstr(text, "r at site b, one of 2: 1 rounds of 25 MB as fp32\n"));
    assert_non_null(strstr(text, "transfer / bound          1.88      1.88"));
    assert_non_null(strstr(text, "lost on the way here 2%"));
    free(text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(percentiles_are_nearest_ranks),          TEST(the_warm_up_is_not_counted),
        TEST(totals_go_on_after_a_restart_of_gxd),    TEST(a_void_round_has_no_times),
        TEST(clocks_of_two_machines_give_no_seconds), TEST(the_json_has_the_keys_that_others_read),
        TEST(a_round_that_was_due_counts_from_then),  TEST(the_rate_is_of_the_whole_time),
        TEST(without_a_link_the_bounds_are_null),     TEST(the_table_shows_ratios),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
