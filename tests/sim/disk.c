#include "sim/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/heap.h"
#include "sim/ledger.h"
#include "sim/site.h"

static uint32_t durable_count(const struct sim_disk *disk)
{
    uint32_t count = 0;
    while (count < disk->count && disk->entries[count].durable)
        count++;
    return count;
}

bool sim_disk_pending(const struct sim_site *site)
{
    return durable_count(&site->disk) < site->disk.count;
}

static void sync_begin(struct sim_world *world, struct sim_site *site)
{
    struct sim_disk *disk = &site->disk;
    uint64_t slow_ns = world->now_ns < disk->slow_until_ns ? SIM_S : 0;

    if (disk->syncing || !sim_disk_pending(site))
        return;
    disk->syncing = disk->count;
    sim_schedule(world,
                 world->now_ns +
                     sim_between(&world->random, SIM_MS / 10, world->params.fsync_ns_max) +
                     sim_below(&world->random, slow_ns + 1),
                 SIM_EVENT_FSYNC, site->index, 0, 0, disk->life, NULL);
}

void sim_disk_write(struct sim_world *world, struct sim_site *site, uint64_t sequence,
                    const uint8_t *entry, size_t bytes)
{
    struct sim_disk *disk = &site->disk;

    if (bytes > GX_JOURNAL_ENTRY_MAX_BYTES) {
        sim_fail(world, "I1", "site %u writes a journal entry of %zu bytes", site->index, bytes);
        return;
    }
    if (disk->count == disk->room) {
        disk->room = disk->room ? 2 * disk->room : 16;
        disk->entries = sim_grow(disk->entries, disk->room, sizeof(*disk->entries));
    }
    struct sim_disk_entry *new = &disk->entries[disk->count++];
    new->sequence = sequence;
    new->bytes = (uint32_t)bytes;
    new->durable = new->torn = false;
    memcpy(new->data, entry, bytes);
    sync_begin(world, site);
}

static void make_durable(struct sim_world *world, struct sim_disk *disk, uint32_t count)
{
    for (uint32_t i = durable_count(disk); i < count; i++) {
        disk->entries[i].durable = true;
        sim_ledger_entry(world, disk->entries[i].data, disk->entries[i].bytes);
    }
}

void sim_disk_synced(struct sim_world *world, struct sim_site *site, uint64_t life)
{
    struct sim_disk *disk = &site->disk;

    if (life != disk->life)
        return;
    make_durable(world, disk, disk->syncing);
    disk->syncing = 0;
    sync_begin(world, site);
    sim_site_wake(world, site, world->now_ns);
}

void sim_disk_acknowledge(struct sim_world *world, struct sim_site *site)
{
    struct sim_disk *disk = &site->disk;
    uint32_t durable = durable_count(disk);

    while (disk->acked < durable)
        gx_core_journal_done(site->core, disk->entries[disk->acked++].sequence,
                             sim_clock(world, site));
}

/* Cut short, or with a part that never got written: its end, or something in the middle. */
static void tear(struct sim_random *random, struct sim_disk_entry *entry)
{
    uint32_t from = (uint32_t)sim_below(random, entry->bytes);
    uint32_t to = entry->bytes;
    bool cut = sim_chance(random, 0.3);

    if (!cut && sim_chance(random, 0.6))
        to = from + 1 + (uint32_t)sim_below(random, entry->bytes - from);
    for (uint32_t i = from; i < to; i++) {
        entry->torn |= cut || entry->data[i] != 0;
        entry->data[i] = 0;
    }
    if (cut)
        entry->bytes = from;
}

/* Of what was not durable a random prefix stays; the entry after it may be torn: cut short, or its end never written. */
void sim_disk_crash(struct sim_world *world, struct sim_site *site, bool machine)
{
    struct sim_disk *disk = &site->disk;
    uint32_t durable = durable_count(disk);
    uint32_t unsynced = disk->count - durable;

    disk->life++;
    disk->syncing = 0;
    if (unsynced == 0)
        return;
    uint32_t kept = (uint32_t)sim_below(&world->random, unsynced + 1);
    if (!machine && sim_chance(&world->random, 0.5))
        kept = unsynced;
    world->stats.lost_writes += unsynced - kept;
    disk->count = durable + kept;
    if (kept < unsynced && sim_chance(&world->random, 0.6)) {
        tear(&world->random, &disk->entries[disk->count++]);
        world->stats.torn_writes++;
    }
}

void sim_disk_replay(struct sim_world *world, struct sim_site *site)
{
    struct sim_disk *disk = &site->disk;

    for (uint32_t i = 0; i < disk->count; i++) {
        struct sim_disk_entry *entry = &disk->entries[i];
        int error = gx_core_replay(site->core, entry->data, entry->bytes);
        if (error == -EBADMSG && entry->torn) {
            disk->count = i;
            break;
        }
        if (error != 0 || entry->torn) {
            sim_fail(world, "I1", "site %u: a %s journal entry of %u bytes is replayed with %d",
                     site->index, entry->torn ? "torn" : "whole", entry->bytes, error);
            return;
        }
        entry->sequence = 0;
    }
    make_durable(world, disk, disk->count);
    disk->acked = disk->count;
}

void sim_disk_fini(struct sim_disk *disk)
{
    free(disk->entries);
}
