#include "transfer/tail.h"

#include <math.h>
#include <string.h>

#include "transfer/layout.h"

#define LOSS_COLD                                                                                  \
    0.05 /* at least, of transfers of less than two round trips, while little was measured */
#define LOSS_MAX 0.9
#define EPSILON 0.003
#define WEIGHT                                                                                     \
    16.0 /* of a failed tail, which makes the slowest transfers, against every one's mean */
#define ROUND 1.3 /* round trips that one more repair takes: the window, and feedback's interval */
#define LOSSES_NEGLIGIBLE 0.01 /* expected in the whole tail */
#define DEPTH_MIN 16.0
#define ROWS_MAX 255u

void gx_policy_init(struct gx_policy *policy, double loss, double burst, bool cold, uint64_t rtt_ns,
                    uint64_t serialise_ns, uint64_t block_ns)
{
    double depth = 2 * burst > DEPTH_MIN ? 2 * burst : DEPTH_MIN;
    double blocks_per_rtt = block_ns > 0 ? (double)rtt_ns / (double)block_ns : depth;

    if (cold && serialise_ns >= 2 * rtt_ns)
        loss = 0;
    else if (cold && loss < LOSS_COLD)
        loss = LOSS_COLD;
    if (rtt_ns > 0 && blocks_per_rtt < depth)
        depth = blocks_per_rtt;
    policy->loss = loss < LOSS_MAX ? loss : LOSS_MAX;
    policy->burst = burst > 1 ? burst : 1;
    policy->epsilon = EPSILON;
    policy->depth = depth > 1 ? (uint32_t)depth : 1;
    policy->round = block_ns > 0 ? ROUND * GX_K * (double)rtt_ns / (double)block_ns : 0;
}

/* Of rows that lie so many packets apart. */
static double factor(const struct gx_policy *policy, double distance)
{
    double rho = 1 - 1 / (policy->burst * (1 - policy->loss));
    double power = rho > 0 ? pow(rho, distance) : 0;

    return (1 + power) / (1 - power);
}

/* Blocks that fail together. */
static double together(const struct gx_policy *policy, uint32_t block_count)
{
    double blocks = policy->burst * (1 - policy->loss);

    if (blocks > policy->depth)
        blocks = policy->depth;
    if (blocks > block_count)
        blocks = block_count;
    return blocks > 1 ? blocks : 1;
}

void gx_tail_init(struct gx_tail *tail, const struct gx_policy *policy, uint64_t in_flight,
                  uint32_t block_count)
{
    double blocks = block_count > 0 ? block_count : 1;
    double at_once = together(policy, block_count);

    memset(tail, 0, sizeof *tail);
    tail->loss = policy->loss;
    if ((double)in_flight * policy->loss < LOSSES_NEGLIGIBLE)
        tail->loss = 0;
    tail->factor_data = factor(policy, policy->depth);
    tail->factor_parity = factor(policy, blocks);
    tail->epsilon = policy->epsilon * at_once / blocks;
    tail->gain_min = policy->round > 0 ? at_once / (WEIGHT * policy->round) : 0;
}

/* The sum of the first spare + 1 terms of a distribution whose terms follow from each other. */
static double binomial_at_most(double n, double p, uint32_t spare)
{
    double term = pow(1 - p, n);
    double sum = term;

    for (uint32_t i = 0; i < spare; i++) {
        term *= (n - i) / (i + 1) * p / (1 - p);
        sum += term;
    }
    return sum;
}

static double negative_binomial_at_most(double mean, double variance, uint32_t spare)
{
    double r = mean * mean / (variance - mean);
    double q = 1 - mean / variance;
    double term = pow(mean / variance, r);
    double sum = term;

    for (uint32_t i = 0; i < spare; i++) {
        term *= (i + r) / (i + 1) * q;
        sum += term;
    }
    return sum;
}

double gx_tail_risk(const struct gx_tail *tail, uint32_t data, uint32_t parity, uint32_t spare)
{
    uint32_t in_flight = data + parity;
    double mean = in_flight * tail->loss;
    double variance =
        tail->loss * (1 - tail->loss) * (data * tail->factor_data + parity * tail->factor_parity);

    if (spare >= in_flight || mean <= 0)
        return 0;
    if (variance <= mean * 1.0001)
        return 1 - binomial_at_most(in_flight, tail->loss, spare);
    return 1 - negative_binomial_at_most(mean, variance, spare);
}

/* Below the mean of what is lost one row alone may gain little. */
static bool is_worth(const struct gx_tail *tail, double risk, double risk_with, uint32_t in_flight,
                     uint32_t spare)
{
    return risk - risk_with >= tail->gain_min || spare < in_flight * tail->loss;
}

static uint32_t rows_search(const struct gx_tail *tail, uint32_t data, uint32_t parity,
                            uint32_t lack)
{
    uint32_t in_flight = data + parity;
    uint32_t rows = lack > in_flight ? lack - in_flight : 0;
    double risk = gx_tail_risk(tail, data, parity + rows, in_flight + rows - lack);

    while (rows < ROWS_MAX && risk > tail->epsilon) {
        uint32_t spare = in_flight + rows - lack;
        double with = gx_tail_risk(tail, data, parity + rows + 1, spare + 1);

        if (!is_worth(tail, risk, with, in_flight + rows, spare))
            break;
        risk = with;
        rows++;
    }
    return rows;
}

uint32_t gx_tail_rows(struct gx_tail *tail, uint32_t data, uint32_t parity, uint32_t lack)
{
    uint32_t at = (data * 31 + parity * 7 + lack) % GX_TAIL_MEMOS;

    if (!tail->memos[at].known || tail->memos[at].data != data ||
        tail->memos[at].parity != parity || tail->memos[at].lack != lack) {
        tail->memos[at].known = 1;
        tail->memos[at].data = (uint16_t)data;
        tail->memos[at].parity = (uint16_t)parity;
        tail->memos[at].lack = (uint8_t)lack;
        tail->memos[at].rows = (uint16_t)rows_search(tail, data, parity, lack);
    }
    return tail->memos[at].rows;
}
