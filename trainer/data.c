#include "data.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "philox.h"

static int check_header(const char *path, const int32_t *header, uint64_t file_bytes,
                        struct gx_failure *failure)
{
    if (header[0] != GX_TOKENS_MAGIC)
        return gx_fail(failure, -EINVAL,
                       "%s: not a token file: it starts with %" PRId32
                       ", not %d (make one with gx-tokens)",
                       path, header[0], GX_TOKENS_MAGIC);
    if (header[1] != GX_TOKENS_VERSION)
        return gx_fail(failure, -EINVAL, "%s: token file of version %" PRId32 ", must be %d", path,
                       header[1], GX_TOKENS_VERSION);
    if (header[2] < 0)
        return gx_fail(failure, -EINVAL, "%s: token count %" PRId32 " in the header is negative",
                       path, header[2]);
    uint64_t need = GX_TOKENS_HEADER_BYTES + 2 * (uint64_t)header[2];
    if (file_bytes != need)
        return gx_fail(failure, -EINVAL,
                       "%s: %s: the header says %" PRId32 " tokens, which makes %" PRIu64
                       " bytes, the file has %" PRIu64,
                       path, file_bytes < need ? "truncated token file" : "token file too long",
                       header[2], need, file_bytes);
    return 0;
}

static int check_tokens(const struct gx_tokens *t, const char *path, uint32_t vocab,
                        uint32_t context, struct gx_failure *failure)
{
    if (t->count <= context)
        return gx_fail(failure, -EINVAL,
                       "%s: %" PRIu64 " tokens are too few for --context %" PRIu32
                       ": at least %" PRIu32,
                       path, t->count, context, context + 1);
    uint16_t max = 0;
    for (uint64_t i = 0; i < t->count; i++)
        max = t->tokens[i] > max ? t->tokens[i] : max;
    if (max < vocab)
        return 0;
    uint64_t at = 0;
    while (t->tokens[at] < vocab)
        at++;
    return gx_fail(failure, -EINVAL,
                   "%s: token %" PRIu64 " is %u: must be below the vocabulary's size %" PRIu32,
                   path, at, (unsigned)t->tokens[at], vocab);
}

static int map_file(struct gx_tokens *t, const char *path, struct gx_failure *failure)
{
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return gx_fail(failure, -errno, "%s: %s", path, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) != 0) {
        rc = gx_fail(failure, -errno, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = gx_fail(failure, -EINVAL, "%s: not a regular file", path);
        goto out;
    }
    if (st.st_size < GX_TOKENS_HEADER_BYTES) {
        rc = gx_fail(failure, -EINVAL,
                     "%s: truncated token file: %lld bytes, the header alone has %d", path,
                     (long long)st.st_size, GX_TOKENS_HEADER_BYTES);
        goto out;
    }
    t->map_bytes = (size_t)st.st_size;
    t->map = mmap(NULL, t->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (t->map == MAP_FAILED) {
        t->map = NULL;
        rc = gx_fail(failure, -errno, "%s: mmap: %s", path, strerror(errno));
    }
out:
    close(fd);
    return rc;
}

int gx_tokens_open(struct gx_tokens *t, const char *path, uint32_t vocab, uint32_t context,
                   struct gx_failure *failure)
{
    memset(t, 0, sizeof(*t));
    int rc = map_file(t, path, failure);
    if (rc != 0)
        return rc;
    const int32_t *header = t->map;
    rc = check_header(path, header, t->map_bytes, failure);
    if (rc == 0) {
        t->tokens = (const uint16_t *)((const char *)t->map + GX_TOKENS_HEADER_BYTES);
        t->count = (uint64_t)header[2];
        rc = check_tokens(t, path, vocab, context, failure);
    }
    if (rc != 0) {
        gx_tokens_close(t);
        return rc;
    }
    t->digest = XXH3_64bits(t->tokens, t->count * sizeof(*t->tokens));
    return 0;
}

void gx_tokens_close(struct gx_tokens *t)
{
    if (t->map)
        munmap(t->map, t->map_bytes);
    memset(t, 0, sizeof(*t));
}

static void copy_window(const struct gx_tokens *t, uint16_t *inputs, uint16_t *targets, uint64_t at,
                        uint32_t context)
{
    memcpy(inputs, t->tokens + at, context * sizeof(*inputs));
    memcpy(targets, t->tokens + at + 1, context * sizeof(*targets));
}

void gx_tokens_batch(const struct gx_tokens *t, uint16_t *inputs, uint16_t *targets, uint32_t batch,
                     uint32_t context, uint64_t seed, uint64_t step)
{
    for (uint32_t b = 0; b < batch; b++) {
        uint64_t at = gx_philox_below(t->count - context, seed, GX_PHILOX_BATCH, step * batch + b);
        copy_window(t, inputs + (size_t)b * context, targets + (size_t)b * context, at, context);
    }
}

void gx_tokens_validation_batch(const struct gx_tokens *t, uint16_t *inputs, uint16_t *targets,
                                uint32_t batch, uint32_t context, uint32_t idx, uint32_t count)
{
    const uint64_t windows = (uint64_t)batch * count, places = t->count - context;
    for (uint32_t b = 0; b < batch; b++) {
        unsigned __int128 i = (unsigned __int128)places * ((uint64_t)idx * batch + b);
        copy_window(t, inputs + (size_t)b * context, targets + (size_t)b * context,
                    (uint64_t)(i / windows), context);
    }
}
