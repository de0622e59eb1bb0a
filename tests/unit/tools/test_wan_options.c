#include "wan/options.h"

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define WORDS_MAX 40
#define A "127.0.0.1:7440=127.0.0.1:17440"
#define B "127.0.0.1:7450=127.0.0.1:17450"
#define C "127.0.0.1:7460=127.0.0.1:17460"
#define PORTS "--port net_af_xdp0,iface=wan-a --port net_af_xdp1,iface=wan-b"

static struct gx_wan_options options;

/* Words are separated by blanks. What the parser says about errors is not shown. */
static enum gx_wan_options_result parse(const char *line)
{
    static char words[1024];
    char *argv[WORDS_MAX + 1] = {"gx-wan"}, *rest = words;
    int argc = 1, said = dup(STDERR_FILENO);

    strcpy(words, line);
    while (argc < WORDS_MAX && (argv[argc] = strtok_r(rest, " ", &rest)))
        argc++;
    argv[argc] = NULL;
    assert_non_null(freopen("/dev/null", "w", stderr));
    optind = 0; /* glibc: start anew */
    enum gx_wan_options_result result = gx_wan_options_parse(argc, argv, &options);
    fflush(stderr);
    dup2(said, STDERR_FILENO);
    close(said);
    return result;
}

static int forget(void **state)
{
    (void)state;
    gx_wan_options_fini(&options);
    return 0;
}

static void ports_are_devices_in_their_order(void **state)
{
    (void)state;
    assert_int_equal(parse(PORTS " --rate 200Mbit --delay 25ms"), GX_WAN_OPTIONS_RUN);
    assert_false(options.udp);
    assert_int_equal(options.port_count, 2);
    assert_string_equal(options.ports[1].device, "net_af_xdp1,iface=wan-b");
    assert_int_equal(options.ports[1].up.rate_bps, 200000000);
    assert_int_equal(options.ports[0].down.rate_bps, 200000000);
    assert_int_equal(options.paths[0][1].delay_ns, 25000000);
    assert_int_equal(options.paths[0][1].header_bytes, GX_WAN_ETHERNET_BYTES);
    assert_int_equal(options.spared_bytes, GX_WAN_ETHERNET_BYTES);
}

static void ports_need_company_and_names_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(parse("--port net_af_xdp0,iface=wan-a"), GX_WAN_OPTIONS_USAGE);
    assert_int_equal(parse("--port net_af_xdp0,iface=x --port net_af_xdp0,iface=y"),
                     GX_WAN_OPTIONS_USAGE);
    assert_int_equal(parse(PORTS " --udp"), GX_WAN_OPTIONS_USAGE);
    assert_int_equal(parse(PORTS " --workers 2"), GX_WAN_OPTIONS_USAGE);
    assert_int_equal(parse(PORTS " stray"), GX_WAN_OPTIONS_USAGE);
    assert_int_equal(parse("--rate 1Gbit"), GX_WAN_OPTIONS_USAGE);
}

static void a_path_has_its_own_values_both_ways(void **state)
{
    (void)state;
    assert_int_equal(parse("--udp " A " " B " " C " --path a-c delay=80ms,loss=2%,rate=10Mbit "
                           "--delay 25ms --jitter 1ms"),
                     GX_WAN_OPTIONS_RUN);
    assert_int_equal(options.port_count, 3);
    assert_int_equal(options.paths[0][2].delay_ns, 80000000);
    assert_int_equal(options.paths[2][0].delay_ns, 80000000);
    assert_int_equal(options.paths[2][0].rate_bps, 10000000);
    assert_true(options.paths[0][2].loss == 0.02);
    assert_int_equal(options.paths[0][2].jitter_ns, 1000000);
    assert_int_equal(options.paths[0][1].delay_ns, 25000000);
    assert_int_equal(options.paths[1][2].rate_bps, 0);
    assert_true(options.own[0][2].delay && options.own[2][0].loss && !options.own[0][1].delay);
}

static void a_path_can_differ_one_way(void **state)
{
    (void)state;
    assert_int_equal(parse("--udp " A " " B " --path 0:1 delay=5ms"), GX_WAN_OPTIONS_RUN);
    assert_int_equal(options.paths[0][1].delay_ns, 5000000);
    assert_int_equal(options.paths[1][0].delay_ns, 0);
}

