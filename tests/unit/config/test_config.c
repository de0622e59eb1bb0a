#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "config_file.h"

/* The contract's smallest config, as written there. */
#define SMALLEST                                                                                   \
    "# the smallest config; more keys exist, each with a default\n"                                \
    "site: a\n"                                                                                    \
    "port: {udp: \"127.0.0.1:7440\"}     # the next issue adds {device: …}\n"                    \
    "socket: /tmp/gx-a.sock            # trainers and gxctl\n"                                     \
    "rate: 200Mbit                     # what this site may send to all peers together\n"          \
    "memory: 2GiB\n"                                                                               \
    "sites:                            # the same list, in the same order, at every site\n"        \
    "  - {name: a, address: \"127.0.0.1:7440\"}      # address is what peers dial\n"               \
    "  - {name: b, address: \"127.0.0.1:7450\"}\n"

static struct gx_config config;
static char error[512], path[64];

/* Loads `text` from a file; the result is what gx_config_load() returned. */
static int load(const char *text)
{
    strcpy(path, "/tmp/gx-test-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    int rc = gx_config_load(path, &config, error, sizeof(error));
    unlink(path);
    return rc;
}

/* Loads `text`, which must be refused with `message` after "FILE:LINE: ". */
static void refused(const char *text, unsigned line, const char *message)
{
    char expected[600];

    assert_int_equal(load(text), -EINVAL);
    snprintf(expected, sizeof(expected), "%s:%u: %s", path, line, message);
    assert_string_equal(error, expected);
}

/* SMALLEST with one more line at its end (line 10). */
static void refused_line(const char *line, const char *message)
{
    char text[2000];

    snprintf(text, sizeof(text), "%s%s\n", SMALLEST, line);
    refused(text, 10, message);
}

static void the_smallest_config_loads_with_every_default(void **state)
{
    (void)state;
    assert_int_equal(load(SMALLEST), 0);
    assert_string_equal(config.site, "a");
    assert_string_equal(config.port_udp, "127.0.0.1:7440");
    assert_string_equal(config.socket, "/tmp/gx-a.sock");
    assert_string_equal(config.state, "/tmp/gx-a.sock.state");
    assert_int_equal(config.rate_bps, 200000000);
    assert_int_equal(config.recv_rate_bps, 200000000);
    assert_int_equal(config.memory_bytes, 2ull << 30);
    assert_int_equal(config.mtu, 1500);
    assert_int_equal(config.workers, 1);
    assert_int_equal(config.deadline_ns, 60000000000);
    assert_int_equal(config.fetch_wait_ns, 60000000000);
    assert_int_equal(config.rewind_after_ns, 600000000000);
    assert_int_equal(config.start_sites, 2);
    assert_int_equal(config.min_sites, 1);
    assert_int_equal(config.keep_rounds, 2);
    assert_ptr_equal(config.rate_algorithm, &gx_rate_path);
    assert_int_equal(config.loss_floor_percent, 15);
    assert_int_equal(config.log_level, GX_LOG_INFO);
    assert_int_equal(config.site_count, 2);
    assert_int_equal(config.self, 0);
    assert_string_equal(config.sites[1].name, "b");
    assert_string_equal(config.sites[1].address, "127.0.0.1:7450");
}

/* What is printed loads to the same again, whatever the values. */
static void a_printed_config_loads_as_the_same(void **state)
{
    static const char *const more[] = {
        "", "rate: 1234567bit\ndeadline: 1500ms\nmemory: 3000001\nrecv_rate: 1500Kbit\n",
        "state: \"/tmp/a \\\"quoted\\\": one\"\nlog: {level: warn}\n"};
    struct gx_config first;
    char text[4096], printed[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        const char *base = i == 1 ? strstr(SMALLEST, "sites:") : SMALLEST;
        snprintf(text, sizeof(text), "%s%s%s",
                 i == 1 ? "site: a\nport: {udp: \"127.0.0.1:7440\"}\n" : "", base, more[i]);
        assert_int_equal(load(text), 0);
        first = config;
        FILE *out = fmemopen(printed, sizeof(printed), "w");
        gx_config_print(&config, out);
        fclose(out);
        assert_int_equal(load(printed), 0);
        config.given = first.given;
        assert_memory_equal(&first, &config, sizeof(first));
    }
    assert_true(first.given >> GX_KEY_log_level & 1);
    assert_false(first.given >> GX_KEY_mtu & 1);
}

static void every_key_can_be_set(void **state)
{
    (void)state;
    assert_int_equal(load("site: b\n"
                          "port:\n  udp: '[::1]:7441'\n"
                          "socket: /run/gx/b.sock\n"
                          "state: /var/lib/gx/b\n"
                          "rate: 1.5Gbit\n"
                          "recv_rate: 500Mbit\n"
                          "rate_control: fixed\n"
                          "loss_floor: 5\n"
                          "memory: 64MiB\n"
                          "mtu: 9000\n"
                          "workers: 1\n"
                          "priority: 5\n"
                          "deadline: 5s\n"
                          "fetch_wait: 2500ms\n"
                          "rewind_after: 1min\n"
                          "start_sites: 2\n"
                          "min_sites: 2\n"
                          "keep_rounds: 1\n"
                          "log: {level: debug}\n"
                          "security: psk\n"
                          "key: /etc/gx/key\n"
                          "sites:\n"
                          "  - name: a\n    address: '[::1]:7440'\n"
                          "  - name: b\n    address: '[::1]:7441'\n"
                          "  - {address: '[2001:db8::1]:7441', name: c-3.x_y}\n"),
                     0);
    assert_string_equal(config.port_udp, "[::1]:7441");
    assert_string_equal(config.socket, "/run/gx/b.sock");
    assert_string_equal(config.state, "/var/lib/gx/b");
    assert_int_equal(config.rate_bps, 1500000000);
    assert_int_equal(config.recv_rate_bps, 500000000);
    assert_ptr_equal(config.rate_algorithm, &gx_rate_fixed);
    assert_int_equal(config.loss_floor_percent, 5);
    assert_int_equal(config.memory_bytes, 64ull << 20);
    assert_int_equal(config.mtu, 9000);
    assert_int_equal(config.priority, 5);
    assert_int_equal(config.deadline_ns, 5000000000);
    assert_int_equal(config.fetch_wait_ns, 2500000000);
    assert_int_equal(config.rewind_after_ns, 60000000000);
    assert_int_equal(config.start_sites, 2);
    assert_int_equal(config.min_sites, 2);
    assert_int_equal(config.keep_rounds, 1);
    assert_int_equal(config.log_level, GX_LOG_DEBUG);
    assert_int_equal(config.site_count, 3);
    assert_int_equal(config.self, 1);
    assert_string_equal(config.sites[2].name, "c-3.x_y");
}

static void one_site_alone_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(load("site: a\nport: {udp: \"127.0.0.1:7440\"}\nrate: 1Gbit\n"
                          "sites: [{name: a, address: \"127.0.0.1:7440\"}]\n"),
                     0);
    assert_int_equal(config.site_count, 1);
    assert_int_equal(config.start_sites, 1);
    assert_string_equal(config.socket, "/run/gx/gxd.sock");
}

