#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "table.h"

static char *printed(const struct gx_table *table)
{
    char *text = NULL;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);

    gx_table_print(table, f);
    fclose(f);
    return text;
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    static const char *const titles[] = {"name", ">count", "text", NULL};
    struct gx_table table;

    (void)state;
    gx_table_init(&table, titles);
    gx_table_cell(&table, "a");
    gx_table_cell(&table, "%d", 7);
    gx_table_cell(&table, "x");
    gx_table_cell(&table, "a long name");
    gx_table_cell(&table, "%d", 1234567);
    gx_table_cell(&table, "a longer text");
    char *text = printed(&table);
    assert_string_equal(text, "name           count  text\n"
                              "a                  7  x\n"
                              "a long name  1234567  a longer text\n");
    free(text);
    gx_table_fini(&table);
}

static void values_that_are_not_known_are_dashes(void **state)
{
    static const char *const titles[] = {">a", ">b", ">c", NULL};
    struct gx_table table;

    (void)state;
    gx_table_init(&table, titles);
    gx_table_seconds(&table, -1);
    gx_table_duration(&table, 0);
    gx_table_seconds(&table, 0.25);
    char *text = printed(&table);
    assert_string_equal(text, "a  b      c\n-  -  0.2 s\n");
    free(text);
    gx_table_fini(&table);
}

static void many_rows_fit(void **state)
{
    static const char *const titles[] = {"n", NULL};
    struct gx_table table;

    (void)state;
    gx_table_init(&table, titles);
    for (int i = 0; i < 1000; i++)
        gx_table_cell(&table, "%d", i);
    assert_int_equal(table.cell_count, 1000);
    assert_string_equal(table.cells[999], "999");
    gx_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(values_that_are_not_known_are_dashes),
        cmocka_unit_test(many_rows_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
