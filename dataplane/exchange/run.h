/* gx_run: one run at this site: its schema, its arena, its staging, and per fragment the site's side of the rounds.
 *
 * Memory    everything is allocated by gx_run_create(); packets and rounds allocate nothing. The arena is the trainer's
 *           and may hold anything: it is read and written, never trusted.
 * Slots     a contribution to round r lies in slot r & 1, a site's own in the arena, the others' in staging: with d the
 *           last record, d and d + 1 are kept.
 */
#ifndef GX_EXCHANGE_RUN_H
#define GX_EXCHANGE_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "core.h"
#include "transfer/lanes.h"
#include "wire/state.h"

#define GX_HELPERS_MAX 16 /* contributions of others that a site sends at once, per run */

/* Hashes bytes piece by piece. */
struct gx_hash_job {
    const uint8_t *bytes; /* NULL: idle */
    uint64_t byte_count;
    uint64_t cursor;
    uint8_t *pieces;
};

enum gx_own_state { GX_OWN_FREE, GX_OWN_HASHING, GX_OWN_READY, GX_OWN_CLOSING };

/* This site's contribution to one round. CLOSING: over, but the port still points into it. */
struct gx_own {
    enum gx_own_state state;
    bool
        claimed; /* its digest is the trainer's word first: while HASHING it may go out, but is not reported … */
    bool refuted; /* … and begins to go to nobody else once a peer has found other bytes */
    bool again;   /* hashed once more because a peer found other bytes */
    bool based;   /* base is known: the state before it is digested */
    uint64_t round, weight, offset, bytes, offered_ns;
    struct gx_digest digest, base;
    struct gx_source source;
    struct gx_transfer *sends[GX_SITES_MAX];
    uint32_t done; /* peers that hold it or do not need it */
    struct gx_hash_job hash;
    uint8_t *tail;
};

/* How a contribution gets here, for whoever asks another holder for it (R7). */
struct gx_progress {
    uint64_t opened_ns;
    uint64_t looked_ns; /* `here` is of then … */
    uint32_t here;      /* shards */
    bool known;
    uint64_t bps;      /* … and this is what came between the last two looks */
    uint64_t moved_ns; /* when something of it came last, as far as was looked */
    uint32_t moved_here;
};

/* A peer's contribution to one round, in staging. */
struct gx_slot {
    struct gx_sink sink;
    struct gx_source source; /* for helping others */
    uint8_t *tail;
    struct gx_progress progress;
    uint64_t asked_round;         /* of this round … */
    uint8_t asked;                /* … this site is asked to send it */
    uint64_t asked_ns, voiced_ns; /* 0: not any more */
    bool joined;                  /* it does */
    bool spoiled; /* with a helper's shards came other bytes than were opened: no second holder */
};

enum gx_fetch_state {
    GX_FETCH_NONE,
    GX_FETCH_ASKING,  /* some site is asked for a state */
    GX_FETCH_OPEN,    /* it is on its way */
    GX_FETCH_HELD,    /* it is here, verified; the trainer must take its hands off */
    GX_FETCH_COPYING, /* into the arena */
};

struct gx_fetch {
    enum gx_fetch_state state;
    uint32_t source;
    uint64_t round;
    struct gx_digest digest;
    uint64_t asked_ns;
    uint64_t moved_ns; /* when a block of it came last … */
    uint32_t blocks;   /* … and how many were there then */
    bool told;         /* the trainer got BEHIND and not yet STATE */
    uint64_t cursor;
};

/* A reduction: the mean of a record's members. */
struct gx_reduction {
    bool active;
    struct gx_record record;
    uint64_t cursor; /* values done */
};

