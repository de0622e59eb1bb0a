#include "exchange/journal.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h> /* XXH3_64bits */

#include "wire/bytes.h"

#define MAGIC 0x676a0001u /* "gj", version 1 */
#define PREFIX_BYTES 16   /* magic, bytes, check */

_Static_assert(PREFIX_BYTES + 1 + GX_NAME_MAX + 8 + GX_FRAGMENTS_MAX * (8 + GX_DIGEST_BYTES) <=
                   GX_JOURNAL_ENTRY_MAX_BYTES,
               "an epoch entry of the largest schema fits");

size_t gx_journal_build(const struct gx_journal_entry *entry, uint8_t *out)
{
    struct gx_writer w = {out + PREFIX_BYTES, out + GX_JOURNAL_ENTRY_MAX_BYTES};
    gx_write_u8(&w, (uint8_t)entry->type);
    gx_write(&w, entry->run, sizeof(entry->run));
    if (entry->type == GX_JOURNAL_RECORD) {
        gx_write_u32(&w, entry->fragment);
        gx_record_write(&w, &entry->record);
    } else {
        gx_write_u32(&w, entry->epoch);
        gx_write_u32(&w, entry->fragment_count);
        for (uint32_t f = 0; f < entry->fragment_count; f++) {
            gx_write_u64(&w, entry->starts[f].round);
            gx_write(&w, &entry->starts[f].state, sizeof(entry->starts[f].state));
        }
    }
    size_t bytes = (size_t)(w.at - out);
    w.at = out;
    gx_write_u32(&w, MAGIC);
    gx_write_u32(&w, (uint32_t)bytes);
    gx_write_u64(&w, XXH3_64bits(out + PREFIX_BYTES, bytes - PREFIX_BYTES));
    return bytes;
}

int gx_journal_parse(const uint8_t *in, size_t bytes, struct gx_journal_entry *entry)
{
    struct gx_reader r = {in, in + bytes, true};
    memset(entry, 0, sizeof(*entry));
    uint32_t magic = gx_read_u32(&r);
    uint32_t size = gx_read_u32(&r);
    uint64_t check = gx_read_u64(&r);
    /* Version 0 is a version that a crash kept from being written. */
    if (!r.ok || magic >> 16 != MAGIC >> 16 || (magic & 0xffff) == 0 || size != bytes ||
        check != XXH3_64bits(in + PREFIX_BYTES, bytes - PREFIX_BYTES))
        return -EBADMSG;
    if (magic != MAGIC)
        return -EPROTO;
    uint8_t type = gx_read_u8(&r);
    gx_read(&r, entry->run, sizeof(entry->run));
    entry->run[GX_NAME_MAX - 1] = 0;
    entry->type = type == GX_JOURNAL_RECORD ? GX_JOURNAL_RECORD : GX_JOURNAL_EPOCH;
    if (type == GX_JOURNAL_RECORD) {
        entry->fragment = gx_read_u32(&r);
        gx_record_read(&r, &entry->record);
        r.ok = r.ok && entry->fragment < GX_FRAGMENTS_MAX;
    } else if (type == GX_JOURNAL_EPOCH) {
        entry->epoch = gx_read_u32(&r);
        entry->fragment_count = gx_read_u32(&r);
        if (entry->fragment_count > GX_FRAGMENTS_MAX)
            return -EBADMSG;
        for (uint32_t f = 0; f < entry->fragment_count; f++) {
            entry->starts[f].round = gx_read_u64(&r);
            gx_read(&r, &entry->starts[f].state, sizeof(entry->starts[f].state));
        }
    } else {
        return -EBADMSG;
    }
    return r.ok && r.at == r.end ? 0 : -EBADMSG;
}
