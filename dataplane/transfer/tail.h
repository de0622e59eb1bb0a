/* gx_tail: how many rows the end of a transfer needs in advance (DESIGN.md section 4a, 3; docs/transfer.md).
 *
 * Model     of n rows in flight the lost ones are negative binomial with mean n·p and variance factor
 *           (1+ρ^D)/(1−ρ^D), ρ = 1 − 1/(L(1−p)), L the mean burst, D the interleave; binomial where that variance
 *           is not above the mean.
 */
#ifndef GX_TRANSFER_TAIL_H
#define GX_TRANSFER_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#define GX_TAIL_MEMOS 256

/* What a sender knows of the path and the transfer, for all its decisions. */
struct gx_policy {
    double loss;    /* p, biased up; 0: none expected */
    double burst;   /* L, at least 1 */
    double epsilon; /* what the whole tail may fail with */
    uint32_t depth; /* D: blocks that are interleaved */
};

/* The policy of 4a.1 and 4a.4. `loss` and `burst` as measured; `cold`: they say nothing yet. */
void gx_policy_init(struct gx_policy *policy, double loss, double burst, bool cold, uint64_t rtt_ns,
                    uint64_t serialise_ns, uint64_t block_ns);

struct gx_tail {
    double loss;
    double factor;  /* variance of the losses over their binomial variance */
    double epsilon; /* of one block */
    struct {
        uint16_t in_flight;
        uint8_t lack;
        uint8_t known;
        uint16_t rows;
    } memos[GX_TAIL_MEMOS];
};

/* `in_flight` rows in all of `block_count` blocks that are not confirmed. */
void gx_tail_init(struct gx_tail *tail, const struct gx_policy *policy, uint64_t in_flight,
                  uint32_t block_count);

/* Rows to add to a block that lacks `lack` (1 or more) and has `in_flight` on the way. */
uint32_t gx_tail_rows(struct gx_tail *tail, uint32_t in_flight, uint32_t lack);

/* P(more than `spare` of `in_flight` are lost). */
double gx_tail_risk(const struct gx_tail *tail, uint32_t in_flight, uint32_t spare);

#endif
