/* gx_journal_file: the coordinator's write-once log on disk. An entry counts as written only after fdatasync.
 *
 * Layout    u32 length, entry; and so on. The entry carries its own checksum.
 * Torn      a crash in mid-write leaves a torn tail. It was never acknowledged, so it is cut off at the next start. One
 *           write is one batch: where more follows, acknowledged entries are damaged, and nothing is cut off.
 * Failure   after a failed write or sync nothing is known about what reached the disk: the file is cut to its last
 *           durable byte and all of the batch is written again, later. fdatasync is never simply repeated: after an
 *           error the kernel may have marked the pages clean.
 * Threads   main.
 */
#ifndef GX_JOURNAL_FILE_H
#define GX_JOURNAL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define GX_JOURNAL_BATCH_MAX 64 /* entries in one append */

struct gx_journal_file {
    int fd; /* -1: none */
    uint64_t durable_bytes;
    char path[512];
};

/* One entry at replay: 0; -EBADMSG: it is no entry. */
typedef int gx_journal_entry_fn(void *ctx, const uint8_t *entry, size_t bytes);

/* The file's name in `directory`: journal-<8 hex of XXH3 over the site names in order>.log. */
void gx_journal_file_path(char *out, size_t out_bytes, const char *directory,
                          const struct gx_config *config);

/* Opens or creates it, hands every entry to `entry`, and cuts off a torn tail: *torn_bytes. 0 or -errno; -EBADMSG: there
 * are *torn_bytes behind a bad entry, more than a crash can tear. */
int gx_journal_file_open(struct gx_journal_file *file, const char *path, gx_journal_entry_fn *entry,
                         void *ctx, uint64_t *count, uint64_t *torn_bytes);
void gx_journal_file_close(struct gx_journal_file *file);

struct gx_journal_slice {
    const uint8_t *bytes;
    size_t byte_count;
};

/* Appends all entries, GX_JOURNAL_BATCH_MAX at most, and syncs once. 0: all are durable. -errno: none counts, call again with the same. */
int gx_journal_file_append(struct gx_journal_file *file, const struct gx_journal_slice *entries,
                           size_t count);

#endif
