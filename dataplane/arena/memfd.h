/* gx_memfd: the memory of an arena as its trainer makes it: a sealed memfd, mapped; of huge pages of 2 MiB where enough are
 * free. gxd's side is map.h. */
#ifndef GX_ARENA_MEMFD_H
#define GX_ARENA_MEMFD_H

#include <stdint.h>

struct gx_memfd {
    int fd;        /* -1: closed */
    uint8_t *base; /* NULL: closed */
    uint64_t bytes;
};

/* At least so many bytes, of zeros. -errno. */
int gx_memfd_open(struct gx_memfd *memfd, uint64_t bytes);
/* Also one that is closed. */
void gx_memfd_close(struct gx_memfd *memfd);

#endif
