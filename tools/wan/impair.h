/* gx_impair: the one law of impairment, for gx-wan and for the simulator.
 *
 * What      One direction of one link: a drop-tail queue, a serialiser at `rate_bps`, then losses,
 * then a delay. A lost packet has used the link's capacity; a packet that the queue dropped has
 * not. How       A packet's size and its arrival time go in, a verdict comes out. No clock, no I/O,
 * no memory is allocated; the queue is virtual: only the time until which the serialiser is busy is
 * kept. Compose   Several stages in a row are several gx_impair, each entered at the time that the
 * one before it delivers. gx-wan: a site's uplink (rate), the path (delay, losses), the other
 * site's downlink (rate). Order     A stage must see its packets in order of time. Their deliveries
 * stay in that order, except of duplicates, of packets chosen by `reorder`, and with
 * `jitter_reorders`. Seed      The same config and the same packets give the same verdicts, on
 * every machine. Units     ns of any monotonic clock; bytes of Ethernet frames without FCS;
 * probabilities from 0 to 1.
 */
#ifndef GX_IMPAIR_H
#define GX_IMPAIR_H

#include <stdbool.h>
#include <stdint.h>

#define GX_IMPAIR_OUTAGES_MAX 16
#define GX_IMPAIR_COPIES_MAX 2
#define GX_IMPAIR_QUEUE_SLACK_BYTES (64u * 1024)
#define GX_IMPAIR_RUN_BINS 16

/* GX_IMPAIR_CAUSE(name, text): what became of a packet. */
#define GX_IMPAIR_CAUSES                                                                           \
    GX_IMPAIR_CAUSE(NONE, "none")     /* delivered */                                              \
    GX_IMPAIR_CAUSE(QUEUE, "queue")   /* the queue was full */                                     \
    GX_IMPAIR_CAUSE(LOSS, "loss")     /* independent loss */                                       \
    GX_IMPAIR_CAUSE(BURST, "burst")   /* loss in the Gilbert-Elliott model's bad state */          \
    GX_IMPAIR_CAUSE(OUTAGE, "outage") /* left the serialiser during an outage */                   \
    GX_IMPAIR_CAUSE(MTU, "mtu")       /* larger than the path carries */

enum gx_impair_cause {
#define GX_IMPAIR_CAUSE(name, text) GX_IMPAIR_##name,
    GX_IMPAIR_CAUSES
#undef GX_IMPAIR_CAUSE
        GX_IMPAIR_CAUSE_COUNT
};

/* Gilbert-Elliott: each packet first moves the state, then is lost with p_loss_bad if the state is
 * bad. In all, p_loss_bad * p_gb / (p_gb + p_bg) is lost, in runs of 1 / (1 - (1 - p_bg) *
 * p_loss_bad) packets on average. */
struct gx_impair_burst {
    double p_gb; /* good to bad; 0 switches the model off */
    double p_bg;
    double p_loss_bad;
};

struct gx_impair_outage {
    uint64_t from_ns; /* since the start */
    uint64_t to_ns;   /* exclusive */
};

/* All zeros: a perfect link. */
struct gx_impair_config {
    uint64_t rate_bps;    /* 0: unlimited, and then there is no queue */
    uint64_t queue_bytes; /* the frame being serialised included; 0: gx_impair_queue_bytes() */
    uint64_t delay_ns;
    uint64_t jitter_ns; /* extra delay, uniform from 0 to this; order is kept by waiting for the one
                           before */
    bool jitter_reorders; /* order is not kept */
    double loss;          /* independent, in addition to `burst` */
    struct gx_impair_burst burst;
    double reorder; /* the share of packets held back by reorder_ns, so that others overtake them */
    uint64_t reorder_ns;
    double dup;     /* the share that arrives twice, the copy one serialisation later */
    double corrupt; /* the share with one bit flipped (in the first copy, if there are two) */
    uint32_t
        header_bytes; /* of a frame that corruption spares, and that corrupt_bit does not count */
    uint32_t mtu; /* bytes of the largest IP packet that passes: larger ones vanish, and nobody is
                     told; 0: any */
    struct gx_impair_outage outages[GX_IMPAIR_OUTAGES_MAX];
    uint32_t outage_count;
    uint64_t seed;
    uint64_t stream; /* differs between the directions and links of one world that has one seed */
};

