#include "units.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define DIGITS_MAX 18 /* so that a number's digits always fit 64 bits */

__extension__ typedef unsigned __int128 u128;

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit rate_units[] = {
    {"bit", 1},
    {"Kbit", 1000},
    {"Mbit", 1000000},
    {"Gbit", 1000000000},
    {"Tbit", 1000000000000},
    {"bit/s", 1},
    {"Kbit/s", 1000},
    {"Mbit/s", 1000000},
    {"Gbit/s", 1000000000},
    {"Tbit/s", 1000000000000},
    {NULL, 0},
};

static const struct unit duration_units[] = {
    {"ns", 1},         {"us", 1000},         {"ms", 1000000},
    {"s", 1000000000}, {"min", 60000000000}, {"h", 3600000000000},
    {NULL, 0},
};

static const struct unit byte_units[] = {
    {"", 1},
    {"B", 1},
    {"K", 1000},
    {"M", 1000000},
    {"G", 1000000000},
    {"T", 1000000000000},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", 1000000000000},
    {"KiB", 1ull << 10},
    {"MiB", 1ull << 20},
    {"GiB", 1ull << 30},
    {"TiB", 1ull << 40},
    {NULL, 0},
};

/* Digits with at most one point: value = digits / scale. Integers, so that "0.1s" is exactly 10^8
 * ns and the locale has no say. Returns the rest of the text, NULL if there is no number. */
static const char *parse_number(const char *text, uint64_t *digits, uint64_t *scale)
{
    int digit_count = 0, point = 0;

    *digits = 0;
    *scale = 1;
    for (;; text++) {
        if (*text == '.' && !point) {
            point = 1;
            continue;
        }
        if (*text < '0' || *text > '9')
            break;
        if (++digit_count > DIGITS_MAX)
            return NULL;
        *digits = *digits * 10 + (uint64_t)(*text - '0');
        if (point)
            *scale *= 10;
    }
    return digit_count > 0 && text[-1] != '.' ? text : NULL;
}

static int parse(const char *text, const struct unit *units, uint64_t *out)
{
    uint64_t digits, scale;
    const char *suffix = parse_number(text, &digits, &scale);

    if (!suffix)
        return -EINVAL;
    if (digits == 0 && *suffix == '\0') {
        *out = 0;
        return 0;
    }
    for (; units->name; units++) {
        if (strcasecmp(units->name, suffix) != 0)
            continue;
        u128 value = (u128)digits * units->factor / scale;
        if (value > UINT64_MAX)
            return -EINVAL;
        *out = (uint64_t)value;
        return 0;
    }
    return -EINVAL;
}

int gx_units_rate(const char *text, uint64_t *bps)
{
    return parse(text, rate_units, bps);
}

int gx_units_duration(const char *text, uint64_t *ns)
{
    return parse(text, duration_units, ns);
}

int gx_units_bytes(const char *text, uint64_t *bytes)
{
    return parse(text, byte_units, bytes);
}

int gx_units_fraction(const char *text, double *fraction)
{
    uint64_t digits, scale;
    const char *suffix = parse_number(text, &digits, &scale);

    if (!suffix)
        return -EINVAL;
    double value = (double)digits / (double)scale;
    if (suffix[0] == '%' && suffix[1] == '\0')
        value /= 100;
    else if (suffix[0] != '\0')
        return -EINVAL;
    if (value > 1)
        return -EINVAL;
    *fraction = value;
    return 0;
}

static const char *format(char *out, uint64_t value, const char *const *units, int unit_count)
{
    double shown = (double)value;
    int unit = 0;

    /* %.3g would print 999.5 as 1e+03 */
    while (unit + 1 < unit_count && shown >= 999.5) {
        shown /= 1000;
        unit++;
    }
    snprintf(out, GX_UNITS_TEXT_MAX, shown < 999.5 ? "%.3g %s" : "%.0f %s", shown, units[unit]);
    return out;
}

const char *gx_units_format_rate(char *out, uint64_t bps)
{
    static const char *const units[] = {"bit/s", "Kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};

    return format(out, bps, units, 5);
}

const char *gx_units_format_duration(char *out, uint64_t ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};

    return format(out, ns, units, 4);
}

const char *gx_units_format_bytes(char *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};

    return format(out, bytes, units, 5);
}
