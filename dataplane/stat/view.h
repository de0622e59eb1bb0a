/* gx_view: the live state of rounds and sites, written by the worker into the counters file and read by gxctl. */
#ifndef GX_STAT_VIEW_H
#define GX_STAT_VIEW_H

#include <stdint.h>

#include "gx.h"

#define GX_RUNS_MAX 8 /* runs with a trainer at this site, at once */
#define GX_VIEW_ROWS (GX_RUNS_MAX * GX_FRAGMENTS_MAX)
#define GX_TRACES 8 /* rounds of a fragment whose stages are kept */
#define GX_DECISIONS                                                                               \
    512 /* rounds that the coordinator keeps, open ones included; the oldest give way */

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
    uint64_t arena_bytes, staging_bytes; /* of the run, the same in each of its fragments' rows */
    struct gx_digest state;              /* of the trainer's state, as gxd computed it */
};

enum gx_stage {
#define GX_STAGE(name, text, help) GX_STAGE_##name,
#include "stages.def"
#undef GX_STAGE
    GX_STAGE_COUNT
};

/* When things happened in a round at this site; CLOCK_MONOTONIC, 0: not yet. Slot round % GX_TRACES of its row. */
struct gx_trace {
    uint32_t sequence; /* odd while being written */
    uint32_t epoch;
    uint64_t round;   /* 0: unused */
    uint32_t members; /* of the record, once decided */
    uint32_t reserved;
    uint64_t at_ns[GX_STAGE_COUNT];
    uint64_t came_ns[GX_SITES_MAX];   /* this owner's contribution was held here */
    uint64_t went_ns[GX_SITES_MAX];   /* this peer held ours */
    uint64_t helped_ns[GX_SITES_MAX]; /* with this owner's, */
    uint8_t helper[GX_SITES_MAX];     /* this site began to help here */
};

enum gx_why {
#define GX_WHY(name, text, todo) GX_WHY_##name,
#include "why.def"
#undef GX_WHY
    GX_WHY_COUNT
};

#define GX_DECISION_STARTED 1u    /* R11: enough sites have been present */
#define GX_DECISION_HALTED 2u     /* R12 */
#define GX_DECISION_REWINDING 4u  /* R10 */
#define GX_DECISION_RECOVERING 8u /* R12: waits for the reports of all */
#define GX_DECISION_HELD 16u      /* R9: waits for a site that fetches */
#define GX_DECISION_OVER 32u      /* durable, final */

/* A round as the coordinator sees it. */
struct gx_decision {
    uint32_t sequence; /* odd while being written */
    uint32_t used;
    char run[GX_NAME_MAX];
    uint32_t fragment, epoch;
    uint64_t round;
    uint32_t flags;
    uint32_t present;
    uint32_t members;      /* once decided; 0: void */
    uint32_t sites_needed; /* start_sites until the run has started, then min_sites */
    uint64_t opened_ns;    /* the first offer came */
    uint64_t deadline_ns;
    uint64_t decided_ns; /* handed to the log */
    uint64_t durable_ns;
    uint8_t why[GX_SITES_MAX];      /* enum gx_why */
    uint32_t holders[GX_SITES_MAX]; /* who holds this site's contribution */
    uint64_t offered_ns[GX_SITES_MAX], eligible_ns[GX_SITES_MAX];
};

struct gx_view {
    struct gx_round_row rows[GX_VIEW_ROWS];
    struct gx_trace traces[GX_VIEW_ROWS][GX_TRACES];
    struct gx_decision decisions[GX_DECISIONS]; /* at the coordinator */
};

#endif
