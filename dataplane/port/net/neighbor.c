#include "port/net/neighbor.h"

#include <string.h>

#define MS 1000000ull
#define S 1000000000ull
#define TRUST_NS (15 * S)
#define UNUSED_NS (10 * S)
#define RETRY_FAST_NS (200 * MS)
#define RETRY_SLOW_NS (1 * S)
#define FAST_TRIES 5
#define DOUBT_TRIES 3
#define SEEN_NS (1 * S) /* between questions that another's packets may cause */
#define NEVER UINT64_MAX

void gx_neighbors_init(struct gx_neighbors *table)
{
    memset(table, 0, sizeof(*table));
}

static struct gx_neighbor *find(struct gx_neighbors *table, const uint8_t ip[16])
{
    for (uint32_t i = 0; i < GX_NEIGHBORS_MAX; i++) {
        uint32_t at = (table->hint + i) % GX_NEIGHBORS_MAX;
        struct gx_neighbor *entry = &table->entries[at];

        if (entry->used && !memcmp(entry->ip, ip, 16)) {
            table->hint = at;
            return entry;
        }
    }
    return NULL;
}

static struct gx_neighbor *add(struct gx_neighbors *table, const uint8_t ip[16], uint64_t now)
{
    struct gx_neighbor *entry = &table->entries[0];

    for (uint32_t i = 0; i < GX_NEIGHBORS_MAX && entry->used; i++)
        if (!table->entries[i].used || table->entries[i].used_ns < entry->used_ns)
            entry = &table->entries[i];
    memset(entry, 0, sizeof(*entry));
    entry->used = true;
    memcpy(entry->ip, ip, 16);
    entry->ask_ns = now;
    return entry;
}

const uint8_t *gx_neighbors_lookup(struct gx_neighbors *table, const uint8_t ip[16], uint64_t now)
{
    struct gx_neighbor *entry = find(table, ip);

    if (!entry)
        entry = add(table, ip, now);
    entry->used_ns = now;
    if (entry->ask_ns == NEVER && (!entry->known || now - entry->confirmed_ns > TRUST_NS)) {
        entry->ask_ns = now;
        entry->tries = 0;
    }
    return entry->known ? entry->mac : NULL;
}

void gx_neighbors_learn(struct gx_neighbors *table, const uint8_t ip[16], const uint8_t mac[6],
                        uint64_t now)
{
    struct gx_neighbor *entry = find(table, ip);

    if (!entry || mac[0] & 1)
        return;
    table->learned++;
    if (entry->known && memcmp(entry->mac, mac, 6) != 0)
        table->changed++;
    memcpy(entry->mac, mac, 6);
    entry->known = true;
    entry->confirmed_ns = now;
    entry->ask_ns = NEVER;
    entry->tries = 0;
}

void gx_neighbors_seen(struct gx_neighbors *table, const uint8_t ip[16], const uint8_t mac[6],
                       uint64_t now)
{
    struct gx_neighbor *entry = find(table, ip);

    if (!entry || !entry->known || !memcmp(entry->mac, mac, 6) || entry->ask_ns != NEVER ||
        now - entry->asked_ns < SEEN_NS)
        return;
    entry->ask_ns = now;
    entry->tries = 0;
}

const struct gx_neighbor *gx_neighbors_due(struct gx_neighbors *table, uint64_t now)
{
    for (uint32_t i = 0; i < GX_NEIGHBORS_MAX; i++) {
        struct gx_neighbor *entry = &table->entries[i];

        if (!entry->used || entry->ask_ns > now)
            continue;
        if (now - entry->used_ns > UNUSED_NS) {
            entry->ask_ns = NEVER;
            continue;
        }
        if (entry->known && entry->tries >= DOUBT_TRIES) {
            entry->known = false;
            table->lost++;
        }
        entry->tries++;
        entry->asked_ns = now;
        entry->ask_ns = now + (entry->tries <= FAST_TRIES ? RETRY_FAST_NS : RETRY_SLOW_NS);
        table->asked++;
        return entry;
    }
    return NULL;
}

bool gx_neighbors_silent(const struct gx_neighbors *table, const uint8_t ip[16], uint64_t now)
{
    for (uint32_t i = 0; i < GX_NEIGHBORS_MAX; i++) {
        const struct gx_neighbor *entry = &table->entries[i];

        if (entry->used && memcmp(entry->ip, ip, 16) == 0)
            return !entry->known && entry->tries >= DOUBT_TRIES && now - entry->used_ns < UNUSED_NS;
    }
    return false;
}

uint64_t gx_neighbors_wake(const struct gx_neighbors *table)
{
    uint64_t due = NEVER;

    for (uint32_t i = 0; i < GX_NEIGHBORS_MAX; i++)
        if (table->entries[i].used && table->entries[i].ask_ns < due)
            due = table->entries[i].ask_ns;
    return due;
}
