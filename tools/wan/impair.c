#include "wan/impair.h"

#include <errno.h>

#define ETHERNET_BYTES 14
#define NS_BITS_PER_BYTE 8000000000ull /* 8 bits, in units of 1e-9 of a bit's time at 1 bit/s */

__extension__ typedef unsigned __int128 u128;

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint64_t random_next(struct gx_impair *impair)
{
    impair->random += 0x9e3779b97f4a7c15ull;
    return mix(impair->random);
}

/* Uniform in [0, limit). Multiply and shift: the bias of at most limit / 2^64 is of no weight here.
 */
static uint64_t random_below(struct gx_impair *impair, uint64_t limit)
{
    return (uint64_t)(((u128)random_next(impair) * limit) >> 64);
}

/* True with probability p. Draws only when the outcome is open, so that an impairment which is off
 * does not change what the others do. */
static bool random_hits(struct gx_impair *impair, double p)
{
    if (p <= 0)
        return false;
    return (double)(random_next(impair) >> 11) * 0x1p-53 < p;
}

uint64_t gx_impair_serialise_ns(uint64_t rate_bps, uint64_t bytes)
{
    if (rate_bps == 0)
        return 0;
    u128 ns = ((u128)bytes * NS_BITS_PER_BYTE + rate_bps - 1) / rate_bps;
    return ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns;
}

uint64_t gx_impair_queue_bytes(uint64_t rate_bps, uint64_t delay_ns)
{
    return (uint64_t)((u128)rate_bps * delay_ns * 2 / NS_BITS_PER_BYTE) +
           GX_IMPAIR_QUEUE_SLACK_BYTES;
}

/* Written so that a NaN fails too. */
static bool is_probability(double p)
{
    return p >= 0 && p <= 1;
}

static int check(const struct gx_impair_config *config)
{
    const struct gx_impair_burst *burst = &config->burst;

    if (!is_probability(config->loss) || !is_probability(config->reorder) ||
        !is_probability(config->dup) || !is_probability(config->corrupt) ||
        !is_probability(burst->p_gb) || !is_probability(burst->p_bg) ||
        !is_probability(burst->p_loss_bad))
        return -EINVAL;
    if (config->outage_count > GX_IMPAIR_OUTAGES_MAX)
        return -EINVAL;
    for (uint32_t i = 0; i < config->outage_count; i++) {
        if (config->outages[i].from_ns > config->outages[i].to_ns)
            return -EINVAL;
    }
    return 0;
}

int gx_impair_init(struct gx_impair *impair, const struct gx_impair_config *config,
                   uint64_t start_ns)
{
    if (check(config) != 0)
        return -EINVAL;
    *impair = (struct gx_impair){.config = *config, .start_ns = start_ns};
    impair->random = mix(config->seed) ^ mix(~config->stream);
    if (config->queue_bytes == 0)
        impair->config.queue_bytes = gx_impair_queue_bytes(config->rate_bps, config->delay_ns);
    impair->queue_ns = gx_impair_serialise_ns(config->rate_bps, impair->config.queue_bytes);
    return 0;
}

void gx_impair_set_rate(struct gx_impair *impair, uint64_t now_ns, uint64_t rate_bps)
{
    uint64_t backlog_ns = impair->busy_ns > now_ns ? impair->busy_ns - now_ns : 0;

    if (rate_bps == impair->config.rate_bps)
        return;
    if (rate_bps > 0 && backlog_ns > 0)
        impair->busy_ns =
            now_ns + (uint64_t)((u128)backlog_ns * impair->config.rate_bps / rate_bps);
    impair->busy_rest = 0; /* less than a ns, of the old rate */
    impair->config.rate_bps = rate_bps;
    impair->queue_ns = gx_impair_serialise_ns(rate_bps, impair->config.queue_bytes);
}

/* Takes the frame into the queue and says when its last bit leaves; false when the queue is full.
 */
static bool serialise(struct gx_impair *impair, uint64_t now_ns, uint32_t frame_bytes,
                      uint64_t *left_ns)
{
    uint64_t rate_bps = impair->config.rate_bps;

    if (rate_bps == 0) {
        *left_ns = now_ns;
        return true;
    }
    bool idle = impair->busy_ns <= now_ns;
    uint64_t begin_ns = idle ? now_ns : impair->busy_ns;
    uint64_t work = frame_bytes * NS_BITS_PER_BYTE + (idle ? 0 : impair->busy_rest);
    uint64_t end_ns = begin_ns + work / rate_bps;
    if (end_ns - now_ns > impair->queue_ns)
        return false;
    impair->busy_ns = end_ns;
    impair->busy_rest = work % rate_bps;
    *left_ns = end_ns;
    return true;
}

static bool in_outage(const struct gx_impair *impair, uint64_t at_ns)
{
    uint64_t since_ns = at_ns > impair->start_ns ? at_ns - impair->start_ns : 0;

    for (uint32_t i = 0; i < impair->config.outage_count; i++) {
        const struct gx_impair_outage *outage = &impair->config.outages[i];
        if (since_ns >= outage->from_ns && since_ns < outage->to_ns)
            return true;
    }
    return false;
}

static bool lost_in_burst(struct gx_impair *impair)
{
    const struct gx_impair_burst *burst = &impair->config.burst;

    if (burst->p_gb <= 0)
        return false;
    if (random_hits(impair, impair->bad ? burst->p_bg : burst->p_gb))
        impair->bad = !impair->bad;
    return impair->bad && random_hits(impair, burst->p_loss_bad);
}

