#include "exchange/coordinator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gx_assert.h"
#include "transfer/digest.h" /* gx_digest_equal */

#define RUNS_MAX 16
#define TOMBS_MAX 1024
#define PENDING_MAX 64
#define RECOVER_NS GX_PRESENT_NS /* R12 */
#define EVALUATE_NS 50000000ull  /* presence and the like are looked at so often */
#define EVALUATE_IDLE_NS 1000000000ull
#define STABLE_NS 1000000000ull        /* R10: reports of a restart arrive one after another */
#define FORGET_NS (60 * 1000000000ull) /* a run without a present site may give way to another */

struct report {
    bool valid;
    uint64_t order;
    uint64_t came_ns;
    struct gx_report r;
};

struct offer {
    uint64_t weight;
    struct gx_digest digest, base;
};

struct fragment {
    uint64_t decided;
    uint64_t start_round;
    struct gx_digest start_state;
    uint32_t record_count;
    struct gx_record records[2]; /* newest first */
    struct report reports[GX_SITES_MAX];
    uint32_t offered; /* sites whose offer for decided + 1 is recorded */
    struct offer offers[GX_SITES_MAX];
    bool armed;
    bool base_known;
    struct gx_digest base;
    uint64_t deadline_ns;
    bool writing; /* a record for decided + 1 is on its way to the log */
    struct gx_record pending;
    uint64_t hold_since_ns;   /* R9, 0: not held */
    uint64_t unable_since_ns; /* R10, 0: somebody has the last state */
    uint32_t present, behind, eligible;
    bool changed;
    uint64_t evaluate_ns;
    uint64_t status_due_ns[GX_SITES_MAX];
};

struct run {
    bool used;
    bool schema_known;
    bool started;   /* R11 */
    bool forgotten; /* its records gave way to another run's: only a new epoch can go on */
    bool halted;    /* R12 */
    bool rewinding; /* an epoch is on its way to the log */
    bool rewind_asked;
    char name[GX_NAME_MAX];
    uint64_t id;
    uint64_t seen_ns;
    uint32_t epoch;
    uint32_t next_epoch; /* while rewinding */
    uint32_t fragment_count;
    uint32_t refused; /* sites whose schema differs */
    struct gx_schema_summary schema;
    struct gx_journal_start starts[GX_FRAGMENTS_MAX]; /* of the epoch that is being written */
    struct fragment fragments[GX_FRAGMENTS_MAX];
};

struct tomb {
    uint64_t run;
    uint32_t epoch;
};

struct pending {
    uint64_t sequence;
    uint32_t run, fragment;
    enum gx_journal_type type;
    bool handed; /* to the caller */
};

struct gx_coordinator {
    struct gx_coordinator_config config;
    struct gx_notes *notes;
    uint64_t recover_until_ns;
    uint64_t status_due_ns;
    uint64_t next_sequence;
    uint64_t pending_head, pending_tail;
    struct pending pending[PENDING_MAX];
    uint32_t tomb_count;
    struct tomb tombs[TOMBS_MAX];
    struct run runs[RUNS_MAX];
};

struct gx_coordinator *gx_coordinator_create(const struct gx_coordinator_config *config,
                                             struct gx_notes *notes, uint64_t now)
{
    struct gx_coordinator *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->config = *config;
    c->notes = notes;
    c->recover_until_ns = now + RECOVER_NS;
    c->status_due_ns = UINT64_MAX;
    c->next_sequence = 1;
    return c;
}

void gx_coordinator_destroy(struct gx_coordinator *c)
{
    free(c);
}

/* ---- runs ---- */

static struct run *run_find(const struct gx_coordinator *c, uint64_t id)
{
    for (uint32_t i = 0; i < RUNS_MAX; i++)
        if (c->runs[i].used && c->runs[i].id == id)
            return (struct run *)&c->runs[i];
    return NULL;
}

