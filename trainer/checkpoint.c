#include "checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAGIC "gx-ckpt\n"
#define VERSION 1u

struct header {
    char magic[8];
    uint32_t version;
    uint32_t vocab, context, layers, heads, width, batch, shared;
    uint64_t inner_steps, seed, data_count, data_digest;
    uint64_t round, inner_done, steps, updates, weight;
    uint64_t param_count;
};

_Static_assert(sizeof(struct header) == 120, "the checkpoint's header is a file format");

#define ARRAYS_MAX 5

/* A file that is hashed as it is read or written. */
struct stream {
    int fd;
    const char *path;
    XXH3_state_t *hash;
    struct gx_failure *failure;
};

static int put(struct stream *s, const void *data, size_t bytes)
{
    const char *p = data;
    XXH3_128bits_update(s->hash, data, bytes);
    while (bytes > 0) {
        ssize_t n = write(s->fd, p, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return gx_fail(s->failure, -errno, "checkpoint %s: write: %s", s->path,
                           strerror(errno));
        p += n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int get(struct stream *s, void *data, size_t bytes)
{
    char *p = data;
    size_t left = bytes;
    while (left > 0) {
        ssize_t n = read(s->fd, p, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return gx_fail(s->failure, -errno, "checkpoint %s: read: %s", s->path, strerror(errno));
        if (n == 0)
            return gx_fail(s->failure, -EINVAL, "checkpoint %s: truncated", s->path);
        p += n;
        left -= (size_t)n;
    }
    XXH3_128bits_update(s->hash, data, bytes);
    return 0;
}

static unsigned list_arrays(const struct gx_checkpoint *c, float *arrays[ARRAYS_MAX])
{
    float *all[ARRAYS_MAX] = {c->params, c->moment1, c->moment2, c->theta, c->momentum};
    memcpy(arrays, all, sizeof(all));
    return c->run.shared ? 5 : 3;
}

static struct header make_header(const struct gx_checkpoint *c, uint64_t param_count)
{
    struct header h = {
        .version = VERSION,
        .vocab = c->run.model.vocab,
        .context = c->run.model.context,
        .layers = c->run.model.layers,
        .heads = c->run.model.heads,
        .width = c->run.model.width,
        .batch = c->run.batch,
        .shared = c->run.shared,
        .inner_steps = c->run.inner_steps,
        .seed = c->run.seed,
        .data_count = c->run.data_count,
        .data_digest = c->run.data_digest,
        .round = c->state.round,
        .inner_done = c->state.inner_done,
        .steps = c->state.steps,
        .updates = c->state.updates,
        .weight = c->state.weight,
        .param_count = param_count,
    };
    memcpy(h.magic, MAGIC, sizeof(h.magic));
    return h;
}

static int write_all(struct stream *s, const struct gx_checkpoint *c, uint64_t param_count)
{
    struct header h = make_header(c, param_count);
    float *arrays[ARRAYS_MAX];
    unsigned count = list_arrays(c, arrays);
    int rc = put(s, &h, sizeof(h));
    for (unsigned i = 0; rc == 0 && i < count; i++)
        rc = put(s, arrays[i], param_count * sizeof(float));
    if (rc != 0)
        return rc;
    XXH128_canonical_t sum;
    XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(s->hash));
    rc = put(s, &sum, sizeof(sum));
    if (rc == 0 && fsync(s->fd) != 0)
        rc = gx_fail(s->failure, -errno, "checkpoint %s: fsync: %s", s->path, strerror(errno));
    return rc;
}

static int sync_directory(const char *path, struct gx_failure *failure)
{
    char *copy = strdup(path);
    if (!copy)
        return gx_fail(failure, -ENOMEM, "checkpoint %s: no memory", path);
    char *slash = strrchr(copy, '/');
    const char *dir = ".";
    if (slash) {
        slash[slash == copy ? 1 : 0] = '\0';
        dir = copy;
    }
    int rc = 0, fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        rc = gx_fail(failure, -errno, "checkpoint %s: fsync of %s: %s", path, dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(copy);
    return rc;
}

int gx_checkpoint_write(const char *path, const struct gx_checkpoint *checkpoint,
                        uint64_t param_count, struct gx_failure *failure)
{
    struct stream s = {.fd = -1, .path = path, .failure = failure};
    int rc = -ENOMEM;
    char *temporary = NULL;
    s.hash = XXH3_createState();
    if (!s.hash || asprintf(&temporary, "%s.tmp", path) < 0) {
        temporary = NULL;
        gx_fail(failure, rc, "checkpoint %s: no memory", path);
        goto out;
    }
    XXH3_128bits_reset(s.hash);
    s.fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (s.fd < 0) {
        rc = gx_fail(failure, -errno, "checkpoint %s: %s", temporary, strerror(errno));
        goto out;
    }
    rc = write_all(&s, checkpoint, param_count);
    close(s.fd);
    if (rc == 0 && rename(temporary, path) != 0)
        rc = gx_fail(failure, -errno, "checkpoint %s: rename: %s", path, strerror(errno));
    if (rc == 0)
        rc = sync_directory(path, failure);
    else
        unlink(temporary);
out:
    free(temporary);
    XXH3_freeState(s.hash);
    return rc;
}

#define DIFFERS(field, name)                                                                       \
    if (file->field != want->field)                                                                \
    return gx_fail(s->failure, -EINVAL,                                                            \
                   "checkpoint %s: made with " name " %" PRIu64 ", this run says %" PRIu64         \
                   " (other file, or delete it)",                                                  \
                   s->path, (uint64_t)file->field, (uint64_t)want->field)

static int check_header(struct stream *s, const struct header *file, const struct header *want)
{
    if (memcmp(file->magic, want->magic, sizeof(file->magic)) != 0)
        return gx_fail(s->failure, -EINVAL, "checkpoint %s: not a gx-train checkpoint", s->path);
    if (file->version != want->version)
        return gx_fail(s->failure, -EINVAL,
                       "checkpoint %s: version %" PRIu32 ", this gx-train reads %" PRIu32, s->path,
                       file->version, want->version);
    DIFFERS(vocab, "--vocab");
    DIFFERS(context, "--context");
    DIFFERS(layers, "--layers");
    DIFFERS(heads, "--heads");
    DIFFERS(width, "--width");
    DIFFERS(batch, "--batch");
    DIFFERS(inner_steps, "--inner-steps");
    DIFFERS(seed, "--seed");
    if (file->shared != want->shared)
        return gx_fail(s->failure, -EINVAL, "checkpoint %s: made %s -s, this run is %s it", s->path,
                       file->shared ? "with" : "without", want->shared ? "with" : "without");
    DIFFERS(data_count, "a count of training tokens of");
    DIFFERS(data_digest, "other training tokens, digest");
    DIFFERS(param_count, "a count of parameters of");
    return 0;
}

/* Before the arrays are read into: a wrong length is the most likely damage, and cheap to see. */
static int check_length(struct stream *s, uint64_t want)
{
    struct stat st;
    if (fstat(s->fd, &st) != 0)
        return gx_fail(s->failure, -errno, "checkpoint %s: %s", s->path, strerror(errno));
    if ((uint64_t)st.st_size == want)
        return 0;
    return gx_fail(s->failure, -EINVAL, "checkpoint %s: %s: %lld bytes, must be %" PRIu64, s->path,
                   (uint64_t)st.st_size < want ? "truncated" : "too long", (long long)st.st_size,
                   want);
}

static int read_all(struct stream *s, struct gx_checkpoint *c, uint64_t param_count)
{
    const struct header want = make_header(c, param_count);
    struct header file;
    float *arrays[ARRAYS_MAX];
    unsigned count = list_arrays(c, arrays);
    int rc = get(s, &file, sizeof(file));
    if (rc == 0)
        rc = check_header(s, &file, &want);
    XXH128_canonical_t sum, stored;
    if (rc == 0)
        rc = check_length(s, sizeof(file) + count * param_count * sizeof(float) + sizeof(stored));
    for (unsigned i = 0; rc == 0 && i < count; i++)
        rc = get(s, arrays[i], param_count * sizeof(float));
    if (rc != 0)
        return rc;
    XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(s->hash));
    rc = get(s, &stored, sizeof(stored));
    if (rc != 0)
        return rc;
    if (memcmp(&sum, &stored, sizeof(sum)) != 0)
        return gx_fail(s->failure, -EBADMSG,
                       "checkpoint %s: corrupted: its checksum does not match", s->path);
    c->state = (struct gx_checkpoint_state){
        .round = file.round,
        .inner_done = file.inner_done,
        .steps = file.steps,
        .updates = file.updates,
        .weight = file.weight,
    };
    return 0;
}

int gx_checkpoint_read(const char *path, struct gx_checkpoint *checkpoint, uint64_t param_count,
                       struct gx_failure *failure)
{
    struct stream s = {.path = path, .failure = failure};
    s.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s.fd < 0)
        return gx_fail(failure, -errno, "checkpoint %s: %s", path, strerror(errno));
    int rc = -ENOMEM;
    s.hash = XXH3_createState();
    if (s.hash) {
        XXH3_128bits_reset(s.hash);
        rc = read_all(&s, checkpoint, param_count);
    } else {
        gx_fail(failure, rc, "checkpoint %s: no memory", path);
    }
    XXH3_freeState(s.hash);
    close(s.fd);
    return rc;
}