static void an_unknown_key_names_the_nearest(void **state)
{
    (void)state;
    refused_line("dedline: 3s", "unknown key `dedline`; did you mean `deadline`?");
    refused_line("log: {levle: info}", "unknown key `log.levle`; did you mean `log.level`?");
    refused_line("prot: {udp: \"127.0.0.1:1\"}", "unknown key `prot`; did you mean `port`?");
}

static void a_key_of_another_mapping_is_named_with_it(void **state)
{
    (void)state;
    refused_line("level: info", "unknown key `level`; the key is `log.level`");
    refused_line("log: {rate: 3}", "unknown key `log.rate`; the key is `rate`");
}

static void a_key_like_no_other_lists_the_keys(void **state)
{
    (void)state;
    refused_line("log: {verbosity: 3}", "unknown key `log.verbosity`; the keys here are level");
}

static void an_unknown_key_of_a_site_has_its_line(void **state)
{
    (void)state;
    refused(SMALLEST "  - name: c\n    adress: \"127.0.0.1:7460\"\n", 11,
            "unknown key `sites[].adress`; did you mean `sites[].address`?");
}

static void a_repeated_key_is_refused(void **state)
{
    (void)state;
    refused_line("rate: 100Mbit",
                 "`rate` stands here for the second time, first in line 5: keep one");
}

