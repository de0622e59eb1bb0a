#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "gx-perf/check.h"
#include "gx-perf/pattern.h"
#include "gx-perf/perf.h"

/* A gxd of one's own: gx.h's functions, with a script of what goes wrong in which round. Two sites, this one is 1. */
#define COUNT 1000u

enum mishap {
    NONE,
    WRONG_VALUE,
    WRONG_DIVISOR,
    LEFT_OUT,
    VOID,
    BEHIND, /* a state of two rounds later follows */
    REFUSED,
    GONE_IN_WAIT,
    GONE_IN_OFFER,
    GONE_IN_PUBLISH,
    SILENCE,
    OTHER_ROUND,
};

struct gx {
    enum mishap mishap;
    uint64_t mishap_round;
    uint64_t published, offered;
    unsigned reattached, detached, states_fetched;
    bool gone, behind, open;
    bool busy_once;
    float theta[COUNT], result[COUNT];
    uint8_t contribution[2][COUNT * 4];
};

static struct gx fake;

static bool happens(enum mishap mishap, uint64_t round)
{
    if (fake.mishap != mishap || fake.mishap_round != round)
        return false;
    fake.mishap = NONE;
    return true;
}

int gx_attach(const char *path, struct gx **out)
{
    *out = &fake;
    return strcmp(path, "/absent") == 0 ? -ENOENT : 0;
}

int gx_register(struct gx *gx, const struct gx_schema *schema)
{
    (void)gx;
    assert_int_equal(schema->fragment_count, 1);
    assert_int_equal(schema->param_counts[0], COUNT);
    return 0;
}

uint32_t gx_site_index(const struct gx *gx)
{
    (void)gx;
    return 1;
}

uint32_t gx_site_count(const struct gx *gx)
{
    (void)gx;
    return 2;
}

const char *gx_site_name(const struct gx *gx, uint32_t site)
{
    (void)gx;
    return site == 0 ? "a" : "b";
}

float *gx_theta(struct gx *gx, uint32_t fragment)
{
    (void)fragment;
    return gx->theta;
}

const float *gx_result(struct gx *gx, uint32_t fragment)
{
    (void)fragment;
    return gx->result;
}

void gx_state_begin(struct gx *gx, uint32_t fragment)
{
    (void)fragment;
    gx->open = true;
}

int gx_publish(struct gx *gx, uint32_t fragment, uint64_t round)
{
    (void)fragment;
    assert_true(round == 0 || round == gx->offered);
    gx->published = round;
    gx->open = false;
    gx->gone = happens(GONE_IN_PUBLISH, round);
    return gx->gone ? -EPIPE : 0;
}

void *gx_contribution(struct gx *gx, uint32_t fragment, uint64_t round)
{
    (void)fragment;
    gx->busy_once = !gx->busy_once;
    return gx->busy_once ? NULL : gx->contribution[round & 1];
}

int gx_contribute(struct gx *gx, uint32_t fragment, uint64_t round, const float *src)
{
    (void)fragment;
    return gx_encode(GX_FP32, gx->contribution[round & 1], src, COUNT);
}

int gx_offer(struct gx *gx, uint32_t fragment, uint64_t round, uint64_t weight)
{
    static float values[COUNT];

    (void)fragment;
    assert_false(gx->gone);
    assert_int_equal(round, gx->published + 1);
    assert_int_equal(weight, gx_perf_weight(1));
    gx_perf_pattern_fill(values, gx_perf_seed("r"), 1, round, 0, COUNT);
    assert_memory_equal(gx->contribution[round & 1], values, sizeof(values));
    gx->offered = round;
    gx->gone = happens(GONE_IN_OFFER, round);
    return gx->gone ? -EPIPE : 0;
}

static void reduce(struct gx *gx, uint32_t cohort)
{
    static float values[COUNT];

    memset(gx->result, 0, sizeof(gx->result));
    for (uint32_t site = 0; site < 2; site++) {
        if (!(cohort & 1u << site))
            continue;
        float scale = (float)((double)gx_perf_weight(site) / (double)gx_perf_divisor(cohort));
        gx_perf_pattern_fill(values, gx_perf_seed("r"), site, gx->offered, 0, COUNT);
        for (uint32_t i = 0; i < COUNT; i++)
            gx->result[i] += scale * values[i];
    }
}

