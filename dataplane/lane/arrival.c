#include "lane/arrival.h"

#include <string.h>

#define LATENESS_PERIOD_NS 1000000000ull

void gx_arrival_init(struct gx_arrival *arrival)
{
    memset(arrival, 0, sizeof *arrival);
}

/* A jump beyond the window (a peer may send any number) is counted in one step: none of it arrived. */
static void judge(struct gx_arrival *arrival, const struct gx_replay *replay, uint64_t to)
{
    while (arrival->cursor < to) {
        uint64_t number = arrival->cursor + 1;

        if (number > replay->highest) {
            uint64_t gap = to - arrival->cursor;

            arrival->lost += gap;
            arrival->expected += gap;
            arrival->bursts += !arrival->in_burst;
            arrival->in_burst = true;
            arrival->cursor = to;
            return;
        }
        bool missing = !gx_replay_seen(replay, number);

        arrival->lost += missing;
        arrival->bursts += missing && !arrival->in_burst;
        arrival->in_burst = missing;
        arrival->expected++;
        arrival->cursor = number;
    }
}

void gx_arrival_session(struct gx_arrival *arrival, const struct gx_replay *old)
{
    if (old != NULL)
        judge(arrival, old, old->highest);
    arrival->received = 0;
    arrival->cursor = 0;
    arrival->in_burst = false;
    arrival->snap_ns = 0;
    arrival->newest_ns = 0;
    arrival->newest_clock_us = 0;
}

/* A number that was counted as lost: its run of losses shrinks, vanishes or splits in two. */
static void take_back(struct gx_arrival *arrival, const struct gx_replay *replay, uint64_t number)
{
    bool before = number > 1 && !gx_replay_seen(replay, number - 1);
    bool after = number < arrival->cursor && !gx_replay_seen(replay, number + 1);

    arrival->lost--;
    if (before && after)
        arrival->bursts++;
    else if (!before && !after)
        arrival->bursts--;
    if (number == arrival->cursor)
        arrival->in_burst = false;
}

static void note_lateness(struct gx_arrival *arrival, uint32_t clock_us, uint64_t now)
{
    uint32_t late_us = arrival->newest_clock_us - clock_us;

    if (now - arrival->lateness_ns >= LATENESS_PERIOD_NS) {
        bool recent = now - arrival->lateness_ns < 2 * LATENESS_PERIOD_NS;

        arrival->lateness_us[1] = recent ? arrival->lateness_us[0] : 0;
        arrival->lateness_us[0] = 0;
        arrival->lateness_ns = now;
    }
    if (late_us < 1u << 31 && late_us > arrival->lateness_us[0])
        arrival->lateness_us[0] = late_us;
}

void gx_arrival_packet(struct gx_arrival *arrival, const struct gx_replay *replay, uint64_t number,
                       uint32_t clock_us, uint64_t now)
{
    arrival->received++;
    /* What leaves the replay window with this number must be judged while it can be seen. */
    if (number > GX_REPLAY_WINDOW / 2 + replay->highest ||
        number > GX_REPLAY_WINDOW / 2 + arrival->cursor)
        judge(arrival, replay, number - GX_REPLAY_WINDOW / 2);
    if (number <= arrival->cursor)
        take_back(arrival, replay, number);
    if (number > replay->highest) {
        arrival->newest_clock_us = clock_us;
        arrival->newest_ns = now;
        if (arrival->snap_ns == 0) {
            arrival->snap_ns = now;
            arrival->snap_highest = number;
        }
    } else {
        note_lateness(arrival, clock_us, now);
    }
}

void gx_arrival_tick(struct gx_arrival *arrival, const struct gx_replay *replay, uint64_t window_ns,
                     uint64_t now)
{
    if (now - arrival->lateness_ns >= 2 * LATENESS_PERIOD_NS)
        memset(arrival->lateness_us, 0, sizeof arrival->lateness_us);
    if (arrival->snap_ns == 0 || now - arrival->snap_ns < window_ns)
        return;
    judge(arrival, replay, arrival->snap_highest);
    arrival->snap_ns = replay->highest > arrival->cursor ? now : 0;
    arrival->snap_highest = replay->highest;
}

uint64_t gx_arrival_wake(const struct gx_arrival *arrival, uint64_t window_ns)
{
    return arrival->snap_ns == 0 ? UINT64_MAX : arrival->snap_ns + window_ns;
}

uint32_t gx_arrival_lateness_us(const struct gx_arrival *arrival)
{
    return arrival->lateness_us[0] > arrival->lateness_us[1] ? arrival->lateness_us[0]
                                                             : arrival->lateness_us[1];
}
