#include "arena/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE_BYTES (2ull << 20)
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26) /* linux/memfd.h, which glibc 2.36 does not include */
#endif

static uint64_t huge_pages_free(void)
{
    FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
    unsigned long long count = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%llu", &count) != 1)
        count = 0;
    fclose(file);
    return count;
}

/* Made with `flags`. The mapping reserves huge pages, so a lack of them shows here. */
static int map(struct gx_memfd *memfd, uint64_t bytes, unsigned flags)
{
    int fd = memfd_create("gx-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
    void *base = MAP_FAILED;
    int ret;

    if (fd >= 0 && ftruncate(fd, (off_t)bytes) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        ret = -errno;
        if (fd >= 0)
            close(fd);
        return ret;
    }
    *memfd = (struct gx_memfd){fd, base, bytes};
    return 0;
}

int gx_memfd_open(struct gx_memfd *memfd, uint64_t bytes)
{
    uint64_t huge = (bytes + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1);

    if (huge_pages_free() >= huge / HUGE_PAGE_BYTES &&
        map(memfd, huge, MFD_HUGETLB | MFD_HUGE_2MB) == 0)
        return 0;
    return map(memfd, bytes, 0);
}

void gx_memfd_close(struct gx_memfd *memfd)
{
    if (memfd->base)
        munmap(memfd->base, memfd->bytes);
    if (memfd->fd >= 0)
        close(memfd->fd);
    *memfd = (struct gx_memfd){.fd = -1};
}