static void a_wrong_shape_is_refused(void **state)
{
    (void)state;
    refused("site: {a: b}\n", 1, "`site` must be one name, not a mapping");
    refused("site: a\nrate: [200Mbit]\n", 2, "`rate` must be one rate, not a list");
    refused("port: \"127.0.0.1:7440\"\n", 1, "`port` must be a mapping: {udp: \"10.0.0.1:7440\"}");
    refused("log: debug\n", 1, "`log` must be a mapping: {level: info}");
    refused("sites: a\n", 1,
            "`sites` must be a list, one line a site: - {name: a, address: \"10.0.0.1:7440\"}");
    refused("sites:\n  - a\n", 2, "sites[0] must look like {name: a, address: \"10.0.0.1:7440\"}");
    refused("sites: []\n", 1, "`sites` is empty: list every site, this one included");
    refused("- site\n", 1, "the file must be a mapping of keys, such as `site: a`");
    refused("# nothing\n", 1, "the file is empty: docs/examples/gxd.yaml shows every key");
    refused("site:\n", 1, "`site` has no value (name)");
    refused("site: \"a\\0b\"\n", 1, "`site` holds a NUL byte");
}

static void text_that_is_not_yaml_names_the_line(void **state)
{
    (void)state;
    assert_int_equal(load("site: a\nrate: {200Mbit\n"), -EINVAL);
    assert_non_null(strstr(error, ":3: not YAML: "));
}

static void a_second_document_is_refused(void **state)
{
    (void)state;
    refused(SMALLEST "---\nrate: 1Mbit\n", 10, "a second document starts here: only one is read");
}

static void a_device_takes_the_place_of_the_udp_port(void **state)
{
    (void)state;
    assert_int_equal(
        load("site: a\nport: {device: \"net_af_xdp0,iface=eth1\", address: 10.0.0.1/24, "
             "gateway: 10.0.0.254, udp_port: 7441}\nlcores: \"2,4-5\"\neal: \"-v\"\n"
             "rate: 1Gbit\nsites:\n  - {name: a, address: \"10.0.0.1:7441\"}\n"),
        0);
    assert_string_equal(config.port_udp, "");
    assert_string_equal(config.port_device, "net_af_xdp0,iface=eth1");
    assert_string_equal(config.port_address, "10.0.0.1/24");
    assert_string_equal(config.port_gateway, "10.0.0.254");
    assert_int_equal(config.port_udp_port, 7441);
    assert_string_equal(config.lcores, "2,4-5");
    assert_string_equal(config.eal, "-v");
}

static void a_port_is_udp_or_a_device(void **state)
{
#define REST "rate: 1Gbit\nsites:\n  - {name: a, address: \"10.0.0.1:7440\"}\n"
    (void)state;
    refused(
        "site: a\nport:\n  udp: \"10.0.0.1:1\"\n  device: net_ring0\n  address: 10.0.0.1/8\n" REST,
        4, "port.device: port.udp is given too (line 3): keep one");
    refused(
        "site: a\nport: {device: net_ring0}\n" REST, 2,
        "port.address is missing: port.device needs an address of its own, such as 10.0.0.1/24");
    refused("site: a\nport: {device: net_ring0, address: 10.0.0.1}\n" REST, 2,
            "port.address: '10.0.0.1' is not a numeric address with the length of its network's "
            "prefix: 10.0.0.1/24 or \"2001:db8::1/64\"");
    refused("site: a\nport: {udp: \"10.0.0.1:1\"}\nlcores: \"1\"\n" REST, 3,
            "lcores: belongs to port.device, which is not given");
    refused("site: a\nport: {device: net_ring0, address: 10.0.0.1/8}\nlcores: all\n" REST, 3,
            "lcores: 'all' is not a list of CPUs: \"2\" or \"2,4-5\"");
    refused("site: a\nport: {device: net_ring0, address: 10.0.0.1/8, gateway: \"::1\"}\n" REST, 2,
            "port.gateway: '::1' is of another IP version than port.address '10.0.0.1/8'");
#undef REST
}

static void a_missing_key_is_named(void **state)
{
    (void)state;
    refused("site: a\n", 1,
            "`port` is missing: {udp: \"10.0.0.1:7440\"}, or "
            "{device: \"net_af_xdp0,iface=eth1\", address: 10.0.0.1/24}");
    refused("site: a\nport: {udp: \"127.0.0.1:7440\"}\nrate: 1Mbit\n", 1,
            "`sites` is missing: list every site, this one included");
    refused("site: a\nsites:\n  - {name: a}\n", 3, "sites[0] lacks `address`");
}

