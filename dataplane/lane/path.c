/* Rate by a model of the path, in the manner of BBR (draft-cardwell-iccrg-bbr-congestion-control): the largest rate of
 * delivery of late, and the round trip without a queue. Where it differs: loss up to a floor is the path's own, and is
 * made up for instead of obeyed; a path without a queue is probed all the time, since at the ceiling a probe costs
 * nothing; a queue is judged by its length, not by what is in flight.
 *
 *   START    doubles each round trip until a queue builds up, too much is lost, or delivery grows no more
 *   PROBE    a quarter above what is delivered; without a queue for three round trips, START again: there is much more
 *   DRAIN    below it, until the queue is gone, three round trips at most
 *   CRUISE   at what is delivered, less the longer the queue, six to nine round trips: others grow in the meantime
 *   SOUND    far below it for two round trips, to see the round trip without our own part of the queue: when that was
 *            not seen for 10 s, or when two drains changed nothing (the route may have become longer). Flows that share a
 *            queue see it empty together, and so they sound together.
 */
#include "lane/rate.h"

#define MS 1000000ull
#define ROUND_MIN_NS (10 * MS)
#define QUEUE_MIN_NS (4 * MS)
#define CARRIED 0.98
#define PERIOD_ROUNDS 7 /* the best delivery is that of 7 to 14 round trips: a probe at least */
#define START_SHARE 8   /* begins at the ceiling over this */
#define STALLS_MAX 3
#define LOSS_MEMORY 1000.0
#define CLEAR_MEMORY 10000.0
#define LOSS_SEVERE 0.2 /* above the floor in two spans: the path has become another */
#define SPAN_PACKETS 32 /* fewer say little about loss */
#define CRUISE_MIN 0.8
#define DRAIN_ROUNDS 3
#define PROBE_ROUNDS 3
#define DRAINS_VAIN 2
#define UNSETTLED_NS (10000 * MS) /* what became another path may become the old one again */
#define MIN_AGE_NS (10000 * MS)
#define SOUND_AGE_NS (3000 * MS)

enum { START, PROBE, DRAIN, CRUISE, SOUND };

static const double gains[] = {
    [START] = 2.0, [PROBE] = 1.25, [DRAIN] = 0.7, [CRUISE] = 1.0, [SOUND] = 0.3};

static void path_init(struct gx_rate *rate)
{
    rate->bps = rate->path.model_bps = rate->ceiling_bps / START_SHARE;
}

/* START goes on from there: twice too much meets a queue within a round trip, half of it is doubled in one. */
static void path_recall(struct gx_rate *rate, uint64_t bps)
{
    rate->bps = rate->path.model_bps = bps < rate->ceiling_bps ? bps : rate->ceiling_bps;
}

static uint64_t round_ns(const struct gx_rate_path *path)
{
    return path->min_ns > ROUND_MIN_NS ? path->min_ns : ROUND_MIN_NS;
}

static uint64_t best_bps(const struct gx_rate_path *path)
{
    return path->best_bps[0] > path->best_bps[1] ? path->best_bps[0] : path->best_bps[1];
}

static double loss_of(const struct gx_rate_loss *loss)
{
    return loss->packets > SPAN_PACKETS ? loss->lost / loss->packets : 0;
}

/* What the path loses by itself, as far as that is made up for. */
static double own_loss(const struct gx_rate *rate)
{
    double loss = loss_of(&rate->path.clear);

    return loss < rate->loss_floor ? loss : rate->loss_floor;
}

/* Of late the ceiling, but for what the path loses by itself, has been delivered: there is no bottleneck that we overfill.
 * What makes the round trip longer are hosts with too little CPU, jitter, or a few packets that were sent at once long ago;
 * only much of it is worth a drain. */
static bool is_carried(const struct gx_rate *rate)
{
    return (double)best_bps(&rate->path) >=
           CARRIED * (1 - own_loss(rate)) * (double)rate->ceiling_bps;
}

static bool has_queue(const struct gx_rate *rate, const struct gx_rate_sample *sample)
{
    const struct gx_rate_path *path = &rate->path;
    uint64_t room = path->min_ns / (is_carried(rate) ? 2 : 8);

    return sample->standing_ns > path->min_ns + (room > QUEUE_MIN_NS ? room : QUEUE_MIN_NS);
}