struct gx_impair_counters {
    uint64_t packets; /* entered */
    uint64_t bytes;
    uint64_t delivered_packets; /* copies not counted */
    uint64_t delivered_bytes;
    uint64_t dropped[GX_IMPAIR_CAUSE_COUNT]; /* packets by cause; [GX_IMPAIR_NONE] stays 0 */
    uint64_t duplicated;
    uint64_t corrupted;
    uint64_t reordered; /* packets delivered out of order */
    uint64_t loss_runs; /* runs of consecutive LOSS or BURST drops */
    /* The same by length, the one under way included: bin b holds runs longer than 2^(b-1) packets and of 2^b at most,
     * the last bin all that are longer. */
    uint64_t runs[GX_IMPAIR_RUN_BINS];
};

struct gx_impair {
    struct gx_impair_config config;
    struct gx_impair_counters counters;
    uint64_t start_ns;
    uint64_t busy_ns; /* the serialiser is busy until then */
    uint64_t
        busy_rest;     /* and this many 1/rate_bps of a ns more: rates hold exactly over any time */
    uint64_t queue_ns; /* the queue's size as time */
    uint64_t delivered_ns; /* the latest delivery in order */
    uint64_t random;
    bool bad;             /* Gilbert-Elliott state */
    uint64_t run_packets; /* the last so many that left the serialiser were LOSS or BURST */
};

struct gx_verdict {
    enum gx_impair_cause cause;
    uint32_t copies; /* 0 when dropped, else 1 or 2 */
    uint64_t
        left_ns; /* the end of its serialisation, also when it was lost afterwards; 0 for QUEUE */
    uint64_t deliver_ns[GX_IMPAIR_COPIES_MAX];
    int64_t corrupt_bit; /* bit to flip in copy 0, counted after header_bytes; -1: none */
};

/* Starts a stage at start_ns. -EINVAL when a probability, an outage or their number is out of
 * range. */
int gx_impair_init(struct gx_impair *impair, const struct gx_impair_config *config,
                   uint64_t start_ns);

/* Decides on a packet that arrives at now_ns. */
void gx_impair_packet(struct gx_impair *impair, uint64_t now_ns, uint32_t frame_bytes,
                      struct gx_verdict *out);

/* From now_ns on another rate. What is in the queue takes its room in bytes and delays what follows
 * by the new rate, but its own deliveries are decided; nothing overtakes it. */
void gx_impair_set_rate(struct gx_impair *impair, uint64_t now_ns, uint64_t rate_bps);

/* The default queue: one bandwidth-delay product (rate * 2 * delay) and
 * GX_IMPAIR_QUEUE_SLACK_BYTES. */
uint64_t gx_impair_queue_bytes(uint64_t rate_bps, uint64_t delay_ns);

/* Time to serialise `bytes` at rate_bps, rounded up; 0 at an unlimited rate; saturates at
 * UINT64_MAX. */
uint64_t gx_impair_serialise_ns(uint64_t rate_bps, uint64_t bytes);

void gx_impair_counters_add(struct gx_impair_counters *sum,
                            const struct gx_impair_counters *counters);

/* What the link lost after serialisation (LOSS and BURST, no queue drops, outage or MTU) of what left
 * its serialiser outside of outages: the p of the bounds. 0 before the first packet. */
double gx_impair_loss(const struct gx_impair_counters *counters);

/* Mean length in packets of a run of such losses; 0 before the first. */
double gx_impair_mean_burst(const struct gx_impair_counters *counters);

/* The bin of counters.runs for a run of `packets`, at least 1. */
uint32_t gx_impair_run_bin(uint64_t packets);

const char *gx_impair_cause_text(enum gx_impair_cause cause);

#endif
