#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "units.h"

#include <errno.h>

struct example {
    const char *text;
    uint64_t value;
};

static void assert_parses(int (*parse)(const char *, uint64_t *), const struct example *examples,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 12345;
        if (parse(examples[i].text, &value) != 0 || value != examples[i].value)
            fail_msg("'%s' gave %llu", examples[i].text, (unsigned long long)value);
    }
}

static void assert_refuses(int (*parse)(const char *, uint64_t *), const char *const *texts,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 12345;
        if (parse(texts[i], &value) != -EINVAL || value != 12345)
            fail_msg("'%s' gave %llu", texts[i], (unsigned long long)value);
    }
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void rates_are_read(void **state)
{
    (void)state;
    const struct example examples[] = {
        {"200Mbit", 200000000},
        {"1Gbit", 1000000000},
        {"500Kbit", 500000},
        {"1.5Gbit", 1500000000},
        {"10bit", 10},
        {"200mbit", 200000000},
        {"200Mbit/s", 200000000},
        {"0", 0},
        {"0.1Kbit", 100},
        {"1Tbit", 1000000000000},
    };

    assert_parses(gx_units_rate, examples, COUNT(examples));
}

static void wrong_rates_are_refused(void **state)
{
    (void)state;
    const char *const texts[] = {"",
                                 "Mbit",
                                 "200",
                                 "200Mbps",
                                 "-1Mbit",
                                 "1.Mbit",
                                 "1..5Mbit",
                                 " 1Mbit",
                                 "1 Mbit",
                                 "1Mbit ",
                                 "1e3Mbit",
                                 ".",
                                 "200MbitX",
                                 "99999999999999999999bit",
                                 "99999999999Tbit",
                                 "0x1Mbit"};

    assert_refuses(gx_units_rate, texts, COUNT(texts));
}

static void durations_are_read(void **state)
{
    (void)state;
    const struct example examples[] = {
        {"25ms", 25000000},    {"1s", 1000000000}, {"500us", 500000}, {"10ns", 10},
        {"0.1s", 100000000},   {"1.5ms", 1500000}, {"0", 0},          {"2min", 120000000000},
        {"1h", 3600000000000}, {".5s", 500000000},
    };

    assert_parses(gx_units_duration, examples, COUNT(examples));
}

static void wrong_durations_are_refused(void **state)
{
    (void)state;
    const char *const texts[] = {"25", "ms", "25msec", "-1s", "", "1s2", "9999999999999h"};

    assert_refuses(gx_units_duration, texts, COUNT(texts));
}

static void sizes_are_read(void **state)
{
    (void)state;
    const struct example examples[] = {
        {"25M", 25000000},  {"64KiB", 65536},   {"2GiB", 2147483648},
        {"1408", 1408},     {"0", 0},           {"1.5K", 1500},
        {"25MB", 25000000}, {"1B", 1},          {"1TiB", 1ull << 40},
        {"0.5KiB", 512},    {"3g", 3000000000},
    };

    assert_parses(gx_units_bytes, examples, COUNT(examples));
}

static void wrong_sizes_are_refused(void **state)
{
    (void)state;
    const char *const texts[] = {"", "M", "25X", "-5", "25Mi", "5 M", "1,5M", "99999999999TiB"};

    assert_refuses(gx_units_bytes, texts, COUNT(texts));
}

static void fractions_are_read(void **state)
{
    (void)state;
    const struct {
        const char *text;
        double value;
    } examples[] = {{"0", 0}, {"1", 1}, {"0.01", 0.01}, {"1%", 0.01}, {"100%", 1}, {".5", 0.5}};

    for (size_t i = 0; i < COUNT(examples); i++) {
        double value = -1;
        assert_int_equal(gx_units_fraction(examples[i].text, &value), 0);
        assert_true(value == examples[i].value);
    }
}

static void wrong_fractions_are_refused(void **state)
{
    (void)state;
    const char *const texts[] = {"", "1.01", "-0.1", "101%", "1%%", "0.1x", "nan", "%"};

    for (size_t i = 0; i < COUNT(texts); i++) {
        double value = -1;
        assert_int_equal(gx_units_fraction(texts[i], &value), -EINVAL);
        assert_true(value == -1);
    }
}

static void values_are_printed(void **state)
{
    (void)state;
    char out[GX_UNITS_TEXT_MAX];

    assert_string_equal(gx_units_format_rate(out, 200000000), "200 Mbit/s");
    assert_string_equal(gx_units_format_rate(out, 0), "0 bit/s");
    assert_string_equal(gx_units_format_rate(out, 999), "999 bit/s");
    assert_string_equal(gx_units_format_rate(out, 999600), "1 Mbit/s");
    assert_string_equal(gx_units_format_rate(out, 1500000000), "1.5 Gbit/s");
    assert_string_equal(gx_units_format_duration(out, 1432100), "1.43 ms");
    assert_string_equal(gx_units_format_duration(out, 86400000000000), "86400 s");
    assert_string_equal(gx_units_format_bytes(out, 26214400), "26.2 MB");
    assert_string_equal(gx_units_format_bytes(out, 1408), "1.41 KB");
}

static void longest_texts_fit(void **state)
{
    (void)state;
    char out[GX_UNITS_TEXT_MAX];

    assert_string_equal(gx_units_format_rate(out, UINT64_MAX), "18446744 Tbit/s");
    assert_string_equal(gx_units_format_duration(out, UINT64_MAX), "18446744074 s");
    assert_string_equal(gx_units_format_bytes(out, UINT64_MAX), "18446744 TB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_read),     cmocka_unit_test(wrong_rates_are_refused),
        cmocka_unit_test(durations_are_read), cmocka_unit_test(wrong_durations_are_refused),
        cmocka_unit_test(sizes_are_read),     cmocka_unit_test(wrong_sizes_are_refused),
        cmocka_unit_test(fractions_are_read), cmocka_unit_test(wrong_fractions_are_refused),
        cmocka_unit_test(values_are_printed), cmocka_unit_test(longest_texts_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
