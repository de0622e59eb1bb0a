/* gx_units: rates, durations, sizes and fractions as people write them in options and config files.
 *
 * Grammar   a decimal number ("25", "1.5") directly followed by a unit. No sign, no spaces, no
 * exponent. Errors    0 or -EINVAL, and the output is untouched. The caller knows the option's
 * name, so it writes the message: "--rate: '200Mbps' is not " GX_UNITS_RATE.
 */
#ifndef GX_UNITS_H
#define GX_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* What would have been right, for messages. */
#define GX_UNITS_RATE "a rate such as 200Mbit, 1.5Gbit or 500Kbit"
#define GX_UNITS_DURATION "a duration such as 25ms, 1.5s or 500us"
#define GX_UNITS_BYTES "a size such as 25M (10^6), 64KiB (2^10) or 1408"
#define GX_UNITS_FRACTION "a fraction from 0 to 1, such as 0.01 or 1%"

/* Room for any text that a gx_units_format_ function writes, terminator included. */
#define GX_UNITS_TEXT_MAX 32

/* bit, Kbit, Mbit, Gbit, Tbit: powers of 1000, optionally followed by "/s". "0" needs no unit. */
int gx_units_rate(const char *text, uint64_t *bps);

/* ns, us, ms, s, min, h. "0" needs no unit. */
int gx_units_duration(const char *text, uint64_t *ns);

/* No unit or B: bytes. K, M, G, T (also KB, MB, …): powers of 1000. KiB, MiB, GiB, TiB: powers of
 * 1024. */
int gx_units_bytes(const char *text, uint64_t *bytes);

/* 0 to 1, or 0% to 100%. */
int gx_units_fraction(const char *text, double *fraction);

/* Write three significant digits ("200 Mbit/s", "1.43 ms", "26.2 MB", powers of 1000) into `out`,
 * GX_UNITS_TEXT_MAX long, and return it. */
const char *gx_units_format_rate(char *out, uint64_t bps);
const char *gx_units_format_duration(char *out, uint64_t ns);
const char *gx_units_format_bytes(char *out, uint64_t bytes);

#endif
