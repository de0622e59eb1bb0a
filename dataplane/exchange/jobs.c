#include "exchange/exchange.h"
#include "format/format.h"
#include "gx_assert.h"
#include "transfer/digest.h"

#define SLICE_VALUES 16384u /* 64 KiB of FP32 */

static bool hash_own_step(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                          struct gx_own *own, uint64_t now)
{
    struct gx_digest digest;
    uint64_t from = own->hash.cursor;
    if (!own->hash.bytes)
        return false;
    bool done = gx_hash_step(&own->hash, run->digest_kind, &digest);
    uint64_t hashed = (done ? own->bytes : own->hash.cursor) - from;
    bool finite =
        gx_format_check(run->format, run->arena + own->offset, from, hashed, f->param_count) == 0;
    GX_COUNT(ex->config.counters, hashed_bytes_total, hashed);
    if (done || !finite) {
        own->hash.bytes = NULL;
        gx_site_hashed(ex, run, f, own, &digest, finite, now);
    }
    return true;
}

static bool hash_state_step(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                            uint64_t now)
{
    struct gx_digest digest;
    if (!f->publishing)
        return false;
    GX_COUNT(ex->config.counters, hashed_bytes_total, GX_PIECE_BYTES);
    if (gx_hash_step(&f->state_hash, run->digest_kind, &digest)) {
        f->publishing = false;
        gx_site_adopt(ex, run, f, f->publish_round, &digest, now);
    }
    return true;
}

/* Where a member's bytes lie; NULL when they are not here (any more). */
static const uint8_t *member_bytes(struct gx_run *run, struct gx_fragment *f,
                                   const struct gx_record *record, uint32_t site)
{
    if (site == run->self) {
        struct gx_own *own = gx_fragment_own(f, record->round, &record->digests[site]);
        return own ? own->source.bytes : NULL;
    }
    struct gx_slot *slot = gx_fragment_held(f, record->round, site, &record->digests[site]);
    return slot ? slot->sink.staging : NULL;
}

/* acc = sum of s_i * delta_i in the order of sites, s_i = (float)(w_i / sum of w): DESIGN.md section 6. */
static bool reduce_step(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                        uint64_t now)
{
    struct gx_reduction *job = &f->reduction;
    if (!job->active)
        return false;
    const struct gx_record *record = &job->record;
    uint64_t left = f->param_count - job->cursor;
    uint64_t count = left < SLICE_VALUES ? left : SLICE_VALUES;
    struct gx_format_cohort cohort = {.format = run->format};
    for (uint32_t i = 0; i < run->site_count; i++) {
        if (!(record->members >> i & 1))
            continue;
        const uint8_t *bytes = member_bytes(run, f, record, i);
        GX_ASSERT(bytes); /* slots of a running reduction are not freed */
        cohort.members[cohort.member_count] = bytes;
        cohort.scales[cohort.member_count++] =
            (float)((double)record->weights[i] / (double)record->divisor);
    }
    gx_format_mean(&cohort, gx_run_result(run, f) + job->cursor, job->cursor, count);
    job->cursor += count;
    if (job->cursor == f->param_count) {
        job->active = false;
        GX_COUNT(ex->config.counters, reduced_bytes_total,
                 f->wire_bytes * (uint64_t)__builtin_popcount(record->members));
        gx_site_complete(ex, run, f, record, now);
    }
    return true;
}

static bool fragment_step(struct gx_exchange *ex, struct gx_run *run, struct gx_fragment *f,
                          uint64_t now)
{
    bool more = hash_own_step(ex, run, f, &f->own[0], now);
    more |= hash_own_step(ex, run, f, &f->own[1], now);
    more |= hash_state_step(ex, run, f, now);
    more |= reduce_step(ex, run, f, now);
    more |= gx_fetch_copy_step(ex, run, f, now);
    return more;
}

/* One fragment's slices a pass, in turn: packets wait behind them. */
bool gx_jobs_step(struct gx_exchange *ex, struct gx_run *run, uint64_t now)
{
    bool more = false;
    for (uint32_t i = 0; i < run->fragment_count && !more; i++) {
        uint32_t index = (run->job_turn + i) % run->fragment_count;
        more = fragment_step(ex, run, &run->fragments[index], now);
        if (more)
            run->job_turn = (index + 1) % run->fragment_count;
    }
    if (run->pin.used && !run->pin.ready) {
        gx_serve_pin_step(ex, run, now);
        more = true;
    }
    return more;
}
