#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gx-perf/realised.h"

#define TITLE "gx-wan slots 1: ms from to frames bytes lost_frames lost_bytes\n"
#define MS 1000000ull

/* Site 1 of two; a contribution of 1,408 bytes is one frame of 1,498. */
static struct gx_perf_options options;
static struct gx_perf_report report;

static int setup(void **state)
{
    (void)state;
    options = (struct gx_perf_options){
        .rounds = 4, .link = {.rate_bps = 8000000, .delay_seconds = 0.01, .shard_bytes = 1408}};
    if (gx_perf_report_init(&report, &options) != 0)
        return -1;
    report.site = 1;
    report.site_count = 2;
    report.bytes = 10 * 1408;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gx_perf_report_fini(&report);
    return 0;
}

/* The warm-up ends at 100 ms, rounds at 200, 300, … */
static void rounds(uint32_t count)
{
    for (uint32_t i = 0; i <= count; i++) {
        struct gx_event event = {.type = GX_EVENT_MEMBER,
                                 .round = i + 1,
                                 .cohort = (1u << report.site_count) - 1,
                                 .held_ns = 60 * MS,
                                 .offered_last_ns = (i + 1) * 100 * MS - 80 * MS,
                                 .completed_ns = (i + 1) * 100 * MS};
        gx_perf_report_event(&report, &event, i > 0);
    }
}

static int read_text(const char *text, unsigned *line)
{
    FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

    assert_non_null(file);
    int rc = gx_perf_realised_read(&report, file, line);
    fclose(file);
    return rc;
}

static void assert_near(double value, double wanted)
{
    if (!(fabs(value - wanted) < 1e-9))
        fail_msg("%.12g is not %.12g", value, wanted);
}

static void each_round_has_the_loss_of_its_time(void **state)
{
    unsigned line;

    (void)state;
    rounds(3);
    assert_int_equal(
        read_text(TITLE "80 0 1 10 14980 10 14980\n"  /* the warm-up's */
                        "110 0 1 10 14980 5 7490\n"   /* half is lost … */
                        "120 0 1 5 7490 0 0\n"        /* … and repaired */
                        "192 0 1 10 14980 0 0\n"      /* a clean round, begun early … */
                        "220 0 1 10 14980 10 14980\n" /* … whose later losses cost it nothing */
                        "310 1 0 10 14980 10 14980\n" /* away from this site */
                        "310 0 1 12 17976 2 2996\n",
                  &line),
        0);
    assert_near(report.rounds[0].link_loss, 1.0 / 3);
    assert_near(report.rounds[1].link_loss, 0);
    assert_near(report.rounds[2].link_loss, 1.0 / 6);
}

/* STATUS was lost on the way to this site, so its peer was a round ahead for longer than a delay. */
static void a_round_may_begin_long_before_the_last_one_ends_here(void **state)
{
    unsigned line;

    (void)state;
    rounds(2);
    assert_int_equal(read_text(TITLE "110 0 1 10 14980 0 0\n"
                                     "150 0 1 12 17976 2 2996\n",
                               &line),
                     0);
    assert_near(report.rounds[0].link_loss, 0);
    assert_near(report.rounds[1].link_loss, 1.0 / 6);
}

/* The same of the first counted round: what the warm-up needed is not its own. */
static void the_first_round_may_begin_long_before_the_warm_up_ends_here(void **state)
{
    unsigned line;

    (void)state;
    rounds(1);
    assert_int_equal(read_text(TITLE "10 0 1 15 22470 5 7490\n"
                                     "50 0 1 12 17976 2 2996\n",
                               &line),
                     0);
    assert_near(report.rounds[0].link_loss, 1.0 / 6);
}

static void paths_need_no_common_order(void **state)
{
    unsigned line;

    (void)state;
    report.site_count = 3;
    rounds(2);
    assert_int_equal(read_text(TITLE "110 0 1 10 14980 0 0\n"
                                     "210 0 1 10 14980 0 0\n"
                                     "110 2 1 20 29960 10 14980\n"
                                     "210 2 1 10 14980 0 0\n",
                               &line),
                     0);
    assert_near(report.rounds[0].link_loss, 1.0 / 3);
    assert_near(report.rounds[1].link_loss, 0);
}

static void a_ratio_is_over_what_the_link_could_do(void **state)
{
    unsigned line;

    (void)state;
    rounds(1);
    assert_true(isnan(gx_perf_report_percentile(&report, GX_PERF_TRANSFER_REALISED, 0.5)));
    assert_int_equal(read_text(TITLE "110 0 1 20 29960 10 14980\n", &line), 0);
    /* 20 frames of 1,498 us, and 10 ms; a round two delays more */
    assert_near(gx_perf_report_percentile(&report, GX_PERF_TRANSFER_REALISED, 0.5),
                0.060 / (20 * 1498e-6 + 0.01));
    assert_near(gx_perf_report_percentile(&report, GX_PERF_ROUND_REALISED, 0.5),
                0.080 / (20 * 1498e-6 + 0.03));
    assert_near(gx_perf_report_percentile(&report, GX_PERF_TRANSFER_RATIO, 0.5),
                0.060 / (10 * 1498e-6 + 0.01));
}

static void a_round_that_is_not_in_the_log_stays_without(void **state)
{
    unsigned line;

    (void)state;
    rounds(2);
    assert_int_equal(read_text(TITLE "110 0 1 10 14980 4 5992\n" /* six of ten: of another link? */
                                     "210 0 1 10 14980 0 0\n",
                               &line),
                     0);
    assert_true(isnan(report.rounds[0].link_loss));
    assert_near(report.rounds[1].link_loss, 0);
}