static bool run_busy(const struct run *run)
{
    bool writing = run->rewinding;
    for (uint32_t f = 0; f < run->fragment_count; f++)
        writing |= run->fragments[f].writing;
    return writing;
}

static void run_forget(struct gx_coordinator *c, struct run *run)
{
    if (run->epoch > 1 || run->fragments[0].decided > 0) {
        struct tomb *tomb = &c->tombs[c->tomb_count++ % TOMBS_MAX];
        *tomb = (struct tomb){.run = run->id, .epoch = run->epoch};
    }
    run->used = false;
}

static struct run *run_create(struct gx_coordinator *c, const char *name, uint64_t now)
{
    struct run *run = NULL;
    for (uint32_t i = 0; i < RUNS_MAX; i++) {
        struct run *at = &c->runs[i];
        if (!at->used) {
            run = at;
            break;
        }
        bool may_go = !run_busy(at) && (at->seen_ns == 0 || now - at->seen_ns > FORGET_NS);
        if (may_go && (!run || at->seen_ns < run->seen_ns))
            run = at;
    }
    if (!run)
        return NULL;
    if (run->used)
        run_forget(c, run);
    memset(run, 0, sizeof(*run));
    run->used = true;
    memcpy(run->name, name, GX_NAME_MAX);
    run->id = gx_run_id(name);
    run->epoch = 1;
    for (uint32_t i = 0; i < TOMBS_MAX && i < c->tomb_count; i++)
        if (c->tombs[i].run == run->id && c->tombs[i].epoch >= run->epoch) {
            run->epoch = c->tombs[i].epoch;
            run->forgotten = true;
        }
    return run;
}

static void status_due(struct gx_coordinator *c, struct fragment *f)
{
    memset(f->status_due_ns, 0, sizeof(f->status_due_ns));
    c->status_due_ns = 0;
}

static void record_apply(struct gx_coordinator *c, struct fragment *f,
                         const struct gx_record *record)
{
    f->records[1] = f->records[0];
    f->records[0] = *record;
    f->record_count = f->record_count < 2 ? f->record_count + 1 : 2;
    f->decided = record->round;
    f->offered = 0;
    f->armed = f->base_known = f->writing = false;
    f->hold_since_ns = f->unable_since_ns = 0;
    f->changed = true;
    status_due(c, f);
}

static void epoch_apply(struct gx_coordinator *c, struct run *run, uint32_t epoch,
                        const struct gx_journal_start *starts, uint32_t count)
{
    run->epoch = epoch;
    run->fragment_count = count;
    run->rewinding = run->rewind_asked = run->forgotten = run->halted = false;
    for (uint32_t i = 0; i < count; i++) {
        struct fragment *f = &run->fragments[i];
        f->decided = f->start_round = starts[i].round;
        f->start_state = starts[i].state;
        f->record_count = f->offered = 0;
        f->armed = f->base_known = f->writing = false;
        f->hold_since_ns = f->unable_since_ns = 0;
        f->changed = true;
        status_due(c, f);
    }
}

void gx_coordinator_replay(struct gx_coordinator *c, const struct gx_journal_entry *entry)
{
    struct run *run = run_find(c, gx_run_id(entry->run));
    if (!run)
        run = run_create(c, entry->run, 0);
    if (!run)
        return;
    if (entry->type == GX_JOURNAL_EPOCH) {
        epoch_apply(c, run, entry->epoch, entry->starts, entry->fragment_count);
    } else if (entry->record.epoch == run->epoch) {
        if (entry->fragment >= run->fragment_count)
            run->fragment_count = entry->fragment + 1;
        record_apply(c, &run->fragments[entry->fragment], &entry->record);
        run->started = true;
    }
}

/* ---- reports ---- */

