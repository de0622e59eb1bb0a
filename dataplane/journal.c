#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "core.h"

#define TORN_MAX_BYTES                                                                             \
    (GX_JOURNAL_BATCH_MAX * (sizeof(uint32_t) + (uint64_t)GX_JOURNAL_ENTRY_MAX_BYTES))

void gx_journal_file_path(char *out, size_t out_bytes, const char *directory,
                          const struct gx_config *config)
{
    char names[GX_SITES_MAX * (GX_NAME_MAX + 1)];
    size_t bytes = 0;

    for (uint32_t i = 0; i < config->site_count; i++)
        bytes +=
            (size_t)snprintf(names + bytes, sizeof(names) - bytes, "%s\n", config->sites[i].name);
    snprintf(out, out_bytes, "%s/journal-%08x.log", directory,
             (unsigned)(XXH3_64bits(names, bytes) & 0xffffffffu));
}

/* A new file must survive a crash under its name. */
static int directory_sync(const char *path)
{
    char copy[512];
    int fd, ret;

    snprintf(copy, sizeof(copy), "%s", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ret = fsync(fd) ? -errno : 0;
    close(fd);
    return ret;
}

/* Exactly `bytes` at `offset`: 1, 0 at the end of the file or in the middle of what was asked for, or -errno. */
static int read_all(int fd, void *out, size_t bytes, uint64_t offset)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t n = pread(fd, (uint8_t *)out + done, bytes - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
        done += (size_t)n;
    }
    return 1;
}

static int write_all(int fd, const void *data, size_t bytes, uint64_t offset)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t n = pwrite(fd, (const uint8_t *)data + done, bytes - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

static int replay(struct gx_journal_file *file, gx_journal_entry_fn *entry, void *ctx,
                  uint64_t *count)
{
    uint8_t bytes[GX_JOURNAL_ENTRY_MAX_BYTES];
    uint32_t length;

    for (*count = 0;; ++*count) {
        int ret = read_all(file->fd, &length, sizeof(length), file->durable_bytes);

        if (ret == 1 && (length == 0 || length > sizeof(bytes)))
            return 0;
        if (ret == 1)
            ret = read_all(file->fd, bytes, length, file->durable_bytes + sizeof(length));
        if (ret <= 0)
            return ret;
        ret = entry(ctx, bytes, length);
        if (ret)
            return ret == -EBADMSG ? 0 : ret;
        file->durable_bytes += sizeof(length) + length;
    }
}

int gx_journal_file_open(struct gx_journal_file *file, const char *path, gx_journal_entry_fn *entry,
                         void *ctx, uint64_t *count, uint64_t *torn_bytes)
{
    struct stat status;
    int ret;

    memset(file, 0, sizeof(*file));
    snprintf(file->path, sizeof(file->path), "%s", path);
    file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (file->fd < 0)
        return -errno;
    ret = replay(file, entry, ctx, count);
    if (!ret && fstat(file->fd, &status))
        ret = -errno;
    if (!ret) {
        *torn_bytes = (uint64_t)status.st_size - file->durable_bytes;
        if (*torn_bytes > TORN_MAX_BYTES)
            ret = -EBADMSG;
        /* The sync also covers a tail that was read whole, but whose sync the crash may have forestalled. */
        else if (ftruncate(file->fd, (off_t)file->durable_bytes) || fsync(file->fd))
            ret = -errno;
    }
    if (!ret)
        ret = directory_sync(path);
    if (ret)
        gx_journal_file_close(file);
    return ret;
}

void gx_journal_file_close(struct gx_journal_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

int gx_journal_file_append(struct gx_journal_file *file, const struct gx_journal_slice *entries,
                           size_t count)
{
    uint64_t end = file->durable_bytes;
    /* What an earlier, failed attempt left behind goes first, or a crash now would leave a hole in the middle. */
    int ret = ftruncate(file->fd, (off_t)end) ? -errno : 0;

    for (size_t i = 0; !ret && i < count; i++) {
        uint32_t length = (uint32_t)entries[i].byte_count;

        ret = write_all(file->fd, &length, sizeof(length), end);
        if (!ret)
            ret = write_all(file->fd, entries[i].bytes, length, end + sizeof(length));
        end += sizeof(length) + length;
    }
    if (!ret && fdatasync(file->fd))
        ret = -errno;
    if (!ret)
        file->durable_bytes = end;
    return ret;
}
