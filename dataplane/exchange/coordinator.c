#include "exchange/coordinator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/coordinator_state.h"
#include "gx_assert.h"
#include "transfer/digest.h" /* gx_digest_equal */

#define RECOVER_NS GX_PRESENT_NS       /* R12 */
#define FORGET_NS (60 * 1000000000ull) /* a run without a present site may give way to another */

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

static struct gx_coordinator_run *run_find(const struct gx_coordinator *c, uint64_t id)
{
    for (uint32_t i = 0; i < GX_COORDINATOR_RUNS_MAX; i++)
        if (c->runs[i].used && c->runs[i].id == id)
            return (struct gx_coordinator_run *)&c->runs[i];
    return NULL;
}

static bool run_busy(const struct gx_coordinator_run *run)
{
    bool writing = run->rewinding;
    for (uint32_t f = 0; f < run->fragment_count; f++)
        writing |= run->fragments[f].writing;
    return writing;
}

static void run_forget(struct gx_coordinator *c, struct gx_coordinator_run *run)
{
    if (run->epoch > 1 || run->fragments[0].decided > 0) {
        struct gx_coordinator_tomb *tomb = &c->tombs[c->tomb_count++ % GX_COORDINATOR_TOMBS_MAX];
        *tomb = (struct gx_coordinator_tomb){.run = run->id, .epoch = run->epoch};
    }
    run->used = false;
}

static struct gx_coordinator_run *run_create(struct gx_coordinator *c, const char *name,
                                             uint64_t now)
{
    struct gx_coordinator_run *run = NULL;
    for (uint32_t i = 0; i < GX_COORDINATOR_RUNS_MAX; i++) {
        struct gx_coordinator_run *at = &c->runs[i];
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
    for (uint32_t i = 0; i < GX_COORDINATOR_TOMBS_MAX && i < c->tomb_count; i++)
        if (c->tombs[i].run == run->id && c->tombs[i].epoch >= run->epoch) {
            run->epoch = c->tombs[i].epoch;
            run->forgotten = true;
        }
    return run;
}

void gx_coordinator_tell(struct gx_coordinator *c, struct gx_coordinator_fragment *f)
{
    memset(f->status_due_ns, 0, sizeof(f->status_due_ns));
    c->status_due_ns = 0;
}

static void record_apply(struct gx_coordinator *c, struct gx_coordinator_fragment *f,
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
    gx_coordinator_tell(c, f);
}

static void epoch_apply(struct gx_coordinator *c, struct gx_coordinator_run *run, uint32_t epoch,
                        const struct gx_journal_start *starts, uint32_t count)
{
    run->epoch = epoch;
    run->fragment_count = count;
    run->rewinding = run->rewind_asked = run->forgotten = run->halted = false;
    run->rewind_since_ns = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct gx_coordinator_fragment *f = &run->fragments[i];
        f->decided = f->start_round = starts[i].round;
        f->start_state = starts[i].state;
        f->record_count = f->offered = 0;
        f->armed = f->base_known = f->writing = false;
        f->hold_since_ns = f->unable_since_ns = 0;
        f->changed = true;
        gx_coordinator_tell(c, f);
    }
}

