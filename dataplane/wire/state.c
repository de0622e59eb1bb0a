#include "wire/state.h"

#include <string.h>
#include <xxhash.h> /* XXH3_64bits */

#include "wire/bytes.h"

#define SITES_MASK ((1u << GX_SITES_MAX) - 1)

uint64_t gx_run_id(const char *name)
{
    return XXH3_64bits(name, strnlen(name, GX_NAME_MAX));
}

uint64_t gx_digest_prefix(const struct gx_digest *digest)
{
    struct gx_reader r = {digest->b, digest->b + 8, true};
    return gx_read_u64(&r);
}

void gx_record_write(struct gx_writer *w, const struct gx_record *record)
{
    gx_write_u32(w, record->epoch);
    gx_write_u64(w, record->round);
    gx_write_u32(w, record->members);
    gx_write_u64(w, record->divisor);
    gx_write(w, &record->base, sizeof(record->base));
    for (uint32_t i = 0; i < GX_SITES_MAX; i++) {
        if (!(record->members >> i & 1))
            continue;
        gx_write(w, &record->digests[i], sizeof(record->digests[i]));
        gx_write_u64(w, record->weights[i]);
    }
}

bool gx_record_read(struct gx_reader *r, struct gx_record *record)
{
    uint64_t sum = 0;
    memset(record, 0, sizeof(*record));
    record->epoch = gx_read_u32(r);
    record->round = gx_read_u64(r);
    record->members = gx_read_u32(r);
    record->divisor = gx_read_u64(r);
    gx_read(r, &record->base, sizeof(record->base));
    if (record->members & ~SITES_MASK || record->round == 0)
        return r->ok = false;
    for (uint32_t i = 0; i < GX_SITES_MAX; i++) {
        if (!(record->members >> i & 1))
            continue;
        gx_read(r, &record->digests[i], sizeof(record->digests[i]));
        record->weights[i] = gx_read_u64(r);
        if (record->weights[i] == 0 || record->weights[i] > GX_WEIGHT_MAX)
            r->ok = false;
        sum += record->weights[i];
    }
    if (sum != record->divisor)
        r->ok = false;
    return r->ok;
}

uint64_t gx_record_check(const struct gx_record *record)
{
    uint8_t bytes[64 + GX_SITES_MAX * (GX_DIGEST_BYTES + 8)];
    struct gx_writer w = {bytes, bytes + sizeof(bytes)};
    gx_record_write(&w, record);
    return XXH3_64bits(bytes, (size_t)(w.at - bytes));
}

static void schema_write(struct gx_writer *w, const struct gx_schema_summary *s)
{
    gx_write_u8(w, s->format);
    gx_write_u8(w, s->digest_kind);
    gx_write_u16(w, s->fragment_count);
    gx_write_u16(w, s->shard_bytes);
    gx_write_u64(w, s->param_count);
    gx_write(w, &s->digest, sizeof(s->digest));
}

static void schema_read(struct gx_reader *r, struct gx_schema_summary *s)
{
    s->format = gx_read_u8(r);
    s->digest_kind = gx_read_u8(r);
    s->fragment_count = gx_read_u16(r);
    s->shard_bytes = gx_read_u16(r);
    s->param_count = gx_read_u64(r);
    gx_read(r, &s->digest, sizeof(s->digest));
}

