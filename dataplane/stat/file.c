/* The lock is an open-file-description lock, not flock(): a reader can ask who holds it without taking it, so that
 * `gxctl show` never stands in the way of a gxd that starts. */
#include "stat/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_MODE 0640
#define DIRECTORY_MODE 0750

static int file_path(char out[PATH_MAX], const char *directory, const char *name)
{
    int length = snprintf(out, PATH_MAX, "%s/%s", directory, name);

    return length < 0 || length >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int lock_file(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EACCES || errno == EAGAIN ? -EWOULDBLOCK : -errno;
}

static int lock_held(int fd, bool *held)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_GETLK, &lock) != 0)
        return -errno;
    *held = lock.l_type != F_UNLCK;
    return 0;
}

/* Opens `path` and locks it. A file that another gxd replaced between the two is not the file any more. */
static int open_locked(const char *path)
{
    struct stat of_path, of_fd;

    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
        if (fd < 0)
            return -errno;
        int rc = lock_file(fd);
        if (rc == 0 && fstat(fd, &of_fd) != 0)
            rc = -errno;
        if (rc == 0 && stat(path, &of_path) == 0 && of_path.st_ino == of_fd.st_ino &&
            of_path.st_dev == of_fd.st_dev)
            return fd;
        close(fd);
        if (rc != 0)
            return rc;
    }
}

static int map_new(int fd, struct gx_stat_file **file)
{
    struct timespec now, clock;

    /* Blocks now, not a SIGBUS when the disk is full later. */
    int rc = posix_fallocate(fd, 0, sizeof(**file));
    if (rc != 0)
        return -rc;
    void *memory = mmap(NULL, sizeof(**file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    *file = memory;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_MONOTONIC, &clock);
    (*file)->magic = GX_STAT_MAGIC;
    (*file)->version_minor = GX_STAT_VERSION_MINOR;
    (*file)->bytes = sizeof(**file);
    (*file)->pid = (uint32_t)getpid();
    (*file)->started_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    (*file)->started_clock_ns = (uint64_t)clock.tv_sec * 1000000000 + (uint64_t)clock.tv_nsec;
    __atomic_store_n(&(*file)->version_major, GX_STAT_VERSION_MAJOR, __ATOMIC_RELEASE);
    return 0;
}

int gx_stat_create(const char *directory, struct gx_stat_file **file, int *fd)
{
    char path[PATH_MAX], fresh_path[PATH_MAX];
    int rc, old_fd, fresh_fd;

    if (mkdir(directory, DIRECTORY_MODE) != 0 && errno != EEXIST)
        return -errno;
    if ((rc = file_path(path, directory, "counters")) != 0 ||
        (rc = file_path(fresh_path, directory, "counters.new")) != 0)
        return rc;
    old_fd = open_locked(path);
    if (old_fd < 0)
        return old_fd;

    /* Always a new inode: readers of a dead gxd's file keep what they have, whatever its size and version. */
    unlink(fresh_path);
    fresh_fd = open(fresh_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fresh_fd < 0) {
        rc = -errno;
        goto out;
    }
    rc = lock_file(fresh_fd);
    if (rc == 0)
        rc = map_new(fresh_fd, file);
    if (rc == 0 && rename(fresh_path, path) != 0) {
        rc = -errno;
        munmap(*file, sizeof(**file));
    }
    if (rc != 0) {
        unlink(fresh_path);
        close(fresh_fd);
        goto out;
    }
    *fd = fresh_fd;
out:
    close(old_fd);
    return rc;
}

void gx_stat_close(struct gx_stat_file *file, int fd)
{
    if (file)
        munmap(file, sizeof(*file));
    if (fd >= 0)
        close(fd);
}

int gx_stat_open(const char *directory, const struct gx_stat_file **file, bool *alive)
{
    char path[PATH_MAX];
    struct stat stat;
    void *memory;
    int rc, fd;

    if ((rc = file_path(path, directory, "counters")) != 0)
        return rc;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &stat) != 0 || (rc = lock_held(fd, alive)) != 0) {
        rc = rc ? rc : -errno;
        goto out;
    }
    if (stat.st_size == 0) { /* a gxd that is about to replace it */
        rc = -ENOENT;
        goto out;
    }
    if ((size_t)stat.st_size < sizeof(**file)) {
        rc = -EPROTO;
        goto out;
    }
    memory = mmap(NULL, sizeof(**file), PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        rc = -errno;
        goto out;
    }
    *file = memory;
    /* The rows of counters.def move what follows them, so another size is another layout. */
    if (__atomic_load_n(&(*file)->version_major, __ATOMIC_ACQUIRE) != GX_STAT_VERSION_MAJOR ||
        (*file)->magic != GX_STAT_MAGIC || (*file)->bytes != sizeof(**file)) {
        munmap(memory, sizeof(**file));
        rc = -EPROTO;
    }
out:
    close(fd);
    return rc;
}

void gx_stat_unmap(const struct gx_stat_file *file)
{
    if (file)
        munmap((void *)(uintptr_t)file, sizeof(*file));
}

static struct gx_stat_error *error_slot(struct gx_stat_file *file, const char *text)
{
    struct gx_stat_error *oldest = &file->errors[0];

    for (unsigned i = 0; i < GX_STAT_ERRORS; i++) {
        struct gx_stat_error *e = &file->errors[i];
        if (!e->used || strncmp(e->text, text, sizeof(e->text) - 1) == 0)
            return e;
        if (e->last_ns < oldest->last_ns)
            oldest = e;
    }
    return oldest;
}

void gx_stat_error(struct gx_stat_file *file, const char *text, uint64_t realtime_ns)
{
    struct gx_stat_error *e = error_slot(file, text);
    bool same = e->used && strncmp(e->text, text, sizeof(e->text) - 1) == 0;

    __atomic_store_n(&e->sequence, e->sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* odd before the first byte changes */
    if (!same) {
        memset(e->text, 0, sizeof(e->text));
        strncpy(e->text, text, sizeof(e->text) - 1);
        e->count = 0;
        e->first_ns = realtime_ns;
        e->used = 1;
    }
    e->count++;
    e->last_ns = realtime_ns;
    __atomic_store_n(&e->sequence, e->sequence + 1, __ATOMIC_RELEASE);
}
