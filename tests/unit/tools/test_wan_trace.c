#include "wan/trace.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct gx_wan_trace trace;
static char error[256];

static int read_text(const char *text)
{
    FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

    assert_non_null(file);
    error[0] = '\0';
    int rc = gx_wan_trace_read(&trace, file, error, sizeof(error));
    fclose(file);
    return rc;
}

static int forget(void **state)
{
    (void)state;
    gx_wan_trace_fini(&trace);
    return 0;
}

static void lines_become_values(void **state)
{
    (void)state;
    assert_int_equal(read_text("# time rate delay loss\n"
                               "0, 200Mbit, 25ms, 0.01\n"
                               "\n"
                               "10.5\t50Mbit  80ms 5% # a storm\n"
                               "20s,-,25ms,-\n"),
                     0);
    assert_int_equal(trace.count, 3);
    assert_int_equal(trace.lines[0].rate_bps, 200000000);
    assert_int_equal(trace.lines[0].delay_ns, 25000000);
    assert_true(trace.lines[0].loss == 0.01);
    assert_int_equal(trace.lines[1].from_ns, 10500000000);
    assert_true(trace.lines[1].loss == 0.05);
    assert_int_equal(trace.lines[2].from_ns, 20000000000);
    assert_false(trace.lines[2].has_rate);
    assert_true(trace.lines[2].has_delay);
    assert_false(trace.lines[2].has_loss);
}

static void the_greatest_values_are_known(void **state)
{
    (void)state;
    assert_int_equal(read_text("0 1Mbit 5ms 0\n1 9Mbit 2ms 0\n2 - 7ms 0\n3 3Mbit - 0\n"), 0);
    assert_int_equal(gx_wan_trace_rate_max(&trace), 9000000);
    assert_int_equal(gx_wan_trace_delay_max(&trace), 7000000);
}

static void a_last_line_needs_no_newline(void **state)
{
    (void)state;
    assert_int_equal(read_text("0 - - 0.5"), 0);
    assert_int_equal(trace.count, 1);
    assert_true(trace.lines[0].loss == 0.5);
}

static void many_lines_are_kept(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    char *text = malloc(COUNT * 32), *at = text;

    assert_non_null(text);
    for (int i = 0; i < COUNT; i++)
        at += sprintf(at, "%d %dKbit 1ms 0\n", i, i + 1);
    assert_int_equal(read_text(text), 0);
    free(text);
    assert_int_equal(trace.count, COUNT);
    assert_int_equal(trace.lines[COUNT - 1].rate_bps, 1000 * COUNT);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line, *culprit;
    } cases[] = {
        {"0 - - 0\nsoon - - 0\n", "line 2", "'soon'"},
        {"0 200 - 0\n", "line 1", "'200'"},
        {"0 0 - 0\n", "line 1", "'0'"},
        {"0 - 25 0\n", "line 1", "'25'"},
        {"0 - - 1.5\n", "line 1", "'1.5'"},
        {"0 - -\n", "line 1", "fewer"},
        {"0 - - 0 -\n", "line 1", "more"},
        {"# only\n5 - - 0\n4 - - 0\n", "line 3", "before"},
        {"# nothing\n", "no line", ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_text(cases[i].text), -EINVAL);
        assert_non_null(strstr(error, cases[i].line));
        assert_non_null(strstr(error, cases[i].culprit));
        assert_int_equal(trace.count, 0);
        assert_null(trace.lines);
    }
}

static void a_line_without_end_is_refused(void **state)
{
    (void)state;
    char text[1024];

    memset(text, ' ', sizeof(text) - 1);
    memcpy(text + sizeof(text) - 12, "0 - - 0.5\n", 11);
    assert_int_equal(read_text(text), -EINVAL);
    assert_non_null(strstr(error, "longer"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(lines_become_values, forget),
        cmocka_unit_test_teardown(the_greatest_values_are_known, forget),
        cmocka_unit_test_teardown(a_last_line_needs_no_newline, forget),
        cmocka_unit_test_teardown(many_lines_are_kept, forget),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(a_line_without_end_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
