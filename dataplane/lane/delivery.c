#include "lane/delivery.h"

#define SECOND_NS 1000000000ull

void gx_delivery_reset(struct gx_delivery *delivery)
{
    *delivery = (struct gx_delivery){0};
}

static uint64_t bps(uint64_t packets, uint32_t packet_bytes, uint64_t ns)
{
    return (uint64_t)((double)packets * packet_bytes * 8 * (double)SECOND_NS / (double)ns);
}

bool gx_delivery_feedback(struct gx_delivery *delivery, uint64_t highest, uint64_t sent_ns,
                          uint64_t arrived_ns, uint32_t received, uint64_t span_ns,
                          uint32_t packet_bytes, struct gx_delivery_sample *sample)
{
    struct gx_delivery next = {true, highest, arrived_ns, sent_ns, received};
    uint64_t sent_span, arrived_span;

    if (!delivery->started || highest < delivery->number || arrived_ns < delivery->arrived_ns ||
        sent_ns < delivery->sent_ns) {
        *delivery = next;
        return false;
    }
    sent_span = sent_ns - delivery->sent_ns;
    arrived_span = arrived_ns - delivery->arrived_ns;
    if (highest == delivery->number || arrived_span < span_ns || sent_span == 0)
        return false;
    sample->packets = highest - delivery->number;
    sample->received = received - delivery->received;
    /* Late ones of the span before count here. */
    if (sample->received > sample->packets)
        sample->received = sample->packets;
    sample->span_ns = arrived_span > sent_span ? arrived_span : sent_span;
    sample->delivered_bps = bps(sample->received, packet_bytes, sample->span_ns);
    sample->sent_bps = bps(sample->packets, packet_bytes, sent_span);
    *delivery = next;
    return true;
}
