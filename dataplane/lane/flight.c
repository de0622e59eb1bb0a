#include "lane/flight.h"

#include "gx_assert.h"

#define RING_COUNT_MIN (1u << 12)
#define RING_COUNT_MAX (1u << 20)

uint32_t gx_flight_ring_count(uint64_t rate_bps, uint32_t packet_bytes)
{
    uint64_t packets = rate_bps / (8ull * packet_bytes);
    uint32_t count = RING_COUNT_MIN;

    while (count < packets && count < RING_COUNT_MAX)
        count *= 2;
    return count;
}

void gx_flight_init(struct gx_flight *flight, struct gx_flight_entry *ring, uint32_t ring_count)
{
    flight->ring = ring;
    flight->ring_count = ring_count;
    gx_flight_reset(flight);
}

void gx_flight_reset(struct gx_flight *flight)
{
    flight->sent = 0;
    flight->seen = 0;
    flight->judged = 0;
}

static struct gx_flight_entry *entry_at(const struct gx_flight *flight, uint64_t number)
{
    return &flight->ring[number & (flight->ring_count - 1)];
}

void gx_flight_sent(struct gx_flight *flight, uint64_t number, const struct gx_flight_entry *entry)
{
    GX_ASSERT(number == flight->sent + 1 && !gx_flight_full(flight));
    flight->sent = number;
    *entry_at(flight, number) = *entry;
}

const struct gx_flight_entry *gx_flight_see(struct gx_flight *flight, uint64_t highest)
{
    if (flight->seen >= highest || flight->seen >= flight->sent)
        return NULL;
    return entry_at(flight, ++flight->seen);
}

const struct gx_flight_entry *gx_flight_judge(struct gx_flight *flight, uint64_t before_ns)
{
    const struct gx_flight_entry *entry;

    if (flight->judged == flight->seen)
        return NULL;
    entry = entry_at(flight, flight->judged + 1);
    if (entry->sent_ns > before_ns)
        return NULL;
    flight->judged++;
    return entry;
}

uint64_t gx_flight_seen_sent_ns(const struct gx_flight *flight)
{
    return flight->seen == 0 ? 0 : entry_at(flight, flight->seen)->sent_ns;
}

const struct gx_flight_entry *gx_flight_drop(struct gx_flight *flight)
{
    GX_ASSERT(flight->judged < flight->sent);
    flight->judged++;
    if (flight->seen < flight->judged)
        flight->seen = flight->judged;
    return entry_at(flight, flight->judged);
}
