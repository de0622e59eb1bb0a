#include "lane/lane.h"

#include <string.h>

#define INTERVAL_MAX_NS 10000000ull
#define INTERVAL_MIN_NS 1000000ull
#define BURSTY 4
#define WINDOW_UNKNOWN_NS 10000000ull
#define PROBE_IDLE_NS 500000000ull  /* after the last feedback: half of what starts a handshake */
#define PROBE_RETRY_NS 125000000ull /* after a probe that is not answered */
#define TAIL_PROBES_QUICK 100
#define TAIL_WAIT_MAX_NS 1000000000ull

void gx_lane_init(struct gx_lane *lane, const struct gx_rate_algorithm *algorithm,
                  uint64_t rate_bps, double loss_floor, uint32_t packet_bytes,
                  struct gx_flight_entry *ring, uint32_t ring_count, uint64_t now)
{
    memset(lane, 0, sizeof *lane);
    gx_flight_init(&lane->flight, ring, ring_count);
    gx_arrival_init(&lane->arrival);
    gx_rate_init(&lane->rate, algorithm, rate_bps, loss_floor);
    gx_pace_init(&lane->pace, lane->rate.bps, packet_bytes, now);
    lane->feedback_due_ns = GX_LANE_NEVER;
    lane->probe_due_ns = GX_LANE_NEVER;
    lane->tail_due_ns = GX_LANE_NEVER;
}

void gx_lane_session(struct gx_lane *lane, const struct gx_replay *old, bool restarted,
                     uint64_t now)
{
    gx_flight_reset(&lane->flight);
    gx_delivery_reset(&lane->delivery);
    gx_estimate_back_reset(&lane->estimate);
    gx_arrival_session(&lane->arrival, old);
    if (restarted) {
        gx_arrival_init(&lane->arrival);
        lane->estimate.total_expected = 0;
        lane->estimate.total_lost = 0;
        lane->estimate.total_bursts = 0;
    }
    lane->feedback_number = 0;
    lane->feedback_due_ns = GX_LANE_NEVER;
    lane->probe_due_ns = now;
    lane->tail_number = 0;
    lane->tail_due_ns = GX_LANE_NEVER;
}

uint64_t gx_lane_interval_ns(const struct gx_lane *lane)
{
    uint64_t interval = lane->estimate.rtt_ns / 4;

    if (lane->estimate.rtt_ns == 0 || interval > INTERVAL_MAX_NS)
        return INTERVAL_MAX_NS;
    return interval < INTERVAL_MIN_NS ? INTERVAL_MIN_NS : interval;
}

uint64_t gx_lane_window_ns(const struct gx_lane *lane, uint32_t lateness_us)
{
    uint64_t rtt = lane->estimate.rtt_ns;
    uint64_t window = lateness_us * 1250ull;

    if (rtt == 0)
        return WINDOW_UNKNOWN_NS;
    if (window < rtt / 8)
        window = rtt / 8;
    return window < rtt / 2 ? window : rtt / 2;
}

uint64_t gx_lane_timeout_ns(const struct gx_lane *lane)
{
    uint64_t timeout = lane->estimate.rtt_ns + 2 * gx_lane_interval_ns(lane) +
                       gx_lane_window_ns(lane, lane->peer_lateness_us);

    if (lane->estimate.rtt_ns == 0)
        return GX_LANE_RTT_UNKNOWN_NS + 2 * lane->hello_rtt_ns;
    return timeout > GX_LANE_TIMEOUT_MIN_NS ? timeout : GX_LANE_TIMEOUT_MIN_NS;
}

/* Where losses on our way out come in bursts, one may take all feedback of half a second: more of it ends it sooner. */
static uint64_t feedback_interval_ns(const struct gx_lane *lane)
{
    uint64_t interval = gx_lane_interval_ns(lane);

    if (gx_estimate_burst(&lane->estimate) < BURSTY)
        return interval;
    return interval / BURSTY > INTERVAL_MIN_NS ? interval / BURSTY : INTERVAL_MIN_NS;
}

void gx_lane_feedback_soon(struct gx_lane *lane, uint64_t now)
{
    uint64_t due = lane->feedback_sent_ns + feedback_interval_ns(lane);

    if (due < now)
        due = now;
    if (due < lane->feedback_due_ns)
        lane->feedback_due_ns = due;
}

void gx_lane_feedback_now(struct gx_lane *lane, uint64_t now)
{
    lane->feedback_due_ns = now;
}

/* The first probe leaves a window after the last shard, so that its answer judges that shard, too; a second soon after
 * it in case it is lost. */
void gx_lane_shard_sent(struct gx_lane *lane, uint64_t now)
{
    lane->tail_number = lane->flight.sent;
    lane->tail_due_ns = now + gx_lane_window_ns(lane, lane->peer_lateness_us);
    lane->tail_probes = 0;
}

static uint64_t tail_wait_ns(const struct gx_lane *lane)
{
    uint64_t wait = lane->estimate.rtt_ns == 0 ? GX_LANE_RTT_UNKNOWN_NS : lane->estimate.rtt_ns;

    if (lane->tail_probes <= TAIL_PROBES_QUICK)
        return gx_lane_interval_ns(lane);
    for (uint32_t i = TAIL_PROBES_QUICK + 1; i < lane->tail_probes && wait < TAIL_WAIT_MAX_NS; i++)
        wait *= 2;
    return wait < TAIL_WAIT_MAX_NS ? wait : TAIL_WAIT_MAX_NS;
}

static bool tail_probe(struct gx_lane *lane, uint64_t now)
{
    if (now < lane->tail_due_ns)
        return false;
    if (lane->flight.judged >= lane->tail_number) {
        lane->tail_due_ns = GX_LANE_NEVER;
        return false;
    }
    lane->tail_probes++;
    lane->tail_due_ns = now + tail_wait_ns(lane);
    return true;
}

bool gx_lane_probe(struct gx_lane *lane, uint64_t now)
{
    if (!tail_probe(lane, now) && now < lane->probe_due_ns)
        return false;
    lane->probe_due_ns = now + PROBE_RETRY_NS;
    return true;
}

void gx_lane_feedback_heard(struct gx_lane *lane, uint64_t now)
{
    lane->probe_due_ns = now + PROBE_IDLE_NS;
}

uint64_t gx_lane_wake(const struct gx_lane *lane)
{
    uint64_t wake = lane->feedback_due_ns;

    if (lane->probe_due_ns < wake)
        wake = lane->probe_due_ns;
    return lane->tail_due_ns < wake ? lane->tail_due_ns : wake;
}
