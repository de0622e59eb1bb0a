/* What follows from the REPORTs of a fragment: who is present, the base, who is eligible, the decision. */
#include <string.h>

#include "exchange/coordinator_state.h"
#include "transfer/digest.h" /* gx_digest_equal */

#define EVALUATE_NS 50000000ull        /* presence and the like are looked at so often */
#define EVALUATE_IDLE_NS 1000000000ull /* … where nobody is present */

const struct gx_report *gx_decide_report(const struct gx_coordinator_fragment *f, uint32_t site)
{
    return f->reports[site].valid ? &f->reports[site].r : NULL;
}

/* R4. A site that is heard but no longer reports this run has no trainer for it: the REPORT that said so was lost, and
 * with the run its repetitions ended. */
static uint32_t present_sites(const struct gx_coordinator *c, const struct gx_coordinator_run *run,
                              const struct gx_coordinator_fragment *f, const uint64_t *heard_ns,
                              uint64_t now)
{
    uint32_t present = 0;
    for (uint32_t i = 0; i < c->config.site_count; i++) {
        const struct gx_report *r = gx_decide_report(f, i);
        bool heard = i == c->config.self || (heard_ns[i] != 0 && now < heard_ns[i] + GX_PRESENT_NS);
        bool reports = r && now < f->reports[i].came_ns + GX_PRESENT_NS;
        if (reports && heard && r->flags & GX_REPORT_TRAINER && !(r->flags & GX_REPORT_LEAVING) &&
            !(run->refused >> i & 1))
            present |= 1u << i;
    }
    return present;
}

/* Sites whose trainer has gone and left a state, which their gxd still serves (R9). */
static uint32_t serving_sites(const struct gx_coordinator *c, const struct gx_coordinator_run *run,
                              const struct gx_coordinator_fragment *f, const uint64_t *heard_ns,
                              uint64_t now)
{
    uint32_t serving = 0;
    for (uint32_t i = 0; i < c->config.site_count; i++) {
        const struct gx_report *r = gx_decide_report(f, i);
        bool reports = r && now < f->reports[i].came_ns + GX_PRESENT_NS;
        bool heard = i == c->config.self || (heard_ns[i] != 0 && now < heard_ns[i] + GX_PRESENT_NS);
        if (reports && heard && r->epoch == run->epoch && r->flags & GX_REPORT_STATE &&
            !(r->flags & (GX_REPORT_TRAINER | GX_REPORT_LEAVING)) && !(run->refused >> i & 1))
            serving |= 1u << i;
    }
    return serving;
}

/* The digest that most of `sites` name for the state after `round`, the first in the list on a tie. Returns who. */
uint32_t gx_decide_majority(const struct gx_coordinator_fragment *f, uint32_t sites, uint64_t round,
                            struct gx_digest *digest)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < GX_SITES_MAX; i++) {
        const struct gx_report *a = sites >> i & 1 ? gx_decide_report(f, i) : NULL;
        if (!a || !(a->flags & GX_REPORT_STATE) || a->applied != round)
            continue;
        uint32_t who = 0;
        for (uint32_t j = 0; j < GX_SITES_MAX; j++) {
            const struct gx_report *b = sites >> j & 1 ? gx_decide_report(f, j) : NULL;
            if (b && b->flags & GX_REPORT_STATE && b->applied == round &&
                gx_digest_equal(&a->state, &b->state))
                who |= 1u << j;
        }
        if (__builtin_popcount(who) > __builtin_popcount(best)) {
            best = who;
            *digest = a->state;
        }
    }
    return best;
}

/* Before the first round a base that some sites have not named yet could turn out to be another. */
static bool all_published(const struct gx_coordinator *c, const struct gx_coordinator_fragment *f)
{
    for (uint32_t i = 0; i < c->config.site_count; i++)
        if (f->present >> i & 1 && !(gx_decide_report(f, i)->flags & GX_REPORT_STATE))
            return false;
    return true;
}

/* R6: fixed while collecting; before, as it would be fixed now. */
static void base_find(const struct gx_coordinator *c, struct gx_coordinator_run *run,
                      struct gx_coordinator_fragment *f)
{
    if (f->armed)
        return;
    f->base_known = false;
    if (run->epoch > 1 && f->decided == f->start_round) {
        f->base = f->start_state;
        f->base_known = true;
    } else if (run->started && (f->decided > 0 || all_published(c, f))) {
        f->base_known =
            gx_decide_majority(f, f->present, f->decided, &f->base) != 0 ||
            (f->decided > 0 && gx_decide_majority(f, f->serving, f->decided, &f->base) != 0);
    }
}

