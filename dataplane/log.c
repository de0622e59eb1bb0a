#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Thread_local enum gx_log_level log_level = GX_LOG_INFO;
static _Thread_local struct gx_stat_file *log_stat;

void gx_log_init(enum gx_log_level level, struct gx_stat_file *stat)
{
    log_level = level;
    log_stat = stat;
}

void gx_log_level(enum gx_log_level level)
{
    log_level = level;
}

/* A text may quote a peer or a trainer: it stays one line and leaves the terminal alone. */
static void text_tame(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

void gx_log(enum gx_log_level level, const char *format, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char text[GX_LOG_LINE_MAX], line[GX_LOG_LINE_MAX + 64], date[32];
    struct timespec now;
    struct tm utc;
    va_list args;
    int bytes;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    text_tame(text);
    clock_gettime(CLOCK_REALTIME, &now);
    if (log_stat && level <= GX_LOG_WARN)
        gx_stat_error(log_stat, text, (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec);
    if (level > log_level)
        return;
    gmtime_r(&now.tv_sec, &utc);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    bytes = snprintf(line, sizeof(line), "%s.%03ldZ %s %s\n", date, now.tv_nsec / 1000000,
                     names[level], text);
    /* One write: lines of several gxds on one terminal do not mix. */
    if (write(STDERR_FILENO, line, (size_t)bytes) < 0)
        return;
}
