/* gx_table: rows of text, printed with aligned columns. */
#ifndef GX_TABLE_H
#define GX_TABLE_H

#include <stdint.h>
#include <stdio.h>

#define GX_TABLE_COLUMNS_MAX 16

struct gx_table {
    unsigned column_count;
    const char *titles[GX_TABLE_COLUMNS_MAX]; /* a leading '>' aligns the column right */
    char **cells;
    size_t cell_count, cell_room;
};

/* `titles` ends with NULL. */
void gx_table_init(struct gx_table *table, const char *const *titles);
void gx_table_fini(struct gx_table *table);

/* Fills the next cell, row by row. Aborts when out of memory. */
__attribute__((format(printf, 2, 3))) void gx_table_cell(struct gx_table *table, const char *format,
                                                         ...);

/* "-" for a value that is not known. */
void gx_table_seconds(struct gx_table *table, double seconds);
void gx_table_duration(struct gx_table *table, uint64_t ns);
void gx_table_bytes(struct gx_table *table, uint64_t bytes);

void gx_table_print(const struct gx_table *table, FILE *out);

#endif
