/* What coordinator.c, decide.c and epoch.c share: the runs as the coordinator knows them. */
#ifndef GX_EXCHANGE_COORDINATOR_STATE_H
#define GX_EXCHANGE_COORDINATOR_STATE_H

#include "exchange/coordinator.h"

#define GX_COORDINATOR_RUNS_MAX 16
#define GX_COORDINATOR_TOMBS_MAX 1024
#define GX_COORDINATOR_PENDING_MAX 64

struct gx_coordinator_report {
    bool valid;
    uint64_t order;
    uint64_t came_ns;
    struct gx_report r;
};

struct gx_coordinator_offer {
    uint64_t weight;
    struct gx_digest digest, base;
};

struct gx_coordinator_fragment {
    uint64_t decided;
    uint64_t start_round;
    struct gx_digest start_state;
    uint32_t record_count;
    struct gx_record records[2]; /* newest first */
    struct gx_coordinator_report reports[GX_SITES_MAX];
    uint32_t offered; /* sites whose offer for decided + 1 is recorded */
    struct gx_coordinator_offer offers[GX_SITES_MAX];
    bool armed;
    bool base_known;
    struct gx_digest base;
    uint64_t deadline_ns;
    bool writing; /* a record for decided + 1 is on its way to the log */
    struct gx_record pending;
    uint64_t hold_since_ns;   /* R9, 0: not held */
    uint64_t unable_since_ns; /* R10, 0: somebody has the last state */
    uint32_t present, behind, eligible;
    uint32_t serving; /* not present, but a state can be had there */
    bool changed;
    uint64_t evaluate_ns;
    uint64_t status_due_ns[GX_SITES_MAX];
    uint32_t explained; /* 1 + the open round's place among the view's decisions, 0: none */
};

struct gx_coordinator_run {
    bool used;
    bool schema_known;
    bool started;      /* R11 */
    bool forgotten;    /* its records gave way to another run's: only a new epoch can go on */
    bool halted;       /* R12 */
    bool rewinding;    /* an epoch is on its way to the log */
    bool rewind_asked; /* no decisions until then */
    uint64_t rewind_since_ns; /* 0: not looked at yet */
    char name[GX_NAME_MAX];
    uint64_t id;
    uint64_t seen_ns;
    uint32_t epoch;
    uint32_t next_epoch; /* while rewinding */
    uint32_t fragment_count;
    uint32_t refused; /* sites whose schema differs */
    struct gx_schema_summary schema;
    struct gx_journal_start starts[GX_FRAGMENTS_MAX]; /* of the epoch that is being written */
    struct gx_coordinator_fragment fragments[GX_FRAGMENTS_MAX];
};

struct gx_coordinator_tomb {
    uint64_t run;
    uint32_t epoch;
};

struct gx_coordinator_pending {
    uint64_t sequence;
    uint32_t run, fragment;
    enum gx_journal_type type;
    bool handed; /* to the caller */
};

struct gx_coordinator {
    struct gx_coordinator_config config;
    struct gx_notes *notes;
    uint64_t recover_until_ns;
    uint64_t status_due_ns;
    uint64_t next_sequence;
    uint64_t pending_head, pending_tail;
    struct gx_coordinator_pending pending[GX_COORDINATOR_PENDING_MAX];
    uint32_t tomb_count;
    struct gx_coordinator_tomb tombs[GX_COORDINATOR_TOMBS_MAX];
    struct gx_coordinator_run runs[GX_COORDINATOR_RUNS_MAX];
    uint32_t explained_next;
};

/* The site's last word, NULL when it has none. */
const struct gx_report *gx_decide_report(const struct gx_coordinator_fragment *f, uint32_t site);
/* The digest that most of `sites` name for the state after `round`, the first in the list on a tie. Returns who. */
uint32_t gx_decide_majority(const struct gx_coordinator_fragment *f, uint32_t sites, uint64_t round,
                            struct gx_digest *digest);
/* Queues an entry for the journal; false when the queue is full. */
bool gx_coordinator_push(struct gx_coordinator *c, struct gx_coordinator_run *run,
                         uint32_t fragment, enum gx_journal_type type);
/* STATUS is due at all sites. */
void gx_coordinator_tell(struct gx_coordinator *c, struct gx_coordinator_fragment *f);
/* Present sites that hold the contribution that `site` offered for the open round. */
uint32_t gx_decide_holders(const struct gx_coordinator *c, const struct gx_coordinator_run *run,
                           const struct gx_coordinator_fragment *f, uint32_t site);
/* True until every site has reported, or the time for that is over (R12). */
bool gx_decide_recovering(const struct gx_coordinator *c, const struct gx_coordinator_fragment *f,
                          uint64_t now);
/* explain.c: the open round's row in the view, for `gxctl why`; then that its record is durable. */
void gx_explain_update(struct gx_coordinator *c, const struct gx_coordinator_run *run,
                       uint32_t fragment, uint64_t now);
void gx_explain_over(struct gx_coordinator *c, const struct gx_coordinator_run *run,
                     uint32_t fragment, uint64_t now);
/* R10: starts an epoch where that is due. */
void gx_epoch_consider(struct gx_coordinator *c, struct gx_coordinator_run *run, uint64_t now);

#endif