size_t gx_report_build(const struct gx_report *p, uint8_t *out)
{
    struct gx_writer w = {out, out + GX_CONTROL_MAX_BYTES};
    gx_write_u8(&w, GX_CONTROL_REPORT);
    gx_write(&w, p->run, sizeof(p->run));
    schema_write(&w, &p->schema);
    gx_write_u32(&w, p->epoch);
    gx_write_u32(&w, p->fragment);
    gx_write_u8(&w, p->flags);
    gx_write_u64(&w, p->applied);
    gx_write(&w, &p->state, sizeof(p->state));
    gx_write_u64(&w, p->reduced);
    gx_write_u64(&w, p->decided);
    gx_write_u64(&w, p->record_check);
    gx_write_u64(&w, p->fetch_round);
    gx_write_u64(&w, p->offer_round);
    gx_write_u64(&w, p->offer_weight);
    gx_write(&w, &p->offer_digest, sizeof(p->offer_digest));
    gx_write(&w, &p->offer_base, sizeof(p->offer_base));
    gx_write_u8(&w, p->want);
    gx_write_u8(&w, p->want_source);
    gx_write_u8(&w, p->want_owner);
    gx_write_u64(&w, p->want_round);
    gx_write(&w, &p->want_digest, sizeof(p->want_digest));
    gx_write_u32(&w, p->kept);
    gx_write_u64(&w, p->held_round);
    gx_write_u32(&w, p->held);
    for (uint32_t i = 0; i < GX_SITES_MAX; i++)
        if (p->held >> i & 1)
            gx_write(&w, &p->held_digests[i], sizeof(p->held_digests[i]));
    return (size_t)(w.at - out);
}

