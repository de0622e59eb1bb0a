#include "wan/values.h"

#include "units.h"
#include "wan/trace.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REORDER_DEFAULT_NS 1000000u

/* Where a value stands, for messages. */
struct place {
    const char *where, *key;
    char separator;
};

int gx_wan_usage(const char *format, ...)
{
    va_list args;

    fputs("gx-wan: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return -EINVAL;
}

static int refuse(const struct place *at, const char *text, const char *right)
{
    return gx_wan_usage("%s%s: '%s' is not %s", at->where, at->key, text, right);
}

/* Cuts `text` at its separators into exactly `count` pieces, whose room is `buffer`. */
static int split(const struct place *at, const char *text, char *buffer, size_t buffer_bytes,
                 char **pieces, int count)
{
    const char separators[] = {at->separator, '\0'};

    if (strlen(text) >= buffer_bytes)
        return -EINVAL;
    strcpy(buffer, text);
    for (int i = 0; i < count; i++)
        pieces[i] = strsep(&buffer, separators);
    return pieces[count - 1] && !buffer ? 0 : -EINVAL;
}

static int parse_rate(const struct place *at, const char *text, uint64_t *out)
{
    return gx_units_rate(text, out) ? refuse(at, text, GX_UNITS_RATE) : 0;
}

static int parse_bytes(const struct place *at, const char *text, uint64_t *out)
{
    return gx_units_bytes(text, out) ? refuse(at, text, GX_UNITS_BYTES) : 0;
}

static int parse_fraction(const struct place *at, const char *text, double *out)
{
    return gx_units_fraction(text, out) ? refuse(at, text, GX_UNITS_FRACTION) : 0;
}

static int parse_duration(const struct place *at, const char *text, uint64_t *out)
{
    return gx_units_duration(text, out) ? refuse(at, text, GX_UNITS_DURATION) : 0;
}

int gx_wan_value_count(const char *where, const char *key, const char *text, uint64_t max,
                       uint64_t *out)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > max)
        return gx_wan_usage("%s%s: '%s' is not a whole number from 0 to %llu", where, key, text,
                            (unsigned long long)max);
    *out = value;
    return 0;
}

static int parse_burst(const struct place *at, const char *text, struct gx_impair_burst *out)
{
    char buffer[128], *pieces[3];

    if (split(at, text, buffer, sizeof(buffer), pieces, 3) != 0)
        return refuse(at, text,
                      at->separator == ',' ? "PGB,PBG,PB, such as 0.01,0.25,1"
                                           : "PGB/PBG/PB, such as 0.01/0.25/1");
    if (parse_fraction(at, pieces[0], &out->p_gb) != 0 ||
        parse_fraction(at, pieces[1], &out->p_bg) != 0 ||
        parse_fraction(at, pieces[2], &out->p_loss_bad) != 0)
        return -EINVAL;
    return 0;
}

static int parse_reorder(const struct place *at, const char *text, struct gx_impair_config *out)
{
    char buffer[128], *pieces[2];

    out->reorder_ns = REORDER_DEFAULT_NS;
    if (!strchr(text, at->separator))
        return parse_fraction(at, text, &out->reorder);
    if (split(at, text, buffer, sizeof(buffer), pieces, 2) != 0)
        return refuse(at, text,
                      at->separator == ',' ? "P or P,TIME, such as 0.02,3ms"
                                           : "P or P/TIME, such as 0.02/3ms");
    if (parse_fraction(at, pieces[0], &out->reorder) != 0)
        return -EINVAL;
    return parse_duration(at, pieces[1], &out->reorder_ns);
}

static int parse_outage(const struct place *at, const char *text, struct gx_impair_config *out)
{
    char buffer[128], *pieces[2];

    if (out->outage_count == GX_IMPAIR_OUTAGES_MAX)
        return gx_wan_usage("%s%s: '%s' is one too many, %d are possible", at->where, at->key, text,
                            GX_IMPAIR_OUTAGES_MAX);
    struct gx_impair_outage *outage = &out->outages[out->outage_count];
    if (split(at, text, buffer, sizeof(buffer), pieces, 2) != 0 ||
        gx_wan_moment(pieces[0], &outage->from_ns) != 0 ||
        gx_wan_moment(pieces[1], &outage->to_ns) != 0 || outage->from_ns > outage->to_ns)
        return refuse(at, text,
                      at->separator == ',' ? "T0,T1 with T0 <= T1, such as 5,7.5 or 500ms,2s"
                                           : "T0/T1 with T0 <= T1, such as 5/7.5 or 500ms/2s");
    out->outage_count++;
    return 0;
}

static int parse_mtu(const struct place *at, const char *text, uint32_t *out)
{
    uint64_t bytes;

    if (gx_wan_value_count(at->where, at->key, text, UINT16_MAX, &bytes) != 0)
        return -EINVAL;
    *out = (uint32_t)bytes;
    return 0;
}

const char gx_wan_value_keys[] =
    "rate, queue, delay, jitter, loss, burst, reorder, dup, corrupt, mtu, outage";

int gx_wan_value_parse(const char *where, const char *key, const char *text, char separator,
                       struct gx_impair_config *out)
{
    const struct place at = {where, key, separator};

    if (strcmp(key, "rate") == 0)
        return parse_rate(&at, text, &out->rate_bps);
    if (strcmp(key, "queue") == 0)
        return parse_bytes(&at, text, &out->queue_bytes);
    if (strcmp(key, "delay") == 0)
        return parse_duration(&at, text, &out->delay_ns);
    if (strcmp(key, "jitter") == 0)
        return parse_duration(&at, text, &out->jitter_ns);
    if (strcmp(key, "loss") == 0)
        return parse_fraction(&at, text, &out->loss);
    if (strcmp(key, "burst") == 0)
        return parse_burst(&at, text, &out->burst);
    if (strcmp(key, "reorder") == 0)
        return parse_reorder(&at, text, out);
    if (strcmp(key, "dup") == 0)
        return parse_fraction(&at, text, &out->dup);
    if (strcmp(key, "corrupt") == 0)
        return parse_fraction(&at, text, &out->corrupt);
    if (strcmp(key, "mtu") == 0)
        return parse_mtu(&at, text, &out->mtu);
    if (strcmp(key, "outage") == 0)
        return parse_outage(&at, text, out);
    return -ENOENT;
}