/* A peer was silent for three seconds and was left out: its shards, if any, are not what the round waited for. */
static void a_round_without_the_peer_has_no_loss_and_leaves_the_next_its_own(void **state)
{
    unsigned line;

    (void)state;
    rounds(3);
    report.rounds[1].cohort = 2;
    assert_int_equal(read_text(TITLE "110 0 1 10 14980 0 0\n"
                                     "150 0 1 12 17976 2 2996\n" /* of round 2, begun early */
                                     "210 0 1 2 2996 0 0\n",
                               &line),
                     0);
    assert_near(report.rounds[0].link_loss, 0);
    assert_true(isnan(report.rounds[1].link_loss));
    assert_near(report.rounds[2].link_loss, 1.0 / 6);
}

/* What came before its end is the first round's, then. */
static void a_warm_up_without_the_peer_takes_nothing_from_the_log(void **state)
{
    unsigned line;

    (void)state;
    rounds(1);
    report.warm_cohort = 2;
    assert_int_equal(read_text(TITLE "50 0 1 12 17976 2 2996\n", &line), 0);
    assert_near(report.rounds[0].link_loss, 1.0 / 6);
}

static void of_three_sites_only_members_were_awaited(void **state)
{
    unsigned line;

    (void)state;
    report.site_count = 3;
    rounds(1);
    report.rounds[0].cohort = report.warm_cohort = 6; /* sites 1 and 2 */
    assert_int_equal(read_text(TITLE "110 2 1 20 29960 10 14980\n"
                                     "120 2 1 10 14980 10 14980\n",
                               &line),
                     0);
    assert_near(report.rounds[0].link_loss, 0.5);
}

/* A millisecond carries 1,000 bytes; each transfer takes 50 of them, from 120 ms, 220 ms, … on, and the delay. */
static void a_link_is_idle_in_the_time_that_it_carries_nothing(void **state)
{
    unsigned line;

    (void)state;
    rounds(2);
    assert_int_equal(read_text(TITLE "119 0 1 10 10000 0 0\n" /* before the offer */
                                     "120 0 1 15 15000 0 0\n"
                                     "169 0 1 10 10000 9 9000\n" /* lost is not idle */
                                     "170 0 1 10 10000 0 0\n"    /* needed no more */
                                     "190 0 1 1 100 0 0\n"
                                     "220 0 1 50 50000 0 0\n",
                               &line),
                     0);
    assert_near(report.rounds[0].link_idle, 0.5);
    assert_near(report.rounds[1].link_idle, 0);
    assert_near(gx_perf_report_percentile(&report, GX_PERF_LINK_IDLE, 1), 0.5);
}

static void where_this_site_offered_last_the_first_shards_tell_when_the_peer_did(void **state)
{
    unsigned line;

    (void)state;
    rounds(1);
    report.rounds[0].offered_ns = 120 * MS;
    assert_int_equal(read_text(TITLE "112 0 1 1 300 0 0\n" /* control */
                                     "115 0 1 20 20000 0 0\n"
                                     "164 0 1 20 20000 0 0\n"
                                     "165 0 1 10 10000 0 0\n",
                               &line),
                     0);
    assert_near(report.rounds[0].link_idle, 0.2);
}

static void without_a_transfer_or_a_log_nothing_is_known_of_idle_time(void **state)
{
    unsigned line;

    (void)state;
    rounds(2);
    report.rounds[1].held_seconds = NAN;
    assert_int_equal(read_text(TITLE "210 0 1 20 29960 0 0\n", &line), 0);
    assert_true(isnan(report.rounds[0].link_idle));
    assert_true(isnan(report.rounds[1].link_idle));
}

static void a_line_being_written_is_left(void **state)
{
    unsigned line;

    (void)state;
    rounds(1);
    assert_int_equal(read_text(TITLE "110 0 1 10 14980 0 0\n120 0 1 10 149", &line), 0);
    assert_near(report.rounds[0].link_loss, 0);
}

static void other_files_are_refused_by_line(void **state)
{
    unsigned line;

    (void)state;
    rounds(1);
    assert_int_equal(read_text("1722470400.123456 0 1 1456 1 pass 4711\n", &line), -EPROTO);
    assert_int_equal(line, 1);
    assert_int_equal(read_text(TITLE "1 0 1 1 1 0 0\n2 0 1 1 1 0\n", &line), -EPROTO);
    assert_int_equal(line, 3);
    assert_int_equal(read_text(TITLE "1 0 1 1 1 0 0 7\n", &line), -EPROTO);
    assert_int_equal(read_text(TITLE "1 0 1 1 1 2 2\n", &line), -EPROTO);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_round_has_the_loss_of_its_time),
        TEST(a_round_may_begin_long_before_the_last_one_ends_here),
        TEST(the_first_round_may_begin_long_before_the_warm_up_ends_here),
        TEST(paths_need_no_common_order),
        TEST(a_ratio_is_over_what_the_link_could_do),
        TEST(a_round_that_is_not_in_the_log_stays_without),
        TEST(a_round_without_the_peer_has_no_loss_and_leaves_the_next_its_own),
        TEST(a_warm_up_without_the_peer_takes_nothing_from_the_log),
        TEST(of_three_sites_only_members_were_awaited),
        TEST(a_link_is_idle_in_the_time_that_it_carries_nothing),
        TEST(where_this_site_offered_last_the_first_shards_tell_when_the_peer_did),
        TEST(without_a_transfer_or_a_log_nothing_is_known_of_idle_time),
        TEST(a_line_being_written_is_left),
        TEST(other_files_are_refused_by_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
