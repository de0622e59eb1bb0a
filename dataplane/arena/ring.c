#include "arena/ring.h"

#include <errno.h>
#include <string.h>

static int attach(struct gx_ring_end *end, struct gx_ring *ring, void *entries,
                  uint32_t entry_bytes, const uint64_t *own)
{
    uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
    uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);

    if (head - tail > GX_RING_ENTRIES)
        return -EBADMSG;
    *end = (struct gx_ring_end){ring, entries, entry_bytes, own == &ring->head ? head : tail};
    return 0;
}

int gx_ring_produce(struct gx_ring_end *end, struct gx_ring *ring, void *entries,
                    uint32_t entry_bytes)
{
    return attach(end, ring, entries, entry_bytes, &ring->head);
}

int gx_ring_consume(struct gx_ring_end *end, struct gx_ring *ring, void *entries,
                    uint32_t entry_bytes)
{
    return attach(end, ring, entries, entry_bytes, &ring->tail);
}

static uint8_t *entry_at(const struct gx_ring_end *end)
{
    return end->entries + (end->position % GX_RING_ENTRIES) * end->entry_bytes;
}

int gx_ring_room(const struct gx_ring_end *end)
{
    /* Acquire: the consumer has copied an entry out before its place is written again. */
    uint64_t tail = __atomic_load_n(&end->ring->tail, __ATOMIC_ACQUIRE);
    uint64_t used = end->position - tail;

    return used > GX_RING_ENTRIES ? -EBADMSG : (int)(GX_RING_ENTRIES - used);
}

int gx_ring_push(struct gx_ring_end *end, const void *entry)
{
    int room = gx_ring_room(end);

    if (room <= 0)
        return room ? room : -ENOSPC;
    memcpy(entry_at(end), entry, end->entry_bytes);
    end->position++;
    /* Release: the entry is whole before the consumer sees it. */
    __atomic_store_n(&end->ring->head, end->position, __ATOMIC_RELEASE);
    return 0;
}

int gx_ring_pop(struct gx_ring_end *end, void *entry)
{
    uint64_t head = __atomic_load_n(&end->ring->head, __ATOMIC_ACQUIRE);
    uint64_t ready = head - end->position;

    if (ready > GX_RING_ENTRIES)
        return -EBADMSG;
    if (!ready)
        return 0;
    memcpy(entry, entry_at(end), end->entry_bytes);
    end->position++;
    __atomic_store_n(&end->ring->tail, end->position, __ATOMIC_RELEASE);
    return 1;
}