uint32_t gx_impair_run_bin(uint64_t packets)
{
    uint32_t bin = packets > 1 ? 64 - (uint32_t)__builtin_clzll(packets - 1) : 0;

    return bin < GX_IMPAIR_RUN_BINS ? bin : GX_IMPAIR_RUN_BINS - 1;
}

/* A run moves from bin to bin as it grows. */
static void count_run(struct gx_impair *impair, bool lost)
{
    struct gx_impair_counters *counters = &impair->counters;

    if (!lost) {
        impair->run_packets = 0;
        return;
    }
    if (impair->run_packets > 0)
        counters->runs[gx_impair_run_bin(impair->run_packets)]--;
    else
        counters->loss_runs++;
    counters->runs[gx_impair_run_bin(++impair->run_packets)]++;
}

/* What happens to a packet that has left the serialiser. */
static enum gx_impair_cause lose(struct gx_impair *impair, uint64_t left_ns, uint32_t frame_bytes)
{
    enum gx_impair_cause cause = GX_IMPAIR_NONE;

    if (in_outage(impair, left_ns))
        return GX_IMPAIR_OUTAGE;
    if (impair->config.mtu > 0 && frame_bytes > impair->config.mtu + ETHERNET_BYTES)
        return GX_IMPAIR_MTU;
    if (lost_in_burst(impair))
        cause = GX_IMPAIR_BURST;
    else if (random_hits(impair, impair->config.loss))
        cause = GX_IMPAIR_LOSS;
    count_run(impair, cause != GX_IMPAIR_NONE);
    return cause;
}

static uint64_t delay(struct gx_impair *impair, uint64_t left_ns)
{
    const struct gx_impair_config *config = &impair->config;
    uint64_t deliver_ns = left_ns + config->delay_ns;

    if (config->jitter_ns > 0)
        deliver_ns += random_below(impair, config->jitter_ns + 1);
    if (random_hits(impair, config->reorder)) {
        impair->counters.reordered++;
        return deliver_ns + config->reorder_ns;
    }
    if (deliver_ns < impair->delivered_ns) {
        if (!config->jitter_reorders)
            return impair->delivered_ns;
        impair->counters.reordered++;
        return deliver_ns;
    }
    impair->delivered_ns = deliver_ns;
    return deliver_ns;
}

static void duplicate(struct gx_impair *impair, uint32_t frame_bytes, struct gx_verdict *out)
{
    if (!random_hits(impair, impair->config.dup))
        return;
    impair->counters.duplicated++;
    out->copies = 2;
    out->deliver_ns[1] =
        out->deliver_ns[0] + gx_impair_serialise_ns(impair->config.rate_bps, frame_bytes);
}

static void corrupt(struct gx_impair *impair, uint32_t frame_bytes, struct gx_verdict *out)
{
    uint32_t header_bytes = impair->config.header_bytes;

    if (frame_bytes <= header_bytes || !random_hits(impair, impair->config.corrupt))
        return;
    impair->counters.corrupted++;
    out->corrupt_bit = (int64_t)random_below(impair, 8ull * (frame_bytes - header_bytes));
}

void gx_impair_packet(struct gx_impair *impair, uint64_t now_ns, uint32_t frame_bytes,
                      struct gx_verdict *out)
{
    struct gx_impair_counters *counters = &impair->counters;

    *out = (struct gx_verdict){.corrupt_bit = -1};
    counters->packets++;
    counters->bytes += frame_bytes;
    if (!serialise(impair, now_ns, frame_bytes, &out->left_ns))
        out->cause = GX_IMPAIR_QUEUE;
    else
        out->cause = lose(impair, out->left_ns, frame_bytes);
    if (out->cause != GX_IMPAIR_NONE) {
        counters->dropped[out->cause]++;
        return;
    }
    counters->delivered_packets++;
    counters->delivered_bytes += frame_bytes;
    out->copies = 1;
    out->deliver_ns[0] = delay(impair, out->left_ns);
    duplicate(impair, frame_bytes, out);
    corrupt(impair, frame_bytes, out);
}

void gx_impair_counters_add(struct gx_impair_counters *sum,
                            const struct gx_impair_counters *counters)
{
    sum->packets += counters->packets;
    sum->bytes += counters->bytes;
    sum->delivered_packets += counters->delivered_packets;
    sum->delivered_bytes += counters->delivered_bytes;
    for (int cause = 0; cause < GX_IMPAIR_CAUSE_COUNT; cause++)
        sum->dropped[cause] += counters->dropped[cause];
    sum->duplicated += counters->duplicated;
    sum->corrupted += counters->corrupted;
    sum->reordered += counters->reordered;
    sum->loss_runs += counters->loss_runs;
    for (int bin = 0; bin < GX_IMPAIR_RUN_BINS; bin++)
        sum->runs[bin] += counters->runs[bin];
}

static uint64_t lost(const struct gx_impair_counters *counters)
{
    return counters->dropped[GX_IMPAIR_LOSS] + counters->dropped[GX_IMPAIR_BURST];
}

double gx_impair_loss(const struct gx_impair_counters *counters)
{
    uint64_t open = counters->delivered_packets + lost(counters);

    return open > 0 ? (double)lost(counters) / (double)open : 0;
}

double gx_impair_mean_burst(const struct gx_impair_counters *counters)
{
    return counters->loss_runs > 0 ? (double)lost(counters) / (double)counters->loss_runs : 0;
}

const char *gx_impair_cause_text(enum gx_impair_cause cause)
{
    static const char *const texts[] = {
#define GX_IMPAIR_CAUSE(name, text) text,
        GX_IMPAIR_CAUSES
#undef GX_IMPAIR_CAUSE
    };

    return cause < GX_IMPAIR_CAUSE_COUNT ? texts[cause] : "?";
}
