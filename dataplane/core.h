/* gx_core: one complete site without its I/O: links below, rounds above. gxd's worker runs it on a port, the simulator
 * in a virtual world; both link the same objects.
 *
 * In        packets, trainers' commands, journal acknowledgements, a clock.
 * Out       packets, events for trainers, journal writes, notes for the log.
 * Threads   one per worker: rx, tx, release, poll, wake and wakes take the worker's index and are its alone; all else is
 *           worker 0's. Whatever may block (allocation for a run, fsync, logging) is the caller's.
 * Loop      of worker 0: rx*; command*; poll; tx → port → release; journal → write → journal_done; event*; note*; wake
 *           those of wakes; sleep till wake. Of the others: rx*; poll; tx → port → release; wake those of wakes; sleep.
 */
#ifndef GX_CORE_H
#define GX_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "exchange/journal.h"
#include "exchange/notes.h"
#include "gx.h"
#include "stat/counters.h"
#include "stat/view.h"
#include "transfer/lanes.h"

struct gx_core_config {
    struct gx_links_config links; /* `counters`: one block per worker */
    struct gx_addr lane_addrs[GX_WORKERS_MAX - 1][GX_SITES_MAX]; /* of lanes 1, 2, … */
    uint64_t deadline_ns;     /* from a round's first offer to its decision at the latest */
    uint64_t fetch_wait_ns;   /* how long a decision is held for a site that fetches */
    uint64_t rewind_after_ns; /* R10 */
    uint32_t start_sites;     /* round 1 waits for so many present sites */
    uint32_t min_sites;       /* fewer contributions make a void record */
    uint32_t keep_rounds;     /* R9: at most 2 */
    uint64_t memory_bytes;    /* for arenas and staging together */
    bool
        owners_only; /* no second holder for a slow path, only for an owner that is gone: to measure the difference */
    struct gx_counters *counters; /* the same as links.counters */
    struct gx_view *view;
};

struct gx_core;
struct gx_run;

struct gx_core *gx_core_create(const struct gx_core_config *config, uint64_t now);
void gx_core_destroy(struct gx_core *core);

/* Before the first rx: one entry of the coordinator's journal, oldest first. -EBADMSG: not an entry (a torn tail);
 * -EPROTO: an entry of another version. */
int gx_core_replay(struct gx_core *core, const uint8_t *entry, size_t bytes);

void gx_core_rx(struct gx_core *core, uint32_t worker, uint64_t now, const struct gx_addr *from,
                const uint8_t *packet, size_t bytes);
uint32_t gx_core_tx(struct gx_core *core, uint32_t worker, uint64_t now, struct gx_packet *packets,
                    uint32_t max);
void gx_core_release(struct gx_core *core, uint32_t worker, uint32_t owner);

/* Timers, and one slice (≤ 64 KiB) of each pending job (hash, reduce, copy) of one fragment a run. True: there is more to
 * do at once. */
bool gx_core_poll(struct gx_core *core, uint32_t worker, uint64_t now);
/* When to call again at the latest, if nothing arrives and no other worker has a message. */
uint64_t gx_core_wake(const struct gx_core *core, uint32_t worker, uint64_t now);
/* How long packets may lie in the port (gx_links_patience_ns). */
uint64_t gx_core_patience_ns(const struct gx_core *core, uint32_t worker);
/* Workers, a bit each, for whom this one has had messages since the last call: the caller wakes them. */
uint32_t gx_core_wakes(struct gx_core *core, uint32_t worker);

/* A journal entry that must be made durable, in order, into out[GX_JOURNAL_ENTRY_MAX_BYTES]. 0: none. Acknowledge each
 * by its sequence. */
size_t gx_core_journal(struct gx_core *core, uint64_t *sequence, uint8_t *out);
void gx_core_journal_done(struct gx_core *core, uint64_t sequence, uint64_t now);

/* ---- trainers ---- */

/* Bytes of staging and tables that a run of this schema needs at a site among site_count. */
uint64_t gx_run_staging_bytes(const struct gx_schema *schema, uint32_t site_count,
                              uint32_t shard_bytes, uint32_t workers);

/* Allocates a run's staging and binds it to an arena of `arena_bytes` at `arena` (both outlive the run). May block:
 * called apart from the worker. NULL: out of memory. Checks nothing against the budget: the caller does. */
struct gx_run *gx_run_create(const struct gx_schema *schema, const struct gx_core_config *config,
                             uint8_t *arena, uint64_t arena_bytes);
void gx_run_destroy(struct gx_run *run);

/* Registers a run; its trainer counts as present from here on. 0, or -EBUSY with GX_REASON_BUSY (a trainer is
 * registered, or its last offer is still being sent), -ENOSPC with GX_REASON_RUNS. */
int gx_core_attach(struct gx_core *core, struct gx_run *run, enum gx_reason *reason, uint64_t now);

/* The trainer is gone (hang-up, detach or fault). Its offers, and its last state, are still served; `gx_core_detached()`
 * says when nothing needs the arena and the staging any more, and the run may be destroyed. */
void gx_core_detach(struct gx_core *core, struct gx_run *run, uint64_t now);
/* A new trainer waits for the run's name, or its memory: the state that the one that is gone left is served no longer. */
void gx_run_yield(struct gx_run *run);
struct gx_run *gx_core_detached(struct gx_core *core);

void gx_core_command(struct gx_core *core, struct gx_run *run, const struct gx_command *command,
                     uint64_t now);

/* Not 0 while contribution[slot] of the fragment must not be rewritten; for the arena header's contribution_busy. */
uint32_t gx_run_busy(const struct gx_run *run, uint32_t fragment, uint32_t slot);

/* The next event for some trainer; false: none. */
bool gx_core_event(struct gx_core *core, struct gx_run **run, struct gx_event *event);

/* ---- site ---- */

/* Stop taking part; served until every present site has reduced the last record (R14). */
void gx_core_leave(struct gx_core *core, uint64_t now);
bool gx_core_left(const struct gx_core *core, uint64_t now);

/* From here on this site sends at most `rate_bps`, and grants `recv_rate_bps` to its peers. Above the rate that the
 * core was made for, a long path may keep less in flight than it could. */
void gx_core_set_rate(struct gx_core *core, uint64_t rate_bps, uint64_t recv_rate_bps,
                      uint64_t now);

/* Open rounds move by the difference. -EPERM: this site is not the coordinator. */
int gx_core_set_deadline(struct gx_core *core, uint64_t deadline_ns);

/* `gxctl run rewind`. -ENOENT: no such run; -EPERM: this site is not the coordinator. */
int gx_core_rewind(struct gx_core *core, const char *run, uint64_t now);

/* The next line for the log: one event, no newline. False: none. */
bool gx_core_note(struct gx_core *core, struct gx_note_line *line);

#endif
