/* gx_exchange: the rounds of all runs at one site, above its links. In: what links call up, trainers' commands, journal
 * acknowledgements. Out: sends for links, events, journal entries, notes.
 *
 * Files     exchange.c glue and messages; site.c the site's state machine; serve.c what this site sends to others;
 *           receive.c what it takes from them; holder.c whom it asks
 *           for what an owner does not deliver; fetch.c a site that is behind; jobs.c hashing, reducing, copying in slices;
 *           coordinator.c decisions, at the first site only; view.c, trace.c, explain.c what gxctl sees.
 */
#ifndef GX_EXCHANGE_EXCHANGE_H
#define GX_EXCHANGE_EXCHANGE_H

#include "core.h"
#include "exchange/coordinator.h"
#include "exchange/notes.h"
#include "exchange/run.h"

#define GX_COORDINATOR 0u   /* its place in the list of sites */
#define GX_EVENTS_KEPT 4096 /* ≥ 3 a fragment of all runs */
#define GX_LOOK_NS 100000000ull

struct gx_queued_event {
    struct gx_run *run;
    struct gx_event event;
};

struct gx_exchange {
    struct gx_core_config config;
    struct gx_lanes *lanes;
    struct gx_links *links;             /* of lane 0 */
    struct gx_coordinator *coordinator; /* NULL elsewhere */
    struct gx_run *runs[GX_RUNS_MAX];
    uint64_t control_due_ns; /* no REPORT or STATUS is due before */
    uint64_t jobs;           /* slices left at the last poll */
    uint64_t now_ns;         /* of the last poll */
    bool leaving;
    uint64_t leave_ns;
    uint64_t incarnations[GX_SITES_MAX], incarnations_before[GX_SITES_MAX];
    uint64_t twin_told_ns; /* when the log was last told that two gxd have one name */
    enum gx_reason refused[GX_SITES_MAX];
    uint64_t event_head, event_tail;
    struct gx_queued_event events[GX_EVENTS_KEPT];
    struct gx_notes notes;
};

extern const struct gx_lanes_ops gx_exchange_ops; /* ctx: struct gx_exchange */

/* config.links' copy is used for names and counts; lanes are created by the caller with gx_exchange_ops. */
struct gx_exchange *gx_exchange_create(const struct gx_core_config *config, uint64_t now);
void gx_exchange_destroy(struct gx_exchange *ex);
bool gx_exchange_poll(struct gx_exchange *ex, uint64_t now);
uint64_t gx_exchange_wake(const struct gx_exchange *ex);

/* ---- between the files of this folder ---- */

/* Something of the fragment changed: look at it again and report it. */
void gx_exchange_touch(struct gx_exchange *ex, struct gx_fragment *f);
/* `record`: of a round that is over; NULL otherwise. */
void gx_exchange_event(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                       enum gx_event_type type, uint64_t round, enum gx_reason reason,
                       const struct gx_record *record, uint64_t now);

/* Sums over all links: sent bytes, redundant bytes, expected packets, lost packets. */
void gx_exchange_totals(const struct gx_exchange *ex, uint64_t sum[4]);

/* view.c */
void gx_view_update(struct gx_exchange *ex, const struct gx_run *run, const struct gx_fragment *f);
void gx_view_clear(struct gx_exchange *ex, const struct gx_run *run);

/* trace.c: when things happened in a round, for `gxctl why` */
void gx_trace_stage(struct gx_exchange *ex, const struct gx_run *run, const struct gx_fragment *f,
                    uint64_t round, enum gx_stage stage, uint64_t now);
/* The contribution of `owner` is held here; ours is held by `peer`. */
void gx_trace_came(struct gx_exchange *ex, const struct gx_run *run, const struct gx_fragment *f,
                   uint64_t round, uint32_t owner, uint64_t now);
void gx_trace_went(struct gx_exchange *ex, const struct gx_run *run, const struct gx_fragment *f,
                   uint64_t round, uint32_t peer, uint64_t now);
/* `helper` helps with the contribution of `owner`. */
void gx_trace_helped(struct gx_exchange *ex, const struct gx_run *run, const struct gx_fragment *f,
                     uint64_t round, uint32_t owner, uint32_t helper, uint64_t now);
void gx_trace_record(struct gx_exchange *ex, const struct gx_run *run, const struct gx_fragment *f,
                     const struct gx_record *record, uint64_t now);

