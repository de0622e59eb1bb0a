/* Writes down when things happened in a round. Nothing here is read by the exchange. */
#include <string.h>

#include "exchange/exchange.h"

/* The round's entry with its sequence odd, emptied when it was another round's; NULL: nobody looks, or it is too old. */
static struct gx_trace *trace_begin(struct gx_exchange *ex, const struct gx_run *run,
                                    const struct gx_fragment *f, uint64_t round)
{
    if (!ex->config.view || round == 0)
        return NULL;
    uint32_t row = run->index * GX_FRAGMENTS_MAX + gx_fragment_index(run, f);
    struct gx_trace *trace = &ex->config.view->traces[row][round % GX_TRACES];
    if (trace->epoch == f->epoch && trace->round > round)
        return NULL;
    __atomic_store_n(&trace->sequence, trace->sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (trace->round != round || trace->epoch > f->epoch)
        *trace = (struct gx_trace){.sequence = trace->sequence, .round = round};
    trace->epoch = f->epoch;
    return trace;
}

static void trace_end(struct gx_trace *trace)
{
    __atomic_store_n(&trace->sequence, trace->sequence + 1, __ATOMIC_RELEASE);
}

void gx_trace_stage(struct gx_exchange *ex, const struct gx_run *run, const struct gx_fragment *f,
                    uint64_t round, enum gx_stage stage, uint64_t now)
{
    struct gx_trace *trace = trace_begin(ex, run, f, round);
    if (!trace)
        return;
    trace->at_ns[stage] = now;
    trace_end(trace);
}

void gx_trace_came(struct gx_exchange *ex, const struct gx_run *run, const struct gx_fragment *f,
                   uint64_t round, uint32_t owner, uint64_t now)
{
    struct gx_trace *trace = trace_begin(ex, run, f, round);
    if (!trace)
        return;
    trace->came_ns[owner] = now;
    trace_end(trace);
}

void gx_trace_went(struct gx_exchange *ex, const struct gx_run *run, const struct gx_fragment *f,
                   uint64_t round, uint32_t peer, uint64_t now)
{
    struct gx_trace *trace = trace_begin(ex, run, f, round);
    if (!trace)
        return;
    trace->went_ns[peer] = now;
    trace_end(trace);
}

void gx_trace_helped(struct gx_exchange *ex, const struct gx_run *run, const struct gx_fragment *f,
                     uint64_t round, uint32_t owner, uint32_t helper, uint64_t now)
{
    struct gx_trace *trace = trace_begin(ex, run, f, round);
    if (!trace)
        return;
    trace->helped_ns[owner] = now;
    trace->helper[owner] = (uint8_t)helper;
    trace_end(trace);
}

void gx_trace_record(struct gx_exchange *ex, const struct gx_run *run, const struct gx_fragment *f,
                     const struct gx_record *record, uint64_t now)
{
    struct gx_trace *trace = trace_begin(ex, run, f, record->round);
    if (!trace)
        return;
    trace->members = record->members;
    trace->at_ns[GX_STAGE_DECIDED] = now;
    trace_end(trace);
}
