#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "sim/idle.h"

#define RATE 8000000000ull /* a byte a ns */

static void assert_near(double value, double wanted)
{
    if (!(fabs(value - wanted) < 1e-12))
        fail_msg("%.15g is not %.15g", value, wanted);
}

static void what_no_frame_fills_is_idle(void **state)
{
    struct sim_idle idle = {0};

    (void)state;
    assert_near(sim_idle_share(&idle, 1000, 2000, RATE), 1);
    sim_idle_add(&idle, 1100, 100);
    sim_idle_add(&idle, 1500, 300);
    assert_near(sim_idle_share(&idle, 1000, 2000, RATE), 0.6);
    assert_near(sim_idle_share(&idle, 1000, 1500, RATE), 0.2);
    sim_idle_fini(&idle);
}

static void frames_at_the_edges_count_with_the_part_inside(void **state)
{
    struct sim_idle idle = {0};

    (void)state;
    sim_idle_add(&idle, 1050, 100); /* half before */
    sim_idle_add(&idle, 2030, 100); /* 70 before the end */
    sim_idle_add(&idle, 1000, 100); /* left as it begins */
    sim_idle_add(&idle, 2100, 100); /* begins as it ends */
    assert_near(sim_idle_share(&idle, 1000, 2000, RATE), 1 - 0.05 - 0.07);
    sim_idle_fini(&idle);
}

static void several_senders_add_up(void **state)
{
    struct sim_idle idle = {0};

    (void)state;
    sim_idle_add(&idle, 1500, 250);
    sim_idle_add(&idle, 1500, 250);
    assert_near(sim_idle_share(&idle, 1000, 2000, RATE), 0.5);
    sim_idle_add(&idle, 1900, 800);
    assert_near(sim_idle_share(&idle, 1000, 2000, RATE), 0);
    sim_idle_fini(&idle);
}

static void what_is_forgotten_no_longer_counts(void **state)
{
    struct sim_idle idle = {0};

    (void)state;
    for (uint64_t i = 1; i <= 10000; i++) /* grows */
        sim_idle_add(&idle, 1000 * i, 500);
    assert_near(sim_idle_share(&idle, 0, 10000000, RATE), 0.5);
    sim_idle_forget(&idle, 5000000);
    assert_int_equal(idle.count, 5000);
    assert_near(sim_idle_share(&idle, 0, 10000000, RATE), 0.75);
    sim_idle_fini(&idle);
}

static void of_no_time_nothing_is_known(void **state)
{
    struct sim_idle idle = {0};

    (void)state;
    assert_true(isnan(sim_idle_share(&idle, 1000, 1000, RATE)));
    assert_true(isnan(sim_idle_share(&idle, 2000, 1000, RATE)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_frame_fills_is_idle),
        cmocka_unit_test(frames_at_the_edges_count_with_the_part_inside),
        cmocka_unit_test(several_senders_add_up),
        cmocka_unit_test(what_is_forgotten_no_longer_counts),
        cmocka_unit_test(of_no_time_nothing_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