static void a_value_that_is_no_unit_is_quoted(void **state)
{
    (void)state;
    refused_line("recv_rate: 200Mbps",
                 "recv_rate: '200Mbps' is not a rate such as 200Mbit, 1.5Gbit or 500Kbit");
    refused_line("deadline: 60", "deadline: '60' is not a duration such as 25ms, 1.5s or 500us");
    refused_line("recv_rate: 0bit", "recv_rate: '0bit' would send nothing: give a rate such as "
                                    "200Mbit, 1.5Gbit or 500Kbit");
    refused_line("deadline: 0s", "deadline: '0s' is not above 0 and at most 24h");
    refused_line("fetch_wait: 25h", "fetch_wait: '25h' is not above 0 and at most 24h");
    refused_line("log: {level: verbose}", "log.level: 'verbose' is not error, warn, info or debug");
}

static void numbers_have_limits(void **state)
{
    (void)state;
    refused_line("mtu: 575", "mtu: '575' is not a whole number from 576 to 9000");
    refused_line("mtu: 9001", "mtu: '9001' is not a whole number from 576 to 9000");
    refused_line("mtu: 1.5e3", "mtu: '1.5e3' is not a whole number from 576 to 9000");
    refused_line("priority: 100", "priority: '100' is not a whole number from 0 to 99");
    refused_line("start_sites: 3", "start_sites: '3' is not a whole number from 1 to 2");
    refused_line("min_sites: -1", "min_sites: '-1' is not a whole number from 1 to 2");
    refused_line("rate_control: bbr", "rate_control: 'bbr' is none of path, fixed");
    refused_line("keep_rounds: 3", "keep_rounds: '3' is not a whole number from 1 to 2");
    refused(SMALLEST "start_sites: 1\nmin_sites: 2\n", 11,
            "min_sites: 2 is more than start_sites, 1");
}

static void what_this_release_lacks_is_said(void **state)
{
    (void)state;
    refused_line("workers: 9", "workers: '9' is not a whole number from 1 to 8");
}

static void security_and_key_go_together(void **state)
{
    (void)state;
    refused_line("security: noise", "security: 'noise' is neither psk nor none");
    refused_line("security: psk", "security: 'psk' needs `key`: the file with the key of all "
                                  "sites, made by gxctl key generate");
    refused_line("key: /etc/gx/key",
                 "key: '/etc/gx/key' has no use with `security: none`: set `security: psk`");
    assert_int_equal(load(SMALLEST "security: psk\nkey: /etc/gx/key\n"), 0);
    assert_true(config.secure);
    assert_string_equal(config.key, "/etc/gx/key");
    assert_int_equal(load(SMALLEST), 0);
    assert_false(config.secure);
}

static void too_little_memory_is_refused(void **state)
{
    (void)state;
    refused("site: a\nport: {udp: \"127.0.0.1:7440\"}\nrate: 1Mbit\nmemory: 1K\n"
            "sites: [{name: a, address: \"127.0.0.1:7440\"}]\n",
            4, "memory: '1K' is too small for any run: give 1MiB at least, such as 2GiB");
}

static void duplicate_sites_are_refused(void **state)
{
    (void)state;
    refused_line("  - {name: a, address: \"127.0.0.1:7460\"}",
                 "sites[2].name: 'a' is also the name of sites[0] (line 8): names must differ");
    refused_line("  - {name: c, address: \"127.0.0.1:7450\"}",
                 "sites[2].address: '127.0.0.1:7450' is also the address of site 'b' (line 9): "
                 "addresses must differ");
}

static void equal_addresses_are_found_behind_other_spellings(void **state)
{
    (void)state;
    refused("site: a\nport: {udp: \"[::1]:1\"}\nrate: 1Mbit\nsites:\n"
            "  - {name: a, address: \"[::1]:1\"}\n  - {name: b, address: \"[0:0::1]:1\"}\n",
            6,
            "sites[1].address: '[0:0::1]:1' is also the address of site 'a' (line 5): addresses "
            "must differ");
}

