#include "diloco.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gx.h"
#include "outer.h"
#include "shared.h"

#define FRAGMENT 0u
#define SECOND_NS 1000000000u
#define REPORT_NS (5ull * SECOND_NS) /* between two lines that say what is waited for */
#define REATTACH_NS (SECOND_NS / 4)  /* between two attempts */
#define REOFFER_NS                                                                                 \
    (2ull * SECOND_NS) /* after an offer was refused because its round is not open yet */
#define WAIT_MS 1000   /* one gx_wait(): often enough for the reports */

struct diloco {
    struct gx_train *train;
    struct gx *gx;
    uint64_t count;          /* parameters */
    float *theta, *momentum; /* the arena's */
    struct gx_shared shared;
    bool behind;          /* the state area is gxd's */
    bool detached;        /* gxd is gone */
    bool offered;         /* round state.round + 1 is in gxd's hands */
    bool publish_again;   /* gxd had no room for the last publish */
    bool refused_told;    /* this round's refusal was printed */
    uint64_t offered_ns;  /* the first offer of this round */
    uint64_t reoffer_ns;  /* 0: no need */
    uint64_t reattach_ns; /* the next attempt */
    uint64_t waiting_ns;  /* since when; 0: not waiting */
    uint64_t report_ns;   /* the next line about it */
    uint64_t waited_ns;   /* in this round */
    uint64_t sent_bytes;  /* total at the last record */
};

static void say(const struct diloco *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const struct diloco *d, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "gx-train: run %s: ", d->train->options.run);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static uint64_t open_round(const struct diloco *d)
{
    return d->train->state.round + 1;
}

static int fail_gx(struct diloco *d, int rc, const char *what)
{
    return gx_fail(&d->train->failure, rc, "%s: %s", what, gx_error(d->gx));
}

static int fail_device(struct diloco *d, int rc)
{
    return gx_train_fail_device(d->train, rc, "copy of parameters");
}

static void sleep_ns(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / SECOND_NS), (long)(ns % SECOND_NS)};
    nanosleep(&t, NULL);
}

/* ---- gxd comes and goes ---- */

static void gxd_gone(struct diloco *d)
{
    if (!d->detached)
        say(d, "gxd is gone (%s); local training goes on, reattaching", gx_error(d->gx));
    d->detached = true;
    d->reattach_ns = 0;
}

/* What gxd's death interrupts here is not lost: gx_reattach() repeats published states and pending offers. */
static int publish(struct diloco *d)
{
    int rc = gx_publish(d->gx, FRAGMENT, d->train->state.round);
    d->publish_again = rc == -EAGAIN;
    if (rc == -EPIPE)
        gxd_gone(d);
    return rc == 0 || rc == -EPIPE || rc == -EAGAIN ? 0 : fail_gx(d, rc, "publish");
}

/* One attempt, when it is due. */
static int try_reattach(struct diloco *d)
{
    const uint64_t now = gx_train_now_ns();
    if (now < d->reattach_ns)
        return 0;
    d->reattach_ns = now + REATTACH_NS;
    int rc = gx_reattach(d->gx);
    if (rc == -ECONNREFUSED || rc == -ENOENT || rc == -EPIPE || rc == -EAGAIN || rc == -ETIMEDOUT ||
        rc == -ECONNRESET)
        return 0;
    if (rc != 0)
        return fail_gx(d, rc, "reattach");
    d->detached = false;
    d->publish_again = false;
    say(d, "gxd is back");
    return 0;
}

/* ---- what a round leaves behind ---- */

static void describe_event(struct diloco *d, const struct gx_event *event, struct gx_record *record)
{
    for (uint32_t i = 0; i < gx_site_count(d->gx); i++)
        if (event->cohort >> i & 1)
            snprintf(record->cohort[record->cohort_count++], GX_NAME_MAX, "%s",
                     gx_site_name(d->gx, i));
    record->divisor = event->divisor;
    record->held_seconds = (double)event->held_ns * 1e-9;
    if (d->offered_ns != 0 && event->completed_ns > d->offered_ns)
        record->exchange_seconds = (double)(event->completed_ns - d->offered_ns) * 1e-9;
    record->waited_seconds = (double)d->waited_ns * 1e-9;
    /* A new gxd counts from zero. */
    record->sent_bytes =
        event->sent_bytes >= d->sent_bytes ? event->sent_bytes - d->sent_bytes : event->sent_bytes;
    record->sent_bytes_total = event->sent_bytes;
    record->redundant_bytes_total = event->redundant_bytes;
    record->expected_shards_total = event->expected_shards;
    record->lost_shards_total = event->lost_shards;
    d->sent_bytes = event->sent_bytes;
}

