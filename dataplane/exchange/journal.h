/* gx_journal: entries of the coordinator's write-once log. The file is the caller's; here entries are built and parsed.
 *
 * Layout    u32 magic and version, u32 bytes of the whole entry, u64 XXH3 of what follows, u8 type, then
 *           RECORD: run name, u32 fragment, gx_record (wire/state.h)
 *           EPOCH:  run name, u32 epoch, u32 fragments, per fragment u64 round and digest of the state it starts from
 */
#ifndef GX_EXCHANGE_JOURNAL_H
#define GX_EXCHANGE_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "wire/state.h"

#define GX_JOURNAL_ENTRY_MAX_BYTES 4096

enum gx_journal_type { GX_JOURNAL_RECORD = 1, GX_JOURNAL_EPOCH = 2 };

struct gx_journal_start {
    uint64_t round;
    struct gx_digest state;
};

struct gx_journal_entry {
    enum gx_journal_type type;
    char run[GX_NAME_MAX];
    uint32_t fragment;       /* RECORD */
    struct gx_record record; /* RECORD */
    uint32_t epoch;          /* EPOCH */
    uint32_t fragment_count; /* EPOCH */
    struct gx_journal_start starts[GX_FRAGMENTS_MAX];
};

/* Returns the entry's bytes; `out` has GX_JOURNAL_ENTRY_MAX_BYTES. */
size_t gx_journal_build(const struct gx_journal_entry *entry, uint8_t *out);
/* 0; -EBADMSG when truncated, torn, or no entry; -EPROTO: whole, but of another version. */
int gx_journal_parse(const uint8_t *in, size_t bytes, struct gx_journal_entry *entry);

#endif
