#include "sim/idle.h"

#include <math.h>
#include <stdlib.h>

#define ROOM_MIN 4096

void sim_idle_add(struct sim_idle *idle, uint64_t left_ns, uint32_t bytes)
{
    if (idle->count == idle->room) {
        idle->room = idle->room ? 2 * idle->room : ROOM_MIN;
        idle->frames = reallocarray(idle->frames, idle->room, sizeof(*idle->frames));
        if (!idle->frames)
            abort();
    }
    idle->frames[idle->count++] = (struct sim_idle_frame){left_ns, bytes};
}

double sim_idle_share(const struct sim_idle *idle, uint64_t from_ns, uint64_t to_ns,
                      uint64_t rate_bps)
{
    double span_ns = (double)to_ns - (double)from_ns, busy_ns = 0;

    if (!(span_ns > 0))
        return NAN;
    for (size_t i = 0; i < idle->count; i++) {
        double end = (double)idle->frames[i].left_ns - (double)from_ns;
        double begin = end - 8e9 * idle->frames[i].bytes / (double)rate_bps;
        double inside = fmin(end, span_ns) - fmax(begin, 0);
        busy_ns += fmax(inside, 0);
    }
    return fmax(0, 1 - busy_ns / span_ns);
}

void sim_idle_forget(struct sim_idle *idle, uint64_t until_ns)
{
    size_t kept = 0;

    for (size_t i = 0; i < idle->count; i++)
        if (idle->frames[i].left_ns > until_ns)
            idle->frames[kept++] = idle->frames[i];
    idle->count = kept;
}

void sim_idle_fini(struct sim_idle *idle)
{
    free(idle->frames);
    *idle = (struct sim_idle){0};
}
