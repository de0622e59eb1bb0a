/* gx_wan_value: one value of a stage of the law, "delay" = "25ms", from an option of all paths
 * (--delay 25ms) or from one path's own list (--path a-b delay=25ms,loss=1%). */
#ifndef GX_WAN_VALUES_H
#define GX_WAN_VALUES_H

#include "wan/impair.h"

#include <stdint.h>

/* Sets what `key` names in `out`: rate, queue, delay, jitter, loss, burst, reorder, dup, corrupt,
 * outage. Parts of a value are separated by `separator`. -EINVAL: printed on stderr, behind
 * "gx-wan: WHERE" and the key. -ENOENT: there is no such key; nothing was printed. */
int gx_wan_value_parse(const char *where, const char *key, const char *text, char separator,
                       struct gx_impair_config *out);

/* Every key, for messages and --help. */
extern const char gx_wan_value_keys[];

/* 0 to max, in decimal; else -EINVAL, printed as above. */
int gx_wan_value_count(const char *where, const char *key, const char *text, uint64_t max,
                       uint64_t *out);

/* "gx-wan: …" on stderr; -EINVAL. */
__attribute__((format(printf, 1, 2))) int gx_wan_usage(const char *format, ...);

#endif
