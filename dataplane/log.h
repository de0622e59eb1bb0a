/* gx_log: one line per event on stderr, "TIME LEVEL text". Called by main only: writing to stderr may block. Where
 * one process has several gxds, each main's thread has a level and a file of its own.
 * Errors and warnings are also counted, by their text, in the counters file (gxctl show errors). */
#ifndef GX_LOG_H
#define GX_LOG_H

#include "config.h"
#include "stat/file.h"

#define GX_LOG_LINE_MAX 512

/* Lines above `level` are left out. `stat` may be NULL; it must outlive the log. */
void gx_log_init(enum gx_log_level level, struct gx_stat_file *stat);

void gx_log_level(enum gx_log_level level);

__attribute__((format(printf, 2, 3))) void gx_log(enum gx_log_level level, const char *format, ...);

#define gx_error_log(...) gx_log(GX_LOG_ERROR, __VA_ARGS__)
#define gx_warn_log(...) gx_log(GX_LOG_WARN, __VA_ARGS__)
#define gx_info_log(...) gx_log(GX_LOG_INFO, __VA_ARGS__)
#define gx_debug_log(...) gx_log(GX_LOG_DEBUG, __VA_ARGS__)

#endif
