#include "sim/ledger.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h> /* XXH3_64bits */

#include "exchange/journal.h"
#include "sim/heap.h"
#include "sim/reference.h"
#include "transfer/digest.h" /* gx_digest_bytes */

#define KEEP_ROUNDS 8 /* offered bytes are kept for so many rounds */

struct state {
    uint32_t site;
    uint64_t round, hash;
    struct gx_digest digest;
};

struct offer {
    uint32_t site;
    uint64_t round, weight;
    struct gx_digest base, digest;
    uint8_t *bytes;
    bool bad;
};

struct record {
    struct gx_record record;
    uint64_t result_hash;
};

struct book {
    struct state *states;
    struct offer *offers;
    struct record *records;
    size_t state_count, offer_count, record_count;
    size_t state_room, offer_room, record_room;
    uint64_t start_round; /* of the newest epoch */
};

struct sim_ledger {
    struct book books[SIM_RUNS_MAX][SIM_FRAGMENTS_MAX];
    uint32_t epoch[SIM_RUNS_MAX];
};

const char *sim_run_name(uint32_t run)
{
    return run == 0 ? "alpha" : "beta";
}

struct sim_ledger *sim_ledger_create(void)
{
    struct sim_ledger *ledger = sim_alloc(sizeof(*ledger));
    for (uint32_t run = 0; run < SIM_RUNS_MAX; run++)
        ledger->epoch[run] = 1;
    return ledger;
}

static void book_fini(struct book *book)
{
    for (size_t i = 0; i < book->offer_count; i++)
        free(book->offers[i].bytes);
    free(book->states);
    free(book->offers);
    free(book->records);
}

void sim_ledger_destroy(struct sim_ledger *ledger)
{
    for (uint32_t run = 0; run < SIM_RUNS_MAX; run++)
        for (uint32_t fragment = 0; fragment < SIM_FRAGMENTS_MAX; fragment++)
            book_fini(&ledger->books[run][fragment]);
    free(ledger);
}

