#include "transfer/mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int gx_mailbox_init(struct gx_mailbox *box, size_t entry_bytes, uint64_t capacity)
{
    memset(box, 0, sizeof(*box));
    box->entries = calloc(capacity, entry_bytes);
    box->entry_bytes = entry_bytes;
    box->capacity = capacity;
    return box->entries ? 0 : -ENOMEM;
}

void gx_mailbox_fini(struct gx_mailbox *box)
{
    free(box->entries);
    box->entries = NULL;
}

static void *entry_at(const struct gx_mailbox *box, uint64_t position)
{
    return box->entries + (position % box->capacity) * box->entry_bytes;
}

uint64_t gx_mailbox_used(const struct gx_mailbox *box)
{
    /* Acquire: what was given back has been read. */
    return box->head - __atomic_load_n(&box->tail, __ATOMIC_ACQUIRE);
}

void *gx_mailbox_claim(struct gx_mailbox *box)
{
    return gx_mailbox_used(box) == box->capacity ? NULL : entry_at(box, box->head);
}

void gx_mailbox_commit(struct gx_mailbox *box)
{
    /* Release: who sees the head sees the entry. */
    __atomic_store_n(&box->head, box->head + 1, __ATOMIC_RELEASE);
}

void *gx_mailbox_peek(const struct gx_mailbox *box, uint64_t ahead)
{
    uint64_t head = __atomic_load_n(&box->head, __ATOMIC_ACQUIRE);

    return head - box->tail > ahead ? entry_at(box, box->tail + ahead) : NULL;
}

void gx_mailbox_done(struct gx_mailbox *box, uint64_t count)
{
    __atomic_store_n(&box->tail, box->tail + count, __ATOMIC_RELEASE);
}
