#include "gx-perf/perf.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gx-perf/check.h"
#include "gx-perf/pattern.h"

#define RETRY_MS 100
#define TELL_NS 10000000000ull /* how often to say that nothing happens */
/* Values of the state that each round changes: enough that every round has a state, and thus a base, of its own. */
#define STATE_VALUES 1024u

static volatile sig_atomic_t interrupted;

struct perf {
    const struct gx_perf_options *options;
    struct gx_perf_report *report;
    struct gx *gx;
    float *values; /* the contribution before it is encoded */
    uint64_t seed;
    uint64_t round;        /* that is next, or under way */
    uint64_t last;         /* round */
    uint64_t due_first_ns; /* of --interval: the first counted round's */
    uint64_t offered_ns;   /* of the round under way; 0: not yet */
    struct gx_perf_busy_moment warm;
    bool terminal;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void sleep_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* Ctrl-C ends it with the report of the rounds that are over; a second one ends it at once. */
static void interrupt_catch(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
}

/* One line on stderr, after the live line is wiped. */
__attribute__((format(printf, 2, 3))) static void say(const struct perf *p, const char *format, ...)
{
    va_list args;

    fputs(p->terminal ? "\r\033[Kgx-perf: " : "gx-perf: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static void show_live(const struct perf *p, const char *what)
{
    if (p->terminal)
        fprintf(stderr, "\r\033[Kround %" PRIu64 " of %" PRIu64 ": %s", p->round, p->last, what);
}

/* ---- attach ---- */

static int attach(struct perf *p)
{
    uint64_t end_ns = now_ns() + p->options->wait_ns;

    for (;;) {
        int rc = gx_attach(p->options->socket, &p->gx);
        if (rc == 0)
            return GX_PERF_OK;
        if ((rc != -ENOENT && rc != -ECONNREFUSED) || now_ns() >= end_ns) {
            say(p, "%s: %s", p->options->socket, gx_error(p->gx));
            return rc == -ENOENT || rc == -ECONNREFUSED ? GX_PERF_ABSENT : GX_PERF_FAILED;
        }
        gx_detach(p->gx);
        p->gx = NULL;
        sleep_ms(RETRY_MS);
    }
}

/* Waits while an earlier trainer's last offer of this run is still being sent. */
static int register_run(struct perf *p)
{
    const struct gx_schema schema = {.run = p->options->run,
                                     .format = p->options->format,
                                     .digest = p->options->digest,
                                     .fragment_count = 1,
                                     .param_counts = &p->report->param_count};
    uint64_t end_ns = now_ns() + p->options->timeout_ns;
    int rc;

    while ((rc = gx_register(p->gx, &schema)) == -EAGAIN && now_ns() < end_ns) {
        show_live(p, "waits for an earlier gx-perf's last offer");
        sleep_ms(RETRY_MS);
    }
    if (rc != 0) {
        say(p, "%s", gx_error(p->gx));
        return GX_PERF_FAILED;
    }
    struct gx_perf_report *r = p->report;
    r->site = gx_site_index(p->gx);
    r->site_count = gx_site_count(p->gx);
    for (uint32_t i = 0; i < r->site_count; i++)
        snprintf(r->site_names[i], GX_NAME_MAX, "%s", gx_site_name(p->gx, i));
    return GX_PERF_OK;
}

/* gxd is gone: libgx hands the arena to the next one and repeats what was published and offered. */
static int reattach(struct perf *p)
{
    uint64_t end_ns = now_ns() + p->options->timeout_ns;
    int rc;

    say(p, "gxd is gone; waiting for it to come back");
    while ((rc = gx_reattach(p->gx)) != 0 && now_ns() < end_ns)
        sleep_ms(RETRY_MS);
    if (rc != 0) {
        say(p, "gxd did not come back: %s", gx_error(p->gx));
        return GX_PERF_ABSENT;
    }
    say(p, "gxd is back");
    p->report->reattached++;
    return GX_PERF_OK;
}

/* What publish and offer returned: after gxd's death libgx repeats them by itself. */
static int settle(struct perf *p, int rc, const char *what)
{
    if (rc == -EPIPE)
        return reattach(p);
    if (rc == 0)
        return GX_PERF_OK;
    say(p, "round %" PRIu64 ": %s: %s", p->round, what, gx_error(p->gx));
    p->report->errors++;
    return GX_PERF_FAILED;
}

/* ---- a round ---- */

/* The buffer is busy while the port still sends the contribution of the round before the last from it. */
static int contribution_wait(struct perf *p)
{
    uint64_t end_ns = now_ns() + p->options->timeout_ns;

    while (!gx_contribution(p->gx, 0, p->round)) {
        if (now_ns() >= end_ns) {
            say(p,
                "round %" PRIu64 ": the port still sends round %" PRIu64
                "'s contribution after %.0f s",
                p->round, p->round - 2, (double)p->options->timeout_ns / 1e9);
            p->report->errors++;
            return GX_PERF_FAILED;
        }
        sleep_ms(1);
    }
    return GX_PERF_OK;
}

/* Rounds are due by a schedule that late ones do not move, so that what waits behind them counts. */
static uint64_t due_ns(const struct perf *p)
{
    return p->due_first_ns + (p->round - 2) * p->options->interval_ns;
}

static bool has_due(const struct perf *p)
{
    return p->options->interval_ns && p->round > 1;
}

static void wait_until_due(const struct perf *p)
{
    uint64_t due = has_due(p) ? due_ns(p) : 0;
    const struct timespec until = {.tv_sec = (time_t)(due / 1000000000),
                                   .tv_nsec = (long)(due % 1000000000)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

static int offer(struct perf *p)
{
    uint64_t count = p->report->param_count;

    gx_perf_pattern_fill(p->values, p->seed, p->report->site, p->round, 0, count);
    int code = contribution_wait(p);
    if (code != GX_PERF_OK)
        return code;
    int rc = gx_contribute(p->gx, 0, p->round, p->values);
    wait_until_due(p);
    p->offered_ns = now_ns();
    if (rc == 0)
        rc = gx_offer(p->gx, 0, p->round, gx_perf_weight(p->report->site));
    return settle(p, rc, "offer");
}

static void check(struct perf *p, const struct gx_event *event)
{
    struct gx_perf_check check;
    char names[GX_SITES_MAX * GX_NAME_MAX];

    p->report->checked++;
    if (event->divisor != gx_perf_divisor(event->cohort)) {
        say(p, "round %" PRIu64 ": divisor %" PRIu64 ", but the weights of %s sum to %" PRIu64,
            p->round, event->divisor, gx_perf_cohort_text(p->report, event->cohort, names),
            gx_perf_divisor(event->cohort));
        p->report->errors++;
    }
    gx_perf_check_result(&check, p->seed, p->options->format, p->round, event->cohort,
                         gx_result(p->gx, 0), p->report->param_count);
    if (check.wrong == 0)
        return;
    say(p,
        "round %" PRIu64 ": %" PRIu64 " of %" PRIu64 " values are wrong, first value %" PRIu64
        ": %.9g, not %.9g",
        p->round, check.wrong, p->report->param_count, check.first_index, check.got,
        check.expected);
    p->report->errors++;
}

static void apply(struct perf *p)
{
    float *theta = gx_theta(p->gx, 0);
    const float *result = gx_result(p->gx, 0);
    uint64_t count = p->report->param_count;

    gx_state_begin(p->gx, 0);
    for (uint64_t i = 0; i < count && i < STATE_VALUES; i++)
        theta[i] += result[i];
}

static void show_round(const struct perf *p)
{
    const struct gx_perf_report *r = p->report;
    const struct gx_perf_round *round = &r->rounds[r->round_count - 1];
    char text[GX_SITES_MAX * GX_NAME_MAX + 128], names[GX_SITES_MAX * GX_NAME_MAX];
    double bound = gx_perf_round_bound(&p->options->link, r->bytes, r->site_count);
    int at = snprintf(text, sizeof(text), "%.3f s", round->seconds);

    if (!isnan(bound))
        at += snprintf(text + at, sizeof(text) - (size_t)at, ", %.3f of the bound",
                       round->seconds / bound);
    snprintf(text + at, sizeof(text) - (size_t)at, ", %s",
             gx_perf_cohort_text(r, round->cohort, names));
    show_live(p, text);
}

static void warmed(struct perf *p)
{
    gx_perf_busy_read(&p->warm, p->options->socket, p->options->state, now_ns());
    p->due_first_ns = now_ns() + p->options->interval_ns;
    if (p->options->on_warm)
        p->options->on_warm(p->options->on_warm_ctx);
}

/* The round is over: checks and applies its result, publishes the state after it. */
static int finish(struct perf *p, const struct gx_event *event)
{
    if (event->round != p->round) {
        say(p, "round %" PRIu64 ": gxd ended round %" PRIu64 " instead", p->round, event->round);
        p->report->errors++;
        return GX_PERF_FAILED;
    }
    gx_perf_report_event(p->report, event, p->round > 1);
    gx_perf_report_offered(p->report, p->offered_ns);
    if (has_due(p))
        gx_perf_report_due(p->report, due_ns(p));
    if (p->round == 1)
        warmed(p);
    if (event->type != GX_EVENT_VOID) {
        if (p->options->check)
            check(p, event);
        apply(p);
    }
    if (p->report->round_count)
        show_round(p);
    int code = settle(p, gx_publish(p->gx, 0, p->round), "publish");
    p->round++;
    return code;
}

static int refused(struct perf *p, const struct gx_event *event)
{
    if (event->reason == GX_REASON_BEHIND) /* a state follows */
        return GX_PERF_OK;
    say(p, "round %" PRIu64 ": gxd refused: %s", event->round,
        event->reason < GX_REASON_COUNT ? gx_reason_text((enum gx_reason)event->reason)
                                        : "unknown reason");
    p->report->errors++;
    return GX_PERF_FAILED;
}

/* Handles one event. *over: this round is over, the next one can be offered. */
static int handle(struct perf *p, const struct gx_event *event, bool *over)
{
    switch ((enum gx_event_type)event->type) {
    case GX_EVENT_MEMBER:
    case GX_EVENT_LEFT_OUT:
    case GX_EVENT_VOID:
        *over = true;
        return finish(p, event);
    case GX_EVENT_BEHIND:
        say(p, "round %" PRIu64 ": this site is behind; gxd fetches a state", p->round);
        return GX_PERF_OK;
    case GX_EVENT_STATE:
        *over = true;
        p->report->behind++;
        p->round = event->round + 1;
        return GX_PERF_OK;
    case GX_EVENT_REFUSED:
        return refused(p, event);
    }
    return GX_PERF_OK;
}

static void tell_waiting(const struct perf *p, uint64_t since_ns, uint64_t *told_ns)
{
    uint64_t now = now_ns();
    double seconds = (double)(now - since_ns) / 1e9;
    char text[64];

    snprintf(text, sizeof(text), "waiting for %.0f s", seconds);
    show_live(p, text);
    if (now - *told_ns < TELL_NS)
        return;
    *told_ns = now;
    say(p,
        "waiting for round %" PRIu64
        " for %.0f s; `gxctl -s %s show rounds` says who is present and what is held",
        p->round, seconds, p->options->socket);
}

static int wait_round(struct perf *p)
{
    uint64_t since_ns = now_ns(), told_ns = since_ns;
    struct gx_event event;
    bool over = false;
    int code = GX_PERF_OK;

    while (!over && !interrupted && code == GX_PERF_OK) {
        int rc = gx_wait(p->gx, &event, 1000);
        if (rc == 0) {
            code = handle(p, &event, &over);
            since_ns = told_ns = now_ns();
        } else if (rc == -EPIPE) {
            code = reattach(p);
        } else if (rc != -ETIMEDOUT && rc != -EINTR) {
            code = settle(p, rc, "wait");
        } else if (now_ns() - since_ns >= p->options->timeout_ns) {
            say(p, "round %" PRIu64 " did not end within %.0f s", p->round,
                (double)p->options->timeout_ns / 1e9);
            p->report->errors++;
            code = GX_PERF_FAILED;
        } else if (rc == -ETIMEDOUT) {
            tell_waiting(p, since_ns, &told_ns);
        }
    }
    return code;
}

/* The state starts as zeros, at every site the same. */
static int run_rounds(struct perf *p)
{
    struct gx_perf_busy_moment end;
    int code = settle(p, gx_publish(p->gx, 0, 0), "publish");

    while (code == GX_PERF_OK && p->round <= p->last && !interrupted) {
        code = p->options->no_offer ? GX_PERF_OK : offer(p);
        if (code == GX_PERF_OK)
            code = wait_round(p);
    }
    if (interrupted)
        say(p, "interrupted in round %" PRIu64 " of %" PRIu64, p->round, p->last);
    gx_perf_busy_read(&end, p->options->socket, p->options->state, now_ns());
    gx_perf_busy_between(&p->report->busy, &p->warm, &end);
    return code;
}

int gx_perf_run(const struct gx_perf_options *options, struct gx_perf_report *report)
{
    struct perf p = {.options = options,
                     .report = report,
                     .seed = gx_perf_seed(options->run),
                     .round = 1,
                     .last = (uint64_t)options->rounds + 1,
                     .terminal = !options->background && isatty(STDERR_FILENO)};
    int code;

    report->param_count = gx_perf_param_count(options->format, options->bytes);
    report->bytes = gx_wire_bytes(options->format, report->param_count);
    if (report->param_count == 0) {
        say(&p, "--bytes: %" PRIu64 " bytes do not hold one value", options->bytes);
        return GX_PERF_USAGE;
    }
    p.values = malloc(report->param_count * sizeof(float));
    if (!p.values) {
        say(&p, "out of memory: %" PRIu64 " values", report->param_count);
        return GX_PERF_FAILED;
    }
    if (!options->local)
        interrupt_catch();
    code = attach(&p);
    if (code == GX_PERF_OK)
        code = register_run(&p);
    if (code == GX_PERF_OK)
        code = run_rounds(&p);
    if (p.terminal)
        fputs("\r\033[K", stderr);
    gx_detach(p.gx); /* gxd goes on serving what was offered */
    free(p.values);
    return code == GX_PERF_OK && report->errors ? GX_PERF_FAILED : code;
}
