#include "wan/trace.h"

#include "units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX 256
#define FIELDS 4
#define SEPARATORS " \t\r\n,"

int gx_wan_moment(const char *text, uint64_t *ns)
{
    char seconds[64];

    if (gx_units_duration(text, ns) == 0)
        return 0;
    if (snprintf(seconds, sizeof(seconds), "%ss", text) >= (int)sizeof(seconds))
        return -EINVAL;
    return gx_units_duration(seconds, ns);
}

/* Cuts a line into fields; returns how many there are, FIELDS + 1 when too many. */
static int split(char *line, char **fields)
{
    int count = 0;

    for (char *field; count <= FIELDS && (field = strtok_r(line, SEPARATORS, &line)); count++) {
        if (count < FIELDS)
            fields[count] = field;
    }
    return count;
}

/* Returns what would have been right, NULL: the field is. */
static const char *parse_field(int field, const char *text, struct gx_wan_trace_line *out)
{
    bool given = strcmp(text, "-") != 0;

    switch (field) {
    case 0:
        return gx_wan_moment(text, &out->from_ns) ? "a time such as 7.5 (seconds) or 500ms" : NULL;
    case 1:
        out->has_rate = given;
        return given && (gx_units_rate(text, &out->rate_bps) || out->rate_bps == 0) ? GX_UNITS_RATE
                   " and above 0; a loss of 1 says that nothing passes"
                                                                                    : NULL;
    case 2:
        out->has_delay = given;
        return given && gx_units_duration(text, &out->delay_ns) ? GX_UNITS_DURATION : NULL;
    default:
        out->has_loss = given;
        return given && gx_units_fraction(text, &out->loss) ? GX_UNITS_FRACTION : NULL;
    }
}

/* 1: a line for the trace, 0: blank or a comment, -EINVAL. */
static int parse_line(char *text, struct gx_wan_trace_line *out, char *error, size_t error_bytes)
{
    char *fields[FIELDS] = {0};

    text[strcspn(text, "#")] = '\0';
    int count = split(text, fields);
    if (count == 0)
        return 0;
    if (count != FIELDS) {
        snprintf(error, error_bytes, "has %s than the four fields time, rate, delay, loss",
                 count < FIELDS ? "fewer" : "more");
        return -EINVAL;
    }
    *out = (struct gx_wan_trace_line){0};
    for (int i = 0; i < FIELDS; i++) {
        const char *right = parse_field(i, fields[i], out);
        if (right) {
            snprintf(error, error_bytes, "'%s' is not %s", fields[i], right);
            return -EINVAL;
        }
    }
    return 1;
}

static int append(struct gx_wan_trace *trace, uint32_t *room, const struct gx_wan_trace_line *line)
{
    if (trace->count == *room) {
        uint32_t more = *room ? 2 * *room : 64;
        struct gx_wan_trace_line *lines = more <= 2 * GX_WAN_TRACE_LINES_MAX
                                              ? realloc(trace->lines, more * sizeof(*lines))
                                              : NULL;
        if (!lines)
            return -ENOMEM;
        trace->lines = lines;
        *room = more;
    }
    trace->lines[trace->count++] = *line;
    return 0;
}

static int take_line(struct gx_wan_trace *trace, uint32_t *room, char *text, char *error,
                     size_t error_bytes)
{
    struct gx_wan_trace_line line;

    if (strlen(text) == LINE_BYTES_MAX - 1 && text[LINE_BYTES_MAX - 2] != '\n') {
        snprintf(error, error_bytes, "is longer than %d bytes", LINE_BYTES_MAX - 2);
        return -EINVAL;
    }
    int rc = parse_line(text, &line, error, error_bytes);
    if (rc <= 0)
        return rc;
    if (trace->count > 0 && line.from_ns < trace->lines[trace->count - 1].from_ns) {
        snprintf(error, error_bytes, "its time lies before that of the line above");
        return -EINVAL;
    }
    rc = append(trace, room, &line);
    if (rc)
        snprintf(error, error_bytes, "too many lines for the memory");
    return rc;
}

int gx_wan_trace_read(struct gx_wan_trace *trace, FILE *file, char *error, size_t error_bytes)
{
    char text[LINE_BYTES_MAX], why[192] = "";
    uint32_t room = 0, number = 0;
    int rc = 0;

    *trace = (struct gx_wan_trace){0};
    while (rc == 0 && fgets(text, sizeof(text), file)) {
        number++;
        rc = take_line(trace, &room, text, why, sizeof(why));
    }
    if (rc) {
        snprintf(error, error_bytes, "line %u: %s", number, why);
    } else if (ferror(file)) {
        rc = -EIO;
        snprintf(error, error_bytes, "cannot be read");
    } else if (trace->count == 0) {
        rc = -EINVAL;
        snprintf(error, error_bytes, "holds no line of time, rate, delay, loss");
    }
    if (rc)
        gx_wan_trace_fini(trace);
    return rc;
}

void gx_wan_trace_fini(struct gx_wan_trace *trace)
{
    free(trace->lines);
    *trace = (struct gx_wan_trace){0};
}

uint64_t gx_wan_trace_rate_max(const struct gx_wan_trace *trace)
{
    uint64_t max = 0;

    for (uint32_t i = 0; i < trace->count; i++)
        max = trace->lines[i].rate_bps > max ? trace->lines[i].rate_bps : max;
    return max;
}

uint64_t gx_wan_trace_delay_max(const struct gx_wan_trace *trace)
{
    uint64_t max = 0;

    for (uint32_t i = 0; i < trace->count; i++)
        max = trace->lines[i].delay_ns > max ? trace->lines[i].delay_ns : max;
    return max;
}
