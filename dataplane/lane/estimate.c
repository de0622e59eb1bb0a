#include "lane/estimate.h"

#include <math.h>

#define RTT_PERIOD_NS 10000000000ull
#define STANDING_PERIOD_MIN_NS 10000000ull /* a busy host is slow for some ms, too */
#define MEMORY_PACKETS 20000.0
#define COLD_PACKETS 1000.0
#define BURST_MAX 100000.0 /* a peer may say anything; the depth of interleaving follows from it */

static void standing_learn(struct gx_estimate *estimate, uint64_t sample_ns, uint64_t now)
{
    uint64_t *standing = estimate->standing_ns;
    uint64_t period_ns =
        estimate->rtt_ns > STANDING_PERIOD_MIN_NS ? estimate->rtt_ns : STANDING_PERIOD_MIN_NS;

    if (now - estimate->standing_period_ns >= period_ns) {
        estimate->standing_period_ns = now;
        standing[1] = standing[0];
        standing[0] = 0;
    }
    if (standing[0] == 0 || sample_ns < standing[0])
        standing[0] = sample_ns;
}

/* How much longer than it has to a feedback was on its way here. The clocks wrap, differ and drift: only differences count,
 * and only of late. */
static uint64_t back_more_ns(struct gx_estimate *estimate, uint32_t back_us, uint64_t now)
{
    uint32_t *least = estimate->back_us;
    int32_t more_us = 0;

    if (estimate->back_known == 0 || now - estimate->back_period_ns >= RTT_PERIOD_NS) {
        estimate->back_known += estimate->back_known < 2;
        estimate->back_period_ns = now;
        least[1] = least[0];
        least[0] = back_us;
    }
    if ((int32_t)(back_us - least[0]) < 0)
        least[0] = back_us;
    for (uint32_t i = 0; i < estimate->back_known; i++)
        if ((int32_t)(back_us - least[i]) > more_us)
            more_us = (int32_t)(back_us - least[i]);
    return (uint64_t)more_us * 1000;
}

void gx_estimate_back_reset(struct gx_estimate *estimate)
{
    estimate->back_known = 0;
}

void gx_estimate_rtt(struct gx_estimate *estimate, uint64_t sample_ns, uint32_t back_us,
                     uint64_t now)
{
    uint64_t more_ns = back_more_ns(estimate, back_us, now);

    if (sample_ns == 0)
        sample_ns = 1;
    if (estimate->rtt_ns == 0)
        estimate->rtt_ns = sample_ns;
    else
        estimate->rtt_ns = estimate->rtt_ns - estimate->rtt_ns / 8 + sample_ns / 8;
    if (now - estimate->rtt_period_ns >= RTT_PERIOD_NS) {
        estimate->rtt_period_ns = now;
        estimate->rtt_min_ns[1] = estimate->rtt_min_ns[0];
        estimate->rtt_min_ns[0] = sample_ns;
    }
    if (estimate->rtt_min_ns[0] == 0 || sample_ns < estimate->rtt_min_ns[0])
        estimate->rtt_min_ns[0] = sample_ns;
    standing_learn(estimate, sample_ns > more_ns ? sample_ns - more_ns : 1, now);
}

uint64_t gx_estimate_standing_ns(const struct gx_estimate *estimate)
{
    const uint64_t *standing = estimate->standing_ns;

    return standing[1] != 0 && standing[1] < standing[0] ? standing[1] : standing[0];
}

uint64_t gx_estimate_rtt_min_ns(const struct gx_estimate *estimate)
{
    const uint64_t *min_ns = estimate->rtt_min_ns;

    return min_ns[1] != 0 && min_ns[1] < min_ns[0] ? min_ns[1] : min_ns[0];
}

/* Signed: late arrivals take back losses. */
static double delta(uint64_t total, uint64_t before)
{
    return (double)(int64_t)(total - before);
}

static double not_negative(double x)
{
    return x > 0 ? x : 0;
}

void gx_estimate_totals(struct gx_estimate *estimate, uint64_t expected, uint64_t lost,
                        uint64_t bursts)
{
    if (expected < estimate->total_expected) {
        estimate->total_expected = 0;
        estimate->total_lost = 0;
        estimate->total_bursts = 0;
    }
    estimate->expected += delta(expected, estimate->total_expected);
    estimate->lost = not_negative(estimate->lost + delta(lost, estimate->total_lost));
    estimate->bursts = not_negative(estimate->bursts + delta(bursts, estimate->total_bursts));
    estimate->total_expected = expected;
    estimate->total_lost = lost;
    estimate->total_bursts = bursts;
    if (estimate->expected > MEMORY_PACKETS) {
        double keep = MEMORY_PACKETS / estimate->expected;

        estimate->expected *= keep;
        estimate->lost *= keep;
        estimate->bursts *= keep;
    }
}

void gx_estimate_recall(struct gx_estimate *estimate, double packets, double loss, double burst)
{
    estimate->expected = packets;
    estimate->lost = loss * packets;
    estimate->bursts = estimate->lost / (burst > 1 ? burst : 1);
}

bool gx_estimate_cold(const struct gx_estimate *estimate)
{
    return estimate->expected < COLD_PACKETS;
}

double gx_estimate_loss(const struct gx_estimate *estimate)
{
    double loss = estimate->expected > 0 ? estimate->lost / estimate->expected : 0;

    return loss < 1 ? loss : 1;
}

double gx_estimate_loss_likely(const struct gx_estimate *estimate)
{
    double lost = estimate->lost + 2 * sqrt(estimate->lost);
    double loss = estimate->expected > 0 ? lost / estimate->expected : 0;

    return loss < 1 ? loss : 1;
}

double gx_estimate_burst(const struct gx_estimate *estimate)
{
    double burst = estimate->bursts > 0 ? estimate->lost / estimate->bursts : 1;

    if (burst > BURST_MAX)
        return BURST_MAX;
    return burst > 1 ? burst : 1;
}