/* Validates the shared parameters, whatever the local ones are, and logs. `local_differs`: the device holds others. */
static int log_round(struct diloco *d, struct gx_record *record, bool local_differs)
{
    struct gx_train *t = d->train;
    int rc = 0;
    if (local_differs) {
        rc = t->device->get(t->device_state, GX_PARAMS, t->params);
        if (rc == 0)
            rc = t->device->set(t->device_state, GX_PARAMS, d->theta);
        if (rc != 0)
            return fail_device(d, rc);
    }
    rc = gx_train_validate(t, &record->val_loss);
    if (rc != 0)
        return rc;
    if (local_differs) {
        rc = t->device->set(t->device_state, GX_PARAMS, t->params);
        if (rc != 0)
            return fail_device(d, rc);
    }
    gx_outer_digest(record->digest, d->theta, d->momentum, d->count);
    rc = gx_train_compare_ranks(t, record);
    if (rc != 0)
        return rc;
    gx_trainlog_round(&t->log, record);
    return 0;
}

/* The next round starts: nothing of the last one is pending. */
static void begin_round(struct diloco *d)
{
    d->offered = false;
    d->refused_told = false;
    d->offered_ns = d->reoffer_ns = 0;
    d->waiting_ns = d->waited_ns = 0;
}

/* ---- events ---- */

static enum gx_outcome outcome_of(uint32_t type)
{
    return type == GX_EVENT_MEMBER     ? GX_OUTCOME_MEMBER
           : type == GX_EVENT_LEFT_OUT ? GX_OUTCOME_LEFT_OUT
                                       : GX_OUTCOME_VOID;
}

/* MEMBER, LEFT_OUT or VOID of the open round. */
static int close_round(struct diloco *d, const struct gx_event *event)
{
    struct gx_train *t = d->train;
    const bool complete = t->state.inner_done >= t->options.inner_steps;
    int rc = 0;
    gx_state_begin(d->gx, FRAGMENT);
    if (event->type != GX_EVENT_VOID)
        rc = gx_shared_apply(&d->shared, gx_result(d->gx, FRAGMENT),
                             event->type == GX_EVENT_LEFT_OUT);
    if (rc != 0)
        return rc;
    t->state.round = event->round;
    rc = publish(d);
    if (rc != 0)
        return rc;

    struct gx_record record;
    gx_train_record(t, &record);
    record.outcome = outcome_of(event->type);
    record.weight = t->state.weight;
    describe_event(d, event, &record);
    if (event->type == GX_EVENT_MEMBER)
        t->state.weight = 0;
    /* A round that ended early leaves its inner steps to the next one, so that a slow site catches up. */
    if (event->type == GX_EVENT_MEMBER || complete)
        t->state.inner_done = 0;
    begin_round(d);
    rc = log_round(d, &record, event->type != GX_EVENT_MEMBER);
    return rc == 0 ? gx_train_checkpoint(t, d->theta, d->momentum) : rc;
}

/* STATE: the state area holds another site's (theta, momentum). */
static int adopt(struct diloco *d, const struct gx_event *event)
{
    struct gx_train *t = d->train;
    say(d, "adopted the state of round %" PRIu64, event->round);
    int rc = gx_shared_adopt(&d->shared);
    if (rc != 0)
        return rc;
    d->behind = false;
    d->publish_again = false;
    t->state.round = event->round;
    t->state.inner_done = 0;
    t->state.weight = 0;
    struct gx_record record;
    gx_train_record(t, &record);
    record.outcome = GX_OUTCOME_FETCHED;
    describe_event(d, event, &record);
    begin_round(d);
    rc = log_round(d, &record, false);
    return rc == 0 ? gx_train_checkpoint(t, d->theta, d->momentum) : rc;
}