static void an_absent_own_site_lists_the_names(void **state)
{
    (void)state;
    refused("port: {udp: \"127.0.0.1:7440\"}\nsite: z\nrate: 1Mbit\nsites:\n"
            "  - {name: a, address: \"127.0.0.1:7440\"}\n"
            "  - {name: b, address: \"127.0.0.1:7450\"}\n",
            2, "site: 'z' is not in `sites`, which has a, b");
}

static void more_than_16_sites_are_refused(void **state)
{
    char text[4000] = "site: s0\nport: {udp: \"127.0.0.1:7440\"}\nrate: 1Mbit\nsites:\n";

    (void)state;
    for (int i = 0; i < 17; i++) {
        if (i == 16)
            assert_int_equal(load(text), 0);
        snprintf(text + strlen(text), 100, "  - {name: s%d, address: \"127.0.0.1:%d\"}\n", i,
                 7440 + i);
    }
    refused(text, 21, "`sites` has more than 16 entries: a run has at most 16 sites");
}

static void a_malformed_name_is_quoted(void **state)
{
    (void)state;
    refused_line("  - {name: \"c d\", address: \"127.0.0.1:7460\"}",
                 "sites[2].name: 'c d' is not a name: 1 to 31 of A-Z a-z 0-9 . _ -");
    refused_line("  - {name: abcdefghijklmnopqrstuvwxyz012345, address: \"127.0.0.1:7460\"}",
                 "sites[2].name: 'abcdefghijklmnopqrstuvwxyz012345' is not a name: 1 to 31 of A-Z "
                 "a-z 0-9 . _ -");
}

static void a_malformed_address_is_quoted(void **state)
{
    static const char *const bad[] = {
        "localhost:7440", "10.0.0.1",        "10.0.0.1:0",   "10.0.0.1:65536", "10.0.0.1:",
        "10.0.0.256:1",   "2001:db8::1:744", "[::1]",        "[::1:7440",      "10.0.0.1:7440x",
        ":7440",          "[]:7440",         "10.0.0.1:+80",
    };
    char line[200], message[300];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(line, sizeof(line), "  - {name: c, address: \"%s\"}", bad[i]);
        snprintf(message, sizeof(message),
                 "sites[2].address: '%s' is not a numeric address with a port: \"10.0.0.1:7440\" "
                 "or \"[2001:db8::1]:7440\"",
                 bad[i]);
        refused_line(line, message);
    }
    refused_line("  - {name: c, address: \"0.0.0.0:7440\"}",
                 "sites[2].address: '0.0.0.0:7440' cannot be dialled: give the address that peers "
                 "see");
    refused_line("  - {name: c, address: \"[::1]:7440\"}",
                 "sites[2].address: '[::1]:7440' is IPv6, but port.udp '127.0.0.1:7440' is IPv4");
}

static void a_long_socket_path_is_refused(void **state)
{
    char text[1000], long_path[109];

    (void)state;
    memset(long_path, 'x', 108);
    long_path[108] = '\0';
    snprintf(text, sizeof(text),
             "site: a\nport: {udp: \"127.0.0.1:7440\"}\nrate: 1Mbit\nsocket: %s\n"
             "sites: [{name: a, address: \"127.0.0.1:7440\"}]\n",
             long_path);
    assert_int_equal(load(text), -EINVAL);
    assert_non_null(strstr(error, ":4: socket: '"));
    assert_non_null(strstr(error, "is 108 bytes long, at most 107 are possible"));
}

static void anchors_are_followed(void **state)
{
    (void)state;
    assert_int_equal(load("site: a\nport: {udp: &own \"127.0.0.1:7440\"}\nrate: &r 1Mbit\n"
                          "recv_rate: *r\nsites: [{name: a, address: *own}]\n"),
                     0);
    assert_int_equal(config.recv_rate_bps, 1000000);
    assert_string_equal(config.sites[0].address, "127.0.0.1:7440");
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    assert_int_equal(gx_config_load("/tmp/gx-no-such-file", &config, error, sizeof(error)),
                     -ENOENT);
    assert_string_equal(error, "/tmp/gx-no-such-file: cannot be read: No such file or directory");
    assert_int_equal(gx_config_load("/tmp", &config, error, sizeof(error)), -EISDIR);
}

