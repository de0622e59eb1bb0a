/* gx_neighbors: which MAC address an IP address on the link has. Filled by our own questions only: an answer to what we
 * never asked changes nothing, so that nobody can flush or fill the table.
 *
 * Life      asked (every 200 ms, later every second) → known → doubted 15 s after the last confirmation, or when a
 *           packet comes from another MAC: asked again, still used → confirmed, or unknown after three questions.
 *           Nobody sends there for 10 s: not asked any more.
 * Bounds    GX_NEIGHBORS_MAX entries; a new one takes the place of the one that was used least recently.
 * Units     times in ns, CLOCK_MONOTONIC. Addresses: 16 bytes; IPv4 in the first 4, the rest zero.
 */
#ifndef GX_NET_NEIGHBOR_H
#define GX_NET_NEIGHBOR_H

#include <stdbool.h>
#include <stdint.h>

#define GX_NEIGHBORS_MAX 32

struct gx_neighbor {
    bool used, known;
    uint8_t ip[16];
    uint8_t mac[6];
    uint32_t tries;        /* questions since the last answer */
    uint64_t used_ns;      /* last lookup */
    uint64_t confirmed_ns; /* last answer */
    uint64_t ask_ns;       /* when to ask next; UINT64_MAX: no need */
    uint64_t asked_ns;     /* last question */
};

struct gx_neighbors {
    struct gx_neighbor entries[GX_NEIGHBORS_MAX];
    uint32_t hint; /* where the last lookup ended */
    uint64_t asked, learned, changed, lost;
};

void gx_neighbors_init(struct gx_neighbors *table);
/* Its MAC, or NULL while it is unknown; then a question becomes due. */
const uint8_t *gx_neighbors_lookup(struct gx_neighbors *table, const uint8_t ip[16], uint64_t now);
/* An answer, or a claim of the neighbour itself. */
void gx_neighbors_learn(struct gx_neighbors *table, const uint8_t ip[16], const uint8_t mac[6],
                        uint64_t now);
/* A packet of `ip` came from `mac`: if that is not what we know, it is asked soon. */
void gx_neighbors_seen(struct gx_neighbors *table, const uint8_t ip[16], const uint8_t mac[6],
                       uint64_t now);
/* The next entry to ask for now, and counts the question; NULL: none. */
const struct gx_neighbor *gx_neighbors_due(struct gx_neighbors *table, uint64_t now);
/* It is used, was asked three times or more, and does not answer. */
bool gx_neighbors_silent(const struct gx_neighbors *table, const uint8_t ip[16], uint64_t now);
/* When the next question is due; UINT64_MAX: none. */
uint64_t gx_neighbors_wake(const struct gx_neighbors *table);

#endif
