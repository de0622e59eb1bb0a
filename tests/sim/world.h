/* gx-sim's world: N complete gx_core sites in one process, a virtual clock, one seed.
 *
 * Everything that gxd and a trainer do with the outside is played here: packets cross a network (net.c), journal
 * entries go to a disk that can lose them (disk.c), commands come from a trainer (trainer.c), processes crash, pause
 * and come back (fault.c). The ledger (ledger.c) sees all of it, knows what is true, and fails the seed when a site
 * does something that PROTOCOL.md's invariants forbid.
 *
 * Units     ns of the world's clock; each site's own clock is that plus clock_offset_ns.
 * Memory    a world owns everything it points to; sim_world_destroy() frees it, so that a leak checker sees a leak.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.h"
#include "sim/random.h"

#define SIM_RUNS_MAX 2
#define SIM_FRAGMENTS_MAX 3
#define SIM_MS 1000000ull
#define SIM_S 1000000000ull
#define SIM_NEVER UINT64_MAX

/* SIM_STAT(name, text): what a reader wants to see at the end, so that he knows that faults really occurred. */
#define SIM_STATS                                                                                  \
    SIM_STAT(completions, "rounds completed (all sites)")                                          \
    SIM_STAT(records, "records")                                                                   \
    SIM_STAT(left_out, "members left out")                                                         \
    SIM_STAT(voids, "voids")                                                                       \
    SIM_STAT(epochs, "epochs begun")                                                               \
    SIM_STAT(behind, "sites fallen behind")                                                        \
    SIM_STAT(states, "states fetched")                                                             \
    SIM_STAT(refusals, "commands refused")                                                         \
    SIM_STAT(gxd_crashes, "gxd crashes")                                                           \
    SIM_STAT(trainer_crashes, "trainer crashes")                                                   \
    SIM_STAT(other_bytes, "offers again with other bytes")                                         \
    SIM_STAT(outages, "full outages")                                                              \
    SIM_STAT(pauses, "pauses")                                                                     \
    SIM_STAT(stalls, "ports stalled")                                                              \
    SIM_STAT(partitions, "partitions")                                                             \
    SIM_STAT(leaves, "leaves")                                                                     \
    SIM_STAT(lost_writes, "journal entries lost")                                                  \
    SIM_STAT(torn_writes, "journal entries torn")                                                  \
    SIM_STAT(busy_attaches, "attaches told to come again")                                         \
    SIM_STAT(many_workers, "worlds with several workers")                                          \
    SIM_STAT(parts, "parts of transfers opened or asked for again")                                \
    SIM_STAT(slow_paths, "paths that are slow")                                                    \
    SIM_STAT(helps, "transfers of holders that help")                                              \
    SIM_STAT(lies, "of those, with other bytes")                                                   \
    SIM_STAT(blocked_lanes, "lanes that a firewall blocks")                                        \
    SIM_STAT(packets, "packets")                                                                   \
    SIM_STAT(lost_packets, "packets lost")                                                         \
    SIM_STAT(oversize, "packets too large for a path")                                             \
    SIM_STAT(targeted, "packets lost on target")                                                   \
    SIM_STAT(corrupted, "packets corrupted")                                                       \
    SIM_STAT(late, "packets very late")                                                            \
    SIM_STAT(replayed, "packets replayed")                                                         \
    SIM_STAT(hostile, "packets forged")                                                            \
    SIM_STAT(secure, "worlds with a key")

struct sim_stats {
#define SIM_STAT(name, text) uint64_t name;
    SIM_STATS
#undef SIM_STAT
    uint64_t virtual_ns;
    uint64_t i7_permille; /* how much of I7's bound the slowest seed needed */
};

