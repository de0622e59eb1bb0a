#include "gx-perf/realised.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wan/slotlog.h"

#define NS_PER_MS 1000000u
#define LINE_BYTES 256
#define ROWS_MIN 4096

/* All paths into this site in one millisecond of one of them. */
struct row {
    uint64_t ms, bytes, lost_bytes;
};

struct rows {
    struct row *all;
    size_t count, room;
};

static int row_add(struct rows *rows, const struct row *row)
{
    if (rows->count == rows->room) {
        size_t room = rows->room ? 2 * rows->room : ROWS_MIN;
        struct row *all = reallocarray(rows->all, room, sizeof(*all));
        if (!all)
            return -ENOMEM;
        rows->all = all;
        rows->room = room;
    }
    rows->all[rows->count++] = *row;
    return 0;
}

static int rows_read(struct rows *rows, FILE *file, uint32_t site, unsigned *line)
{
    char text[LINE_BYTES];
    int rc = 0;

    *line = 1;
    if (!fgets(text, sizeof(text), file) || strcmp(text, GX_WAN_SLOTLOG_TITLE "\n") != 0)
        return -EPROTO;
    for (*line = 2; rc == 0 && fgets(text, sizeof(text), file); ++*line) {
        struct row row;
        uint32_t from, to;
        int end = 0;

        if (!strchr(text, '\n')) /* being written */
            break;
        sscanf(text, "%" SCNu64 " %" SCNu32 " %" SCNu32 " %*u %" SCNu64 " %*u %" SCNu64 " %n",
               &row.ms, &from, &to, &row.bytes, &row.lost_bytes, &end);
        if (end == 0 || text[end] != '\0' || row.lost_bytes > row.bytes)
            return -EPROTO;
        if (to == site)
            rc = row_add(rows, &row);
    }
    return rc;
}

/* Paths write their lines as each has traffic. */
static int by_time(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    return (x->ms > y->ms) - (x->ms < y->ms);
}

/* The share lost of what the link served from row *at on, until `needed` bytes arrived or until end_ms. */
static double loss_until(const struct rows *rows, size_t *at, uint64_t end_ms, double needed)
{
    double bytes = 0, lost = 0;

    for (; *at < rows->count && rows->all[*at].ms <= end_ms && bytes - lost < needed; ++*at) {
        bytes += (double)rows->all[*at].bytes;
        lost += (double)rows->all[*at].lost_bytes;
    }
    return bytes - lost >= needed * 2 / 3 ? lost / bytes : NAN;
}

/* A peer that hears of the round's end first begins the next one a delay before this site ends it, or earlier when the word to
 * this site got lost. */
static uint64_t begin_ms(const struct gx_perf_report *r, uint32_t round_idx)
{
    uint64_t before_ns = round_idx ? r->rounds[round_idx - 1].completed_ns : r->warm_ns;
    uint64_t delay_ns = (uint64_t)(1e9 * r->options->link.delay_seconds);

    return before_ns > delay_ns ? (before_ns - delay_ns) / NS_PER_MS : 0;
}

/* Bytes of frames that a round's members among the peers sent here at least. */
static double needed_of(const struct gx_perf_report *r, uint32_t cohort)
{
    double overhead = (double)GX_PERF_HEADER_BYTES / r->options->link.shard_bytes;

    return __builtin_popcount(cohort & ~(1u << r->site)) * (double)r->bytes * (1 + overhead);
}

/* When the peers' transfers began. Where a peer's offer was the last one, that is known. Else it offered before this site did: the
 * first millisecond from row `at` on in which the link carried more than feedback and control. */
static uint64_t window_begin_ns(const struct gx_perf_report *r, const struct rows *rows,
                                const struct gx_perf_round *round, size_t at)
{
    const struct gx_perf_link *link = &r->options->link;
    double full = fmax((double)link->rate_bps / 8000 / 4, link->shard_bytes + GX_PERF_HEADER_BYTES);
    uint64_t last_ns = round->completed_ns - (uint64_t)(1e9 * round->seconds);

    if (r->site_count == 2 && last_ns > round->offered_ns + NS_PER_MS)
        return last_ns;
    while (at < rows->count && (double)rows->all[at].bytes < full)
        at++;
    return at < rows->count ? rows->all[at].ms * NS_PER_MS : round->completed_ns;
}

/* The share of the time until the last needed shard was on the wire that all links into this site together did not use. */
static double round_idle(const struct gx_perf_report *r, const struct rows *rows,
                         const struct gx_perf_round *round, size_t at)
{
    double seconds = round->held_seconds - r->options->link.delay_seconds, bytes = 0;
    uint64_t count = seconds > 0 ? (uint64_t)lround(1e3 * seconds) : 0;
    uint64_t from_ms;

    if (count == 0 || isnan(round->link_loss) || isnan(round->seconds))
        return NAN;
    from_ms = (window_begin_ns(r, rows, round, at) + NS_PER_MS / 2) / NS_PER_MS;
    while (at > 0 && rows->all[at - 1].ms >= from_ms)
        at--;
    for (; at < rows->count && rows->all[at].ms < from_ms + count; at++)
        if (rows->all[at].ms >= from_ms)
            bytes += (double)rows->all[at].bytes;
    return fmax(0, 1 - 8000 * bytes / ((double)r->options->link.rate_bps * (double)count));
}

/* What the last round left in the log is skipped, unless the rest is not enough for a round: then this one began earlier. */
static void round_read(const struct gx_perf_report *r, const struct rows *rows, uint32_t i,
                       size_t *at)
{
    struct gx_perf_round *round = &r->rounds[i];
    double needed = needed_of(r, round->cohort);
    uint64_t end_ms = round->completed_ns / NS_PER_MS;
    size_t left = *at, from;

    if (needed == 0) /* nothing was awaited from any link */
        return;
    while (*at < rows->count && rows->all[*at].ms < begin_ms(r, i))
        ++*at;
    from = *at;
    round->link_loss = loss_until(rows, at, end_ms, needed);
    if (isnan(round->link_loss)) {
        from = left;
        round->link_loss = loss_until(rows, &left, end_ms, needed);
        *at = left > *at ? left : *at;
    }
    round->link_idle = round_idle(r, rows, round, from);
}

int gx_perf_realised_read(struct gx_perf_report *r, FILE *file, unsigned *line)
{
    struct rows rows = {0};
    size_t at = 0;
    int rc = rows_read(&rows, file, r->site, line);

    if (rc == 0 && rows.count)
        qsort(rows.all, rows.count, sizeof(rows.all[0]), by_time);
    /* The warm-up is a round, too. */
    loss_until(&rows, &at, r->warm_ns / NS_PER_MS, needed_of(r, r->warm_cohort));
    for (uint32_t i = 0; rc == 0 && i < r->round_count; i++)
        round_read(r, &rows, i, &at);
    free(rows.all);
    return rc;
}
