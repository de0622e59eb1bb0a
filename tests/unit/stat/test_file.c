#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stat/file.h"

struct place {
    char directory[64], path[80];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    strcpy(place->directory, "/tmp/gx-test-stat-XXXXXX");
    if (!mkdtemp(place->directory))
        return -1;
    snprintf(place->path, sizeof(place->path), "%s/counters", place->directory);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;

    unlink(place->path);
    rmdir(place->directory);
    free(place);
    return 0;
}

static void create_makes_a_file_that_a_reader_sees_alive(void **state)
{
    const struct place *place = *state;
    struct gx_stat_file *file;
    const struct gx_stat_file *seen;
    bool alive = false;
    int fd;

    assert_int_equal(gx_stat_create(place->directory, &file, &fd), 0);
    file->counters.site[GX_SITE_loops_total] = 42;
    assert_int_equal(gx_stat_open(place->directory, &seen, &alive), 0);
    assert_true(alive);
    assert_int_equal(seen->pid, getpid());
    assert_int_equal(seen->ready, 0);
    assert_int_equal(seen->counters.site[GX_SITE_loops_total], 42);
    file->counters.site[GX_SITE_loops_total] = 43;
    assert_int_equal(seen->counters.site[GX_SITE_loops_total], 43);
    gx_stat_unmap(seen);
    gx_stat_close(file, fd);
}

static void create_makes_the_directory(void **state)
{
    const struct place *place = *state;
    struct gx_stat_file *file;
    struct stat st;
    int fd;

    rmdir(place->directory);
    assert_int_equal(gx_stat_create(place->directory, &file, &fd), 0);
    assert_int_equal(stat(place->directory, &st), 0);
    assert_int_equal(st.st_mode & 07, 0);
    gx_stat_close(file, fd);
}

static void close_leaves_the_last_counters_of_a_dead_gxd(void **state)
{
    const struct place *place = *state;
    struct gx_stat_file *file;
    const struct gx_stat_file *seen;
    bool alive = true;
    int fd;

    assert_int_equal(gx_stat_create(place->directory, &file, &fd), 0);
    file->counters.site[GX_SITE_loops_total] = 7;
    gx_stat_close(file, fd);
    assert_int_equal(gx_stat_open(place->directory, &seen, &alive), 0);
    assert_false(alive);
    assert_int_equal(seen->counters.site[GX_SITE_loops_total], 7);
    gx_stat_unmap(seen);
}

static void create_refuses_while_another_gxd_lives(void **state)
{
    const struct place *place = *state;
    struct gx_stat_file *file, *second = NULL;
    int fd, second_fd = -1;

    assert_int_equal(gx_stat_create(place->directory, &file, &fd), 0);
    assert_int_equal(gx_stat_create(place->directory, &second, &second_fd), -EWOULDBLOCK);
    assert_int_equal(second_fd, -1);
    gx_stat_close(file, fd);
    assert_int_equal(gx_stat_create(place->directory, &file, &fd), 0);
    gx_stat_close(file, fd);
}

static void create_starts_from_zero_and_leaves_readers_of_the_old_file_alone(void **state)
{
    const struct place *place = *state;
    struct gx_stat_file *file;
    const struct gx_stat_file *old;
    bool alive;
    int fd;

    assert_int_equal(gx_stat_create(place->directory, &file, &fd), 0);
    file->counters.site[GX_SITE_loops_total] = 7;
    gx_stat_close(file, fd);
    assert_int_equal(gx_stat_open(place->directory, &old, &alive), 0);
    assert_int_equal(gx_stat_create(place->directory, &file, &fd), 0);
    assert_int_equal(file->counters.site[GX_SITE_loops_total], 0);
    assert_int_equal(old->counters.site[GX_SITE_loops_total], 7);
    gx_stat_unmap(old);
    gx_stat_close(file, fd);
}

