#include "sim/guard.h"

#include <errno.h>

#include "sanitized.h"

static bool armed;
static bool counting;
static uint64_t counted_bytes, counted_calls;

void sim_guard_begin(void)
{
    armed = true;
    counted_calls = 0;
}

void sim_guard_end(struct sim_world *world, uint32_t site, const char *where)
{
    armed = false;
    if (counted_calls > 0)
        sim_fail(world, "I6", "site %u allocates memory in %s", site, where);
}

void sim_guard_count_begin(void)
{
    counting = true;
    counted_bytes = 0;
}

uint64_t sim_guard_count_end(void)
{
    counting = false;
    return counted_bytes;
}

#ifndef GX_SANITIZED
/* glibc's own names for what we put ourselves before. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *at, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static void note(size_t bytes)
{
    counted_calls += armed;
    counted_bytes += counting ? bytes : 0;
}

void *malloc(size_t bytes)
{
    note(bytes);
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    note(count * bytes);
    return __libc_calloc(count, bytes);
}

void *realloc(void *at, size_t bytes)
{
    note(bytes);
    return __libc_realloc(at, bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
    note(bytes);
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    note(bytes);
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    note(bytes);
    *out = __libc_memalign(alignment, bytes);
    return *out ? 0 : ENOMEM;
}
#endif
