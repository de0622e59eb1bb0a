/* A small virtual world for links alone: two to four sites, every ordered pair joined by one gx_impair, deliveries
 * that must all be held byte-exact, and checks after every event. No rounds: tests/sim/world.c has those. */
#ifndef GX_LINKS_WORLD_H
#define GX_LINKS_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "session/random.h"
#include "transfer/digest.h"
#include "transfer/links.h"
#include "wan/impair.h"

#define WORLD_SITES_MAX 4
#define WORLD_DELIVERIES_MAX 24
#define WORLD_CAPTURES 512
#define WORLD_SHARD_BYTES 1408
#define WORLD_PACKET_MAX (GX_HEADER_BYTES + GX_SHARD_MAX_BYTES)

/* These bytes, from this site to that one. `helper_of`: the same contribution as that delivery, from another holder. */
struct delivery {
    uint32_t from, to;
    int helper_of; /* -1: none */
    uint64_t start_ns;
    uint64_t ready_ns; /* NOT_READY before */
    struct gx_open open;
    uint8_t *bytes;
    uint8_t *copy; /* as they were: `bytes` is poisoned when its source is free */
    struct gx_source source;
    uint8_t *tail;
    bool source_live;
    struct gx_send *send;
    uint64_t first_sent_ns;
    struct gx_sink sink; /* of the first delivery of its key */
    void *tables;
    uint8_t *staging;
    uint64_t held_ns;
};

struct in_port {
    uint32_t owner;
    uint32_t incarnation;
    uint64_t release_ns;
};

struct site {
    struct gx_links *links;
    struct gx_links_config config;
    struct gx_counters counters;
    uint64_t restart_ns; /* when it crashes and comes back; UINT64_MAX: never */
    uint32_t incarnation;
    struct in_port *port;
    uint32_t port_count, port_max;
    uint64_t upcalls;
    uint64_t control_ns[WORLD_SITES_MAX]; /* next state message */
    uint64_t order[WORLD_SITES_MAX];      /* newest state message heard */
};

struct on_wire {
    uint64_t deliver_ns;
    uint64_t sequence;
    uint32_t from, to, bytes;
    uint8_t *packet;
};

/* Shard `row` of `block` and the next `repairs` rows of that block never arrive. */
struct target {
    bool on;
    uint32_t block, row, repairs;
};

struct rows_sent { /* I8 */
    uint32_t from, to, transfer, block, count;
    uint64_t seen[4];
};

struct world_config {
    uint64_t seed;
    uint32_t sites;
    uint64_t rate_bps;              /* of the links */
    uint64_t site_rate_bps;         /* of the sites */
    struct gx_impair_config impair; /* of every link */
    struct gx_impair_config
        neck; /* rate_bps > 0: all packets from even sites share it, before their path */
    const struct gx_rate_algorithm *rate_algorithm; /* NULL: gx_rate_fixed */
    uint64_t hold_ns_max;                           /* how long a port keeps a packet */
    bool secure;                                    /* with a key */
    bool hostile;                                   /* strangers, replays, fuzz */
    uint64_t restart_ns;                            /* of site 1, 0: never */
    uint64_t fault_end_ns;
    struct gx_known known; /* what each site thinks of each link at its start */
    struct target target;
    uint32_t mtu; /* of the path between sites 0 and 1 from begin to end; 0: any packet passes */
    uint32_t mtu_ways;                 /* bit 0: from 0 to 1, bit 1: from 1 to 0 */
    uint64_t mtu_begin_ns, mtu_end_ns; /* of the world's clock */
    uint32_t tx_max;
    /* A frame has left a link's serialiser, or will at left_ns; NULL: nobody asks. */
    void (*on_frame)(uint32_t from, uint32_t to, uint64_t left_ns, uint32_t frame_bytes);
    bool measure; /* the CPU time in links */
};

struct world {
    struct world_config config;
    struct gx_random random;
    uint64_t now;
    struct site sites[WORLD_SITES_MAX];
    struct gx_impair paths[WORLD_SITES_MAX][WORLD_SITES_MAX];
    struct gx_impair neck;
    uint64_t pause_ns; /* links_world_run() returns then, 0: it does not */
    struct delivery deliveries[WORLD_DELIVERIES_MAX];
    uint32_t delivery_count;
    uint64_t rounds; /* deliveries made so far */
    struct on_wire *heap;
    uint32_t heap_count, heap_max;
    uint64_t sequence;
    struct on_wire captures[WORLD_CAPTURES];
    uint32_t capture_count;
    uint64_t hostile_ns;
    struct rows_sent *rows;
    uint32_t rows_count; /* of the hash table, a power of two */
    uint64_t told_small; /* times that a site learned which size a path carries */
    uint64_t packets;    /* that went through rx */
    uint64_t cpu_ns;     /* spent in gx_links_rx() and gx_links_tx() */
    uint64_t cpu_call_ns;
    char failure[200];
};

void links_world_init(struct world *world, const struct world_config *config);
void links_world_fini(struct world *world);
/* Adds a delivery of `bytes` random bytes; returns its index. */
uint32_t links_world_deliver(struct world *world, uint32_t from, uint32_t to, uint64_t bytes,
                             uint64_t start_ns);
uint32_t links_world_help(struct world *world, uint32_t delivery, uint32_t from, uint64_t start_ns);
/* From now on nothing of one site's reaches the other. */
void links_world_cut(struct world *world, uint32_t from, uint32_t to, uint64_t after_ns);
/* A link counter summed over all sites and links. */
uint64_t links_world_sum(const struct world *world, enum gx_link_counter counter);
/* Forgets all deliveries: they are held, and nothing points at them any more. */
void links_world_clear(struct world *world);
/* Runs until all is held (if world->pause_ns is set: until then), or until `limit_ns` has passed. False: see `failure`. */
bool links_world_run(struct world *world, uint64_t limit_ns);

/* ---- between the files of this world ---- */

uint64_t links_random_below(struct world *world, uint64_t n);
/* The first failure is kept. */
void links_fail(struct world *world, const char *what, uint64_t a, uint64_t b);
void *links_must(void *memory);
struct gx_addr links_addr_of(uint32_t site);
void links_site_start(struct world *world, uint32_t i);
/* Everything in memory is gone: sinks that were open or held, sends, packets in the port. */
void links_site_restart(struct world *world, uint32_t i);
/* Begins the sends that are due, and poisons what no delivery needs any more. */
void links_site_app(struct world *world, uint32_t i);
void links_source_start(struct delivery *delivery);
void links_heap_push(struct world *world, struct on_wire item);
struct on_wire links_heap_pop(struct world *world);
/* Sends one packet to some site and checks that nothing but a count of drops changes. */
void links_hostile_packet(struct world *world);

#endif
