/* REPORT and STATUS: the state messages. Each carries whole current state of one (run, fragment) in one packet of at
 * most GX_CONTROL_MAX_BYTES, is idempotent, and the newest wins. Layout: the fields in the order of the structs,
 * little-endian, without padding; per-site arrays hold the sites whose bit is set in the mask before them.
 *
 * STATUS of more than GX_TWO_RECORDS_SITES sites carries one record at a time, the last and the one before it in turn.
 */
#ifndef GX_WIRE_STATE_H
#define GX_WIRE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gx.h"
#include "wire/open.h"

#define GX_TWO_RECORDS_SITES 8
#define GX_ROUND_MAX (1ull << 48) /* what claims more is a mistake or a lie */
#define GX_EPOCH_MAX (1u << 31)

/* What a round averages; written once, durable before anybody sees it. members == 0: void. */
struct gx_record {
    uint32_t epoch;
    uint64_t round;
    uint32_t members;      /* bit per site */
    uint64_t divisor;      /* sum of the members' weights */
    struct gx_digest base; /* of the state that the round starts from */
    struct gx_digest digests[GX_SITES_MAX];
    uint64_t weights[GX_SITES_MAX];
};

/* Enough of a schema to name what differs. */
struct gx_schema_summary {
    uint8_t format;
    uint8_t digest_kind;
    uint16_t fragment_count;
    uint16_t shard_bytes;
    uint64_t param_count;    /* of all fragments */
    struct gx_digest digest; /* of everything, each fragment's count included */
};

enum gx_want { GX_WANT_NOTHING, GX_WANT_CONTRIBUTION, GX_WANT_STATE };

#define GX_REPORT_TRAINER 1u   /* a trainer is registered */
#define GX_REPORT_LEAVING 2u   /* the site is leaving */
#define GX_REPORT_BEHIND 4u    /* the site cannot go on without a state */
#define GX_REPORT_STATE 8u     /* applied and state are valid */
#define GX_REPORT_OFFER 16u    /* offer_* are valid */
#define GX_REPORT_FETCHING 32u /* fetch_round is valid */

struct gx_report {
    char run[GX_NAME_MAX];
    struct gx_schema_summary schema;
    uint32_t epoch;
    uint32_t fragment;
    uint8_t flags;
    uint64_t applied;       /* the trainer's state is the one after this round */
    struct gx_digest state; /* its digest */
    uint64_t reduced;       /* the last record that this site needs nothing more for */
    uint64_t decided;       /* the last record known in this epoch */
    uint64_t record_check;  /* gx_record_check() of it, 0: none */
    uint64_t fetch_round;   /* the state that is on its way here */
    uint64_t offer_round, offer_weight;
    struct gx_digest offer_digest, offer_base;
    uint8_t want, want_source, want_owner; /* asked of want_source, which gets this REPORT too */
    uint64_t want_round;
    struct gx_digest want_digest;
    uint32_t kept;       /* members of record `decided` held here */
    uint64_t held_round; /* contributions to this round … */
    uint32_t held;       /* … of these owners are held here, with these digests */
    struct gx_digest held_digests[GX_SITES_MAX];
};

#define GX_STATUS_BASE 1u   /* base is valid */
#define GX_STATUS_STATE 2u  /* state and state_sites are valid */
#define GX_STATUS_HALTED 4u /* the log lacks a record that a site has: no decisions */
#define GX_STATUS_ARMED 8u  /* the round's deadline runs */

struct gx_status {
    uint64_t run;                    /* gx_run_id() */
    struct gx_schema_summary schema; /* the coordinator's */
    uint32_t epoch;
    uint32_t fragment;
    uint8_t flags;
    uint8_t reason;               /* enum gx_reason: why this receiver is refused */
    uint64_t decided;             /* the last record; the epoch's start when there is none */
    uint64_t start_round;         /* where the epoch starts */
    struct gx_digest start_state; /* its digest; zero in the first epoch */
    struct gx_digest base;        /* of round decided + 1 */
    struct gx_digest state;       /* after `decided`, as most present sites name it … */
    uint32_t state_sites;         /* … and who has it */
    uint32_t present;
    uint32_t reduced;                    /* present sites that need nothing more for `decided` */
    uint32_t offers;                     /* recorded for decided + 1 … */
    uint64_t offer_prefix[GX_SITES_MAX]; /* … the first 8 bytes of their digests */
    uint32_t keepers;                    /* sites that hold any member of record `decided` … */
    uint16_t kept[GX_SITES_MAX];         /* … which members */
    uint8_t record_count;                /* 0 to 2 */
    struct gx_record records[2];         /* newest first */
};

/* A run's identity on the wire: the 64-bit XXH3 of its name. */
uint64_t gx_run_id(const char *name);
uint64_t gx_digest_prefix(const struct gx_digest *digest);
uint64_t gx_record_check(const struct gx_record *record);

/* First byte GX_CONTROL_REPORT / GX_CONTROL_STATUS. Return the message's bytes; `out` has GX_CONTROL_MAX_BYTES. A STATUS
 * for more than GX_TWO_RECORDS_SITES sites takes records[which & 1] only. */
size_t gx_report_build(const struct gx_report *report, uint8_t *out);
size_t gx_status_build(const struct gx_status *status, uint32_t site_count, uint32_t which,
                       uint8_t *out);

/* False on any field out of range or a length that does not fit; the struct is then of no use. */
bool gx_report_parse(struct gx_report *report, const uint8_t *in, size_t bytes);
bool gx_status_parse(struct gx_status *status, const uint8_t *in, size_t bytes);

struct gx_writer;
struct gx_reader;
void gx_record_write(struct gx_writer *w, const struct gx_record *record);
bool gx_record_read(struct gx_reader *r, struct gx_record *record);

#endif
