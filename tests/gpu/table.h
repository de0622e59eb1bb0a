/* What the programs of make test-gpu print: rows that run.sh gathers into its last table, and remarks. */
#ifndef GX_TESTS_GPU_TABLE_H
#define GX_TESTS_GPU_TABLE_H

#include <stdio.h>

/* row|what|measured|to compare with */
#define table_row(what, ...)                                                                       \
    do {                                                                                           \
        printf("row|%s|", what);                                                                   \
        printf(__VA_ARGS__);                                                                       \
        putchar('\n');                                                                             \
        fflush(stdout);                                                                            \
    } while (0)

#endif