static const char *schema_difference(const struct gx_schema_summary *a,
                                     const struct gx_schema_summary *b)
{
    if (a->fragment_count != b->fragment_count)
        return "fragment count";
    if (a->format != b->format)
        return "format";
    if (a->digest_kind != b->digest_kind)
        return "digest kind";
    if (a->param_count != b->param_count)
        return "parameter count";
    if (a->shard_bytes != b->shard_bytes)
        return "shard bytes (mtu)";
    return "a fragment's parameter count";
}

static void schema_admit(struct gx_coordinator *c, struct run *run, uint32_t site,
                         const struct gx_report *report, uint64_t now)
{
    bool differs =
        run->schema_known && !gx_digest_equal(&run->schema.digest, &report->schema.digest);
    bool others = false; /* who take part under the schema that is known */
    for (uint32_t f = 0; f < run->fragment_count; f++)
        for (uint32_t i = 0; i < c->config.site_count; i++) {
            const struct report *o = &run->fragments[f].reports[i];
            others |= i != site && o->valid && now < o->came_ns + GX_PRESENT_NS &&
                      o->r.flags & GX_REPORT_TRAINER &&
                      gx_digest_equal(&o->r.schema.digest, &run->schema.digest);
        }
    if (report->flags & GX_REPORT_TRAINER && (!run->schema_known || (differs && !others))) {
        run->schema = report->schema;
        run->schema_known = true;
        run->fragment_count = report->schema.fragment_count;
        run->refused = 0;
        differs = false;
    }
    if (differs && !(run->refused >> site & 1))
        gx_note(c->notes, "run %s: site %s is refused: its schema differs in %s", run->name,
                c->config.names[site], schema_difference(&run->schema, &report->schema));
    run->refused = differs ? run->refused | 1u << site : run->refused & ~(1u << site);
}

void gx_coordinator_report(struct gx_coordinator *c, uint32_t site, const struct gx_report *report,
                           uint64_t order, uint64_t now)
{
    struct run *run = run_find(c, gx_run_id(report->run));
    if (!run && !(report->flags & GX_REPORT_TRAINER))
        return;
    if (!run)
        run = run_create(c, report->run, now);
    if (!run) {
        gx_note(c->notes, "run %s of site %s: %d runs are active, which is as many as there can be",
                report->run, c->config.names[site], RUNS_MAX);
        return;
    }
    schema_admit(c, run, site, report, now);
    if (report->fragment >= run->fragment_count)
        return;
    struct fragment *f = &run->fragments[report->fragment];
    struct report *slot = &f->reports[site];
    if (slot->valid && order < slot->order)
        return;
    run->seen_ns = now;
    slot->valid = true;
    slot->order = order;
    slot->came_ns = now;
    slot->r = *report;
    f->changed = true;
}

void gx_coordinator_restarted(struct gx_coordinator *c, uint32_t site)
{
    for (uint32_t i = 0; i < RUNS_MAX; i++)
        for (uint32_t f = 0; c->runs[i].used && f < c->runs[i].fragment_count; f++) {
            c->runs[i].fragments[f].reports[site].valid = false;
            c->runs[i].fragments[f].changed = true;
        }
}

/* ---- what reports say, put together ---- */

static const struct gx_report *report_of(const struct fragment *f, uint32_t site)
{
    return f->reports[site].valid ? &f->reports[site].r : NULL;
}

static uint32_t present_sites(const struct gx_coordinator *c, const struct run *run,
                              const struct fragment *f, const uint64_t *heard_ns, uint64_t now)
{
    uint32_t present = 0;
    for (uint32_t i = 0; i < c->config.site_count; i++) {
        const struct gx_report *r = report_of(f, i);
        bool heard = i == c->config.self || (heard_ns[i] != 0 && now < heard_ns[i] + GX_PRESENT_NS);
        if (r && heard && r->flags & GX_REPORT_TRAINER && !(r->flags & GX_REPORT_LEAVING) &&
            !(run->refused >> i & 1))
            present |= 1u << i;
    }
    return present;
}

