/* gx_lanes: the links of a site over all its workers: per worker one gx_links, whose lane to a peer meets its twin there.
 * A transfer is cut into as many parts as both sites have workers, and each travels on a lane of its own.
 *
 * Threads   rx, tx, release, poll, wake, wakes: worker `w` only. All else, and all upcalls: worker 0.
 * Messages  between worker 0 and each other one a mailbox in each direction. Nothing else is shared, but what a message
 *           hands over: a part of a sink until its worker has let go of it (gx_lanes_sink_free()), the bytes of a source
 *           until they are released (gx_source_busy()). gx_lanes_wakes() names who has got a message: the core cannot
 *           wake a thread by itself.
 * Rate      each worker gets a share of the site's rates by the lanes in use, so that no two need to agree.
 */
#ifndef GX_TRANSFER_LANES_H
#define GX_TRANSFER_LANES_H

#include "transfer/links.h"

struct gx_transfer; /* one outgoing transfer, all parts of it */

/* As of gx_links; `on_answer` only with an answer that ends the transfer. */
struct gx_lanes_ops {
    enum gx_answer (*on_open)(void *ctx, uint32_t peer, const struct gx_open *open,
                              struct gx_sink **sink, enum gx_reason *reason, uint64_t now);
    void (*on_sink)(void *ctx, struct gx_sink *sink, uint64_t now);
    void (*on_answer)(void *ctx, uint32_t peer, struct gx_transfer *transfer, enum gx_answer answer,
                      enum gx_reason reason, uint64_t now);
    void (*on_control)(void *ctx, uint32_t peer, const uint8_t *message, size_t bytes,
                       uint64_t order, uint64_t now);
    void (*on_peer)(void *ctx, uint32_t peer, uint64_t incarnation, enum gx_reason reason,
                    uint64_t now);
    size_t (*next_control)(void *ctx, uint32_t peer, uint8_t *out, uint64_t now);
    void (*on_path)(void *ctx, uint32_t peer, enum gx_path_state state, uint32_t bytes,
                    uint32_t full_bytes, uint64_t now);
    void (*on_own_name)(void *ctx, uint32_t site, uint64_t now);
    /* What another worker kept busy is not so any more: a lane has come up, a source or a sink is free. */
    void (*on_change)(void *ctx, uint64_t now);
};

struct gx_lanes;

/* config->workers of them; config->counters: one block each; lane_addrs: the peers' addresses for lanes 1, 2, … */
struct gx_lanes *gx_lanes_create(const struct gx_links_config *config,
                                 const struct gx_addr (*lane_addrs)[GX_SITES_MAX],
                                 const struct gx_lanes_ops *ops, void *ctx, uint64_t now);
void gx_lanes_destroy(struct gx_lanes *lanes);

/* The links of worker w; those of worker 0 know whether and how a peer is reached. */
struct gx_links *gx_lanes_links(const struct gx_lanes *lanes, uint32_t w);

/* Takes messages, and what is due without one. True: there is more to do at once. */
bool gx_lanes_poll(struct gx_lanes *lanes, uint32_t w, uint64_t now);
uint64_t gx_lanes_wake(const struct gx_lanes *lanes, uint32_t w, uint64_t now);
/* Workers, a bit each, that worker w has sent messages since the last call. */
uint32_t gx_lanes_wakes(struct gx_lanes *lanes, uint32_t w);

/* gx_links_send() in parts. NULL also while the lanes of a new session are being set up: try again after on_change. */
struct gx_transfer *gx_lanes_send(struct gx_lanes *lanes, uint32_t peer, const struct gx_open *open,
                                  struct gx_source *source, bool helper, uint32_t holder,
                                  uint32_t holders, uint64_t now);
void gx_lanes_send_stop(struct gx_lanes *lanes, struct gx_transfer *transfer);
/* Its source is open now (gx_source_open()): every part goes on. False: not all of them know it yet, call again. */
bool gx_lanes_send_go(struct gx_lanes *lanes, struct gx_transfer *transfer);
void gx_lanes_send_retry(struct gx_lanes *lanes, struct gx_transfer *transfer, uint64_t now);

/* The sink becomes FREE: at once (true), or CLOSING until every worker has let go of it; ask again after on_change. */
bool gx_lanes_sink_free(struct gx_lanes *lanes, struct gx_sink *sink);

void gx_lanes_set_rate(struct gx_lanes *lanes, uint64_t rate_bps, uint64_t recv_rate_bps,
                       uint64_t now);

#endif
