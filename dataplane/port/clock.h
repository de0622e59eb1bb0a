/* gx_clock: the one monotonic clock that gxd gives to its core. Nothing below reads a clock by itself. */
#ifndef GX_PORT_CLOCK_H
#define GX_PORT_CLOCK_H

#include <stdint.h>
#include <time.h>

#define GX_NS_PER_US 1000ull
#define GX_NS_PER_MS 1000000ull
#define GX_NS_PER_S 1000000000ull

static inline uint64_t gx_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * GX_NS_PER_S + (uint64_t)now.tv_nsec;
}

#endif
