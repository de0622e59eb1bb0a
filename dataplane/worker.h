/* gx_worker: a thread that runs the core on its port. It never blocks: whatever may (disk, log, sockets, mapping) it
 * hands to main through mailboxes. Trainers, rounds and the journal are those of worker 0, to whom main's orders go but
 * STOP; the others move packets.
 *
 * Threads   init, start, order, stop: main. What stands in a mailbox entry belongs to the receiver.
 * Life      ATTACH order → ATTACHED notice; if that has no error, the trainer and its run are the worker's until
 *           the DETACHED notice. BROKEN says that the worker has dropped the trainer itself: hang up.
 */
#ifndef GX_WORKER_H
#define GX_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/map.h"
#include "arena/ring.h"
#include "config.h"
#include "core.h"
#include "transfer/mailbox.h"
#include "port/port.h"

#define GX_TRAINERS_MAX (2 * GX_RUNS_MAX) /* served, and gone but with offers still being sent */

/* A trainer at this gxd. main makes it; from ATTACH to DETACHED only the worker touches it. */
struct gx_trainer {
    struct gx_run *run;
    struct gx_map map;
    uint32_t fragment_count;
    int wake_gxd, wake_trainer; /* eventfds; owned by main */
    /* The worker's. */
    struct gx_ring_end commands, events;
    bool serving;
};

enum gx_order_type {
    GX_ORDER_ATTACH,
    GX_ORDER_DETACH,
    GX_ORDER_YIELD,      /* of a trainer that has gone: its name or its memory is wanted */
    GX_ORDER_JOURNALLED, /* the entry `sequence` is durable */
    GX_ORDER_LEAVE,
    GX_ORDER_REWIND,
    GX_ORDER_RATE,
    GX_ORDER_DEADLINE,
    GX_ORDER_STOP,
};

struct gx_order {
    enum gx_order_type type;
    struct gx_trainer *trainer;
    uint64_t sequence;
    uint64_t cookie;               /* of REWIND, RATE, DEADLINE: comes back in OBEYED */
    uint64_t value, recv_rate_bps; /* of RATE (bit/s) and DEADLINE (ns) */
    char run[GX_NAME_MAX];
};

enum gx_notice_type {
    GX_NOTICE_READY,  /* the thread runs on its port */
    GX_NOTICE_FAILED, /* the port does not start: the thread has ended, `error` says why */
    GX_NOTICE_ATTACHED,
    GX_NOTICE_DETACHED, /* nothing points into the arena or the run any more */
    GX_NOTICE_BROKEN,
    GX_NOTICE_OBEYED,
    GX_NOTICE_LEFT,
    GX_NOTICE_NOTE,
};

struct gx_notice {
    enum gx_notice_type type;
    enum gx_log_level level;
    int error;
    enum gx_reason reason;
    struct gx_trainer *trainer;
    uint64_t cookie;
    char text[GX_NOTE_BYTES];
};

/* A journal entry on its way to the disk. */
struct gx_entry {
    uint64_t sequence;
    size_t byte_count;
    uint8_t bytes[GX_JOURNAL_ENTRY_MAX_BYTES];
};

struct gx_worker {
    uint32_t index;
    struct gx_worker *team; /* all workers of this gxd, in order */
    struct gx_core *core;
    struct gx_port *port;
    struct gx_counters *counters;
    struct gx_mailbox orders;  /* from main */
    struct gx_mailbox notices; /* to main */
    struct gx_mailbox journal; /* to main */
    int wake_fd;               /* main wakes the worker */
    int main_fd;               /* and the worker main; not owned */
    pthread_t thread;
    /* The thread's own. */
    bool stop, leaving, left, busy_stale, link_down_told, gateway_lost_told;
    uint64_t spin_ns; /* how long to go on looking after there was nothing to do */
    bool idle;        /* the last pass found nothing to do */
    bool fed;         /* packets came since the last sleep */
    uint64_t now, pass_start_ns, active_ns, busy_ns, complaint_ns, errors_told, conflicts_told;
    uint64_t work_start_ns;
    struct gx_trainer *trainers[GX_TRAINERS_MAX];
    uint32_t trainer_count;
    struct gx_rx received[GX_PORT_BURST];
    struct gx_packet packets[GX_PORT_BURST];
};

/* `team`: where all of them lie; this is team[index]. `counters`: its own. `main_fd`: the eventfd that wakes main. All are
 * to be there before the first starts. 0 or -errno. */
int gx_worker_init(struct gx_worker *team, uint32_t index, struct gx_core *core,
                   struct gx_port *port, struct gx_counters *counters, int main_fd);
void gx_worker_fini(struct gx_worker *worker);

/* `priority`: of SCHED_RR; 0: the caller's policy. 0 or -errno; -EPERM: this priority is not permitted. */
int gx_worker_start(struct gx_worker *worker, uint32_t priority);
void gx_worker_order(struct gx_worker *worker, const struct gx_order *order);
/* Orders STOP and waits for the thread's end, `timeout_ns` at most: -ETIMEDOUT. */
int gx_worker_stop(struct gx_worker *worker, uint64_t timeout_ns);

/* The thread's body: starts the workers' ports and runs them until all were ordered to stop. Several take turns. */
void gx_worker_run(struct gx_worker *const workers[], uint32_t count);
/* One pass of the loop; for the thread and for tests. */
void gx_worker_poll(struct gx_worker *worker);

/* The thread's word to main: claimed and filled in, then sent. */
struct gx_notice *gx_worker_notice(struct gx_worker *worker, enum gx_notice_type type,
                                   struct gx_trainer *trainer);
void gx_worker_notify(struct gx_worker *worker);

#endif
