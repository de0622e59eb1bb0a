/* gx_send: one outgoing transfer: which row of which block goes next. Knows nothing of packets or clocks but its
 * timers.
 *
 * Rows      block b's n-th row is (start + n) mod 256; the owner starts at 0, so data comes first, then parity, and
 *           after 256 rows it wraps, once everything of the block in flight is judged. No row twice before (I8).
 * In flight of a block: `fresh` rows above the peer's highest number, `mid` rows below that are not yet judged. How
 *           many of the latter have arrived is bounded by what the lack tells.
 * Pass      data in groups of `depth` blocks, shard i of each in turn; repairs go first. When the pass is done the
 *           tail's policy decides (tail.h), weakest block first.
 */
#ifndef GX_TRANSFER_SEND_H
#define GX_TRANSFER_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "transfer/layout.h"
#include "transfer/source.h"
#include "transfer/tail.h"
#include "wire/feedback.h"
#include "wire/open.h"

#define GX_SENDS_MAX 8 /* on one link */
#define GX_ANSWER_NONE 255

struct gx_send_block {
    uint32_t sent; /* rows, repetitions included */
    uint16_t fresh;
    uint16_t mid;
    uint16_t want;  /* rows to send now */
    uint16_t asked; /* of these, what the receiver lacks for certain: the rest goes in advance */
    uint8_t start;
    uint8_t lack; /* as last told */
    uint8_t base; /* rows that the receiver had before our first */
    bool known;   /* `lack` is known; a helper has to be told */
};

struct gx_send {
    bool used;
    bool closing; /* its last upcall runs */
    uint16_t slot;
    uint16_t generation; /* of its entries in the flight log */
    uint16_t source_slot;
    uint32_t peer;
    struct gx_open open;
    struct gx_source *source;
    void *user; /* of whoever called gx_links_send() */
    struct gx_layout layout;
    uint64_t start; /* of the part in the source */
    struct gx_send_block *blocks;
    bool helper;
    uint32_t holder;
    uint32_t holders;

    uint8_t answer;        /* enum gx_answer as last told, or GX_ANSWER_NONE */
    uint8_t told;          /* the answer that the last upcall named */
    bool hold;             /* no shard before an answer */
    bool paused;           /* the timer has fired: no shard before the next feedback */
    bool pass_done;        /* every data shard has been sent once */
    bool served;           /* something was wanted at least once */
    uint32_t group;        /* first block of the group that is being sent */
    uint32_t depth;        /* its blocks */
    uint32_t shard;        /* next shard index … */
    uint32_t member;       /* … of this block of the group */
    uint32_t below;        /* all blocks below are confirmed */
    uint32_t unknown_from; /* a helper knows of all blocks from here on */

    uint32_t flight_total; /* rows sent and not judged */
    uint32_t want_total;
    uint32_t want_from; /* blocks with wants lie in [want_from, want_end) */
    uint32_t want_end;
    uint32_t cursor; /* where the search goes on */
    uint32_t level;  /* blocks with at least so many wants are served */

    uint32_t open_count;   /* copies of OPEN sent */
    uint64_t open_ns;      /* the next; UINT64_MAX: acknowledged */
    uint64_t open_wait_ns; /* and the wait after it */
    uint64_t armed_ns;     /* the timer runs since; 0: it does not */
};

/* The next row to send. */
struct gx_row {
    uint32_t block;
    uint32_t k;
    uint32_t row;
    bool repeat; /* sent before */
    bool asked;  /* it makes up for a row that is lost; parity otherwise goes in advance */
};

/* The layout of the part that `open` names, *start its first byte in the source. False: it is impossible. */
bool gx_send_layout(struct gx_layout *layout, const struct gx_open *open, uint64_t *start);
/* `open` complete; blocks: [block count of the layout]. */
void gx_send_init(struct gx_send *send, const struct gx_open *open, struct gx_source *source,
                  struct gx_send_block *blocks, uint64_t now);
/* Everything from the start again, under another transfer id; waits for an answer. */
void gx_send_reopen(struct gx_send *send, uint32_t transfer, uint64_t now);

/* May a shard be sent now? */
bool gx_send_pending(const struct gx_send *send);
/* Takes the next row; false when there is none after all. */
bool gx_send_next(struct gx_send *send, const struct gx_policy *policy, struct gx_row *row);

/* The peer's highest number has passed a row of this block; the row is judged. */
void gx_send_seen(struct gx_send *send, uint32_t block);
void gx_send_judged(struct gx_send *send, uint32_t block, bool was_seen);
/* Nothing counts as in flight any more. */
void gx_send_all_judged(struct gx_send *send);

/* What feedback says of it (answer OPEN), after its packet numbers were applied. False: impossible values. */
bool gx_send_feedback(struct gx_send *send, const struct gx_feedback_entry *entry,
                      const struct gx_policy *policy);

#endif