enum sim_event_kind {
    SIM_EVENT_STEP,     /* a site's loop; `run` is the worker, in the next, too */
    SIM_EVENT_PORT,     /* a site's port sends its first packet */
    SIM_EVENT_DOWNLINK, /* a frame reaches the receiver's downlink */
    SIM_EVENT_ARRIVE,   /* a frame reaches the receiver's socket */
    SIM_EVENT_FSYNC,    /* a site's journal is durable */
    SIM_EVENT_ATTACH,   /* a trainer asks to be registered */
    SIM_EVENT_HANGUP,   /* gxd sees that a trainer is gone */
    SIM_EVENT_TRAINER,  /* a fragment's next step in its trainer */
    SIM_EVENT_LOOK,     /* a trainer looks at its event ring */
    SIM_EVENT_FAULT,    /* something breaks or heals */
    SIM_EVENT_TICK,     /* housekeeping of the world: bounds, hostile packets */
};

struct sim_event {
    uint64_t at_ns;
    uint64_t order; /* among events of one time */
    enum sim_event_kind kind;
    uint32_t site, run, fragment;
    uint64_t life; /* events of an earlier life of a process are void */
    void *data;
};

struct sim_heap {
    struct sim_event *events;
    size_t count, room;
    uint64_t order;
};

struct sim_params {
    uint32_t site_count, run_count;
    uint32_t fragment_count[SIM_RUNS_MAX];
    uint64_t param_counts[SIM_RUNS_MAX][SIM_FRAGMENTS_MAX];
    enum gx_format format[SIM_RUNS_MAX];
    enum gx_digest_kind digest_kind[SIM_RUNS_MAX];
    uint64_t deadline_ns, fetch_wait_ns, rewind_after_ns;
    uint32_t start_sites, min_sites, keep_rounds;
    uint32_t mtu, shard_bytes;
    uint32_t workers_max; /* of any site */
    bool workers_differ;  /* from site to site, and from one life of a gxd to the next */
    bool same_start;      /* every site begins with the same state */
    uint64_t rate_bps_min;
    uint64_t slow_bps;     /* of some paths; 0: all carry what the sites send */
    uint32_t lies;         /* so many helping transfers bring other bytes */
    uint64_t delay_ns_max; /* the slowest path, everything included */
    double loss_max;
    uint64_t wake_late_ns_max;
    uint64_t port_ns_max;  /* how long a port may keep a packet */
    uint64_t train_ns_max; /* one round's local training at the slowest site */
    uint64_t look_ns_max;
    uint64_t fsync_ns_max;
    uint64_t faults_end_ns;
    uint32_t extra_rounds; /* everyone does so many more once the faults are over */
    double hostile;        /* chance of a replayed or forged packet per tick */
    bool trainers_end;     /* they detach as soon as they have done their rounds */
    bool secure;           /* `security: psk`, the same key everywhere */
    double bad_command;    /* chance that a trainer makes a mistake before an offer */
};

/* A world made to measure, without faults, instead of one that a seed draws: round_sim.c. Sites offer all at once, and
 * have one clock. */
struct sim_scene {
    uint32_t sites;
    uint64_t bytes, rate_bps, delay_ns;
    double loss;
    uint64_t slow_bps; /* of the path from site 1 to site 2; 0: as the others */
    bool slow_back;    /* and of the one back */
    bool owners_only;  /* no second holder */
    uint32_t rounds;
    void (*on_offer)(void *ctx, uint32_t site, uint64_t round, uint64_t now_ns);
    void (*on_event)(void *ctx, uint32_t site, const struct gx_event *event, uint64_t now_ns);
    /* A frame has left a site's uplink, or will at left_ns. */
    void (*on_frame)(void *ctx, uint32_t to, uint64_t left_ns, uint32_t frame_bytes);
    void *ctx;
};

/* Shared memory between a trainer and gxd: it lives while either needs it. */
struct sim_arena {
    uint8_t *bytes;
    struct gx_arena_layout layout;
    uint32_t uses;
};

/* The bytes of a sent packet, shared by all their copies on the way. */
struct sim_content {
    uint32_t uses;
    uint32_t bytes;
    int from;      /* site; -1: a stranger */
    uint64_t life; /* which gxd of that site sent it */
    uint32_t lane; /* of the sender */
    bool accepted; /* some receiver took it: nobody may take it again */
    bool hostile;  /* nobody may ever take it */
    uint8_t data[];
};

