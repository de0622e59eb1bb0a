/* gx_tail: how many rows the end of a transfer needs in advance (DESIGN.md section 4a, 3; docs/transfer.md).
 *
 * Model     of n rows in flight the lost ones are negative binomial with mean n·p and variance factor
 *           (1+ρ^D)/(1−ρ^D), ρ = 1 − 1/(L(1−p)), L the mean burst, D the distance of a block's rows: of data the
 *           interleave, of the tail's parity the blocks that are unconfirmed; binomial where that variance is not above
 *           the mean.
 * Worth     a burst takes rows of up to L blocks at once: these fail together, and count as one. A row is added while
 *           a failure is too likely, and while it saves more time than it takes.
 */
#ifndef GX_TRANSFER_TAIL_H
#define GX_TRANSFER_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#define GX_TAIL_MEMOS 256

/* What a sender knows of the path and the transfer, for all its decisions. */
struct gx_policy {
    double loss;    /* p, what it may well be; 0: none expected */
    double burst;   /* L, at least 1 */
    double epsilon; /* what the whole tail may fail with */
    uint32_t depth; /* D: blocks that are interleaved */
    bool orderly;   /* no packet was overtaken of late */
    double round;   /* shards that could be sent while one more repair is waited for; 0: unknown */
};

/* The policy of 4a.1 and 4a.4, of a path that overtakes. `loss`: what it may well be; `cold`: little was measured yet. */
void gx_policy_init(struct gx_policy *policy, double loss, double burst, bool cold, uint64_t rtt_ns,
                    uint64_t serialise_ns, uint64_t block_ns);

struct gx_tail {
    double loss;
    double factor_data;   /* variance of the losses over their binomial variance: of data … */
    double factor_parity; /* … and of parity */
    double epsilon;       /* of one block */
    double gain_min;      /* a row lowers the risk by so much at least, or is not worth its time */
    struct {
        uint16_t data;
        uint16_t parity;
        uint8_t lack;
        uint8_t known;
        uint16_t rows;
    } memos[GX_TAIL_MEMOS];
};

/* `in_flight` rows in all of `block_count` blocks that are not confirmed. */
void gx_tail_init(struct gx_tail *tail, const struct gx_policy *policy, uint64_t in_flight,
                  uint32_t block_count);

/* Rows to add to a block that lacks `lack` (1 or more) and has `data` and `parity` rows on the way. */
uint32_t gx_tail_rows(struct gx_tail *tail, uint32_t data, uint32_t parity, uint32_t lack);

/* P(more than `spare` of these rows in flight are lost). */
double gx_tail_risk(const struct gx_tail *tail, uint32_t data, uint32_t parity, uint32_t spare);

#endif