int gx_wait(struct gx *gx, struct gx_event *event, int timeout_ms)
{
    uint64_t round = gx->offered;

    (void)timeout_ms;
    assert_false(gx->gone);
    assert_false(gx->open);
    *event = (struct gx_event){.type = GX_EVENT_MEMBER, .round = round, .cohort = 3};
    if (gx->behind) {
        gx->behind = false;
        gx->states_fetched++;
        *event = (struct gx_event){.type = GX_EVENT_STATE, .round = round + 2};
        gx->published = gx->offered = round + 2;
        return 0;
    }
    if (fake.mishap == SILENCE && fake.mishap_round == round)
        return -ETIMEDOUT;
    if (happens(GONE_IN_WAIT, round)) {
        gx->gone = true;
        return -EPIPE;
    }
    if (happens(BEHIND, round)) {
        gx->behind = true;
        event->type = GX_EVENT_BEHIND;
        return 0;
    }
    if (happens(REFUSED, round)) {
        *event =
            (struct gx_event){.type = GX_EVENT_REFUSED, .round = round, .reason = GX_REASON_ROUND};
        return 0;
    }
    if (happens(LEFT_OUT, round)) {
        event->type = GX_EVENT_LEFT_OUT;
        event->cohort = 1;
    }
    if (happens(VOID, round)) {
        event->type = GX_EVENT_VOID;
        event->cohort = 0;
    }
    reduce(gx, event->cohort);
    event->divisor = gx_perf_divisor(event->cohort);
    event->divisor += happens(WRONG_DIVISOR, round);
    event->round += happens(OTHER_ROUND, round);
    if (happens(WRONG_VALUE, round))
        gx->result[COUNT - 1] += 1;
    return 0;
}

int gx_reattach(struct gx *gx)
{
    gx->gone = false;
    gx->reattached++;
    return 0;
}

void gx_detach(struct gx *gx)
{
    if (gx)
        gx->detached++;
}

const char *gx_error(const struct gx *gx)
{
    (void)gx;
    return "of the fake";
}

/* ---- */

static struct gx_perf_options options;
static struct gx_perf_report report;

/* Five counted rounds in which something happens; returns the exit code. */
static int run(enum mishap mishap, uint64_t round)
{
    gx_perf_report_fini(&report);
    memset(&fake, 0, sizeof(fake));
    fake.mishap = mishap;
    fake.mishap_round = round;
    options = (struct gx_perf_options){.socket = "/there",
                                       .run = "r",
                                       .bytes = 4 * COUNT,
                                       .rounds = 5,
                                       .check = true,
                                       .link = {.shard_bytes = 1408},
                                       .wait_ns = 1000000,
                                       .timeout_ns = 1000000};
    assert_int_equal(gx_perf_report_init(&report, &options), 0);
    return gx_perf_run(&options, &report);
}

static void every_round_is_checked_and_the_first_not_counted(void **state)
{
    (void)state;
    assert_int_equal(run(NONE, 0), GX_PERF_OK);
    assert_int_equal(report.round_count, 5);
    assert_int_equal(report.rounds[0].round, 2);
    assert_int_equal(report.checked, 6);
    assert_int_equal(report.errors, 0);
    assert_int_equal(fake.published, 6);
    assert_int_equal(fake.detached, 1);
    assert_string_equal(report.site_names[1], "b");
}

static void a_wrong_value_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(run(WRONG_VALUE, 3), GX_PERF_FAILED);
    assert_int_equal(report.errors, 1);
    assert_int_equal(report.round_count, 5);
}

static void a_wrong_divisor_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(run(WRONG_DIVISOR, 1), GX_PERF_FAILED);
    assert_int_equal(report.errors, 1);
}

