#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gx-perf/busy.h"
#include "stat/file.h"

#define SECOND 1000000000ull

static char folder[64], socket_path[80], state_path[96];
static struct gx_stat_file *file;
static int fd;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/gx-busy-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(socket_path, sizeof(socket_path), "%s/s", folder);
    snprintf(state_path, sizeof(state_path), "%s.state", socket_path);
    return gx_stat_create(state_path, &file, &fd);
}

static int teardown(void **state)
{
    char path[128];

    (void)state;
    if (file)
        gx_stat_close(file, fd);
    snprintf(path, sizeof(path), "%s/counters", state_path);
    unlink(path);
    rmdir(state_path);
    return rmdir(folder);
}

static void rate_and_busy_share_are_of_the_time_between(void **state)
{
    struct gx_perf_busy_moment from, to;
    struct gx_perf_busy busy;

    (void)state;
    file->counters.site[GX_SITE_work_house_ns_total] = 7;
    file->counters.link[0][GX_LINK_sent_bytes_total] = 50;
    gx_perf_busy_read(&from, socket_path, NULL, 10 * SECOND);
    file->counters.site[GX_SITE_work_port_receive_ns_total] += SECOND / 2;
    file->counters.site[GX_SITE_work_house_ns_total] += SECOND / 2;
    file->counters.link[0][GX_LINK_sent_bytes_total] += 1000;
    file->counters.link[15][GX_LINK_sent_bytes_total] += 1000;
    file->counters.link[3][GX_LINK_received_bytes_total] += 4000;
    gx_perf_busy_read(&to, "/elsewhere", state_path, 14 * SECOND);
    gx_perf_busy_between(&busy, &from, &to);
    assert_int_equal(busy.worker_count, 1);
    assert_true(fabs(busy.workers[0].busy_share - 0.25) < 1e-12);
    assert_true(fabs(busy.workers[0].sent_bps - 4000) < 1e-6);
    assert_true(fabs(busy.workers[0].received_bps - 8000) < 1e-6);
}

static void losses_and_what_rebuilt_them_are_told_apart_by_link(void **state)
{
    struct gx_perf_busy_moment from, to;
    struct gx_perf_busy busy;
    uint64_t *link = file->counters.link[2];

    (void)state;
    link[GX_LINK_lost_packets_total] = 7;
    link[GX_LINK_rebuilt_shards_total] = 5;
    link[GX_LINK_rebuilt_asked_shards_total] = 2;
    file->counters.link[3][GX_LINK_lost_packets_total] = 4;
    gx_perf_busy_read(&from, socket_path, NULL, SECOND);
    link[GX_LINK_lost_packets_total] += 100;
    link[GX_LINK_rebuilt_shards_total] += 90;
    link[GX_LINK_rebuilt_asked_shards_total] += 60;
    file->counters.link[3][GX_LINK_lost_packets_total] = 3; /* one was only late */
    gx_perf_busy_read(&to, socket_path, NULL, 2 * SECOND);
    gx_perf_busy_between(&busy, &from, &to);
    assert_int_equal(busy.links[2].lost_packets, 100);
    assert_int_equal(busy.links[2].rebuilt_advance_shards, 30);
    assert_int_equal(busy.links[2].rebuilt_asked_shards, 60);
    assert_int_equal(busy.links[3].lost_packets, 0);
}

static void a_restart_in_between_leaves_nothing_known(void **state)
{
    struct gx_perf_busy_moment from, to;
    struct gx_perf_busy busy;

    (void)state;
    gx_perf_busy_read(&from, socket_path, NULL, SECOND);
    file->started_ns++;
    gx_perf_busy_read(&to, socket_path, NULL, 2 * SECOND);
    gx_perf_busy_between(&busy, &from, &to);
    assert_int_equal(busy.worker_count, 0);
}

static void without_a_living_gxd_nothing_is_known(void **state)
{
    struct gx_perf_busy_moment from, to;
    struct gx_perf_busy busy;

    (void)state;
    gx_perf_busy_read(&from, socket_path, NULL, SECOND);
    gx_stat_close(file, fd);
    file = NULL;
    gx_perf_busy_read(&to, socket_path, NULL, 2 * SECOND);
    gx_perf_busy_between(&busy, &from, &to);
    assert_int_equal(busy.worker_count, 0);
    gx_perf_busy_read(&to, "/elsewhere", NULL, 2 * SECOND);
    gx_perf_busy_between(&busy, &from, &to);
    assert_int_equal(busy.worker_count, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rate_and_busy_share_are_of_the_time_between),
        TEST(losses_and_what_rebuilt_them_are_told_apart_by_link),
        TEST(a_restart_in_between_leaves_nothing_known),
        TEST(without_a_living_gxd_nothing_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
