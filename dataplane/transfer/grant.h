/* gx_grant: how much of what this site can receive each of its senders may use, so that together they do not send more.
 *
 * Each active sender has an equal share. One that uses less than its share, because its path or its site is slower, is
 * expected to use an eighth more than it did of late, and the others divide what is left. Its whole share stays its own:
 * what it takes of it meanwhile is what the queue before us has to hold, until the next look.
 *
 * Units     bit/s of Ethernet frames; ns.
 */
#ifndef GX_TRANSFER_GRANT_H
#define GX_TRANSFER_GRANT_H

#include <stdbool.h>
#include <stdint.h>

/* What one sender uses. */
struct gx_grant_use {
    bool active; /* shards of it are on their way to us */
    uint64_t looked_ns;
    uint64_t bytes;  /* that had come in all when it was looked at last */
    uint64_t bps[2]; /* in the last two spans; UINT64_MAX: not known yet */
};

/* `bytes` have come in all by now. A sender that becomes active has no past. */
void gx_grant_look(struct gx_grant_use *use, bool active, uint64_t bytes, uint64_t now);
/* What uses[asking], which is active or about to be, may send of `recv_rate_bps`. */
uint64_t gx_grant_bps(const struct gx_grant_use *uses, uint32_t count, uint32_t asking,
                      uint64_t recv_rate_bps);

#endif
