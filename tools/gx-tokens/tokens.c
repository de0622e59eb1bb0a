#include "gx-tokens/tokens.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data.h"

#define READ_BYTES ((size_t)1 << 20)
#define PROGRESS_BYTES ((size_t)1 << 24)
#define CHUNK 4096

int gx_text_read(struct gx_text *text, FILE *in, void (*progress)(size_t bytes))
{
    size_t room = 0, told = 0;
    *text = (struct gx_text){0};
    for (;;) {
        if (room - text->count < READ_BYTES) {
            room = room * 2 + READ_BYTES;
            uint8_t *bytes = realloc(text->bytes, room);
            if (!bytes)
                goto no_memory;
            text->bytes = bytes;
        }
        errno = 0;
        size_t n = fread(text->bytes + text->count, 1, READ_BYTES, in);
        text->count += n;
        if (ferror(in))
            return errno != 0 ? -errno : -EIO;
        if (n == 0)
            return 0;
        if (progress && text->count - told >= PROGRESS_BYTES) {
            told = text->count;
            progress(told);
        }
    }
no_memory:
    free(text->bytes);
    *text = (struct gx_text){0};
    return -ENOMEM;
}

int gx_split_compute(struct gx_split *split, size_t count, double val_fraction, uint32_t part,
                     uint32_t parts)
{
    if (part < 1 || part > parts || !(val_fraction > 0 && val_fraction < 1))
        return -EINVAL;
    size_t val = (size_t)((double)count * val_fraction);
    size_t rest = count - val;
    size_t first = (size_t)((unsigned __int128)rest * (part - 1) / parts);
    size_t end = (size_t)((unsigned __int128)rest * part / parts);
    *split = (struct gx_split){first, end - first, rest, val};
    return split->train_count > 0 && val > 0 ? 0 : -EINVAL;
}

static int write_tokens(FILE *out, const uint8_t *bytes, size_t count)
{
    int32_t header[GX_TOKENS_HEADER_BYTES / 4] = {GX_TOKENS_MAGIC, GX_TOKENS_VERSION,
                                                  (int32_t)count};
    if (fwrite(header, sizeof(header), 1, out) != 1)
        return -errno;
    uint16_t chunk[CHUNK];
    for (size_t first = 0; first < count; first += CHUNK) {
        size_t n = count - first < CHUNK ? count - first : CHUNK;
        for (size_t i = 0; i < n; i++)
            chunk[i] = bytes[first + i];
        if (fwrite(chunk, sizeof(*chunk), n, out) != n)
            return -errno;
    }
    return fflush(out) == 0 ? 0 : -errno;
}

int gx_tokens_write(const char *path, const uint8_t *bytes, size_t count)
{
    if (count > GX_TOKENS_COUNT_MAX)
        return -EFBIG;
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.tmp", path) < 0)
        return -ENOMEM;
    FILE *out = fopen(temporary, "wbe");
    if (!out) {
        int rc = -errno;
        free(temporary);
        return rc;
    }
    int rc = write_tokens(out, bytes, count);
    if (fclose(out) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(temporary, path) != 0)
        rc = -errno;
    if (rc != 0)
        unlink(temporary);
    free(temporary);
    return rc;
}