/* A refusal is waited out where the round's event or STATE must follow; the rest is this trainer's mistake. */
static int refused(struct diloco *d, const struct gx_event *event)
{
    const char *text = gx_reason_text((enum gx_reason)event->reason);
    switch (event->reason) {
    case GX_REASON_ROUND:
    case GX_REASON_BUSY:
        d->reoffer_ns = gx_train_now_ns() + REOFFER_NS;
        break;
    case GX_REASON_BEHIND:
    case GX_REASON_OTHER_BYTES:
        break;
    default:
        return gx_fail(&d->train->failure, -EPROTO, "round %" PRIu64 " was refused: %s",
                       event->round, text);
    }
    if (!d->refused_told)
        say(d, "round %" PRIu64 " was refused for now: %s", event->round, text);
    d->refused_told = true;
    return 0;
}

static int handle(struct diloco *d, const struct gx_event *event)
{
    if (event->fragment != FRAGMENT)
        return 0;
    switch (event->type) {
    case GX_EVENT_MEMBER:
    case GX_EVENT_LEFT_OUT:
    case GX_EVENT_VOID:
        /* A restarted gxd may tell again of a round that was applied. */
        return d->behind || event->round != open_round(d) ? 0 : close_round(d, event);
    case GX_EVENT_BEHIND:
        if (!d->behind)
            say(d, "this site is behind at round %" PRIu64 "; fetching the state", open_round(d));
        d->behind = true;
        return 0;
    case GX_EVENT_STATE:
        return adopt(d, event);
    case GX_EVENT_REFUSED:
        return refused(d, event);
    default:
        return gx_fail(&d->train->failure, -EPROTO, "libgx gave an unknown event %" PRIu32,
                       event->type);
    }
}

/* Takes one event if there is one within timeout_ms; 0 only looks, and is not counted as waiting. */
static int take_event(struct diloco *d, int timeout_ms)
{
    const uint64_t start = gx_train_now_ns();
    struct gx_event event;
    int rc = gx_wait(d->gx, &event, timeout_ms);
    if (timeout_ms != 0) /* before the event is handled, so that its record has it */
        d->waited_ns += gx_train_now_ns() - start;
    if (rc == 0)
        return handle(d, &event);
    if (rc == -EPIPE)
        gxd_gone(d);
    return rc == -EPIPE || rc == -ETIMEDOUT || rc == -EINTR ? 0 : fail_gx(d, rc, "wait");
}

/* ---- waiting, never in silence ---- */

static void report_waiting(struct diloco *d, uint64_t now)
{
    if (now < d->report_ns)
        return;
    d->report_ns = now + REPORT_NS;
    const char *what = d->detached   ? "gxd"
                       : d->behind   ? "the state from another site"
                       : !d->offered ? "the buffer, which gxd still sends from"
                                     : "the other sites";
    say(d, "round %" PRIu64 ": waiting for %s since %.0f s", open_round(d), what,
        (double)(now - d->waiting_ns) * 1e-9);
}

static int wait_event(struct diloco *d, int timeout_ms)
{
    const uint64_t now = gx_train_now_ns(), round = open_round(d);
    const bool behind = d->behind;
    int rc = 0;
    if (d->waiting_ns == 0) {
        d->waiting_ns = now;
        d->report_ns = now + REPORT_NS;
    }
    report_waiting(d, now);
    if (d->train->ranks && gx_ranks_check(d->train->ranks) != 0)
        return gx_fail(&d->train->failure, -ECONNRESET, "round %" PRIu64, round);
    if (d->reoffer_ns != 0 && now >= d->reoffer_ns) {
        d->reoffer_ns = 0;
        d->offered = false;
    } else if (d->detached) {
        sleep_ns(REATTACH_NS);
        d->waited_ns += gx_train_now_ns() - now;
    } else {
        rc = take_event(d, timeout_ms);
    }
    if (round != open_round(d) || behind != d->behind)
        d->waiting_ns = 0;
    return rc;
}

/* ---- the loop ---- */

