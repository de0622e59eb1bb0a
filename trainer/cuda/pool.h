/* gx_pool: one piece of device memory, handed out in consecutive parts. With no memory yet it only adds up what is wanted,
 * so the code that places things also says how much they need. */
#ifndef GX_TRAINER_CUDA_POOL_H
#define GX_TRAINER_CUDA_POOL_H

#include <stddef.h>

struct gx_pool {
    char *memory; /* NULL: count only */
    size_t used_bytes;
};

/* Aligned to 256 bytes. */
static inline void *gx_pool_take(struct gx_pool *pool, size_t bytes)
{
    void *part = pool->memory ? pool->memory + pool->used_bytes : NULL;
    pool->used_bytes += (bytes + 255) / 256 * 256;
    return part;
}

#endif