#define BOOK_ADD(book, name)                                                                       \
    ((book)->name##_count == (book)->name##_room                                                   \
         ? (void)((book)->name##_room = (book)->name##_room ? 2 * (book)->name##_room : 64,        \
                  (book)->name##s =                                                                \
                      sim_grow((book)->name##s, (book)->name##_room, sizeof(*(book)->name##s)))    \
         : (void)0,                                                                                \
     &(book)->name##s[(book)->name##_count++])

static bool same(const struct gx_digest *a, const struct gx_digest *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* ---- what trainers do ---- */

void sim_ledger_state(struct sim_world *world, uint32_t site, uint32_t run, uint32_t fragment,
                      uint64_t round, const void *state, uint64_t bytes, struct gx_digest *digest,
                      uint64_t *hash)
{
    struct book *book = &world->ledger->books[run][fragment];

    gx_digest_bytes(world->params.digest_kind[run], state, bytes, digest);
    *hash = XXH3_64bits(state, bytes);
    *BOOK_ADD(book, state) = (struct state){site, round, *hash, *digest};
}

bool sim_ledger_offer(struct sim_world *world, uint32_t site, uint32_t run, uint32_t fragment,
                      uint64_t round, uint64_t weight, const struct gx_digest *base,
                      const void *bytes, uint64_t count, bool bad)
{
    struct book *book = &world->ledger->books[run][fragment];
    struct offer offer = {
        .site = site, .round = round, .weight = weight, .base = *base, .bad = bad};
    bool other = false;

    gx_digest_bytes(world->params.digest_kind[run], bytes, count, &offer.digest);
    for (size_t i = 0; i < book->offer_count; i++) {
        const struct offer *old = &book->offers[i];
        if (old->site == site && old->round == round && !old->bad && same(&old->base, base))
            other |= !same(&old->digest, &offer.digest) || old->weight != weight;
    }
    if (!bad) {
        offer.bytes = sim_alloc(count);
        memcpy(offer.bytes, bytes, count);
    }
    *BOOK_ADD(book, offer) = offer;
    return other;
}

/* ---- records ---- */

static const struct offer *offer_find(const struct book *book, uint32_t site,
                                      const struct gx_record *record)
{
    for (size_t i = book->offer_count; i-- > 0;) {
        const struct offer *offer = &book->offers[i];
        if (offer->site == site && offer->round == record->round &&
            offer->weight == record->weights[site] &&
            same(&offer->digest, &record->digests[site]) && same(&offer->base, &record->base))
            return offer;
    }
    return NULL;
}

/* Which part of a member's entry no offer agrees with. */
static const char *offer_difference(const struct book *book, uint32_t site,
                                    const struct gx_record *record)
{
    bool round = false, digest = false, weight = false;

    for (size_t i = 0; i < book->offer_count; i++) {
        const struct offer *offer = &book->offers[i];
        bool this_round = offer->site == site && offer->round == record->round;
        round |= this_round;
        digest |= this_round && same(&offer->digest, &record->digests[site]);
        weight |= this_round && same(&offer->digest, &record->digests[site]) &&
                  offer->weight == record->weights[site];
    }
    return !round    ? "the site never offered to this round"
           : !digest ? "digest"
           : !weight ? "weight"
                     : "base";
}

static void record_mean(struct sim_world *world, uint32_t run, uint32_t fragment,
                        struct record *record)
{
    struct book *book = &world->ledger->books[run][fragment];
    struct sim_member members[GX_SITES_MAX];
    uint64_t divisor = 0, count = world->params.param_counts[run][fragment];
    uint32_t member_count = 0;

    for (uint32_t site = 0; site < world->params.site_count; site++) {
        if (!(record->record.members >> site & 1))
            continue;
        const struct offer *offer = offer_find(book, site, &record->record);
        if (!offer || !offer->bytes) {
            sim_fail(world, "I4",
                     "record of %s/%u round %llu epoch %u: member %u did not offer this: %s",
                     sim_run_name(run), fragment, (unsigned long long)record->record.round,
                     record->record.epoch, site,
                     !offer ? offer_difference(book, site, &record->record)
                     : offer->bad
                         ? "it was a mistake that must be refused"
                         : "it offered this so long ago that the ledger has forgotten the bytes");
            return;
        }
        members[member_count++] = (struct sim_member){offer->bytes, offer->weight};
        divisor += offer->weight;
    }
    if (divisor != record->record.divisor) {
        sim_fail(world, "I2",
                 "record of %s/%u round %llu: divisor %llu, but its members' weights are %llu",
                 sim_run_name(run), fragment, (unsigned long long)record->record.round,
                 (unsigned long long)record->record.divisor, (unsigned long long)divisor);
        return;
    }
    float *mean = sim_alloc(count * sizeof(*mean));
    if (!sim_reference_mean(world->params.format[run], members, member_count, divisor, count, mean))
        sim_fail(world, "I2", "the rule of the mean strays from its value in double precision");
    record->result_hash = XXH3_64bits(mean, count * sizeof(*mean));
    free(mean);
}

/* A site's newest offer may stand for a long time and be decided in a later epoch. */
static void offers_age(struct book *book, uint64_t decided)
{
    const struct offer *newest[GX_SITES_MAX] = {NULL};

    for (size_t i = book->offer_count; i-- > 0;) {
        struct offer *offer = &book->offers[i];
        if (newest[offer->site] && offer->round + KEEP_ROUNDS < decided) {
            free(offer->bytes);
            offer->bytes = NULL;
        }
        if (!offer->bad)
            newest[offer->site] = offer;
    }
}

static const struct record *record_find(const struct book *book, uint32_t epoch, uint64_t round)
{
    for (size_t i = book->record_count; i-- > 0;)
        if (book->records[i].record.epoch == epoch && book->records[i].record.round == round)
            return &book->records[i];
    return NULL;
}

static bool record_same(const struct gx_record *a, const struct gx_record *b)
{
    bool equal = a->epoch == b->epoch && a->round == b->round && a->members == b->members &&
                 a->divisor == b->divisor && same(&a->base, &b->base);
    for (uint32_t site = 0; site < GX_SITES_MAX; site++)
        if (a->members >> site & 1)
            equal &=
                a->weights[site] == b->weights[site] && same(&a->digests[site], &b->digests[site]);
    return equal;
}

static void ledger_record(struct sim_world *world, uint32_t run,
                          const struct gx_journal_entry *entry)
{
    struct book *book = &world->ledger->books[run][entry->fragment];
    const struct gx_record *new = &entry->record;
    const struct record *old = record_find(book, new->epoch, new->round);
    uint64_t before = sim_ledger_decided(world, run, entry->fragment);

    if (old) {
        sim_fail(world, "I1", "%s/%u round %llu epoch %u has a second record%s", sim_run_name(run),
                 entry->fragment, (unsigned long long)new->round, new->epoch,
                 record_same(&old->record, new) ? ", the same" : "");
        return;
    }
    if (new->epoch != world->ledger->epoch[run] || new->round != before + 1) {
        sim_fail(world, "I1", "%s/%u: a record of round %llu epoch %u follows round %llu epoch %u",
                 sim_run_name(run), entry->fragment, (unsigned long long)new->round, new->epoch,
                 (unsigned long long)before, world->ledger->epoch[run]);
        return;
    }
    struct record *record = BOOK_ADD(book, record);
    *record = (struct record){.record = *new};
    world->stats.records++;
    if (new->members == 0)
        world->stats.voids++;
    else
        record_mean(world, run, entry->fragment, record);
    offers_age(book, new->round);
}

static void ledger_epoch(struct sim_world *world, uint32_t run,
                         const struct gx_journal_entry *entry)
{
    struct sim_ledger *ledger = world->ledger;

    if (entry->epoch <= ledger->epoch[run] ||
        entry->fragment_count != world->params.fragment_count[run]) {
        sim_fail(world, "I1", "%s: epoch %u with %u fragments follows epoch %u", sim_run_name(run),
                 entry->epoch, entry->fragment_count, ledger->epoch[run]);
        return;
    }
    ledger->epoch[run] = entry->epoch;
    world->stats.epochs++;
    for (uint32_t fragment = 0; fragment < entry->fragment_count; fragment++) {
        struct book *book = &ledger->books[run][fragment];
        const struct gx_journal_start *start = &entry->starts[fragment];
        bool known = false;
        for (size_t i = 0; i < book->state_count; i++)
            known |= book->states[i].round == start->round &&
                     same(&book->states[i].digest, &start->state);
        if (!known)
            sim_fail(world, "I3",
                     "%s/%u: epoch %u starts from a state of round %llu that no site ever had",
                     sim_run_name(run), fragment, entry->epoch, (unsigned long long)start->round);
        book->start_round = start->round;
        sim_trace(world, -1, "%s/%u: epoch %u starts from round %llu", sim_run_name(run), fragment,
                  entry->epoch, (unsigned long long)start->round);
    }
}

void sim_ledger_entry(struct sim_world *world, const uint8_t *bytes, size_t count)
{
    struct gx_journal_entry entry;
    uint32_t run = 0;

    if (gx_journal_parse(bytes, count, &entry) != 0) {
        sim_fail(world, "I1", "a journal entry of %zu bytes cannot be parsed", count);
        return;
    }
    while (run < world->params.run_count && strcmp(entry.run, sim_run_name(run)) != 0)
        run++;
    if (run == world->params.run_count ||
        (entry.type == GX_JOURNAL_RECORD && entry.fragment >= world->params.fragment_count[run])) {
        sim_fail(world, "I1", "a journal entry of run %.31s, which there is not", entry.run);
        return;
    }
    if (entry.type == GX_JOURNAL_EPOCH) {
        ledger_epoch(world, run, &entry);
        return;
    }
    sim_trace(world, -1, "%s/%u round %llu epoch %u is durable: members %x, divisor %llu",
              sim_run_name(run), entry.fragment, (unsigned long long)entry.record.round,
              entry.record.epoch, entry.record.members, (unsigned long long)entry.record.divisor);
    ledger_record(world, run, &entry);
}

void sim_ledger_seen(struct sim_world *world, uint64_t run_id, uint32_t fragment,
                     const struct gx_record *record)
{
    for (uint32_t run = 0; run < world->params.run_count; run++) {
        if (gx_run_id(sim_run_name(run)) != run_id || fragment >= world->params.fragment_count[run])
            continue;
        const struct record *durable =
            record_find(&world->ledger->books[run][fragment], record->epoch, record->round);
        if (!durable)
            sim_fail(world, "I1",
                     "a STATUS shows round %llu epoch %u of %s/%u, which is not durable",
                     (unsigned long long)record->round, record->epoch, sim_run_name(run), fragment);
        else if (!record_same(&durable->record, record))
            sim_fail(world, "I1",
                     "a STATUS shows round %llu epoch %u of %s/%u otherwise than it is logged",
                     (unsigned long long)record->round, record->epoch, sim_run_name(run), fragment);
    }
}

/* ---- events ---- */

static const uint8_t *area(const struct sim_trainer *trainer, uint64_t offset)
{
    return trainer->arena->bytes + offset;
}

/* The records that an event may mean: its cohort and divisor, on the base that the trainer has. */
static void event_round(struct sim_world *world, const struct sim_trainer *trainer,
                        const struct gx_event *event)
{
    const struct book *book = &world->ledger->books[trainer->run][event->fragment];
    const struct sim_trainer_fragment *fragment = &trainer->fragments[event->fragment];
    const struct gx_arena_fragment *place = &trainer->arena->layout.fragments[event->fragment];
    uint64_t hash = XXH3_64bits(area(trainer, place->result), place->param_count * sizeof(float));
    bool is_void = event->type == GX_EVENT_VOID;
    const char *wrong = "no such record is durable";

    if (event->round != fragment->gxd_round + 1) {
        sim_fail(world, "I3",
                 "site %u %s/%u: an event for round %llu, but its state is of round %llu",
                 trainer->site, sim_run_name(trainer->run), event->fragment,
                 (unsigned long long)event->round, (unsigned long long)fragment->gxd_round);
        return;
    }
    for (size_t i = book->record_count; i-- > 0;) {
        const struct record *record = &book->records[i];
        if (record->record.round != event->round || record->record.members != event->cohort)
            continue;
        if (record->record.divisor != event->divisor)
            wrong = "divisor";
        else if (!is_void && !same(&record->record.base, &fragment->gxd_digest))
            wrong = "the site's base is another";
        else if (!is_void && record->result_hash != hash)
            wrong = "result bytes differ from the mean";
        else if (!is_void &&
                 (event->cohort >> trainer->site & 1) != (event->type == GX_EVENT_MEMBER))
            wrong = "member or left out";
        else
            return;
    }
    sim_fail(world, "I2", "site %u %s/%u event %u of round %llu, cohort %x, divisor %llu: %s",
             trainer->site, sim_run_name(trainer->run), event->fragment, event->type,
             (unsigned long long)event->round, event->cohort, (unsigned long long)event->divisor,
             wrong);
}

static void event_state(struct sim_world *world, const struct sim_trainer *trainer,
                        const struct gx_event *event)
{
    const struct book *book = &world->ledger->books[trainer->run][event->fragment];
    const struct gx_arena_fragment *place = &trainer->arena->layout.fragments[event->fragment];
    uint64_t hash = XXH3_64bits(area(trainer, place->state), place->param_count * 8);

    for (size_t i = 0; i < book->state_count; i++)
        if (book->states[i].round == event->round && book->states[i].hash == hash)
            return;
    sim_fail(world, "I3", "site %u %s/%u adopts a state of round %llu that no site ever had",
             trainer->site, sim_run_name(trainer->run), event->fragment,
             (unsigned long long)event->round);
}

void sim_ledger_event(struct sim_world *world, const struct sim_trainer *trainer,
                      const struct gx_event *event)
{
    if (event->fragment >= world->params.fragment_count[trainer->run]) {
        sim_fail(world, "EVENT", "site %u: an event of fragment %u", trainer->site,
                 event->fragment);
        return;
    }
    switch (event->type) {
    case GX_EVENT_MEMBER:
    case GX_EVENT_LEFT_OUT:
    case GX_EVENT_VOID:
        event_round(world, trainer, event);
        break;
    case GX_EVENT_STATE:
        event_state(world, trainer, event);
        break;
    case GX_EVENT_BEHIND:
    case GX_EVENT_REFUSED:
        break;
    default:
        sim_fail(world, "EVENT", "site %u: an event of type %u", trainer->site, event->type);
    }
}

uint32_t sim_ledger_epoch(const struct sim_world *world, uint32_t run)
{
    return world->ledger->epoch[run];
}

uint64_t sim_ledger_decided(const struct sim_world *world, uint32_t run, uint32_t fragment)
{
    const struct book *book = &world->ledger->books[run][fragment];
    uint32_t epoch = world->ledger->epoch[run];

    if (book->record_count > 0 && book->records[book->record_count - 1].record.epoch == epoch)
        return book->records[book->record_count - 1].record.round;
    return book->start_round;
}
