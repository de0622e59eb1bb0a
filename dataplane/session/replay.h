/* gx_replay: which packet numbers of a session have arrived, in a window of 2^16 below the highest (RFC 6479's ring of
 * words). A number is marked only after its packet was authenticated. */
#ifndef GX_SESSION_REPLAY_H
#define GX_SESSION_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define GX_REPLAY_WINDOW 65536u

struct gx_replay {
    uint64_t highest; /* 0: nothing has arrived */
    uint64_t words[GX_REPLAY_WINDOW / 64];
};

void gx_replay_init(struct gx_replay *replay);

/* Has this number arrived? Of a number above the highest: no; below the window: yes. */
bool gx_replay_seen(const struct gx_replay *replay, uint64_t number);

/* Marks a number that is not seen. */
void gx_replay_mark(struct gx_replay *replay, uint64_t number);

#endif
