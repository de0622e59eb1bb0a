/* R10: when nobody has the last state, the rounds go on from the newest that somebody has, in a new epoch. */
#include "exchange/coordinator_state.h"
#include "transfer/digest.h" /* gx_digest_equal */

#define STABLE_NS 1000000000ull /* reports of a restart arrive one after another */

/* Members of the last record whose bytes some present site holds. */
static uint32_t members_kept(const struct gx_coordinator *c, const struct gx_coordinator_run *run,
                             const struct gx_coordinator_fragment *f)
{
    const struct gx_record *record = &f->records[0];
    uint32_t kept = 0;
    for (uint32_t j = 0; j < c->config.site_count; j++) {
        const struct gx_report *r = f->present >> j & 1 ? gx_decide_report(f, j) : NULL;
        if (!r || r->epoch != run->epoch)
            continue;
        if (r->decided == f->decided)
            kept |= r->kept;
        for (uint32_t i = 0; r->held_round == record->round && i < c->config.site_count; i++)
            if (r->held >> i & 1 && gx_digest_equal(&r->held_digests[i], &record->digests[i]))
                kept |= 1u << i;
        if (r->flags & GX_REPORT_OFFER && r->offer_round == record->round &&
            gx_digest_equal(&r->offer_digest, &record->digests[j]))
            kept |= 1u << j;
    }
    return kept;
}

/* Sites resumed from states that this log knows nothing of, all of them. */
static bool older_lineage(const struct gx_coordinator *c, const struct gx_coordinator_fragment *f)
{
    bool any = false;
    for (uint32_t j = 0; j < c->config.site_count; j++) {
        const struct gx_report *r = f->present >> j & 1 ? gx_decide_report(f, j) : NULL;
        if (r && r->flags & GX_REPORT_STATE && r->applied == 0)
            return false;
        any |= r && r->flags & GX_REPORT_STATE;
    }
    return any;
}

static bool last_state_lives(const struct gx_coordinator *c, const struct gx_coordinator_run *run,
                             const struct gx_coordinator_fragment *f)
{
    if (run->forgotten)
        return false;
    if (f->decided == 0)
        return !older_lineage(c, f);
    bool at_start = f->decided == f->start_round;
    bool kept = f->record_count && (f->records[0].members & ~members_kept(c, run, f)) == 0;
    for (uint32_t j = 0; j < c->config.site_count; j++) {
        const struct gx_report *r =
            (f->present | f->serving) >> j & 1 ? gx_decide_report(f, j) : NULL;
        if (!r || !(r->flags & GX_REPORT_STATE))
            continue;
        if (r->applied == f->decided &&
            (!at_start || run->epoch == 1 || gx_digest_equal(&r->state, &f->start_state)))
            return true;
        if (kept && f->present >> j & 1 && !(r->flags & GX_REPORT_BEHIND) &&
            r->applied + 1 == f->decided && gx_digest_equal(&r->state, &f->records[0].base))
            return true;
    }
    return false;
}

/* The operator's rewind of a run that is well: what is decided counts, so it waits a while for a site that has applied it. */
static bool asked_ripe(const struct gx_coordinator *c, struct gx_coordinator_run *run, uint64_t now)
{
    if (!run->rewind_since_ns)
        run->rewind_since_ns = now;
    if (run->halted || now >= run->rewind_since_ns + GX_PRESENT_NS)
        return true;
    for (uint32_t i = 0; i < run->fragment_count; i++) {
        const struct gx_coordinator_fragment *f = &run->fragments[i];
        bool applied = false;
        for (uint32_t j = 0; j < c->config.site_count; j++) {
            const struct gx_report *r = f->present >> j & 1 ? gx_decide_report(f, j) : NULL;
            applied |= r && r->flags & GX_REPORT_STATE && r->applied >= f->decided;
        }
        if (!applied && last_state_lives(c, run, f))
            return false;
    }
    return true;
}

static void rewind_start(struct gx_coordinator *c, struct gx_coordinator_run *run)
{
    uint32_t epoch = run->epoch;
    for (uint32_t i = 0; i < run->fragment_count; i++) {
        struct gx_coordinator_fragment *f = &run->fragments[i];
        uint64_t newest = 0;
        bool any = false;
        for (uint32_t j = 0; j < c->config.site_count; j++) {
            const struct gx_report *r = gx_decide_report(f, j);
            if (r && r->epoch > epoch)
                epoch = r->epoch;
            if (r && f->present >> j & 1 && r->flags & GX_REPORT_STATE &&
                (!any || r->applied > newest)) {
                newest = r->applied;
                any = true;
            }
        }
        run->starts[i].round = newest;
        if (f->writing || !any || !gx_decide_majority(f, f->present, newest, &run->starts[i].state))
            return;
    }
    if (!gx_coordinator_push(c, run, 0, GX_JOURNAL_EPOCH))
        return;
    run->rewinding = true;
    run->next_epoch = epoch + 1;
    gx_note_warn(c->notes, "run %s: %s: epoch %u starts from round %llu", run->name,
                 run->rewind_asked ? "rewind, as the operator asked" : "nobody has the last state",
                 run->next_epoch, (unsigned long long)run->starts[0].round);
}

void gx_epoch_consider(struct gx_coordinator *c, struct gx_coordinator_run *run, uint64_t now)
{
    if (run->rewinding || run->fragment_count == 0)
        return;
    uint32_t all = (1u << c->config.site_count) - 1;
    bool due = false, everybody = true;
    for (uint32_t i = 0; i < run->fragment_count; i++) {
        struct gx_coordinator_fragment *f = &run->fragments[i];
        for (uint32_t j = 0; j < c->config.site_count; j++) {
            const struct gx_report *r = gx_decide_report(f, j);
            everybody &= r && r->flags & GX_REPORT_STATE;
        }
        everybody &= f->present == all;
        if (f->present == 0 || last_state_lives(c, run, f) || run->halted)
            f->unable_since_ns = 0;
        else if (!f->unable_since_ns)
            f->unable_since_ns = now;
        due |= f->unable_since_ns && now >= f->unable_since_ns + c->config.rewind_after_ns;
    }
    for (uint32_t i = 0; i < run->fragment_count; i++) {
        const struct gx_coordinator_fragment *f = &run->fragments[i];
        due |= everybody && f->unable_since_ns && now >= f->unable_since_ns + STABLE_NS;
    }
    if ((due && now >= c->recover_until_ns) || (run->rewind_asked && asked_ripe(c, run, now)))
        rewind_start(c, run);
}