/* The digest that most of `sites` name for the state after `round`, the first in the list on a tie. Returns who. */
static uint32_t state_majority(const struct fragment *f, uint32_t sites, uint64_t round,
                               struct gx_digest *digest)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < GX_SITES_MAX; i++) {
        const struct gx_report *a = sites >> i & 1 ? report_of(f, i) : NULL;
        if (!a || !(a->flags & GX_REPORT_STATE) || a->applied != round)
            continue;
        uint32_t who = 0;
        for (uint32_t j = 0; j < GX_SITES_MAX; j++) {
            const struct gx_report *b = sites >> j & 1 ? report_of(f, j) : NULL;
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
static bool all_published(const struct gx_coordinator *c, const struct fragment *f)
{
    for (uint32_t i = 0; i < c->config.site_count; i++)
        if (f->present >> i & 1 && !(report_of(f, i)->flags & GX_REPORT_STATE))
            return false;
    return true;
}

/* R6: fixed while collecting; before, as it would be fixed now. */
static void base_find(const struct gx_coordinator *c, struct run *run, struct fragment *f)
{
    if (f->armed)
        return;
    f->base_known = false;
    if (run->epoch > 1 && f->decided == f->start_round) {
        f->base = f->start_state;
        f->base_known = true;
    } else if (run->started && (f->decided > 0 || all_published(c, f))) {
        f->base_known = state_majority(f, f->present, f->decided, &f->base) != 0;
    }
}

static bool site_behind(const struct run *run, const struct fragment *f, uint32_t site)
{
    const struct gx_report *r = report_of(f, site);
    if (r->flags & (GX_REPORT_BEHIND | GX_REPORT_FETCHING) || r->epoch != run->epoch)
        return true;
    if (!(r->flags & GX_REPORT_STATE))
        return false; /* its trainer is about to publish */
    if (r->applied == f->decided)
        return f->base_known && !gx_digest_equal(&r->state, &f->base);
    return r->applied + 1 != f->decided || f->record_count == 0 ||
           !gx_digest_equal(&r->state, &f->records[0].base);
}

static void offers_record(struct gx_coordinator *c, struct run *run, struct fragment *f,
                          uint64_t now)
{
    if (!run->started || run->forgotten || f->writing)
        return;
    for (uint32_t i = 0; i < c->config.site_count; i++) {
        const struct gx_report *r = report_of(f, i);
        if (!r || f->offered >> i & 1 || run->refused >> i & 1 || r->epoch != run->epoch ||
            !(r->flags & GX_REPORT_OFFER) || r->offer_round != f->decided + 1)
            continue;
        f->offers[i] = (struct offer){r->offer_weight, r->offer_digest, r->offer_base};
        f->offered |= 1u << i;
        if (!f->armed) {
            if (!f->base_known)
                f->base = r->offer_base;
            f->base_known = f->armed = true;
            f->deadline_ns = now + c->config.deadline_ns;
        }
        status_due(c, f);
    }
}

/* R5: right base, and held by min(2, present) present sites, at least one. */
static bool offer_eligible(const struct gx_coordinator *c, const struct run *run,
                           const struct fragment *f, uint32_t site)
{
    if (!(f->offered >> site & 1) || !gx_digest_equal(&f->offers[site].base, &f->base))
        return false;
    uint32_t holders = 0;
    for (uint32_t j = 0; j < c->config.site_count; j++) {
        const struct gx_report *r = f->present >> j & 1 ? report_of(f, j) : NULL;
        if (!r || r->epoch != run->epoch)
            continue;
        bool own = j == site && r->flags & GX_REPORT_OFFER && r->offer_round == f->decided + 1 &&
                   gx_digest_equal(&r->offer_digest, &f->offers[site].digest);
        bool held = r->held_round == f->decided + 1 && r->held >> site & 1 &&
                    gx_digest_equal(&r->held_digests[site], &f->offers[site].digest);
        holders += own || held;
    }
    return holders >= (__builtin_popcount(f->present) >= 2 ? 2u : 1u);
}

/* R9: true while a site that fetches would lose what it needs after its state. */
static bool fetch_holds(const struct gx_coordinator *c, const struct run *run, struct fragment *f,
                        uint64_t now)
{
    bool waits = false;
    for (uint32_t j = 0; j < c->config.site_count; j++) {
        const struct gx_report *r = f->present >> j & 1 ? report_of(f, j) : NULL;
        waits |= r && r->epoch == run->epoch && r->flags & GX_REPORT_FETCHING &&
                 f->decided + 1 > r->fetch_round + c->config.keep_rounds;
    }
    if (!waits)
        return false;
    if (!f->hold_since_ns)
        f->hold_since_ns = now;
    return now < f->hold_since_ns + c->config.fetch_wait_ns;
}

/* ---- decisions ---- */

static bool pending_push(struct gx_coordinator *c, struct run *run, uint32_t fragment,
                         enum gx_journal_type type)
{
    if (c->pending_head - c->pending_tail == PENDING_MAX)
        return false;
    c->pending[c->pending_head++ % PENDING_MAX] = (struct pending){.sequence = c->next_sequence++,
                                                                   .run = (uint32_t)(run - c->runs),
                                                                   .fragment = fragment,
                                                                   .type = type};
    return true;
}

static void decide(struct gx_coordinator *c, struct run *run, uint32_t index, uint64_t now)
{
    struct fragment *f = &run->fragments[index];
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
    if (!pending_push(c, run, index, GX_JOURNAL_RECORD))
        return;
    f->pending = record;
    f->writing = true;
}

/* R12: a record, or an epoch, that the log lacks. */
static bool log_lacks(const struct gx_coordinator *c, const struct run *run,
                      const struct fragment *f)
{
    for (uint32_t j = 0; j < c->config.site_count; j++) {
        const struct gx_report *r = report_of(f, j);
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

/* ---- R10: epochs ---- */

/* Members of the last record whose bytes some present site holds. */
static uint32_t members_kept(const struct gx_coordinator *c, const struct run *run,
                             const struct fragment *f)
{
    const struct gx_record *record = &f->records[0];
    uint32_t kept = 0;
    for (uint32_t j = 0; j < c->config.site_count; j++) {
        const struct gx_report *r = f->present >> j & 1 ? report_of(f, j) : NULL;
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
static bool older_lineage(const struct gx_coordinator *c, const struct fragment *f)
{
    bool any = false;
    for (uint32_t j = 0; j < c->config.site_count; j++) {
        const struct gx_report *r = f->present >> j & 1 ? report_of(f, j) : NULL;
        if (r && r->flags & GX_REPORT_STATE && r->applied == 0)
            return false;
        any |= r && r->flags & GX_REPORT_STATE;
    }
    return any;
}

static bool last_state_lives(const struct gx_coordinator *c, const struct run *run,
                             const struct fragment *f)
{
    if (run->forgotten)
        return false;
    if (f->decided == 0)
        return !older_lineage(c, f);
    bool at_start = f->decided == f->start_round;
    bool kept = f->record_count && (f->records[0].members & ~members_kept(c, run, f)) == 0;
    for (uint32_t j = 0; j < c->config.site_count; j++) {
        const struct gx_report *r = f->present >> j & 1 ? report_of(f, j) : NULL;
        if (!r || !(r->flags & GX_REPORT_STATE))
            continue;
        if (r->applied == f->decided &&
            (!at_start || run->epoch == 1 || gx_digest_equal(&r->state, &f->start_state)))
            return true;
        if (kept && !(r->flags & GX_REPORT_BEHIND) && r->applied + 1 == f->decided &&
            gx_digest_equal(&r->state, &f->records[0].base))
            return true;
    }
    return false;
}

static void rewind_start(struct gx_coordinator *c, struct run *run)
{
    uint32_t epoch = run->epoch;
    for (uint32_t i = 0; i < run->fragment_count; i++) {
        struct fragment *f = &run->fragments[i];
        uint64_t newest = 0;
        bool any = false;
        for (uint32_t j = 0; j < c->config.site_count; j++) {
            const struct gx_report *r = report_of(f, j);
            if (r && r->epoch > epoch)
                epoch = r->epoch;
            if (r && f->present >> j & 1 && r->flags & GX_REPORT_STATE &&
                (!any || r->applied > newest)) {
                newest = r->applied;
                any = true;
            }
        }
        run->starts[i].round = newest;
        if (f->writing || !any || !state_majority(f, f->present, newest, &run->starts[i].state))
            return;
    }
    if (!pending_push(c, run, 0, GX_JOURNAL_EPOCH))
        return;
    run->rewinding = true;
    run->next_epoch = epoch + 1;
    gx_note(c->notes, "run %s: nobody has the last state: epoch %u starts from round %llu",
            run->name, run->next_epoch, (unsigned long long)run->starts[0].round);
}

static void rewind_consider(struct gx_coordinator *c, struct run *run, uint64_t now)
{
    if (run->rewinding || run->fragment_count == 0)
        return;
    uint32_t all = (1u << c->config.site_count) - 1;
    bool due = false, everybody = true;
    for (uint32_t i = 0; i < run->fragment_count; i++) {
        struct fragment *f = &run->fragments[i];
        for (uint32_t j = 0; j < c->config.site_count; j++) {
            const struct gx_report *r = report_of(f, j);
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
        const struct fragment *f = &run->fragments[i];
        due |= everybody && f->unable_since_ns && now >= f->unable_since_ns + STABLE_NS;
    }
    if ((due && now >= c->recover_until_ns) || run->rewind_asked)
        rewind_start(c, run);
}

/* ---- the turn of a fragment ---- */

static bool recovering(const struct gx_coordinator *c, const struct fragment *f, uint64_t now)
{
    bool all = true;
    for (uint32_t i = 0; i < c->config.site_count; i++)
        all &= f->reports[i].valid;
    return !all && now < c->recover_until_ns;
}

static void fragment_evaluate(struct gx_coordinator *c, struct run *run, uint32_t index,
                              const uint64_t *heard_ns, uint64_t now)
{
    struct fragment *f = &run->fragments[index];
    uint32_t present = present_sites(c, run, f, heard_ns, now), behind = 0, eligible = 0;
    bool told = present != f->present;
    f->changed = false;
    f->evaluate_ns = now + (present ? EVALUATE_NS : EVALUATE_IDLE_NS);
    f->present = present;
    run->started |= (uint32_t)__builtin_popcount(present) >= c->config.start_sites;
    if (!run->halted && !f->writing && log_lacks(c, run, f)) {
        run->halted = true;
        told = true;
        gx_note(c->notes,
                "run %s: a site has a record that the log of this coordinator lacks: no more "
                "decisions; "
                "restore the journal, or give the newest states a new epoch with gxctl run rewind",
                run->name);
    }
    struct gx_digest base = f->base;
    bool known = f->base_known;
    base_find(c, run, f);
    told |= known != f->base_known || (known && !gx_digest_equal(&base, &f->base));
    if (!run->halted && !run->rewinding)
        offers_record(c, run, f, now);
    for (uint32_t i = 0; i < c->config.site_count; i++) {
        behind |= (present >> i & 1 && site_behind(run, f, i) ? 1u : 0u) << i;
        eligible |= (offer_eligible(c, run, f, i) ? 1u : 0u) << i;
    }
    f->behind = behind;
    f->eligible = eligible;
    if (told)
        status_due(c, f);
    if (!run->halted && !run->rewinding && !recovering(c, f, now))
        decide(c, run, index, now);
    if (f->armed && !f->writing && f->deadline_ns > now && f->deadline_ns < f->evaluate_ns)
        f->evaluate_ns = f->deadline_ns;
}

void gx_coordinator_tick(struct gx_coordinator *c, const uint64_t *heard_ns, uint64_t now)
{
    for (uint32_t i = 0; i < RUNS_MAX; i++) {
        struct run *run = &c->runs[i];
        bool any = false;
        for (uint32_t f = 0; run->used && f < run->fragment_count; f++)
            if (run->fragments[f].changed || now >= run->fragments[f].evaluate_ns) {
                fragment_evaluate(c, run, f, heard_ns, now);
                any = true;
            }
        if (any)
            rewind_consider(c, run, now);
    }
}

uint64_t gx_coordinator_wake(const struct gx_coordinator *c)
{
    uint64_t wake = UINT64_MAX;
    for (uint32_t i = 0; i < RUNS_MAX; i++)
        for (uint32_t f = 0; c->runs[i].used && f < c->runs[i].fragment_count; f++) {
            const struct fragment *at = &c->runs[i].fragments[f];
            uint64_t due = at->changed ? 0 : at->evaluate_ns;
            if (due < wake && c->runs[i].seen_ns)
                wake = due;
        }
    return wake;
}

/* ---- STATUS ---- */

static void status_fill(const struct gx_coordinator *c, const struct run *run, uint32_t index,
                        uint32_t site, struct gx_status *s)
{
    const struct fragment *f = &run->fragments[index];
    memset(s, 0, sizeof(*s));
    s->run = run->id;
    s->schema = run->schema;
    s->epoch = run->epoch;
    s->fragment = index;
    s->flags = (uint8_t)((f->base_known ? GX_STATUS_BASE : 0) |
                         (run->halted ? GX_STATUS_HALTED : 0) | (f->armed ? GX_STATUS_ARMED : 0));
    s->reason = run->refused >> site & 1 ? GX_REASON_SCHEMA
                : run->halted            ? GX_REASON_LOG
                                         : GX_REASON_NONE;
    s->decided = f->decided;
    s->start_round = f->start_round;
    s->start_state = f->start_state;
    s->present = f->present;
    s->offers = f->offered;
    if (f->base_known) {
        s->base = f->base;
        for (uint32_t i = 0; i < c->config.site_count; i++) {
            const struct gx_report *r = f->present >> i & 1 ? report_of(f, i) : NULL;
            if (r && r->flags & GX_REPORT_STATE && r->applied == f->decided &&
                gx_digest_equal(&r->state, &f->base))
                s->state_sites |= 1u << i;
        }
        s->state = f->base;
        s->flags |= s->state_sites ? GX_STATUS_STATE : 0;
    }
    for (uint32_t i = 0; i < c->config.site_count; i++) {
        const struct gx_report *r = f->present >> i & 1 ? report_of(f, i) : NULL;
        if (f->offered >> i & 1)
            s->offer_prefix[i] = gx_digest_prefix(&f->offers[i].digest);
        if (!r || r->epoch != run->epoch)
            continue;
        /* Who is behind takes a state instead, unless that state is an older one. */
        bool fetches = r->flags & GX_REPORT_BEHIND &&
                       !(r->flags & GX_REPORT_FETCHING && r->fetch_round < f->decided);
        if (r->reduced >= f->decided || fetches)
            s->reduced |= 1u << i;
        if (r->decided == f->decided && r->kept) {
            s->keepers |= 1u << i;
            s->kept[i] = (uint16_t)r->kept;
        }
    }
    s->record_count = (uint8_t)f->record_count;
    memcpy(s->records, f->records, sizeof(s->records));
}

bool gx_coordinator_status(struct gx_coordinator *c, uint32_t site, struct gx_status *status,
                           uint64_t now)
{
    if (now < c->status_due_ns)
        return false;
    uint64_t due = UINT64_MAX;
    for (uint32_t i = 0; i < RUNS_MAX; i++) {
        struct run *run = &c->runs[i];
        for (uint32_t k = 0; run->used && k < run->fragment_count; k++) {
            struct fragment *f = &run->fragments[k];
            if (f->reports[site].valid && now >= f->status_due_ns[site]) {
                f->status_due_ns[site] = now + GX_STATE_INTERVAL_NS;
                status_fill(c, run, k, site, status);
                return true;
            }
            for (uint32_t j = 0; j < c->config.site_count; j++)
                if (f->reports[j].valid && f->status_due_ns[j] < due)
                    due = f->status_due_ns[j];
        }
    }
    c->status_due_ns = due;
    return false;
}

uint64_t gx_coordinator_status_due(const struct gx_coordinator *c)
{
    return c->status_due_ns;
}

/* ---- journal ---- */

size_t gx_coordinator_journal(struct gx_coordinator *c, uint64_t *sequence, uint8_t *out)
{
    for (uint64_t at = c->pending_tail; at != c->pending_head; at++) {
        struct pending *p = &c->pending[at % PENDING_MAX];
        if (p->handed)
            continue;
        struct run *run = &c->runs[p->run];
        struct gx_journal_entry entry = {.type = p->type, .fragment = p->fragment};
        memcpy(entry.run, run->name, sizeof(entry.run));
        if (p->type == GX_JOURNAL_RECORD) {
            entry.record = run->fragments[p->fragment].pending;
        } else {
            entry.epoch = run->next_epoch;
            entry.fragment_count = run->fragment_count;
            memcpy(entry.starts, run->starts, sizeof(entry.starts));
        }
        p->handed = true;
        *sequence = p->sequence;
        return gx_journal_build(&entry, out);
    }
    return 0;
}

static void note_record(struct gx_coordinator *c, const struct run *run, uint32_t index)
{
    const struct gx_record *r = &run->fragments[index].records[0];
    char names[GX_SITES_MAX * 12 + 8] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < c->config.site_count && used + GX_NAME_MAX + 2 < sizeof(names); i++)
        if (r->members >> i & 1) {
            size_t n = strlen(c->config.names[i]);
            names[used++] = ' ';
            memcpy(names + used, c->config.names[i], n + 1);
            used += n;
        }
    gx_note(c->notes, "run %s fragment %u round %llu: decided,%s", run->name, index,
            (unsigned long long)r->round, r->members ? names : " void");
}

void gx_coordinator_journal_done(struct gx_coordinator *c, uint64_t sequence, uint64_t now)
{
    (void)now;
    GX_ASSERT(c->pending_tail != c->pending_head);
    struct pending *p = &c->pending[c->pending_tail++ % PENDING_MAX];
    GX_ASSERT(p->handed && p->sequence == sequence);
    struct run *run = &c->runs[p->run];
    if (p->type == GX_JOURNAL_RECORD) {
        record_apply(c, &run->fragments[p->fragment], &run->fragments[p->fragment].pending);
        note_record(c, run, p->fragment);
    } else {
        epoch_apply(c, run, run->next_epoch, run->starts, run->fragment_count);
    }
}

int gx_coordinator_rewind(struct gx_coordinator *c, const char *name)
{
    struct run *run = run_find(c, gx_run_id(name));
    if (!run)
        return -ENOENT;
    run->rewind_asked = true;
    run->fragments[0].changed = true;
    return 0;
}

bool gx_coordinator_view(const struct gx_coordinator *c, uint64_t id, uint32_t fragment,
                         struct gx_coordinator_view *view)
{
    const struct run *run = run_find(c, id);
    if (!run || fragment >= run->fragment_count)
        return false;
    const struct fragment *f = &run->fragments[fragment];
    *view = (struct gx_coordinator_view){f->eligible, f->armed ? f->deadline_ns : 0};
    return true;
}
