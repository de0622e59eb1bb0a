/* What the parts of the emulation ask of each other. */
#ifndef GX_TESTS_SIMT_INSIDE_H
#define GX_TESTS_SIMT_INSIDE_H

#include <cstring>

#include "simt/simt.h"

/* Says what the kernel did wrong, and aborts. */
[[noreturn]] void gx_simt_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline bool gx_simt_site_equal(struct gx_simt_site a, struct gx_simt_site b)
{
    return a.line == b.line && strcmp(a.file, b.file) == 0;
}

/* Whether the planted fault is this one here. Remembers the place. */
bool gx_simt_fault_at(enum gx_simt_fault fault, struct gx_simt_site site);

/* Shared memory and copies under way of one block. */
void gx_simt_memory_begin(size_t dynamic_bytes);
void gx_simt_memory_end(void);

/* A thread has ended: no copy of its own may be under way. */
void gx_simt_copies_end(unsigned thread);

#endif
