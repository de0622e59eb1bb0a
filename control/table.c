#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

void gx_table_init(struct gx_table *table, const char *const *titles)
{
    memset(table, 0, sizeof(*table));
    while (titles[table->column_count] && table->column_count < GX_TABLE_COLUMNS_MAX) {
        table->titles[table->column_count] = titles[table->column_count];
        table->column_count++;
    }
}

void gx_table_fini(struct gx_table *table)
{
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
}

void gx_table_cell(struct gx_table *table, const char *format, ...)
{
    va_list args;

    if (table->cell_count == table->cell_room) {
        table->cell_room = table->cell_room * 2 + 64;
        table->cells = realloc(table->cells, table->cell_room * sizeof(char *));
        if (!table->cells)
            abort();
    }
    va_start(args, format);
    if (vasprintf(&table->cells[table->cell_count], format, args) < 0)
        abort();
    va_end(args);
    table->cell_count++;
}

void gx_table_seconds(struct gx_table *table, double seconds)
{
    if (seconds < 0)
        gx_table_cell(table, "-");
    else
        gx_table_cell(table, seconds < 10 ? "%.1f s" : "%.0f s", seconds);
}

void gx_table_duration(struct gx_table *table, uint64_t ns)
{
    char text[GX_UNITS_TEXT_MAX];

    gx_table_cell(table, "%s", ns ? gx_units_format_duration(text, ns) : "-");
}

void gx_table_bytes(struct gx_table *table, uint64_t bytes)
{
    char text[GX_UNITS_TEXT_MAX];

    gx_table_cell(table, "%s", gx_units_format_bytes(text, bytes));
}

static void print_row(const struct gx_table *table, FILE *out, char *const *cells,
                      const int *widths)
{
    for (unsigned c = 0; c < table->column_count; c++) {
        const char *separator = c == 0 ? "" : "  ";
        const char *cell = cells ? cells[c] : table->titles[c] + (table->titles[c][0] == '>');
        if (table->titles[c][0] == '>')
            fprintf(out, "%s%*s", separator, widths[c], cell);
        else if (c + 1 < table->column_count)
            fprintf(out, "%s%-*s", separator, widths[c], cell);
        else
            fprintf(out, "%s%s", separator, cell);
    }
    fputc('\n', out);
}

void gx_table_print(const struct gx_table *table, FILE *out)
{
    int widths[GX_TABLE_COLUMNS_MAX];

    for (unsigned c = 0; c < table->column_count; c++)
        widths[c] = (int)strlen(table->titles[c] + (table->titles[c][0] == '>'));
    for (size_t i = 0; i < table->cell_count; i++) {
        int width = (int)strlen(table->cells[i]);
        if (width > widths[i % table->column_count])
            widths[i % table->column_count] = width;
    }
    print_row(table, out, NULL, widths);
    for (size_t i = 0; i + table->column_count <= table->cell_count; i += table->column_count)
        print_row(table, out, table->cells + i, widths);
}
