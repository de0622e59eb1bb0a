#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wan/slotlog.h"

#define MS 1000000ull

static char path[64];
static struct gx_wan_slotlog slots;

static int setup(void **state)
{
    (void)state;
    strcpy(path, "/tmp/gx-slots-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0 || close(fd) != 0)
        return -1;
    return gx_wan_slotlog_open(&slots, path);
}

static int teardown(void **state)
{
    (void)state;
    gx_wan_slotlog_close(&slots);
    return unlink(path);
}

static void assert_file(const char *wanted)
{
    char text[1024] = "";
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, wanted);
}

static void a_line_is_a_path_and_a_millisecond(void **state)
{
    (void)state;
    gx_wan_slotlog_count(&slots, 0, 1, 5 * MS, 1000, false);
    gx_wan_slotlog_count(&slots, 0, 1, 6 * MS - 1, 500, true);
    gx_wan_slotlog_count(&slots, 1, 0, 5 * MS, 60, false);
    assert_file(GX_WAN_SLOTLOG_TITLE "\n");
    gx_wan_slotlog_count(&slots, 0, 1, 6 * MS, 100, false);
    assert_file(GX_WAN_SLOTLOG_TITLE "\n5 0 1 2 1500 1 500\n"); /* at once: others read it now */
    gx_wan_slotlog_flush(&slots);
    assert_file(GX_WAN_SLOTLOG_TITLE "\n5 0 1 2 1500 1 500\n6 0 1 1 100 0 0\n5 1 0 1 60 0 0\n");
}

static void flushed_lines_begin_anew(void **state)
{
    (void)state;
    gx_wan_slotlog_count(&slots, 2, 15, 7 * MS, 1000, true);
    gx_wan_slotlog_flush(&slots);
    gx_wan_slotlog_count(&slots, 2, 15, 7 * MS, 1, false);
    assert_int_equal(gx_wan_slotlog_close(&slots), 0);
    assert_file(GX_WAN_SLOTLOG_TITLE "\n7 2 15 1 1000 1 1000\n7 2 15 1 1 0 0\n");
}

static void without_a_file_nothing_is_counted(void **state)
{
    static struct gx_wan_slotlog none;

    (void)state;
    gx_wan_slotlog_count(&none, 0, 1, 0, 1000, true);
    gx_wan_slotlog_flush(&none);
    assert_int_equal(gx_wan_slotlog_close(&none), 0);
    assert_int_equal(gx_wan_slotlog_open(&none, "/nowhere/slots"), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_a_path_and_a_millisecond),
        TEST(flushed_lines_begin_anew),
        TEST(without_a_file_nothing_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