/* The lane had less to send than it might have sent, or other lanes of the site had their turn: what was delivered says
 * nothing of the path's limit. */
static bool is_idle(const struct gx_rate *rate, const struct gx_rate_sample *sample, bool full)
{
    return !sample->backlogged ||
           (!full && (double)sample->delivery.sent_bps < 0.85 * (double)rate->bps);
}

/* ---- loss and delivery ---- */

static void loss_learn(struct gx_rate_loss *loss, const struct gx_delivery_sample *delivery,
                       double memory)
{
    loss->packets += (double)delivery->packets;
    loss->lost += (double)(delivery->packets - delivery->received);
    if (loss->packets > memory) {
        loss->lost *= memory / loss->packets;
        loss->packets = memory;
    }
}

static bool is_severe(const struct gx_rate *rate, const struct gx_delivery_sample *delivery)
{
    return delivery->packets >= SPAN_PACKETS &&
           (double)(delivery->packets - delivery->received) >
               (rate->loss_floor + LOSS_SEVERE) * (double)delivery->packets;
}

static void best_learn(struct gx_rate_path *path, const struct gx_rate_sample *sample, bool idle)
{
    uint64_t delivered_bps = sample->delivery.delivered_bps;

    if (idle && delivered_bps <= best_bps(path))
        return;
    if (sample->now - path->period_ns >= PERIOD_ROUNDS * round_ns(path)) {
        path->period_ns = sample->now;
        path->before_bps = path->best_bps[1];
        path->best_bps[1] = path->best_bps[0];
        path->best_bps[0] = 0;
    }
    if (delivered_bps > path->best_bps[0])
        path->best_bps[0] = delivered_bps;
}

static void min_learn(struct gx_rate_path *path, const struct gx_rate_sample *sample)
{
    if (path->min_ns != 0 && sample->standing_ns > path->min_ns + path->min_ns / 64)
        return;
    if (path->min_ns == 0 || sample->standing_ns < path->min_ns)
        path->min_ns = sample->standing_ns;
    path->min_seen_ns = sample->now;
}

/* ---- modes ---- */

/* The path has become another one of late: it is probed more often, and a probe without a queue doubles sooner. */
static bool is_unsettled(const struct gx_rate_path *path, uint64_t now)
{
    return path->changed_ns != 0 && now - path->changed_ns < UNSETTLED_NS;
}

static void mode_set(struct gx_rate_path *path, uint8_t mode, const struct gx_rate_sample *sample)
{
    path->mode = mode;
    path->mode_ns = sample->now;
    path->before_ns = sample->standing_ns;
    path->round_ns = sample->now;
    path->stalls = 0;
    /* Flows that met a queue together do not probe together again. */
    path->cruise_ns =
        round_ns(path) *
        (is_unsettled(path, sample->now) ? 2 + sample->now / 1000 % 2 : 6 + sample->now / 1000 % 4);
}

static bool start_is_over(struct gx_rate_path *path, const struct gx_rate_sample *sample)
{
    if (sample->now - path->round_ns < round_ns(path))
        return false;
    path->round_ns = sample->now;
    if ((double)best_bps(path) >= 1.25 * (double)path->grown_bps) {
        path->grown_bps = best_bps(path);
        path->stalls = 0;
    } else {
        path->stalls++;
    }
    return path->stalls >= STALLS_MAX;
}

static void start_again(struct gx_rate_path *path, const struct gx_rate_sample *sample)
{
    mode_set(path, START, sample);
    path->grown_bps = best_bps(path);
}

static void drain_end(struct gx_rate *rate, const struct gx_rate_sample *sample)
{
    struct gx_rate_path *path = &rate->path;
    bool unchanged =
        has_queue(rate, sample) && sample->standing_ns + path->min_ns / 16 > path->before_ns;

    path->drains_vain = unchanged ? path->drains_vain + 1 : 0;
    if (path->drains_vain >= DRAINS_VAIN && sample->now - path->sounded_ns > SOUND_AGE_NS)
        mode_set(path, SOUND, sample);
    else
        mode_set(path, CRUISE, sample);
}

/* What is left when we nearly stop is the path's own, or of others who do not give way either. */
static void sound_end(struct gx_rate_path *path, const struct gx_rate_sample *sample)
{
    path->min_ns = sample->standing_ns;
    path->drains_vain = 0;
    path->min_seen_ns = path->sounded_ns = sample->now;
    mode_set(path, CRUISE, sample);
}

