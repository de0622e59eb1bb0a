/* Writes an open round as the coordinator sees it, so that gxctl can tell why a site is not in it. Nothing here is read by
 * the coordinator. */
#include <string.h>

#include "exchange/coordinator_state.h"
#include "transfer/digest.h" /* gx_digest_equal */

static enum gx_why why(const struct gx_coordinator_run *run,
                       const struct gx_coordinator_fragment *f, uint32_t site)
{
    const struct gx_report *r = gx_decide_report(f, site);
    if (run->refused >> site & 1)
        return GX_WHY_REFUSED;
    if (f->eligible >> site & 1)
        return GX_WHY_ELIGIBLE;
    if (!r)
        return GX_WHY_UNKNOWN;
    if (!(r->flags & GX_REPORT_TRAINER))
        return GX_WHY_NO_TRAINER;
    if (r->flags & GX_REPORT_LEAVING)
        return GX_WHY_LEAVING;
    if (!(f->present >> site & 1))
        return GX_WHY_SILENT;
    if (f->offered >> site & 1)
        return gx_digest_equal(&f->offers[site].base, &f->base) ? GX_WHY_NOT_HELD
                                                                : GX_WHY_WRONG_BASE;
    if (f->behind >> site & 1)
        return GX_WHY_BEHIND;
    return r->flags & GX_REPORT_STATE ? GX_WHY_NO_OFFER : GX_WHY_NOT_READY;
}

static bool is_of(const struct gx_decision *d, const struct gx_coordinator_run *run,
                  uint32_t fragment, uint64_t round)
{
    return d->used && d->fragment == fragment && d->round == round && d->epoch == run->epoch &&
           memcmp(d->run, run->name, sizeof(d->run)) == 0;
}

static void write_begin(struct gx_decision *d)
{
    __atomic_store_n(&d->sequence, d->sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void write_end(struct gx_decision *d)
{
    __atomic_store_n(&d->sequence, d->sequence + 1, __ATOMIC_RELEASE);
}

/* The open round's row with its sequence odd; the oldest row gives way to a new one. */
static struct gx_decision *row_begin(struct gx_coordinator *c, const struct gx_coordinator_run *run,
                                     uint32_t fragment)
{
    struct gx_coordinator_fragment *f = (struct gx_coordinator_fragment *)&run->fragments[fragment];
    struct gx_decision *d = f->explained ? &c->config.view->decisions[f->explained - 1] : NULL;
    if (d && is_of(d, run, fragment, f->decided + 1)) {
        write_begin(d);
        return d;
    }
    f->explained = 1 + c->explained_next++ % GX_DECISIONS;
    d = &c->config.view->decisions[f->explained - 1];
    write_begin(d);
    *d = (struct gx_decision){.sequence = d->sequence,
                              .used = 1,
                              .fragment = fragment,
                              .epoch = run->epoch,
                              .round = f->decided + 1};
    memcpy(d->run, run->name, sizeof(d->run));
    return d;
}

static void sites_fill(const struct gx_coordinator *c, const struct gx_coordinator_run *run,
                       const struct gx_coordinator_fragment *f, struct gx_decision *d, uint64_t now)
{
    for (uint32_t i = 0; i < c->config.site_count && i < GX_SITES_MAX; i++) {
        d->why[i] = (uint8_t)why(run, f, i);
        d->holders[i] = f->offered >> i & 1 ? gx_decide_holders(c, run, f, i) : 0;
        if (f->offered >> i & 1 && !d->offered_ns[i])
            d->offered_ns[i] = now;
        if (f->eligible >> i & 1 && !d->eligible_ns[i])
            d->eligible_ns[i] = now;
    }
}

void gx_explain_update(struct gx_coordinator *c, const struct gx_coordinator_run *run,
                       uint32_t fragment, uint64_t now)
{
    const struct gx_coordinator_fragment *f = &run->fragments[fragment];
    if (!c->config.view)
        return;
    struct gx_decision *d = row_begin(c, run, fragment);
    d->flags = (run->started ? GX_DECISION_STARTED : 0) | (run->halted ? GX_DECISION_HALTED : 0) |
               (run->rewinding ? GX_DECISION_REWINDING : 0) |
               (gx_decide_recovering(c, f, now) ? GX_DECISION_RECOVERING : 0) |
               (f->hold_since_ns && !f->writing ? GX_DECISION_HELD : 0);
    d->deadline_ns = f->armed ? f->deadline_ns : 0;
    d->sites_needed = run->started ? c->config.min_sites : c->config.start_sites;
    if (f->armed && !d->opened_ns)
        d->opened_ns = now;
    if (!d->decided_ns) { /* what the decision saw stays */
        d->present = f->present;
        sites_fill(c, run, f, d, now);
    }
    if (f->writing && !d->decided_ns)
        d->decided_ns = now;
    write_end(d);
}

void gx_explain_over(struct gx_coordinator *c, const struct gx_coordinator_run *run,
                     uint32_t fragment, uint64_t now)
{
    const struct gx_coordinator_fragment *f = &run->fragments[fragment];
    if (!c->config.view)
        return;
    struct gx_decision *d = row_begin(c, run, fragment);
    d->durable_ns = now;
    d->members = f->pending.members;
    d->flags = GX_DECISION_STARTED | GX_DECISION_OVER;
    for (uint32_t i = 0; i < c->config.site_count; i++)
        if (d->members >> i & 1)
            d->why[i] = GX_WHY_MEMBER;
    write_end(d);
}
