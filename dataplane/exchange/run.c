#include "exchange/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transfer/digest.h"
#include "transfer/layout.h"
#include "wire/bytes.h"

#define MEMORY_ALIGN 4096u

/* Cuts aligned areas from one allocation; with a NULL base it only adds up. */
struct cutter {
    uint8_t *base;
    uint64_t used;
};

static void *cut(struct cutter *c, uint64_t bytes)
{
    void *at = c->base ? c->base + c->used : NULL;
    c->used += (bytes + MEMORY_ALIGN - 1) / MEMORY_ALIGN * MEMORY_ALIGN;
    return at;
}

static uint64_t pieces_bytes(uint64_t bytes)
{
    return (bytes + GX_PIECE_BYTES - 1) / GX_PIECE_BYTES * GX_DIGEST_BYTES;
}

static void cut_sink(struct cutter *c, struct gx_sink *sink, uint64_t capacity,
                     uint32_t shard_bytes, uint32_t workers)
{
    uint32_t k_max = gx_layout_k_max(capacity, shard_bytes);
    void *tables = cut(c, gx_sink_table_bytes(capacity, shard_bytes, k_max, workers));
    uint8_t *staging = cut(c, gx_sink_staging_bytes(capacity, shard_bytes));
    if (c->base)
        gx_sink_init(sink, capacity, shard_bytes, k_max, workers, tables, staging);
}

static void cut_fragment(struct cutter *c, struct gx_fragment *f, const struct gx_run *run)
{
    uint32_t shard_bytes = run->shard_bytes;

    f->state_hash.pieces = cut(c, pieces_bytes(f->state_bytes));
    for (uint32_t s = 0; s < 2; s++) {
        f->own[s].hash.pieces = cut(c, pieces_bytes(f->wire_bytes));
        f->own[s].tail = cut(c, shard_bytes);
        for (uint32_t i = 0; i < run->site_count; i++) {
            if (i == run->self)
                continue;
            f->slots[s][i].tail = cut(c, shard_bytes);
            cut_sink(c, &f->slots[s][i].sink, f->wire_bytes, shard_bytes, run->workers);
        }
    }
}

/* `run` needs fragments with their sizes; a cutter without a base computes the bytes only. */
static void cut_run(struct cutter *c, struct gx_run *run)
{
    uint64_t largest = 0;
    for (uint32_t i = 0; i < run->fragment_count; i++) {
        cut_fragment(c, &run->fragments[i], run);
        if (run->fragments[i].state_bytes > largest)
            largest = run->fragments[i].state_bytes;
    }
    cut_sink(c, &run->state_sink, largest, run->shard_bytes, run->workers);
    run->pin.bytes = cut(c, largest);
    run->pin.tail = cut(c, run->shard_bytes);
}

static int run_fill(struct gx_run *run, const struct gx_schema *schema, uint32_t site_count,
                    uint32_t self, uint32_t shard_bytes, uint32_t workers)
{
    int error = gx_arena_layout(&run->layout, schema);
    if (error)
        return error;
    run->fragments = calloc(schema->fragment_count, sizeof(*run->fragments));
    if (!run->fragments)
        return -ENOMEM;
    strncpy(run->name, schema->run, GX_NAME_MAX - 1);
    run->id = gx_run_id(run->name);
    run->format = schema->format;
    run->digest_kind = schema->digest;
    run->site_count = site_count;
    run->self = self;
    run->shard_bytes = shard_bytes;
    run->workers = workers ? workers : 1;
    run->fragment_count = schema->fragment_count;
    run->state_fragment = -1;
    for (uint32_t i = 0; i < run->fragment_count; i++) {
        struct gx_fragment *f = &run->fragments[i];
        f->param_count = schema->param_counts[i];
        f->wire_bytes = gx_wire_bytes(schema->format, f->param_count);
        f->state_bytes = 8 * f->param_count;
        f->changed = true;
    }
    return 0;
}

static void summary_fill(struct gx_run *run)
{
    uint8_t bytes[16 + 8 * GX_FRAGMENTS_MAX];
    struct gx_writer w = {bytes, bytes + sizeof(bytes)};
    struct gx_schema_summary *s = &run->summary;
    s->format = (uint8_t)run->format;
    s->digest_kind = (uint8_t)run->digest_kind;
    s->fragment_count = (uint16_t)run->fragment_count;
    s->shard_bytes = (uint16_t)run->shard_bytes;
    gx_write_u32(&w, s->format);
    gx_write_u32(&w, s->digest_kind);
    gx_write_u32(&w, s->shard_bytes);
    for (uint32_t i = 0; i < run->fragment_count; i++) {
        s->param_count += run->fragments[i].param_count;
        gx_write_u64(&w, run->fragments[i].param_count);
    }
    gx_digest_bytes(GX_XXH3, bytes, (uint64_t)(w.at - bytes), &s->digest);
}

