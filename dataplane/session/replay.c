#include "session/replay.h"

#include <string.h>

#include "gx_assert.h"

#define WORDS (GX_REPLAY_WINDOW / 64)

void gx_replay_init(struct gx_replay *replay)
{
    memset(replay, 0, sizeof *replay);
}

static bool below_window(const struct gx_replay *replay, uint64_t number)
{
    /* One word less than the ring: the newest word is not yet full. */
    return number / 64 + WORDS <= replay->highest / 64;
}

bool gx_replay_seen(const struct gx_replay *replay, uint64_t number)
{
    if (number == 0 || below_window(replay, number))
        return true;
    if (number > replay->highest)
        return false;
    return replay->words[number / 64 % WORDS] >> number % 64 & 1;
}

void gx_replay_mark(struct gx_replay *replay, uint64_t number)
{
    GX_ASSERT(!gx_replay_seen(replay, number));
    if (number > replay->highest) {
        uint64_t from = replay->highest / 64 + 1;
        uint64_t to = number / 64;

        if (to >= from + WORDS)
            from = to - WORDS + 1;
        for (uint64_t word = from; word <= to; word++)
            replay->words[word % WORDS] = 0;
        replay->highest = number;
    }
    replay->words[number / 64 % WORDS] |= 1ull << number % 64;
}
