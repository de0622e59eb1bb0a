/* gx_view: the live state of rounds and sites, written by the worker into the counters file and read by gxctl. */
#ifndef GX_STAT_VIEW_H
#define GX_STAT_VIEW_H

#include <stdint.h>

#include "gx.h"

#define GX_RUNS_MAX 8 /* runs with a trainer at this site, at once */
#define GX_VIEW_ROWS (GX_RUNS_MAX * GX_FRAGMENTS_MAX)

enum gx_round_phase {
    GX_PHASE_NONE,
    GX_PHASE_IDLE,     /* waits for the trainer's offer */
    GX_PHASE_OFFERED,  /* offered, not decided */
    GX_PHASE_DECIDED,  /* decided, contributions missing or being reduced */
    GX_PHASE_REDUCED,  /* completed, the trainer has not applied it yet */
    GX_PHASE_BEHIND,   /* needs a state */
    GX_PHASE_FETCHING, /* a state is on its way */
    GX_PHASE_REFUSED,  /* the coordinator refuses this site: reason */
};

struct gx_round_row {
    uint32_t sequence; /* odd while being written */
    uint32_t used;
    char run[GX_NAME_MAX];
    uint32_t fragment;
    uint32_t phase; /* enum gx_round_phase */
    uint32_t reason;
    uint32_t epoch;
    uint64_t applied;     /* the trainer's state */
    uint64_t decided;     /* the last record known */
    uint64_t offered;     /* the round of this site's standing offer, 0: none */
    uint64_t divisor;     /* of the last record */
    uint32_t cohort;      /* of the last record, bit per site */
    uint32_t present;     /* as the coordinator says */
    uint32_t offers;      /* recorded for the open round */
    uint32_t held;        /* contributions to the open round held here, by owner */
    uint32_t eligible;    /* at the coordinator: for the open round */
    uint32_t trainer;     /* 1: registered here */
    uint64_t deadline_ns; /* at the coordinator: CLOCK_MONOTONIC, 0: not armed */
    uint64_t bytes;       /* of one contribution */
    uint64_t rounds_member, rounds_left_out, rounds_void, states_fetched;
    struct gx_digest state; /* of the trainer's state, as gxd computed it */
};

struct gx_view {
    struct gx_round_row rows[GX_VIEW_ROWS];
};

#endif