/* site.c */
/* The trainer is gone: what only it needs stops; its hashed offers stay. */
void gx_site_detach(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f);
void gx_site_status(struct gx_exchange *ex, struct gx_run *run, const struct gx_status *status,
                    uint64_t order, uint64_t now);
void gx_site_command(struct gx_exchange *ex, struct gx_run *run, const struct gx_command *command,
                     uint64_t now);
void gx_site_advance(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                     uint64_t now);
void gx_site_report(const struct gx_exchange *ex, const struct gx_run *run,
                    const struct gx_fragment *f, struct gx_report *report);
/* The state area now holds `round`: of a publish, or fetched. */
void gx_site_adopt(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                   uint64_t round, const struct gx_digest *digest, uint64_t now);
/* The reduction or the void round is done: tells the trainer. */
void gx_site_complete(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                      const struct gx_record *record, uint64_t now);
/* This member's contribution to the record is held here. */
bool gx_site_member_here(struct gx_run *run, struct gx_fragment *f, const struct gx_record *record,
                         uint32_t site);
/* The own contribution was hashed. */
void gx_site_hashed(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                    struct gx_own *own, const struct gx_digest *digest, bool finite, uint64_t now);

/* serve.c */
void gx_serve_own(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f, uint64_t now);
void gx_serve_own_close(struct gx_exchange *ex, struct gx_own *own);
void gx_serve_want(struct gx_exchange *ex, uint32_t peer, const struct gx_report *report,
                   uint64_t now);
void gx_serve_pin_step(struct gx_exchange *ex, struct gx_run *run, uint64_t now);
void gx_serve_pin_close(struct gx_exchange *ex, struct gx_run *run);
/* The trainer has gone: is there a site that may still need the state which it left (R9)? */
bool gx_serve_state_needed(const struct gx_exchange *ex, const struct gx_run *run,
                           const struct gx_fragment *f);
/* Helpers that were asked before the decision begin after it. */
void gx_serve_helpers(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f);
void gx_serve_helpers_close(struct gx_exchange *ex, struct gx_run *run, const struct gx_slot *slot);
void gx_serve_answer(struct gx_exchange *ex, uint32_t peer, struct gx_transfer *send,
                     enum gx_answer answer, enum gx_reason reason, uint64_t now);

/* receive.c */
enum gx_answer gx_receive_open(struct gx_exchange *ex, uint32_t peer, const struct gx_open *open,
                               struct gx_sink **sink, enum gx_reason *reason, uint64_t now);
void gx_receive_sink(struct gx_exchange *ex, struct gx_sink *sink, uint64_t now);
/* Frees the slot unless something still reads it. */
bool gx_receive_slot_free(struct gx_exchange *ex, struct gx_run *run, struct gx_slot *slot);

/* holder.c */
/* How fast the contributions come that are on their way. */
void gx_holder_look(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                    uint64_t now);
/* The last record's contributions are not all here: asks another holder where an owner is gone or its path is slow. */
void gx_holder_ask(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f, uint64_t now);
/* No record yet: whom it would ask then opens now, and waits for the decision. */
void gx_holder_ask_early(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                         uint64_t now);
/* `peer` may open the owner's contribution: it was asked for it. */
bool gx_holder_asked(const struct gx_slot *slot, uint64_t round, uint32_t peer);
/* The slot is opened, `again` for the same bytes; `peer` joins those that fill it. */
void gx_holder_opened(struct gx_slot *slot, bool again, uint64_t now);
void gx_holder_joined(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                      struct gx_slot *slot, uint32_t peer, uint64_t now);
/* All was there, but other bytes than were opened. */
void gx_holder_spoiled(struct gx_fragment *f, struct gx_slot *slot);

/* fetch.c */
void gx_fetch_advance(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                      uint64_t now);
void gx_fetch_stop(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f);
/* The trainer's hands are off the state area. */
bool gx_fetch_accepted(const struct gx_fragment *f);
/* The site is not behind after all: its state area stays as it is. */
void gx_fetch_spare(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                    uint64_t now);
bool gx_fetch_copy_step(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                        uint64_t now);

/* jobs.c: one slice of each pending job of one fragment; true when there may be more. */
bool gx_jobs_step(struct gx_exchange *ex, struct gx_run *run, uint64_t now);

#endif