struct sim_frame {
    struct sim_content *content;
    struct gx_addr source;
    uint32_t to, lane; /* site and worker */
    struct sim_frame *next;
};

/* A packet between gx_core_tx() and the moment at which the port really reads it. */
struct sim_port_packet {
    struct gx_packet packet;
    uint64_t at_ns;
    uint64_t payload_hash; /* when it was handed over */
};

struct sim_port {
    struct sim_port_packet *queue; /* ring */
    uint32_t head, count, room;
    uint64_t last_ns;
    uint64_t stalled_until_ns; /* nothing leaves before */
    uint32_t *sent;            /* owners that gxd has not yet been told about */
    uint32_t sent_count, sent_room;
};

struct sim_disk_entry {
    uint64_t sequence;
    uint32_t bytes;
    bool durable;
    bool torn; /* not what was written */
    uint8_t data[GX_JOURNAL_ENTRY_MAX_BYTES];
};

/* The journal's file. It outlives the process. */
struct sim_disk {
    struct sim_disk_entry *entries;
    uint32_t count, room;
    uint32_t acked;   /* entries that gxd knows to be durable */
    uint32_t syncing; /* an fsync runs that covers so many entries; 0: none */
    uint64_t slow_until_ns;
    uint64_t life;
};

enum sim_trainer_phase {
    SIM_TRAIN,   /* local training; then the offer */
    SIM_MISTAKE, /* offered what must be refused; waits for the refusal */
    SIM_OFFERED, /* waits for the round's event */
    SIM_WAIT,    /* was refused; waits for whatever comes */
    SIM_APPLY,   /* writes the state */
    SIM_BEHIND,  /* was told to fetch a state; hands still on */
    SIM_HANDED,  /* hands off: the state area is gxd's */
    SIM_DONE,    /* did what it had to do; still answers */
};

#define SIM_TRAINER_EVENTS 32

struct sim_trainer_fragment {
    enum sim_trainer_phase phase;
    uint64_t published; /* the state area holds the state after this round */
    uint64_t state_hash;
    struct gx_digest digest;
    uint64_t
        gxd_round; /* the same as gxd knows it: the last PUBLISH that it read, or STATE that it wrote */
    struct gx_digest gxd_digest;
    uint64_t result_hash; /* the result when its event came: it must stay until the next PUBLISH */
    uint64_t since_ns;    /* in this phase */
    uint64_t turn_ns;     /* its timer */
    bool blocked;  /* its contribution's buffer is still in use: it looks at events meanwhile */
    bool offered;  /* the offer stands and is repeated after a re-attach */
    bool bad_sent; /* the mistake before this round's offer was made */
    uint64_t weight;
    struct gx_event apply; /* the event that is being applied */
    bool half;             /* of the state is written */
    uint32_t met;          /* sites that were present since it registered, as its gxd shows them */
    struct gx_event events[SIM_TRAINER_EVENTS];
    uint32_t event_head, event_count;
    /* the checkpoint on disk */
    bool saved;
    uint64_t saved_round;
    uint8_t *saved_state;
};

#define SIM_TRAINER_COMMANDS 64

struct sim_trainer {
    uint32_t site, run;
    bool alive;
    bool ended; /* did its rounds, detached, is gone */
    uint64_t paused_until_ns;
    uint64_t life;
    uint64_t salt;     /* enters its contributions: a restart with other data has another */
    bool looks_late;   /* looks at events only when it has offered, as a simple trainer does */
    uint64_t train_ns; /* typical time of local training */
    struct sim_arena *arena;
    struct gx_run *bound; /* registered with gxd */
    uint64_t attach_ns;   /* when it tries to register again */
    struct sim_trainer_fragment fragments[SIM_FRAGMENTS_MAX];
    struct gx_command commands[SIM_TRAINER_COMMANDS];
    uint32_t command_head, command_count;
};

