/* GX_ASSERT: a broken invariant of our own, always on. Never for input from a network, process, file or user. */
#ifndef GX_ASSERT_H
#define GX_ASSERT_H

#include <stdio.h>
#include <stdlib.h>

#define GX_ASSERT(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #condition);      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
