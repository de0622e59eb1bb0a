/* gx.h: libgx, what a trainer calls to take part in a run through the gxd beside it.
 *
 * Model     A run has a name and a schema: `fragment_count` fragments, each of some FP32 parameters, and one
 *           format for contributions. Per fragment a trainer holds a *state*, the pair (theta, momentum), which
 *           lies in the arena: shared memory that this library creates (memfd) and gxd maps.
 * Cycle     publish state s; then for round r = s+1: train, encode the pseudo-gradient into gx_contribution(r),
 *           gx_offer(r), gx_wait() until the event for r, apply gx_result() to the state, gx_publish(r).
 * Events    MEMBER, LEFT_OUT and VOID end a round (VOID: nothing to apply, publish r with the state unchanged).
 *           BEHIND: the site missed too much; from this event until STATE the state area belongs to gxd. STATE: the
 *           state area now holds round `round`; adopt it (it counts as published) and go on with round + 1.
 *           REFUSED: the offer was not taken, `reason` says why; the buffer is free again.
 * Errors    0 or -errno. gx_error() is one line that names the culprit and what to do. -ETIMEDOUT: nothing yet, the
 *           offer stays pending. -EPIPE: gxd is gone; every pointer stays valid; call gx_reattach() until it returns 0.
 * Threads   one struct gx is used by one thread at a time.
 * Units     *_ns are CLOCK_MONOTONIC nanoseconds; sizes are bytes; parameter counts are FP32 values.
 */
#ifndef GX_H
#define GX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GX_SITES_MAX 16     /* sites in a run */
#define GX_FRAGMENTS_MAX 64 /* fragments in a schema */
#define GX_NAME_MAX 32      /* bytes of a run's or site's name, terminator included */
#define GX_WEIGHT_MAX (1ull << 40)
#define GX_DIGEST_BYTES 32

/* How a contribution's values are encoded; docs/formats.md specifies each byte. */
enum gx_format { GX_FP32, GX_BF16, GX_INT8, GX_E3M0, GX_FORMAT_COUNT };

enum gx_digest_kind { GX_XXH3, GX_BLAKE2B, GX_DIGEST_KIND_COUNT };

struct gx_digest {
    uint8_t b[GX_DIGEST_BYTES];
};

/* Every reason that gxd gives a trainer or a peer; the texts stand in errors.def. */
enum gx_reason {
#define GX_REASON(name, text) GX_REASON_##name,
#include "errors.def"
#undef GX_REASON
    GX_REASON_COUNT
};

const char *gx_reason_text(enum gx_reason reason);

struct gx_schema {
    const char *run;              /* name, 1 to 31 of [A-Za-z0-9._-] */
    enum gx_format format;        /* of contributions */
    enum gx_digest_kind digest;   /* of contributions and states */
    uint32_t fragment_count;      /* 1 to GX_FRAGMENTS_MAX */
    const uint64_t *param_counts; /* [fragment_count], each > 0 */
};

enum gx_event_type {
    GX_EVENT_MEMBER, /* the round is over, this site's contribution is in the mean: apply gx_result() */
    GX_EVENT_LEFT_OUT, /* the round is over without this site's contribution: apply gx_result() all the same */
    GX_EVENT_VOID, /* too few sites: nothing to apply; publish the unchanged state as this round's */
    GX_EVENT_BEHIND,  /* hands off the state area until STATE */
    GX_EVENT_STATE,   /* the state area holds round `round`, adopt it */
    GX_EVENT_REFUSED, /* the last offer or publish was not taken */
};

struct gx_event {
    uint32_t type; /* enum gx_event_type */
    uint32_t fragment;
    uint64_t round;
    uint64_t divisor; /* sum of the cohort's weights; 0 when void */
    uint32_t cohort;  /* bit i: site i of the list is a member */
    uint32_t reason;  /* enum gx_reason, of REFUSED */
    /* When. The sender's clock travels with its offer: meaningful where all sites are one host. */
    uint64_t offered_last_ns; /* the last member's offer */
    uint64_t
        held_ns; /* the longest time from a peer's offer to its contribution held here: a duration */
    uint64_t completed_ns; /* this event */
    /* Totals of all links of this site since registration (of all runs, where several run at once). */
    uint64_t sent_bytes;      /* Ethernet frame bytes without FCS */
    uint64_t redundant_bytes; /* of those, frames of parity and of repeated shards */
    uint64_t expected_shards; /* packets that should have arrived here, by the peers' numbering */
    uint64_t lost_shards;     /* of those, lost */
};