/* A gx_run that gxd knows, with the memory it needs, until gx_core_detached() gives it back. */
struct sim_binding {
    struct gx_run *run;
    struct sim_arena *arena;
    uint32_t run_index;
    uint64_t trainer_life; /* which trainer registered it */
    bool hung_up;
};

#define SIM_BINDINGS 12

struct sim_worker {
    struct sim_site *site;
    uint32_t index;
    uint64_t step_at_ns;
    uint64_t peer_life[GX_SITES_MAX]; /* the newest gxd of each peer from which it took a packet */
    uint32_t idle_steps;              /* passes of the loop since a packet came or went */
    struct sim_frame *inbox_head, *inbox_tail;
    uint32_t inbox_count;
    struct sim_port port;
};

struct sim_site {
    uint32_t index;
    bool up, paused, leaving;
    uint64_t life; /* grows with each start and stop of gxd */
    uint64_t leave_until_ns;
    uint64_t clock_offset_ns;
    uint64_t resumed_ns; /* last start or end of a pause */
    uint32_t fuse;       /* crash after so many more points; 0: none */
    bool fuse_machine;
    uint64_t restart_after_ns;
    struct gx_core *core;
    struct gx_core_config config;
    struct gx_counters counters[GX_WORKERS_MAX];
    struct gx_view *view;
    uint32_t worker_count;
    struct sim_worker workers[GX_WORKERS_MAX];
    struct sim_disk disk;
    struct sim_trainer trainers[SIM_RUNS_MAX];
    struct sim_binding bindings[SIM_BINDINGS];
    /* I5: since when the coordinator has known its own trainer's offer; 0: it does not wait. */
    uint64_t own_offer_ns[SIM_RUNS_MAX][SIM_FRAGMENTS_MAX];
    uint64_t own_offer_round[SIM_RUNS_MAX][SIM_FRAGMENTS_MAX];
};

struct sim_net;
struct sim_ledger;
struct sim_fault;

struct sim_world {
    uint64_t seed;
    const struct sim_scene *scene; /* NULL: drawn */
    bool verbose;
    uint64_t now_ns;
    struct sim_random random; /* of what happens */
    struct sim_heap heap;
    struct sim_params params;
    struct sim_site sites[GX_SITES_MAX];
    struct sim_net *net;
    struct sim_ledger *ledger;
    struct sim_fault *faults;
    uint32_t fault_count;
    bool calm; /* the faults are over */
    uint64_t calm_ns;
    uint64_t target[SIM_RUNS_MAX][SIM_FRAGMENTS_MAX];
    bool caught_up;
    bool finished;
    struct sim_stats stats;
    uint64_t trace_hash;
    bool failed;
    uint64_t failed_ns;
    char invariant[8];
    char failure[1024];
};

struct sim_world *sim_world_create(uint64_t seed, bool verbose);
struct sim_world *sim_world_create_scene(const struct sim_scene *scene, uint64_t seed);
void sim_world_destroy(struct sim_world *world);
/* Until everyone is done, or an invariant fails. */
void sim_world_run(struct sim_world *world);

void sim_schedule(struct sim_world *world, uint64_t at_ns, enum sim_event_kind kind, uint32_t site,
                  uint32_t run, uint32_t fragment, uint64_t life, void *data);

/* Ends the seed. The first failure counts. */
void sim_fail(struct sim_world *world, const char *invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line of the trace; site < 0: the world. */
void sim_trace(struct sim_world *world, int site, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Draws the world's parameters from its seed. */
void sim_params_draw(struct sim_world *world);

/* The longest time that the transfers of one round, and of a state to everyone, may take on the slowest link. */
uint64_t sim_transfer_ns(const struct sim_world *world, uint32_t run);
/* I7's bound for catching up, and for one round after that. */
uint64_t sim_catch_up_ns(const struct sim_world *world);
uint64_t sim_round_ns(const struct sim_world *world);

static inline uint64_t sim_clock(const struct sim_world *world, const struct sim_site *site)
{
    return world->now_ns + site->clock_offset_ns;
}

#endif