/* True when the name is terminated and well-formed: it is shown to people. */
static bool name_good(const char *name)
{
    size_t n = strnlen(name, GX_NAME_MAX);
    if (n == 0 || n == GX_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

bool gx_report_parse(struct gx_report *p, const uint8_t *in, size_t bytes)
{
    struct gx_reader r = {in, in + bytes, true};
    memset(p, 0, sizeof(*p));
    if (gx_read_u8(&r) != GX_CONTROL_REPORT)
        return false;
    gx_read(&r, p->run, sizeof(p->run));
    schema_read(&r, &p->schema);
    p->epoch = gx_read_u32(&r);
    p->fragment = gx_read_u32(&r);
    p->flags = gx_read_u8(&r);
    p->applied = gx_read_u64(&r);
    gx_read(&r, &p->state, sizeof(p->state));
    p->reduced = gx_read_u64(&r);
    p->decided = gx_read_u64(&r);
    p->record_check = gx_read_u64(&r);
    p->fetch_round = gx_read_u64(&r);
    p->offer_round = gx_read_u64(&r);
    p->offer_weight = gx_read_u64(&r);
    gx_read(&r, &p->offer_digest, sizeof(p->offer_digest));
    gx_read(&r, &p->offer_base, sizeof(p->offer_base));
    p->want = gx_read_u8(&r);
    p->want_source = gx_read_u8(&r);
    p->want_owner = gx_read_u8(&r);
    p->want_round = gx_read_u64(&r);
    gx_read(&r, &p->want_digest, sizeof(p->want_digest));
    p->kept = gx_read_u32(&r);
    p->held_round = gx_read_u64(&r);
    p->held = gx_read_u32(&r);
    if ((p->held | p->kept) & ~SITES_MASK)
        return false;
    for (uint32_t i = 0; i < GX_SITES_MAX; i++)
        if (p->held >> i & 1)
            gx_read(&r, &p->held_digests[i], sizeof(p->held_digests[i]));
    bool offer_good =
        !(p->flags & GX_REPORT_OFFER) ||
        (p->offer_weight > 0 && p->offer_weight <= GX_WEIGHT_MAX && p->offer_round > 0);
    bool small = p->epoch < GX_EPOCH_MAX && p->applied < GX_ROUND_MAX &&
                 p->decided < GX_ROUND_MAX && p->offer_round < GX_ROUND_MAX;
    return r.ok && r.at == r.end && small && offer_good && name_good(p->run) &&
           p->fragment < GX_FRAGMENTS_MAX && p->schema.fragment_count <= GX_FRAGMENTS_MAX &&
           p->want <= GX_WANT_STATE && p->want_source < GX_SITES_MAX &&
           p->want_owner < GX_SITES_MAX;
}

size_t gx_status_build(const struct gx_status *s, uint32_t site_count, uint32_t which, uint8_t *out)
{
    struct gx_writer w = {out, out + GX_CONTROL_MAX_BYTES};
    gx_write_u8(&w, GX_CONTROL_STATUS);
    gx_write_u64(&w, s->run);
    schema_write(&w, &s->schema);
    gx_write_u32(&w, s->epoch);
    gx_write_u32(&w, s->fragment);
    gx_write_u8(&w, s->flags);
    gx_write_u8(&w, s->reason);
    gx_write_u64(&w, s->decided);
    gx_write_u64(&w, s->start_round);
    gx_write(&w, &s->start_state, sizeof(s->start_state));
    gx_write(&w, &s->base, sizeof(s->base));
    gx_write(&w, &s->state, sizeof(s->state));
    gx_write_u32(&w, s->state_sites);
    gx_write_u32(&w, s->present);
    gx_write_u32(&w, s->reduced);
    gx_write_u32(&w, s->offers);
    for (uint32_t i = 0; i < GX_SITES_MAX; i++)
        if (s->offers >> i & 1)
            gx_write_u64(&w, s->offer_prefix[i]);
    gx_write_u32(&w, s->keepers);
    for (uint32_t i = 0; i < GX_SITES_MAX; i++)
        if (s->keepers >> i & 1)
            gx_write_u16(&w, s->kept[i]);
    if (site_count > GX_TWO_RECORDS_SITES && s->record_count == 2) {
        gx_write_u8(&w, 1);
        gx_record_write(&w, &s->records[which & 1]);
    } else {
        gx_write_u8(&w, s->record_count);
        for (uint32_t i = 0; i < s->record_count; i++)
            gx_record_write(&w, &s->records[i]);
    }
    return (size_t)(w.at - out);
}

bool gx_status_parse(struct gx_status *s, const uint8_t *in, size_t bytes)
{
    struct gx_reader r = {in, in + bytes, true};
    memset(s, 0, sizeof(*s));
    if (gx_read_u8(&r) != GX_CONTROL_STATUS)
        return false;
    s->run = gx_read_u64(&r);
    schema_read(&r, &s->schema);
    s->epoch = gx_read_u32(&r);
    s->fragment = gx_read_u32(&r);
    s->flags = gx_read_u8(&r);
    s->reason = gx_read_u8(&r);
    s->decided = gx_read_u64(&r);
    s->start_round = gx_read_u64(&r);
    gx_read(&r, &s->start_state, sizeof(s->start_state));
    gx_read(&r, &s->base, sizeof(s->base));
    gx_read(&r, &s->state, sizeof(s->state));
    s->state_sites = gx_read_u32(&r);
    s->present = gx_read_u32(&r);
    s->reduced = gx_read_u32(&r);
    s->offers = gx_read_u32(&r);
    if ((s->state_sites | s->present | s->reduced | s->offers) & ~SITES_MASK)
        return false;
    for (uint32_t i = 0; i < GX_SITES_MAX; i++)
        if (s->offers >> i & 1)
            s->offer_prefix[i] = gx_read_u64(&r);
    s->keepers = gx_read_u32(&r);
    if (s->keepers & ~SITES_MASK)
        return false;
    for (uint32_t i = 0; i < GX_SITES_MAX; i++)
        if (s->keepers >> i & 1)
            s->kept[i] = gx_read_u16(&r);
    s->record_count = gx_read_u8(&r);
    if (s->record_count > 2)
        return false;
    for (uint32_t i = 0; i < s->record_count; i++)
        if (!gx_record_read(&r, &s->records[i]) || s->records[i].epoch != s->epoch ||
            s->records[i].round > s->decided)
            return false;
    return r.ok && r.at == r.end && s->fragment < GX_FRAGMENTS_MAX && s->reason < GX_REASON_COUNT &&
           s->schema.fragment_count <= GX_FRAGMENTS_MAX;
}