struct gx;

/* Connects to gxd's socket. On failure *out still holds an object for gx_error(); gx_detach() frees it. */
int gx_attach(const char *socket_path, struct gx **out);

/* Creates the arena for `schema` and registers it. -ENOMEM with the sum when it exceeds gxd's `memory:`;
 * -EAGAIN while an earlier trainer's last offer of this run is still being sent (try again). */
int gx_register(struct gx *gx, const struct gx_schema *schema);

/* This site's index, the number of sites, a site's name. Valid after gx_register(). */
uint32_t gx_site_index(const struct gx *gx);
uint32_t gx_site_count(const struct gx *gx);
const char *gx_site_name(const struct gx *gx, uint32_t site);

/* The state area of a fragment: [param_count] each. Writing it stands between gx_state_begin() and
 * gx_publish(), so that gxd never copies a half-written state for a peer. */
float *gx_theta(struct gx *gx, uint32_t fragment);
float *gx_momentum(struct gx *gx, uint32_t fragment);
void gx_state_begin(struct gx *gx, uint32_t fragment);

/* Says that the state area holds the state after `round` (0: the initial one). gxd digests it. */
int gx_publish(struct gx *gx, uint32_t fragment, uint64_t round);

/* The arena that all of these areas lie in, whole pages, from gx_register() to gx_detach(): for cudaHostRegister() and the
 * like. NULL before gx_register(). */
void *gx_arena(struct gx *gx, uint64_t *bytes);

/* The buffer for round `round`'s contribution, gx_wire_bytes() long; NULL while the port still sends from it. */
void *gx_contribution(struct gx *gx, uint32_t fragment, uint64_t round);
uint64_t gx_wire_bytes(enum gx_format format, uint64_t param_count);

/* Encodes src[param_count] into gx_contribution(round), as gx_encode() does, and digests the bytes while they are in this
 * CPU's cache: gxd then starts to send them at gx_offer(), where it would have to read them all first. -EAGAIN: the port still
 * sends from the buffer. -EDOM: a value is not finite. Bytes written in any other way are offered all the same. */
int gx_contribute(struct gx *gx, uint32_t fragment, uint64_t round, const float *src);

/* Offers the contribution in gx_contribution(round). `weight`: 1 to GX_WEIGHT_MAX, tokens processed. Bytes must not
 * change until the round's event. */
int gx_offer(struct gx *gx, uint32_t fragment, uint64_t round, uint64_t weight);

/* Waits at most timeout_ms (-1: for ever, 0: only looks) for the next event of any fragment. */
int gx_wait(struct gx *gx, struct gx_event *event, int timeout_ms);

/* A descriptor that polls readable when gx_wait(…, 0) may have an event or an error. */
int gx_fd(const struct gx *gx);

/* The mean of the cohort's contributions, [param_count] FP32, valid from a MEMBER or LEFT_OUT event to the next
 * gx_publish() of that fragment. */
const float *gx_result(struct gx *gx, uint32_t fragment);

/* After -EPIPE: hands the same arena to a new gxd, publishes the last published states and repeats pending offers.
 * -ECONNREFUSED or -ENOENT while no gxd answers. Pointers stay as they were. */
int gx_reattach(struct gx *gx);

/* Leaves the run and frees everything; NULL is allowed. Offers already made are still served by gxd. */
void gx_detach(struct gx *gx);

const char *gx_error(const struct gx *gx);

/* Encodes `count` values for the wire: -EDOM and nothing written of use when one is not finite. `dst` has
 * gx_wire_bytes() bytes. Decodes the other way. The same bytes on every machine (docs/formats.md). */
int gx_encode(enum gx_format format, void *dst, const float *src, uint64_t count);
void gx_decode(enum gx_format format, float *dst, const void *src, uint64_t count);

const char *gx_format_name(enum gx_format format);
/* -EINVAL when `name` is none of fp32, bf16, int8, e3m0. */
int gx_format_parse(const char *name, enum gx_format *out);

#ifdef __cplusplus
}
#endif
#endif