void gx_coordinator_replay(struct gx_coordinator *c, const struct gx_journal_entry *entry)
{
    struct gx_coordinator_run *run = run_find(c, gx_run_id(entry->run));
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

static void schema_admit(struct gx_coordinator *c, struct gx_coordinator_run *run, uint32_t site,
                         const struct gx_report *report, uint64_t now)
{
    bool differs =
        run->schema_known && !gx_digest_equal(&run->schema.digest, &report->schema.digest);
    bool others = false; /* who take part under the schema that is known */
    for (uint32_t f = 0; f < run->fragment_count; f++)
        for (uint32_t i = 0; i < c->config.site_count; i++) {
            const struct gx_coordinator_report *o = &run->fragments[f].reports[i];
            others |= i != site && o->valid && now < o->came_ns + GX_PRESENT_NS &&
                      o->r.flags & GX_REPORT_TRAINER &&
                      gx_digest_equal(&o->r.schema.digest, &run->schema.digest);
        }
    /* What is on its way to the log was built for the schema that is known. */
    bool may_change = !others && !run_busy(run);
    if (report->flags & GX_REPORT_TRAINER && (!run->schema_known || (differs && may_change))) {
        run->schema = report->schema;
        run->schema_known = true;
        run->fragment_count = report->schema.fragment_count;
        run->refused = 0;
        differs = false;
    }
    if (differs && !(run->refused >> site & 1))
        gx_note_warn(c->notes, "run %s: site %s is refused: its schema differs in %s", run->name,
                     c->config.names[site], schema_difference(&run->schema, &report->schema));
    run->refused = differs ? run->refused | 1u << site : run->refused & ~(1u << site);
}

void gx_coordinator_report(struct gx_coordinator *c, uint32_t site, const struct gx_report *report,
                           uint64_t order, uint64_t now)
{
    struct gx_coordinator_run *run = run_find(c, gx_run_id(report->run));
    if (!run && !(report->flags & GX_REPORT_TRAINER))
        return;
    if (!run)
        run = run_create(c, report->run, now);
    if (!run) {
        gx_note_warn(c->notes,
                     "run %s of site %s: %d runs are active, which is as many as there can be",
                     report->run, c->config.names[site], GX_COORDINATOR_RUNS_MAX);
        return;
    }
    schema_admit(c, run, site, report, now);
    if (report->fragment >= run->fragment_count)
        return;
    struct gx_coordinator_fragment *f = &run->fragments[report->fragment];
    struct gx_coordinator_report *slot = &f->reports[site];
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
    for (uint32_t i = 0; i < GX_COORDINATOR_RUNS_MAX; i++)
        for (uint32_t f = 0; c->runs[i].used && f < c->runs[i].fragment_count; f++) {
            c->runs[i].fragments[f].reports[site].valid = false;
            c->runs[i].fragments[f].changed = true;
        }
}

/* ---- STATUS ---- */

/* Members of the last record that the site holds. What it held for the open round it keeps: so the record and its holders
 * are told at once, before the site has heard of it itself. */
static uint16_t kept_of(const struct gx_coordinator_fragment *f, const struct gx_report *r,
                        uint32_t site)
{
    const struct gx_record *last = &f->records[0];
    uint16_t kept = 0;
    if (r->decided == f->decided)
        return (uint16_t)r->kept;
    if (f->record_count == 0 || last->round != f->decided || r->decided + 1 != f->decided)
        return 0;
    for (uint32_t i = 0; i < GX_SITES_MAX; i++) {
        bool own = i == site && r->flags & GX_REPORT_OFFER && r->offer_round == last->round &&
                   gx_digest_equal(&r->offer_digest, &last->digests[i]);
        bool held = r->held_round == last->round && r->held >> i & 1 &&
                    gx_digest_equal(&r->held_digests[i], &last->digests[i]);
        if (last->members >> i & 1 && (own || held))
            kept |= (uint16_t)(1u << i);
    }
    return kept;
}

static void status_fill(const struct gx_coordinator *c, const struct gx_coordinator_run *run,
                        uint32_t index, uint32_t site, struct gx_status *s)
{
    const struct gx_coordinator_fragment *f = &run->fragments[index];
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
            const struct gx_report *r =
                (f->present | f->serving) >> i & 1 ? gx_decide_report(f, i) : NULL;
            if (r && r->flags & GX_REPORT_STATE && r->applied == f->decided &&
                gx_digest_equal(&r->state, &f->base))
                s->state_sites |= 1u << i;
        }
        s->state = f->base;
        s->flags |= s->state_sites ? GX_STATUS_STATE : 0;
    }
    for (uint32_t i = 0; i < c->config.site_count; i++) {
        const struct gx_report *r = f->present >> i & 1 ? gx_decide_report(f, i) : NULL;
        if (f->offered >> i & 1)
            s->offer_prefix[i] = gx_digest_prefix(&f->offers[i].digest);
        if (!r || r->epoch != run->epoch)
            continue;
        /* Who is behind takes a state instead, unless that state is an older one. */
        bool fetches = r->flags & GX_REPORT_BEHIND &&
                       !(r->flags & GX_REPORT_FETCHING && r->fetch_round < f->decided);
        if (r->reduced >= f->decided || fetches)
            s->reduced |= 1u << i;
        s->kept[i] = kept_of(f, r, i);
        s->keepers |= (s->kept[i] ? 1u : 0u) << i;
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
    for (uint32_t i = 0; i < GX_COORDINATOR_RUNS_MAX; i++) {
        struct gx_coordinator_run *run = &c->runs[i];
        for (uint32_t k = 0; run->used && k < run->fragment_count; k++) {
            struct gx_coordinator_fragment *f = &run->fragments[k];
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

bool gx_coordinator_push(struct gx_coordinator *c, struct gx_coordinator_run *run,
                         uint32_t fragment, enum gx_journal_type type)
{
    if (c->pending_head - c->pending_tail == GX_COORDINATOR_PENDING_MAX)
        return false;
    c->pending[c->pending_head++ % GX_COORDINATOR_PENDING_MAX] =
        (struct gx_coordinator_pending){.sequence = c->next_sequence++,
                                        .run = (uint32_t)(run - c->runs),
                                        .fragment = fragment,
                                        .type = type};
    return true;
}

size_t gx_coordinator_journal(struct gx_coordinator *c, uint64_t *sequence, uint8_t *out)
{
    for (uint64_t at = c->pending_tail; at != c->pending_head; at++) {
        struct gx_coordinator_pending *p = &c->pending[at % GX_COORDINATOR_PENDING_MAX];
        if (p->handed)
            continue;
        struct gx_coordinator_run *run = &c->runs[p->run];
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

static void note_record(struct gx_coordinator *c, const struct gx_coordinator_run *run,
                        uint32_t index)
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
    GX_ASSERT(c->pending_tail != c->pending_head);
    struct gx_coordinator_pending *p = &c->pending[c->pending_tail++ % GX_COORDINATOR_PENDING_MAX];
    GX_ASSERT(p->handed && p->sequence == sequence);
    struct gx_coordinator_run *run = &c->runs[p->run];
    if (p->type == GX_JOURNAL_RECORD) {
        gx_explain_over(c, run, p->fragment, now);
        record_apply(c, &run->fragments[p->fragment], &run->fragments[p->fragment].pending);
        note_record(c, run, p->fragment);
    } else {
        epoch_apply(c, run, run->next_epoch, run->starts, run->fragment_count);
    }
}

void gx_coordinator_deadline(struct gx_coordinator *c, uint64_t deadline_ns)
{
    for (uint32_t i = 0; i < GX_COORDINATOR_RUNS_MAX; i++)
        for (uint32_t k = 0; c->runs[i].used && k < c->runs[i].fragment_count; k++) {
            struct gx_coordinator_fragment *f = &c->runs[i].fragments[k];
            if (f->armed)
                f->deadline_ns += deadline_ns - c->config.deadline_ns;
            f->changed = true;
        }
    c->config.deadline_ns = deadline_ns;
}

int gx_coordinator_rewind(struct gx_coordinator *c, const char *name)
{
    struct gx_coordinator_run *run = run_find(c, gx_run_id(name));
    if (!run)
        return -ENOENT;
    run->rewind_asked = true;
    run->fragments[0].changed = true;
    return 0;
}

bool gx_coordinator_view(const struct gx_coordinator *c, uint64_t id, uint32_t fragment,
                         struct gx_coordinator_view *view)
{
    const struct gx_coordinator_run *run = run_find(c, id);
    if (!run || fragment >= run->fragment_count)
        return false;
    const struct gx_coordinator_fragment *f = &run->fragments[fragment];
    *view = (struct gx_coordinator_view){f->eligible, f->armed ? f->deadline_ns : 0};
    return true;
}