static void mode_advance(struct gx_rate *rate, const struct gx_rate_sample *sample, bool full)
{
    struct gx_rate_path *path = &rate->path;
    uint64_t age_ns = sample->now - path->mode_ns;
    uint64_t probe_rounds = is_unsettled(path, sample->now) ? 1 : PROBE_ROUNDS;

    if (path->mode != START && path->mode != SOUND &&
        sample->now - path->min_seen_ns > MIN_AGE_NS) {
        mode_set(path, SOUND, sample);
        return;
    }
    switch (path->mode) {
    case START:
        if (full)
            mode_set(path, DRAIN, sample);
        else if (path->model_bps >= rate->ceiling_bps || start_is_over(path, sample))
            mode_set(path, PROBE, sample);
        break;
    case PROBE:
        if (full && age_ns >= round_ns(path))
            mode_set(path, DRAIN, sample);
        else if (!full && age_ns >= probe_rounds * round_ns(path) &&
                 path->model_bps < rate->ceiling_bps)
            start_again(path, sample);
        break;
    case DRAIN:
        if (!has_queue(rate, sample) || age_ns >= DRAIN_ROUNDS * round_ns(path))
            drain_end(rate, sample);
        break;
    case SOUND:
        if (!has_queue(rate, sample))
            mode_set(path, CRUISE, sample);
        else if (age_ns >= 2 * path->before_ns)
            sound_end(path, sample);
        break;
    default:
        if (age_ns >= path->cruise_ns)
            mode_set(path, PROBE, sample);
    }
}

static double gain_of(const struct gx_rate *rate, const struct gx_rate_sample *sample)
{
    const struct gx_rate_path *path = &rate->path;
    double depth, gain = gains[path->mode];

    if (path->mode != CRUISE || !has_queue(rate, sample))
        return gain;
    depth = (double)(sample->standing_ns - path->min_ns) / (double)round_ns(path);
    gain -= depth / 4;
    return gain > CRUISE_MIN ? gain : CRUISE_MIN;
}

/* ---- feedback ---- */

static void model_learn(struct gx_rate *rate, const struct gx_rate_sample *sample)
{
    struct gx_rate_path *path = &rate->path;
    bool severe = is_severe(rate, &sample->delivery), queue, full, idle;
    double bps;

    min_learn(path, sample);
    queue = has_queue(rate, sample);
    loss_learn(&path->recent, &sample->delivery, LOSS_MEMORY);
    if (!queue && !severe)
        loss_learn(&path->clear, &sample->delivery, CLEAR_MEMORY);
    full = queue || loss_of(&path->recent) > rate->loss_floor;
    idle = is_idle(rate, sample, full);
    best_learn(path, sample, idle);
    if (severe && path->was_severe && !idle) {
        if (best_bps(path) >= 2 * sample->delivery.delivered_bps ||
            path->before_bps >= 2 * sample->delivery.delivered_bps)
            path->changed_ns = sample->now; /* not only that we overfilled it */
        path->best_bps[0] = sample->delivery.delivered_bps;
        path->best_bps[1] = path->before_bps = 0;
        mode_set(path, DRAIN, sample);
    } else if (!idle) {
        mode_advance(rate, sample, full);
    }
    path->was_severe = severe;
    bps = gain_of(rate, sample) * (double)best_bps(path) / (1 - own_loss(rate));
    if (bps > (double)rate->ceiling_bps)
        bps = (double)rate->ceiling_bps;
    if (!idle || bps > (double)path->model_bps)
        path->model_bps = (uint64_t)bps;
}

static void path_on_feedback(struct gx_rate *rate, const struct gx_rate_sample *sample)
{
    if (sample->has_delivery && sample->standing_ns != 0)
        model_learn(rate, sample);
    rate->bps = rate->path.model_bps;
    if (rate->bps > rate->ceiling_bps)
        rate->bps = rate->ceiling_bps;
    if (sample->grant_bps != 0 && sample->grant_bps < rate->bps)
        rate->bps = sample->grant_bps;
}

const struct gx_rate_algorithm gx_rate_path = {
    .name = "path",
    .init = path_init,
    .recall = path_recall,
    .on_feedback = path_on_feedback,
};