static bool site_behind(const struct gx_coordinator_run *run,
                        const struct gx_coordinator_fragment *f, uint32_t site)
{
    const struct gx_report *r = gx_decide_report(f, site);
    if (r->epoch == 0)
        return false; /* it has just come, and has not heard of the run's epoch yet */
    if (r->flags & (GX_REPORT_BEHIND | GX_REPORT_FETCHING) || r->epoch != run->epoch)
        return true;
    if (!(r->flags & GX_REPORT_STATE))
        return false; /* its trainer is about to publish */
    if (r->applied == f->decided)
        return f->base_known && !gx_digest_equal(&r->state, &f->base);
    return r->applied + 1 != f->decided || f->record_count == 0 ||
           !gx_digest_equal(&r->state, &f->records[0].base);
}

static void offers_record(struct gx_coordinator *c, struct gx_coordinator_run *run,
                          struct gx_coordinator_fragment *f, uint64_t now)
{
    if (!run->started || run->forgotten || f->writing)
        return;
    for (uint32_t i = 0; i < c->config.site_count; i++) {
        const struct gx_report *r = gx_decide_report(f, i);
        if (!r || f->offered >> i & 1 || run->refused >> i & 1 || r->epoch != run->epoch ||
            !(r->flags & GX_REPORT_OFFER) || r->offer_round != f->decided + 1)
            continue;
        f->offers[i] =
            (struct gx_coordinator_offer){r->offer_weight, r->offer_digest, r->offer_base};
        f->offered |= 1u << i;
        if (!f->armed) {
            if (!f->base_known)
                f->base = r->offer_base;
            f->base_known = f->armed = true;
            f->deadline_ns = now + c->config.deadline_ns;
        }
        gx_coordinator_tell(c, f);
    }
}

uint32_t gx_decide_holders(const struct gx_coordinator *c, const struct gx_coordinator_run *run,
                           const struct gx_coordinator_fragment *f, uint32_t site)
{
    uint32_t holders = 0;
    for (uint32_t j = 0; j < c->config.site_count; j++) {
        const struct gx_report *r = f->present >> j & 1 ? gx_decide_report(f, j) : NULL;
        if (!r || r->epoch != run->epoch)
            continue;
        bool own = j == site && r->flags & GX_REPORT_OFFER && r->offer_round == f->decided + 1 &&
                   gx_digest_equal(&r->offer_digest, &f->offers[site].digest);
        bool held = r->held_round == f->decided + 1 && r->held >> site & 1 &&
                    gx_digest_equal(&r->held_digests[site], &f->offers[site].digest);
        holders |= (own || held ? 1u : 0u) << j;
    }
    return holders;
}

/* R5: right base, and held by min(2, present) present sites, at least one. */
static bool offer_eligible(const struct gx_coordinator *c, const struct gx_coordinator_run *run,
                           const struct gx_coordinator_fragment *f, uint32_t site)
{
    if (!(f->offered >> site & 1) || !gx_digest_equal(&f->offers[site].base, &f->base))
        return false;
    return __builtin_popcount(gx_decide_holders(c, run, f, site)) >=
           (__builtin_popcount(f->present) >= 2 ? 2 : 1);
}

/* R9: true while a site that fetches would lose, by the next record, what it needs after its state. What has fallen out
 * holds nothing any more. */
static bool fetch_holds(const struct gx_coordinator *c, const struct gx_coordinator_run *run,
                        struct gx_coordinator_fragment *f, uint64_t now)
{
    bool waits = false;
    for (uint32_t j = 0; j < c->config.site_count; j++) {
        const struct gx_report *r = f->present >> j & 1 ? gx_decide_report(f, j) : NULL;
        waits |= r && r->epoch == run->epoch && r->flags & GX_REPORT_FETCHING &&
                 f->decided == r->fetch_round + c->config.keep_rounds;
    }
    if (!waits)
        return false;
    if (!f->hold_since_ns)
        f->hold_since_ns = now;
    return now < f->hold_since_ns + c->config.fetch_wait_ns;
}

/* ---- decisions ---- */

static void decide(struct gx_coordinator *c, struct gx_coordinator_run *run, uint32_t index,
                   uint64_t now)
{
    struct gx_coordinator_fragment *f = &run->fragments[index];
    uint32_t wanted = f->present & ~f->behind;
    bool late = now >= f->deadline_ns;
    bool all = wanted != 0 && (wanted & ~f->eligible) == 0;
    bool enough = (uint32_t)__builtin_popcount(f->eligible) >= c->config.min_sites;
    if (!f->armed || f->writing || !(late || (all && enough)) || fetch_holds(c, run, f, now))
        return;
    struct gx_record record = {.epoch = run->epoch, .round = f->decided + 1, .base = f->base};
    for (uint32_t i = 0; enough && i < c->config.site_count; i++) {
        if (!(f->eligible >> i & 1))
            continue;
        record.members |= 1u << i;
        record.digests[i] = f->offers[i].digest;
        record.weights[i] = f->offers[i].weight;
        record.divisor += f->offers[i].weight;
    }
    if (!gx_coordinator_push(c, run, index, GX_JOURNAL_RECORD))
        return;
    f->pending = record;
    f->writing = true;
}