static void any_truncation_is_an_error_or_a_config(void **state)
{
    char text[] = SMALLEST "log: {level: info}\n";

    (void)state;
    for (size_t i = strlen(text); i > 0; i--) {
        text[i - 1] = '\0';
        if (load(text) != 0)
            assert_true(error[0] != '\0');
    }
}

/* ---- one table, many views ---- */

struct row {
    const char *path, *text, *help;
};

static const struct row rows[] = {
#define GX_KEY(id, path, type, text, help) {path, text, help},
#define GX_KEY_DERIVED(id, path, type, text, help) {path, text, help},
#define GX_KEY_REQUIRED(id, path, type, help) {path, "required", help},
#include "config.def"
#undef GX_KEY
#undef GX_KEY_DERIVED
#undef GX_KEY_REQUIRED
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static char *read_text(const char *name)
{
    char *text = calloc(1, 1 << 16);
    FILE *f = fopen(name, "r");

    assert_non_null(f);
    assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
    fclose(f);
    return text;
}

static void the_page_holds_every_row_of_the_table(void **state)
{
    char *page = read_text("docs/config.md"), row[600];

    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const char *at;
        snprintf(row, sizeof(row), "\n| `%s` | ", rows[i].path);
        at = strstr(page, row);
        if (!at)
            fail_msg("docs/config.md lacks `%s`", rows[i].path);
        snprintf(row, sizeof(row), "| %s | %s |\n", rows[i].text, rows[i].help);
        if (!strstr(at, row))
            fail_msg("docs/config.md: row of `%s` differs from config.def: %s", rows[i].path, row);
    }
    free(page);
}

static void the_example_shows_every_key_and_loads(void **state)
{
    char *text = read_text("docs/examples/gxd.yaml");

    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const char *dot = strrchr(rows[i].path, '.');
        char key[64];
        snprintf(key, sizeof(key), "%s:", dot ? dot + 1 : rows[i].path);
        if (!strstr(text, key))
            fail_msg("docs/examples/gxd.yaml lacks `%s`", rows[i].path);
    }
    assert_int_equal(load(text), 0);
    free(text);
}

static void help_names_every_key(void **state)
{
    char *text = NULL;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);

    (void)state;
    gx_config_help(f);
    fclose(f);
    for (size_t i = 0; i < ROW_COUNT; i++)
        assert_non_null(strstr(text, rows[i].path));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_config_loads_with_every_default),
        cmocka_unit_test(every_key_can_be_set),
        cmocka_unit_test(one_site_alone_is_allowed),
        cmocka_unit_test(an_unknown_key_names_the_nearest),
        cmocka_unit_test(a_key_of_another_mapping_is_named_with_it),
        cmocka_unit_test(a_key_like_no_other_lists_the_keys),
        cmocka_unit_test(an_unknown_key_of_a_site_has_its_line),
        cmocka_unit_test(a_repeated_key_is_refused),
        cmocka_unit_test(a_wrong_shape_is_refused),
        cmocka_unit_test(text_that_is_not_yaml_names_the_line),
        cmocka_unit_test(a_second_document_is_refused),
        cmocka_unit_test(a_device_takes_the_place_of_the_udp_port),
        cmocka_unit_test(a_port_is_udp_or_a_device),
        cmocka_unit_test(a_missing_key_is_named),
        cmocka_unit_test(a_value_that_is_no_unit_is_quoted),
        cmocka_unit_test(numbers_have_limits),
        cmocka_unit_test(what_this_release_lacks_is_said),
        cmocka_unit_test(security_and_key_go_together),
        cmocka_unit_test(too_little_memory_is_refused),
        cmocka_unit_test(duplicate_sites_are_refused),
        cmocka_unit_test(equal_addresses_are_found_behind_other_spellings),
        cmocka_unit_test(an_absent_own_site_lists_the_names),
        cmocka_unit_test(more_than_16_sites_are_refused),
        cmocka_unit_test(a_malformed_name_is_quoted),
        cmocka_unit_test(a_malformed_address_is_quoted),
        cmocka_unit_test(a_long_socket_path_is_refused),
        cmocka_unit_test(anchors_are_followed),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(any_truncation_is_an_error_or_a_config),
        cmocka_unit_test(the_page_holds_every_row_of_the_table),
        cmocka_unit_test(the_example_shows_every_key_and_loads),
        cmocka_unit_test(help_names_every_key),
        cmocka_unit_test(a_printed_config_loads_as_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
