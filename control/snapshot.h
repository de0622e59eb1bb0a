/* gx_snapshot: a copy of gxd's counters file at one moment. Every show command works on it, so gxd notices nothing and
 * the rows of one table belong together.
 *
 * Life      gx_snapshot_take(), gx_snapshot_free().
 * Units     now_ns and everything of the counters: CLOCK_MONOTONIC; realtime_ns and errors: CLOCK_REALTIME.
 */
#ifndef GX_SNAPSHOT_H
#define GX_SNAPSHOT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctl.h"
#include "stat/file.h"

/* The worker beats at least every second. */
#define GX_SNAPSHOT_STUCK_NS 5000000000ull

enum gx_snapshot_state {
    GX_SNAPSHOT_RUNNING,
    GX_SNAPSHOT_STUCK,    /* alive, but the worker's heartbeat is older than 5 s */
    GX_SNAPSHOT_STARTING, /* alive, not ready yet */
    GX_SNAPSHOT_DEAD,     /* these are its last counters */
};

enum gx_link_state {
    GX_LINK_STATE_SELF,
    GX_LINK_STATE_UP,
    GX_LINK_STATE_DOWN,
    GX_LINK_STATE_REFUSED,
    GX_LINK_STATE_MTU, /* up, but full packets get lost: no shard is sent */
};
#define GX_LINK_STATES (GX_LINK_STATE_MTU + 1)

struct gx_snapshot {
    struct gx_stat_file file; /* `counters` is the sum of all workers */
    struct gx_counters first; /* worker 0's */
    enum gx_snapshot_state state;
    uint64_t now_ns, realtime_ns;
};

/* The same without a word when there is none: 0 or -errno. */
int gx_snapshot_look(const struct gx_ctl *ctl, struct gx_snapshot **out);
/* Reads the counters of ctl's gxd. 0, or the exit code after a message. */
int gx_snapshot_take(const struct gx_ctl *ctl, struct gx_snapshot **out);
void gx_snapshot_free(struct gx_snapshot *snapshot);

/* The exit code that gxd's state asks for, with a message unless gxd runs. */
int gx_snapshot_exit(const struct gx_ctl *ctl, const struct gx_snapshot *snapshot);

/* What every show does: takes a snapshot, prints it in one of two ways and returns the exit code, with a message unless
 * gxd runs. */
typedef void gx_snapshot_print(const struct gx_ctl *ctl, const struct gx_snapshot *snapshot);
int gx_snapshot_show(const struct gx_ctl *ctl, gx_snapshot_print *json, gx_snapshot_print *people);

const char *gx_snapshot_state_name(enum gx_snapshot_state state);
enum gx_link_state gx_snapshot_link(const struct gx_snapshot *snapshot, uint32_t site);
const char *gx_link_state_name(enum gx_link_state state);
/* "the path carries 1436 bytes, a full packet has 1484 (`mtu: 1500`): no shard is sent there". False: nothing is wrong. */
#define GX_SNAPSHOT_PATH_MAX 200
bool gx_snapshot_path(const struct gx_snapshot *snapshot, uint32_t peer,
                      char out[GX_SNAPSHOT_PATH_MAX]);
/* The same of the way back, as the peer says. */
bool gx_snapshot_path_back(const struct gx_snapshot *snapshot, uint32_t peer,
                           char out[GX_SNAPSHOT_PATH_MAX]);
const char *gx_snapshot_reason_text(uint64_t reason);
const char *gx_snapshot_phase_name(uint32_t phase);

/* Seconds from `then_ns` to the snapshot; negative when `then_ns` is 0 or later. */
double gx_snapshot_age_seconds(const struct gx_snapshot *snapshot, uint64_t then_ns);

/* The names of the sites in `mask`: "a,b", "-" for none. `out` has room for all. */
#define GX_SNAPSHOT_NAMES_MAX (GX_SITES_MAX * GX_NAME_MAX)
const char *gx_snapshot_names(const struct gx_snapshot *snapshot, uint32_t mask, char *out);
json_t *gx_snapshot_names_json(const struct gx_snapshot *snapshot, uint32_t mask);

/* Puts `value` into `object`; numbers above 2^63 - 1 do not occur. */
void gx_json_u64(json_t *object, const char *key, uint64_t value);
void gx_json_text(json_t *object, const char *key, const char *value); /* NULL: null */

/* A new object that names the site and gxd's state: every show's JSON starts with it. */
json_t *gx_snapshot_json(const struct gx_snapshot *snapshot);

/* Prints and frees `object`. */
void gx_json_print(const struct gx_ctl *ctl, json_t *object);

#endif