/* R12: a record, or an epoch, that the log lacks. */
static bool log_lacks(const struct gx_coordinator *c, const struct gx_coordinator_run *run,
                      const struct gx_coordinator_fragment *f)
{
    for (uint32_t j = 0; j < c->config.site_count; j++) {
        const struct gx_report *r = gx_decide_report(f, j);
        if (!r || run->refused >> j & 1)
            continue;
        if (r->epoch > run->epoch || (r->epoch == run->epoch && r->decided > f->decided))
            return true;
        if (r->epoch == run->epoch && r->decided == f->decided && f->record_count &&
            r->record_check && r->record_check != gx_record_check(&f->records[0]))
            return true;
    }
    return false;
}

/* ---- the turn of a fragment ---- */

bool gx_decide_recovering(const struct gx_coordinator *c, const struct gx_coordinator_fragment *f,
                          uint64_t now)
{
    bool all = true;
    for (uint32_t i = 0; i < c->config.site_count; i++)
        all &= f->reports[i].valid;
    return !all && now < c->recover_until_ns;
}

static void fragment_evaluate(struct gx_coordinator *c, struct gx_coordinator_run *run,
                              uint32_t index, const uint64_t *heard_ns, uint64_t now)
{
    struct gx_coordinator_fragment *f = &run->fragments[index];
    uint32_t present = present_sites(c, run, f, heard_ns, now), behind = 0, eligible = 0;
    uint32_t serving = serving_sites(c, run, f, heard_ns, now);
    bool told = present != f->present || serving != f->serving;
    f->changed = false;
    f->evaluate_ns = now + (present ? EVALUATE_NS : EVALUATE_IDLE_NS);
    f->present = present;
    f->serving = serving;
    run->started |= (uint32_t)__builtin_popcount(present) >= c->config.start_sites;
    if (!run->halted && !f->writing && log_lacks(c, run, f)) {
        run->halted = true;
        told = true;
        gx_note_warn(
            c->notes,
            "run %s: a site has a record that the log of this coordinator lacks: no more "
            "decisions; "
            "restore the journal, or give the newest states a new epoch with gxctl run rewind",
            run->name);
    }
    struct gx_digest base = f->base;
    bool known = f->base_known;
    base_find(c, run, f);
    told |= known != f->base_known || (known && !gx_digest_equal(&base, &f->base));
    bool collects = !run->halted && !run->rewinding && !gx_decide_recovering(c, f, now);
    if (collects) /* the base is the majority's among all that report (R6, R12) */
        offers_record(c, run, f, now);
    for (uint32_t i = 0; i < c->config.site_count; i++) {
        behind |= (present >> i & 1 && site_behind(run, f, i) ? 1u : 0u) << i;
        eligible |= (offer_eligible(c, run, f, i) ? 1u : 0u) << i;
    }
    f->behind = behind;
    f->eligible = eligible;
    if (told)
        gx_coordinator_tell(c, f);
    if (collects && !run->rewind_asked)
        decide(c, run, index, now);
    gx_explain_update(c, run, index, now);
    if (f->armed && !f->writing && f->deadline_ns > now && f->deadline_ns < f->evaluate_ns)
        f->evaluate_ns = f->deadline_ns;
}

void gx_coordinator_tick(struct gx_coordinator *c, const uint64_t *heard_ns, uint64_t now)
{
    for (uint32_t i = 0; i < GX_COORDINATOR_RUNS_MAX; i++) {
        struct gx_coordinator_run *run = &c->runs[i];
        bool any = false;
        for (uint32_t f = 0; run->used && f < run->fragment_count; f++)
            if (run->fragments[f].changed || now >= run->fragments[f].evaluate_ns) {
                fragment_evaluate(c, run, f, heard_ns, now);
                any = true;
            }
        if (any)
            gx_epoch_consider(c, run, now);
    }
}

uint64_t gx_coordinator_wake(const struct gx_coordinator *c)
{
    uint64_t wake = UINT64_MAX;
    for (uint32_t i = 0; i < GX_COORDINATOR_RUNS_MAX; i++)
        for (uint32_t f = 0; c->runs[i].used && f < c->runs[i].fragment_count; f++) {
            const struct gx_coordinator_fragment *at = &c->runs[i].fragments[f];
            uint64_t due = at->changed ? 0 : at->evaluate_ns;
            if (due < wake && c->runs[i].seen_ns)
                wake = due;
        }
    return wake;
}
