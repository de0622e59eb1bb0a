#include "transfer/tail.h"

#include <math.h>
#include <string.h>

#define LOSS_BIAS 1.2
#define LOSS_COLD                                                                                  \
    0.05 /* at least, of transfers of less than two round trips, while little was measured */
#define LOSS_MAX 0.9
#define EPSILON 0.006
#define LOSSES_NEGLIGIBLE 0.01 /* expected in the whole tail */
#define DEPTH_MIN 16.0
#define ROWS_MAX 255u

void gx_policy_init(struct gx_policy *policy, double loss, double burst, bool cold, uint64_t rtt_ns,
                    uint64_t serialise_ns, uint64_t block_ns)
{
    double depth = 2 * burst > DEPTH_MIN ? 2 * burst : DEPTH_MIN;
    double blocks_per_rtt = block_ns > 0 ? (double)rtt_ns / (double)block_ns : depth;

    if (!cold)
        loss *= LOSS_BIAS;
    else if (serialise_ns >= 2 * rtt_ns)
        loss = 0;
    else if (loss < LOSS_COLD)
        loss = LOSS_COLD;
    if (rtt_ns > 0 && blocks_per_rtt < depth)
        depth = blocks_per_rtt;
    policy->loss = loss < LOSS_MAX ? loss : LOSS_MAX;
    policy->burst = burst > 1 ? burst : 1;
    policy->epsilon = EPSILON;
    policy->depth = depth > 1 ? (uint32_t)depth : 1;
}

void gx_tail_init(struct gx_tail *tail, const struct gx_policy *policy, uint64_t in_flight,
                  uint32_t block_count)
{
    double rho = 1 - 1 / (policy->burst * (1 - policy->loss));
    double power = rho > 0 ? pow(rho, policy->depth) : 0;

    memset(tail, 0, sizeof *tail);
    tail->loss = policy->loss;
    if ((double)in_flight * policy->loss < LOSSES_NEGLIGIBLE)
        tail->loss = 0;
    tail->factor = (1 + power) / (1 - power);
    tail->epsilon = policy->epsilon / (block_count > 0 ? block_count : 1);
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

double gx_tail_risk(const struct gx_tail *tail, uint32_t in_flight, uint32_t spare)
{
    double mean = in_flight * tail->loss;
    double variance = mean * (1 - tail->loss) * tail->factor;

    if (spare >= in_flight || mean <= 0)
        return 0;
    if (variance <= mean * 1.0001)
        return 1 - binomial_at_most(in_flight, tail->loss, spare);
    return 1 - negative_binomial_at_most(mean, variance, spare);
}

static uint32_t rows_search(const struct gx_tail *tail, uint32_t in_flight, uint32_t lack)
{
    uint32_t rows = lack > in_flight ? lack - in_flight : 0;

    while (rows < ROWS_MAX &&
           gx_tail_risk(tail, in_flight + rows, in_flight + rows - lack) > tail->epsilon)
        rows++;
    return rows;
}

uint32_t gx_tail_rows(struct gx_tail *tail, uint32_t in_flight, uint32_t lack)
{
    uint32_t at = (in_flight * 31 + lack) % GX_TAIL_MEMOS;

    if (!tail->memos[at].known || tail->memos[at].in_flight != in_flight ||
        tail->memos[at].lack != lack) {
        tail->memos[at].known = 1;
        tail->memos[at].in_flight = (uint16_t)in_flight;
        tail->memos[at].lack = (uint8_t)lack;
        tail->memos[at].rows = (uint16_t)rows_search(tail, in_flight, lack);
    }
    return tail->memos[at].rows;
}