struct gx_fragment {
    uint64_t param_count, wire_bytes, state_bytes;
    bool has_status;
    struct gx_status status; /* the newest */
    uint64_t status_order;
    uint32_t epoch;
    uint64_t decided;
    uint32_t record_count;
    struct gx_record records[2]; /* newest first */
    bool has_state;
    uint64_t applied;       /* the trainer's state is the one after this round */
    struct gx_digest state; /* its digest */
    bool publishing;        /* the state is being hashed, as of `publish_round` */
    uint64_t publish_round;
    struct gx_hash_job state_hash;
    uint64_t awaited; /* the round whose event the trainer has and has not published, 0: none */
    uint64_t reduced; /* rounds up to this one need nothing more here */
    uint32_t behinds, accepts; /* BEHIND events given, and answered */
    bool behind;
    uint32_t refused; /* enum gx_reason: the coordinator refuses this site */
    struct gx_own own[2];
    struct gx_slot slots[2][GX_SITES_MAX]; /* [own index] is unused */
    struct gx_fetch fetch;
    struct gx_reduction reduction;
    uint64_t lacking_round,
        lacking_ns; /* since when this record's contributions are not all here */
    uint8_t want, want_source, want_owner;
    uint64_t want_round;
    struct gx_digest want_digest;
    bool changed; /* look at it again */
    uint64_t look_ns;
    uint64_t report_due_ns, want_due_ns;
    uint64_t rounds_member, rounds_left_out, rounds_void, states_fetched;
    uint32_t seen;     /* sites that were present since this run is attached here … */
    uint32_t finished; /* … and those that have had the state after `decided` */
    uint64_t held_longest_ns, offered_last_ns;
};

struct gx_pin {
    bool used, ready;
    uint32_t fragment;
    uint32_t sequence; /* of the trainer's lock when the copy began */
    uint32_t asked;    /* by these sites, while it was copied */
    uint64_t round;
    struct gx_digest digest;
    uint64_t cursor;
    struct gx_source source;
    struct gx_transfer *sends[GX_SITES_MAX];
    uint64_t asked_ns[GX_SITES_MAX]; /* when each of them last did */
    uint8_t *bytes, *tail;
};

struct gx_helper {
    struct gx_transfer *send; /* NULL: free */
    bool early;               /* opened before the decision; no shard goes before it */
    struct gx_slot *slot;
    uint32_t peer;
};

struct gx_run {
    char name[GX_NAME_MAX];
    uint64_t id;
    uint32_t index;       /* among the core's runs */
    bool trainer;         /* registered and alive */
    bool attached;        /* known to the core */
    uint64_t detached_ns; /* when the trainer went */
    bool yields;          /* the state that it left is kept no longer */
    enum gx_format format;
    enum gx_digest_kind digest_kind;
    struct gx_schema_summary summary;
    struct gx_arena_layout layout;
    uint8_t *arena;
    uint64_t arena_bytes;
    uint32_t site_count, self, shard_bytes, workers;
    uint32_t fragment_count;
    struct gx_fragment *fragments;
    struct gx_sink state_sink; /* one incoming state, */
    int32_t state_fragment;    /* of this fragment, -1: none */
    uint32_t job_turn;         /* the fragment whose jobs come first in the next pass */
    struct gx_pin pin;         /* and one pinned for peers */
    struct gx_helper helpers[GX_HELPERS_MAX];
    struct {
        uint64_t looked_ns, bytes, bps;
    } inflow;             /* of all links, for whoever asks for more */
    uint64_t baseline[4]; /* counters at attach: sent, redundant, expected, lost */
    void *memory;         /* one allocation behind all of it */
    uint64_t memory_bytes;
};

struct gx_fragment *gx_run_fragment(struct gx_run *run, uint32_t index);
uint32_t gx_fragment_index(const struct gx_run *run, const struct gx_fragment *fragment);
struct gx_arena_header *gx_run_header(const struct gx_run *run);
uint8_t *gx_run_state(const struct gx_run *run, const struct gx_fragment *fragment);
float *gx_run_result(const struct gx_run *run, const struct gx_fragment *fragment);

/* Starts to hash; `pieces` must be set. Hashes one piece; true when the digest is there. */
void gx_hash_start(struct gx_hash_job *job, const uint8_t *bytes, uint64_t byte_count);
bool gx_hash_step(struct gx_hash_job *job, enum gx_digest_kind kind, struct gx_digest *digest);

/* The record of a round, NULL when it is not known here. */
const struct gx_record *gx_fragment_record(const struct gx_fragment *fragment, uint64_t round);
/* The held contribution to `round` of `owner` with this digest; NULL. */
struct gx_slot *gx_fragment_held(struct gx_fragment *fragment, uint64_t round, uint32_t owner,
                                 const struct gx_digest *digest);
/* Its digest is known, if only by the trainer's word: transfers of it may run. */
bool gx_own_goes(const struct gx_own *own);
/* The own contribution to `round` with this digest, hashed; NULL. */
struct gx_own *gx_fragment_own(struct gx_fragment *fragment, uint64_t round,
                               const struct gx_digest *digest);

#endif