uint64_t gx_run_staging_bytes(const struct gx_schema *schema, uint32_t site_count,
                              uint32_t shard_bytes, uint32_t workers)
{
    struct gx_run run = {0};
    struct cutter c = {0};
    if (run_fill(&run, schema, site_count, 0, shard_bytes, workers) == 0)
        cut_run(&c, &run);
    free(run.fragments);
    return c.used + sizeof(run) + schema->fragment_count * sizeof(*run.fragments);
}

struct gx_run *gx_run_create(const struct gx_schema *schema, const struct gx_core_config *config,
                             uint8_t *arena, uint64_t arena_bytes)
{
    struct gx_run *run = calloc(1, sizeof(*run));
    if (!run)
        return NULL;
    struct cutter sum = {0}, c = {0};
    if (run_fill(run, schema, config->links.site_count, config->links.self,
                 config->links.shard_bytes, config->links.workers) != 0 ||
        arena_bytes < run->layout.bytes)
        goto failed;
    cut_run(&sum, run);
    run->memory = aligned_alloc(MEMORY_ALIGN, sum.used);
    if (!run->memory)
        goto failed;
    c.base = run->memory;
    cut_run(&c, run);
    run->memory_bytes = sum.used;
    run->arena = arena;
    run->arena_bytes = arena_bytes;
    summary_fill(run);
    return run;
failed:
    gx_run_destroy(run);
    return NULL;
}

void gx_run_destroy(struct gx_run *run)
{
    if (!run)
        return;
    free(run->memory);
    free(run->fragments);
    free(run);
}

void gx_run_yield(struct gx_run *run)
{
    run->yields = true;
}

struct gx_fragment *gx_run_fragment(struct gx_run *run, uint32_t index)
{
    return index < run->fragment_count ? &run->fragments[index] : NULL;
}

uint32_t gx_fragment_index(const struct gx_run *run, const struct gx_fragment *fragment)
{
    return (uint32_t)(fragment - run->fragments);
}

struct gx_arena_header *gx_run_header(const struct gx_run *run)
{
    return (struct gx_arena_header *)(void *)run->arena;
}

uint8_t *gx_run_state(const struct gx_run *run, const struct gx_fragment *fragment)
{
    return run->arena + run->layout.fragments[gx_fragment_index(run, fragment)].state;
}

float *gx_run_result(const struct gx_run *run, const struct gx_fragment *fragment)
{
    return (float *)(void *)(run->arena +
                             run->layout.fragments[gx_fragment_index(run, fragment)].result);
}

uint32_t gx_run_busy(const struct gx_run *run, uint32_t fragment, uint32_t slot)
{
    const struct gx_own *own = &run->fragments[fragment].own[slot & 1];
    return own->state != GX_OWN_FREE;
}

void gx_hash_start(struct gx_hash_job *job, const uint8_t *bytes, uint64_t byte_count)
{
    job->bytes = bytes;
    job->byte_count = byte_count;
    job->cursor = 0;
}

bool gx_own_goes(const struct gx_own *own)
{
    return own->state == GX_OWN_READY ||
           (own->state == GX_OWN_HASHING && own->claimed && !own->refuted);
}

bool gx_hash_step(struct gx_hash_job *job, enum gx_digest_kind kind, struct gx_digest *digest)
{
    uint64_t left = job->byte_count - job->cursor;
    size_t n = left < GX_PIECE_BYTES ? (size_t)left : GX_PIECE_BYTES;
    gx_digest_piece(kind, job->bytes + job->cursor, n,
                    job->pieces + job->cursor / GX_PIECE_BYTES * gx_digest_piece_bytes(kind));
    job->cursor += n;
    if (job->cursor < job->byte_count)
        return false;
    gx_digest_final(kind, job->pieces, job->byte_count, digest);
    job->bytes = NULL;
    return true;
}

const struct gx_record *gx_fragment_record(const struct gx_fragment *fragment, uint64_t round)
{
    for (uint32_t i = 0; i < fragment->record_count; i++)
        if (fragment->records[i].round == round)
            return &fragment->records[i];
    return NULL;
}

struct gx_slot *gx_fragment_held(struct gx_fragment *fragment, uint64_t round, uint32_t owner,
                                 const struct gx_digest *digest)
{
    struct gx_slot *slot = &fragment->slots[round & 1][owner];
    bool held = slot->sink.state == GX_SINK_HELD && slot->sink.open.key.round == round &&
                gx_digest_equal(&slot->sink.open.digest, digest);
    return held ? slot : NULL;
}

struct gx_own *gx_fragment_own(struct gx_fragment *fragment, uint64_t round,
                               const struct gx_digest *digest)
{
    struct gx_own *own = &fragment->own[round & 1];
    bool ready =
        own->state == GX_OWN_READY && own->round == round && gx_digest_equal(&own->digest, digest);
    return ready ? own : NULL;
}
