/* gx_coordinator: the one site that writes decisions (PROTOCOL.md section 3). REPORTs and a clock go in; STATUSes and
 * journal entries come out. It keeps no contribution and needs no trainer of its own.
 *
 * Per (run, fragment): EMPTY → COLLECTING (the first offer arms the deadline and fixes the base) → WRITING → DECIDED.
 * Threads   one. Nothing is allocated after create.
 */
#ifndef GX_EXCHANGE_COORDINATOR_H
#define GX_EXCHANGE_COORDINATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exchange/journal.h"
#include "exchange/notes.h"
#include "stat/view.h"
#include "wire/state.h"

#define GX_PRESENT_NS 3000000000ull       /* R4: heard within */
#define GX_STATE_INTERVAL_NS 200000000ull /* state messages are repeated */

struct gx_coordinator_config {
    uint32_t site_count;
    uint32_t self;
    const char (*names)[GX_NAME_MAX];
    uint64_t deadline_ns, fetch_wait_ns, rewind_after_ns;
    uint32_t start_sites, min_sites, keep_rounds;
    struct gx_view *view; /* its decisions; may be NULL */
};

struct gx_coordinator;

struct gx_coordinator *gx_coordinator_create(const struct gx_coordinator_config *config,
                                             struct gx_notes *notes, uint64_t now);
void gx_coordinator_destroy(struct gx_coordinator *c);

/* One journal entry, oldest first, before anything else. */
void gx_coordinator_replay(struct gx_coordinator *c, const struct gx_journal_entry *entry);

/* `order`: larger is newer, within one site. */
void gx_coordinator_report(struct gx_coordinator *c, uint32_t site, const struct gx_report *report,
                           uint64_t order, uint64_t now);
/* The site's gxd is a new incarnation: what it said before is void, its recorded offers are not. */
void gx_coordinator_restarted(struct gx_coordinator *c, uint32_t site);

/* heard_ns[site]: when the site was last heard. Evaluates what changed and what became due. */
void gx_coordinator_tick(struct gx_coordinator *c, const uint64_t *heard_ns, uint64_t now);
uint64_t gx_coordinator_wake(const struct gx_coordinator *c);

/* The next STATUS due for a site: false, none. */
bool gx_coordinator_status(struct gx_coordinator *c, uint32_t site, struct gx_status *status,
                           uint64_t now);
/* When gx_coordinator_status() may next have one for any site. */
uint64_t gx_coordinator_status_due(const struct gx_coordinator *c);

/* The next entry to make durable, 0: none; each is acknowledged in order. */
size_t gx_coordinator_journal(struct gx_coordinator *c, uint64_t *sequence, uint8_t *out);
void gx_coordinator_journal_done(struct gx_coordinator *c, uint64_t sequence, uint64_t now);

/* Open rounds move by the difference. */
void gx_coordinator_deadline(struct gx_coordinator *c, uint64_t deadline_ns);

/* -ENOENT: no such run. */
int gx_coordinator_rewind(struct gx_coordinator *c, const char *run);

/* What is known of an open round, for the view. False: no such run. */
struct gx_coordinator_view {
    uint32_t eligible;
    uint64_t deadline_ns;
};
bool gx_coordinator_view(const struct gx_coordinator *c, uint64_t run, uint32_t fragment,
                         struct gx_coordinator_view *view);

#endif
