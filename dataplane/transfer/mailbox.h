/* gx_mailbox: a bounded queue from one thread of gxd to another. Entries are written and read in place.
 *
 * Threads   claim, commit and used: the sender; peek and done: the receiver. Whoever commits wakes the receiver, by means
 *           that are not this one's.
 * Memory    all of it is allocated at create.
 */
#ifndef GX_TRANSFER_MAILBOX_H
#define GX_TRANSFER_MAILBOX_H

#include <stddef.h>
#include <stdint.h>

struct gx_mailbox {
    uint8_t *entries;
    size_t entry_bytes;
    uint64_t capacity;
    _Alignas(64) uint64_t head;
    _Alignas(64) uint64_t tail;
};

/* -ENOMEM. */
int gx_mailbox_init(struct gx_mailbox *box, size_t entry_bytes, uint64_t capacity);
void gx_mailbox_fini(struct gx_mailbox *box);

/* The next free entry, NULL when full; commit hands it over. */
void *gx_mailbox_claim(struct gx_mailbox *box);
void gx_mailbox_commit(struct gx_mailbox *box);
/* Entries that the receiver has not given back. */
uint64_t gx_mailbox_used(const struct gx_mailbox *box);

/* The entry `ahead` places behind the oldest, NULL when there is none; done gives the `count` oldest back. */
void *gx_mailbox_peek(const struct gx_mailbox *box, uint64_t ahead);
void gx_mailbox_done(struct gx_mailbox *box, uint64_t count);

#endif