static int offer(struct diloco *d)
{
    struct gx_train *t = d->train;
    if (!gx_contribution(d->gx, FRAGMENT, open_round(d)))
        return wait_event(d, 10); /* the port still sends from it */
    int rc = gx_train_compare_ranks(t, NULL);
    if (rc == 0)
        rc = gx_shared_contribute(&d->shared, open_round(d));
    if (rc != 0)
        return rc;
    const uint64_t now = gx_train_now_ns();
    rc = gx_offer(d->gx, FRAGMENT, open_round(d), t->state.weight);
    if (rc == -EAGAIN)
        return wait_event(d, 10);
    if (rc == -EPIPE)
        gxd_gone(d);
    else if (rc != 0)
        return fail_gx(d, rc, "offer");
    d->offered = true;
    d->waiting_ns = 0;
    if (d->offered_ns == 0)
        d->offered_ns = now;
    return 0;
}

static int one_move(struct diloco *d)
{
    struct gx_train *t = d->train;
    if (d->detached) {
        int rc = try_reattach(d);
        if (rc != 0)
            return rc;
    }
    if (d->publish_again && !d->detached) {
        int rc = publish(d);
        if (rc != 0)
            return rc;
    }
    if (!d->behind && !d->offered && t->state.inner_done < t->options.inner_steps) {
        int rc = gx_train_step(t);
        return rc != 0 || d->detached ? rc : take_event(d, 0);
    }
    if (d->publish_again)
        return wait_event(d, 10);
    if (!d->behind && !d->offered && !d->detached)
        return offer(d);
    return wait_event(d, WAIT_MS);
}

static int join(struct diloco *d)
{
    struct gx_train *t = d->train;
    int rc = gx_attach(t->options.socket_path, &d->gx);
    if (rc != 0) {
        t->gxd_missing = true;
        return fail_gx(d, rc, "attach");
    }
    const struct gx_schema schema = {
        .run = t->options.run,
        .format = t->options.format,
        .digest = GX_XXH3,
        .fragment_count = 1,
        .param_counts = &t->model.param_count,
    };
    bool told = false;
    while ((rc = gx_register(d->gx, &schema)) == -EAGAIN) {
        if (!told)
            say(d, "waiting to register: %s", gx_error(d->gx));
        told = true;
        sleep_ns(REATTACH_NS);
    }
    if (rc != 0)
        return fail_gx(d, rc, "register");
    d->theta = gx_theta(d->gx, FRAGMENT);
    d->momentum = gx_momentum(d->gx, FRAGMENT);
    return gx_shared_init(&d->shared, t, d->gx);
}

/* The state to begin with: the checkpoint's, or the seed's as round 0. Where other sites hold another state, gxd tells
 * that this one is behind and fetches theirs. */
static int publish_start(struct diloco *d)
{
    struct gx_train *t = d->train;
    gx_state_begin(d->gx, FRAGMENT);
    int rc = gx_train_resume(t, d->theta, d->momentum);
    if (rc < 0)
        return rc;
    const bool resumed = rc == 1;
    if (!resumed) {
        rc = gx_train_start(t);
        if (rc != 0)
            return rc;
        memcpy(d->theta, t->params, d->count * sizeof(float));
        memset(d->momentum, 0, d->count * sizeof(float));
    }
    rc = gx_shared_load(&d->shared);
    if (rc != 0)
        return rc;
    gx_trainlog_start(&t->log, &t->options, t->device_name, d->count,
                      gx_site_name(d->gx, gx_site_index(d->gx)), t->state.round);
    rc = publish(d);
    if (rc != 0 || resumed)
        return rc;
    struct gx_record record;
    gx_train_record(t, &record);
    record.outcome = GX_OUTCOME_START;
    return log_round(d, &record, false);
}

int gx_diloco_run(struct gx_train *train)
{
    struct diloco d = {.train = train, .count = train->model.param_count};
    int rc = join(&d);
    if (rc == 0)
        rc = publish_start(&d);
    while (rc == 0 && train->state.round < train->options.rounds)
        rc = one_move(&d);
    gx_shared_fini(&d.shared);
    gx_detach(d.gx);
    return rc;
}
