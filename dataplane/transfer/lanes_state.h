/* What lanes.c (worker 0's side) and lanes_worker.c (that of the others) share: struct gx_lanes and its messages. */
#ifndef GX_TRANSFER_LANES_STATE_H
#define GX_TRANSFER_LANES_STATE_H

#include "transfer/lanes.h"
#include "transfer/mailbox.h"
#include "transfer/send.h"
#include "wire/header.h"

#define GX_TICKETS_MAX                                                                             \
    256 /* parts that one worker carries, until the port has released all of them */
/* A box has room for a release and a last answer of every ticket, and for one word about every incoming transfer; what
 * may be dropped or can wait leaves that room free. */
#define GX_BOX_ENTRIES 1024
#define GX_BOX_OPTIONAL 256

enum gx_lane_message_type {
    /* worker 0's */
    GX_LANE_DIAL, /* peer, value: incarnation of its gxd, 0: it has no such lane */
    GX_LANE_RATE, /* value, recv_rate_bps */
    GX_LANE_SEND, /* ticket, peer, open, bytes, byte_count, tail, closed, helper, holder, holders */
    GX_LANE_GO,   /* ticket: its source is no longer closed */
    GX_LANE_RETRY,     /* ticket */
    GX_LANE_STOP,      /* ticket */
    GX_LANE_OPENED,    /* peer, open, answer, reason, sink: to ASK */
    GX_LANE_SINK_DONE, /* sink, answer; then SINK_LEFT */
    GX_LANE_SINK_STOP, /* sink; then SINK_LEFT */
    /* the others' */
    GX_LANE_STATE,     /* peer, value: incarnation, 0: the lane is down */
    GX_LANE_ASK,       /* peer, value: incarnation, open */
    GX_LANE_PART,      /* part: it is complete */
    GX_LANE_ANSWER,    /* ticket, answer, reason */
    GX_LANE_RELEASED,  /* ticket: over, and no port points into its bytes */
    GX_LANE_SINK_LEFT, /* sink: nothing here points to it */
};

struct gx_lane_message {
    enum gx_lane_message_type type;
    uint32_t peer;
    uint32_t ticket;
    enum gx_answer answer;
    enum gx_reason reason;
    bool helper, closed;
    uint32_t holder, holders;
    uint64_t value, recv_rate_bps;
    const uint8_t *bytes;
    uint64_t byte_count;
    uint8_t *tail;
    struct gx_sink *sink;
    struct gx_part *part;
    struct gx_open open;
};

/* A part that another worker carries, as that worker knows it. */
struct gx_carried {
    bool used;
    bool over; /* answered or stopped; used until the port has released all */
    uint32_t peer;
    bool helper;
    uint32_t holder, holders;
    struct gx_open open;
    struct gx_source source;
    struct gx_send *send; /* NULL: over, or the lane is not up (again) */
};

/* The same as worker 0 knows it. */
struct gx_ticket {
    bool used;
    bool stop_due;                /* the box was full */
    struct gx_source *source;     /* the whole's */
    struct gx_transfer *transfer; /* NULL: over */
};

struct gx_transfer {
    bool used, closing;
    uint32_t peer;
    struct gx_send *first; /* the part on lane 0; NULL: over */
    uint32_t part_count;
    struct {
        uint32_t ticket;
        bool waits;  /* its last answer was NOT_READY */
        bool closed; /* its source is, as far as its worker knows */
    } parts[GX_WORKERS_MAX];
};

/* A lane but the first, as worker 0 knows it. */
struct gx_lane_view {
    uint64_t incarnation; /* 0: down */
    uint64_t lacks_ns;    /* since when it is down while lane 0 is alive, 0: it is not */
};

struct gx_lanes_worker {
    struct gx_lanes *lanes;
    uint32_t idx;
    struct gx_links *links;
    /* The worker's own, like its links. */
    uint32_t wakes;
    uint64_t told[GX_SITES_MAX]; /* incarnation per peer, as in STATE */
    struct gx_carried *carried;  /* [GX_TICKETS_MAX], not of worker 0 */
    uint32_t carried_count;
    /* Worker 0's. */
    struct gx_ticket *tickets; /* [GX_TICKETS_MAX], not of worker 0 */
    struct gx_lane_view views[GX_SITES_MAX];
    uint64_t rate_bps, recv_rate_bps; /* as given to it last */
    uint32_t stops_due;
    struct gx_mailbox orders;  /* from worker 0 */
    struct gx_mailbox reports; /* to worker 0 */
};

struct gx_lanes {
    struct gx_links_config config;
    struct gx_lanes_ops ops;
    void *ctx;
    uint32_t worker_count;
    struct gx_lanes_worker *workers;
    struct gx_transfer *transfers;
    uint32_t transfer_count;
    uint64_t incarnations[GX_SITES_MAX]; /* of the peers, by lane 0 */
    uint64_t up_ns[GX_SITES_MAX]; /* when lane 0's session with this gxd of the peer came up */
    uint64_t look_ns;             /* when lanes that are down are looked at next */
};

/* Worker 0's next message to worker w; NULL: the box is full. */
struct gx_lane_message *gx_lanes_order(struct gx_lanes *lanes, uint32_t w,
                                       enum gx_lane_message_type type);
void gx_lanes_order_send(struct gx_lanes *lanes, uint32_t w);

/* lanes_up.c: lanes to the peer that are up, without a gap from lane 0 on; those that there should be. */
uint32_t gx_lanes_up(const struct gx_lanes *lanes, uint32_t peer);
uint32_t gx_lanes_wanted(const struct gx_lanes *lanes, uint32_t peer);
/* Lane 0 met this gxd of the peer, or (0) a refusal. */
void gx_lanes_dial(struct gx_lanes *lanes, uint32_t peer, uint64_t incarnation);
/* Has lane w been down for long though lane 0 lives? */
bool gx_lanes_lack(struct gx_lanes *lanes, uint32_t w, uint32_t peer, uint64_t now);
void gx_lanes_rates_share(struct gx_lanes *lanes, uint64_t now);

extern const struct gx_links_ops gx_lanes_worker_ops; /* ctx: struct gx_lanes_worker */

bool gx_lanes_worker_poll(struct gx_lanes_worker *worker, uint64_t now);

/* An entry to `box` that the worker `to` will be woken for; optional: NULL while the box is rather full. */
struct gx_lane_message *gx_lanes_claim(struct gx_mailbox *box, enum gx_lane_message_type type,
                                       bool optional);
void gx_lanes_commit(struct gx_lanes_worker *from, struct gx_mailbox *box, uint32_t to);

#endif