static void create_replaces_a_file_of_another_version(void **state)
{
    const struct place *place = *state;
    struct gx_stat_file *file;
    int fd = open(place->path, O_RDWR | O_CREAT, 0600);

    assert_int_equal(write(fd, "not counters", 12), 12);
    close(fd);
    assert_int_equal(gx_stat_create(place->directory, &file, &fd), 0);
    assert_int_equal(file->version_major, GX_STAT_VERSION_MAJOR);
    gx_stat_close(file, fd);
}

static void open_says_that_there_is_no_file(void **state)
{
    const struct place *place = *state;
    const struct gx_stat_file *seen;
    bool alive;

    assert_int_equal(gx_stat_open(place->directory, &seen, &alive), -ENOENT);
}

static void open_refuses_another_version(void **state)
{
    const struct place *place = *state;
    struct gx_stat_file *file;
    const struct gx_stat_file *seen;
    bool alive;
    int fd;

    assert_int_equal(gx_stat_create(place->directory, &file, &fd), 0);
    file->version_major++;
    assert_int_equal(gx_stat_open(place->directory, &seen, &alive), -EPROTO);
    file->version_major--;
    file->bytes += 8;
    assert_int_equal(gx_stat_open(place->directory, &seen, &alive), -EPROTO);
    gx_stat_close(file, fd);
}

static void open_refuses_a_file_that_is_too_short_to_map(void **state)
{
    const struct place *place = *state;
    const struct gx_stat_file *seen;
    bool alive;
    int fd = open(place->path, O_RDWR | O_CREAT, 0600);

    assert_int_equal(write(fd, "short", 5), 5);
    close(fd);
    assert_int_equal(gx_stat_open(place->directory, &seen, &alive), -EPROTO);
}

static void error_counts_equal_texts_together(void **state)
{
    const struct place *place = *state;
    struct gx_stat_file *file;
    int fd;

    assert_int_equal(gx_stat_create(place->directory, &file, &fd), 0);
    gx_stat_error(file, "link b: refused", 10);
    gx_stat_error(file, "link c: refused", 20);
    gx_stat_error(file, "link b: refused", 30);
    assert_int_equal(file->errors[0].count, 2);
    assert_int_equal(file->errors[0].first_ns, 10);
    assert_int_equal(file->errors[0].last_ns, 30);
    assert_string_equal(file->errors[1].text, "link c: refused");
    assert_int_equal(file->errors[0].sequence % 2, 0);
    assert_int_equal(file->errors[2].used, 0);
    gx_stat_close(file, fd);
}

static void error_replaces_the_oldest_when_full(void **state)
{
    const struct place *place = *state;
    struct gx_stat_file *file;
    char text[300];
    int fd;

    assert_int_equal(gx_stat_create(place->directory, &file, &fd), 0);
    for (unsigned i = 0; i < GX_STAT_ERRORS; i++) {
        snprintf(text, sizeof(text), "error %u", i);
        gx_stat_error(file, text, 1000 + i);
    }
    gx_stat_error(file, "error 0", 5000);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    gx_stat_error(file, text, 6000);
    assert_int_equal(file->errors[0].count, 2);
    assert_int_equal(file->errors[1].count, 1);
    assert_int_equal(file->errors[1].first_ns, 6000);
    assert_int_equal(strlen(file->errors[1].text), sizeof(file->errors[1].text) - 1);
    gx_stat_error(file, text, 7000); /* equal up to the room */
    assert_int_equal(file->errors[1].count, 2);
    gx_stat_close(file, fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(create_makes_a_file_that_a_reader_sees_alive),
        TEST(create_makes_the_directory),
        TEST(close_leaves_the_last_counters_of_a_dead_gxd),
        TEST(create_refuses_while_another_gxd_lives),
        TEST(create_starts_from_zero_and_leaves_readers_of_the_old_file_alone),
        TEST(create_replaces_a_file_of_another_version),
        TEST(open_says_that_there_is_no_file),
        TEST(open_refuses_another_version),
        TEST(open_refuses_a_file_that_is_too_short_to_map),
        TEST(error_counts_equal_texts_together),
        TEST(error_replaces_the_oldest_when_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
