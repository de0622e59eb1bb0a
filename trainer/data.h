/* gx_tokens: a file of training text as tokens, in llm.c's layout: int32[256] header (20240520, 1, token count, then
 * zeros), then uint16 tokens, little-endian. The file is mapped, not read.
 */
#ifndef GX_TRAINER_DATA_H
#define GX_TRAINER_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define GX_TOKENS_MAGIC 20240520
#define GX_TOKENS_VERSION 1
#define GX_TOKENS_HEADER_BYTES 1024
#define GX_TOKENS_COUNT_MAX 0x7fffffffu

struct gx_tokens {
    const uint16_t *tokens;
    uint64_t count;
    uint64_t digest; /* XXH3-64 of the tokens */
    void *map;
    size_t map_bytes;
};

/* Opens a file that must hold more than `context` tokens, all below `vocab`. -errno, or -EINVAL for a file of the wrong
 * kind or length; `failure` names the file and what is wrong with it. */
int gx_tokens_open(struct gx_tokens *tokens, const char *path, uint32_t vocab, uint32_t context,
                   struct gx_failure *failure);
void gx_tokens_close(struct gx_tokens *tokens);

/* A training batch at random places: inputs and targets [batch][context], targets one token later. It depends on the
 * seed and the step only. */
void gx_tokens_batch(const struct gx_tokens *tokens, uint16_t *inputs, uint16_t *targets,
                     uint32_t batch, uint32_t context, uint64_t seed, uint64_t step);

/* The idx'th of `count` validation batches: places spread evenly over the file, the same for every run. */
void gx_tokens_validation_batch(const struct gx_tokens *tokens, uint16_t *inputs, uint16_t *targets,
                                uint32_t batch, uint32_t context, uint32_t idx, uint32_t count);

#endif