static void a_path_can_be_too_small(void **state)
{
    (void)state;
    assert_int_equal(parse(PORTS " --mtu 1492 --path a:b mtu=1436"), GX_WAN_OPTIONS_RUN);
    assert_int_equal(options.paths[0][1].mtu, 1436);
    assert_int_equal(options.paths[1][0].mtu, 1492);
    assert_int_equal(parse(PORTS " --mtu 70000"), GX_WAN_OPTIONS_USAGE);
}

static void values_of_parts_are_separated_by_slashes(void **state)
{
    (void)state;
    assert_int_equal(parse(PORTS " --path a-b burst=0.01/0.25/1,reorder=0.02/3ms,outage=5/7.5"),
                     GX_WAN_OPTIONS_RUN);
    assert_true(options.paths[0][1].burst.p_bg == 0.25);
    assert_true(options.paths[0][1].reorder == 0.02);
    assert_int_equal(options.paths[0][1].reorder_ns, 3000000);
    assert_int_equal(options.paths[1][0].outages[0].to_ns, 7500000000);
}

static void a_site_has_its_own_rates(void **state)
{
    (void)state;
    assert_int_equal(parse(PORTS " --site b up=20Mbit,queue=1MiB --up 50Mbit --rate 100Mbit"),
                     GX_WAN_OPTIONS_RUN);
    assert_int_equal(options.ports[0].up.rate_bps, 50000000);
    assert_int_equal(options.ports[0].down.rate_bps, 100000000);
    assert_int_equal(options.ports[1].up.rate_bps, 20000000);
    assert_int_equal(options.ports[1].down.rate_bps, 100000000);
    assert_int_equal(options.ports[1].up.queue_bytes, 1 << 20);
    assert_true(options.ports[1].own_rate && !options.ports[0].own_rate);
}

static void queues_hold_the_longest_path(void **state)
{
    (void)state;
    assert_int_equal(
        parse("--udp " A " " B " " C " --rate 80Mbit --delay 10ms --path b-c delay=50ms"),
        GX_WAN_OPTIONS_RUN);
    assert_int_equal(options.ports[0].up.queue_bytes, gx_impair_queue_bytes(80000000, 10000000));
    assert_int_equal(options.ports[1].up.queue_bytes, gx_impair_queue_bytes(80000000, 50000000));
    assert_int_equal(options.ports[2].down.queue_bytes, gx_impair_queue_bytes(80000000, 50000000));
}

static void what_is_wrong_with_a_path_is_refused(void **state)
{
    (void)state;
    static const char *const words[] = {
        "--path a-b",
        "--path a-b delay",
        "--path a-b delay=x",
        "--path a-b speed=1",
        "--path a-c delay=1s",
        "--path a delay=1s",
        "--path a-a delay=1s",
        "--path a-b loss=2",
        "--path -b delay=1s",
        "--site c up=1Mbit",
        "--site a delay=1s",
        "--site a up=fast",
        "--site a",
        "--trace /nonesuch",
        "--path a-b burst=0.1,0.2",
        "--path a-22 loss=0",
    };
    char line[256];

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        snprintf(line, sizeof(line), "%s %s", PORTS, words[i]);
        assert_int_equal(parse(line), GX_WAN_OPTIONS_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(ports_are_devices_in_their_order, forget),
        cmocka_unit_test_teardown(ports_need_company_and_names_of_their_own, forget),
        cmocka_unit_test_teardown(a_path_has_its_own_values_both_ways, forget),
        cmocka_unit_test_teardown(a_path_can_differ_one_way, forget),
        cmocka_unit_test_teardown(a_path_can_be_too_small, forget),
        cmocka_unit_test_teardown(values_of_parts_are_separated_by_slashes, forget),
        cmocka_unit_test_teardown(a_site_has_its_own_rates, forget),
        cmocka_unit_test_teardown(queues_hold_the_longest_path, forget),
        cmocka_unit_test_teardown(what_is_wrong_with_a_path_is_refused, forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