static void without_check_nothing_is_compared(void **state)
{
    (void)state;
    run(NONE, 0);
    options.check = false;
    memset(&fake, 0, sizeof(fake));
    fake.mishap = WRONG_VALUE;
    fake.mishap_round = 3;
    gx_perf_report_fini(&report);
    assert_int_equal(gx_perf_report_init(&report, &options), 0);
    assert_int_equal(gx_perf_run(&options, &report), GX_PERF_OK);
    assert_int_equal(report.checked, 0);
}

static void a_round_left_out_is_applied_all_the_same(void **state)
{
    (void)state;
    assert_int_equal(run(LEFT_OUT, 4), GX_PERF_OK);
    assert_int_equal(report.left_out, 1);
    assert_int_equal(report.rounds[2].cohort, 1);
    assert_int_equal(report.checked, 6);
}

static void a_void_round_leaves_the_state(void **state)
{
    (void)state;
    assert_int_equal(run(VOID, 6), GX_PERF_OK);
    assert_int_equal(report.voids, 1);
    assert_int_equal(report.checked, 5);
    assert_int_equal(fake.published, 6);
}

static void a_site_that_is_behind_goes_on_from_the_fetched_state(void **state)
{
    (void)state;
    assert_int_equal(run(BEHIND, 2), GX_PERF_OK);
    assert_int_equal(report.behind, 1);
    assert_int_equal(report.round_count, 2); /* 5 and 6 */
    assert_int_equal(report.rounds[0].round, 5);
}

static void a_state_after_the_last_round_ends_it(void **state)
{
    (void)state;
    assert_int_equal(run(BEHIND, 5), GX_PERF_OK);
    assert_int_equal(report.round_count, 3);
}

static void a_refusal_ends_it(void **state)
{
    (void)state;
    assert_int_equal(run(REFUSED, 2), GX_PERF_FAILED);
    assert_int_equal(report.errors, 1);
    assert_int_equal(fake.detached, 1);
}

static void a_round_that_was_not_offered_ends_it(void **state)
{
    (void)state;
    assert_int_equal(run(OTHER_ROUND, 2), GX_PERF_FAILED);
    assert_int_equal(report.errors, 1);
}

static void the_death_of_gxd_is_survived_anywhere(void **state)
{
    static const enum mishap deaths[] = {GONE_IN_WAIT, GONE_IN_OFFER, GONE_IN_PUBLISH};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(run(deaths[i], 3), GX_PERF_OK);
        assert_int_equal(report.reattached, 1);
        assert_int_equal(fake.reattached, 1);
        assert_int_equal(report.round_count, 5);
        assert_int_equal(report.errors, 0);
    }
}

static void silence_ends_it_after_the_timeout(void **state)
{
    (void)state;
    assert_int_equal(run(SILENCE, 3), GX_PERF_FAILED);
    assert_int_equal(report.errors, 1);
    assert_int_equal(report.round_count, 1);
}

static void no_gxd_is_told_apart(void **state)
{
    (void)state;
    run(NONE, 0);
    options.socket = "/absent";
    assert_int_equal(gx_perf_run(&options, &report), GX_PERF_ABSENT);
}

static int group_teardown(void **state)
{
    (void)state;
    gx_perf_report_fini(&report);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_round_is_checked_and_the_first_not_counted),
        cmocka_unit_test(a_wrong_value_is_an_error),
        cmocka_unit_test(a_wrong_divisor_is_an_error),
        cmocka_unit_test(without_check_nothing_is_compared),
        cmocka_unit_test(a_round_left_out_is_applied_all_the_same),
        cmocka_unit_test(a_void_round_leaves_the_state),
        cmocka_unit_test(a_site_that_is_behind_goes_on_from_the_fetched_state),
        cmocka_unit_test(a_state_after_the_last_round_ends_it),
        cmocka_unit_test(a_refusal_ends_it),
        cmocka_unit_test(a_round_that_was_not_offered_ends_it),
        cmocka_unit_test(the_death_of_gxd_is_survived_anywhere),
        cmocka_unit_test(silence_ends_it_after_the_timeout),
        cmocka_unit_test(no_gxd_is_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, group_teardown);
}
