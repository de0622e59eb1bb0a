#include "mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

int gx_mailbox_init(struct gx_mailbox *box, size_t entry_bytes, uint64_t capacity, int wake_fd)
{
    memset(box, 0, sizeof(*box));
    box->entries = calloc(capacity, entry_bytes);
    box->entry_bytes = entry_bytes;
    box->capacity = capacity;
    box->wake_fd = wake_fd;
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

void *gx_mailbox_claim(struct gx_mailbox *box)
{
    uint64_t tail = __atomic_load_n(&box->tail, __ATOMIC_ACQUIRE);

    return box->head - tail == box->capacity ? NULL : entry_at(box, box->head);
}

void gx_mailbox_commit(struct gx_mailbox *box)
{
    __atomic_store_n(&box->head, box->head + 1, __ATOMIC_RELEASE);
    eventfd_write(box->wake_fd, 1);
}

void *gx_mailbox_peek(struct gx_mailbox *box, uint64_t ahead)
{
    uint64_t head = __atomic_load_n(&box->head, __ATOMIC_ACQUIRE);

    return head - box->tail > ahead ? entry_at(box, box->tail + ahead) : NULL;
}

void gx_mailbox_done(struct gx_mailbox *box, uint64_t count)
{
    __atomic_store_n(&box->tail, box->tail + count, __ATOMIC_RELEASE);
}
