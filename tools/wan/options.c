#include "wan/options.h"

#include "units.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REORDER_DEFAULT_NS 1000000u

/* OPTION(name, argument, help): one row gives the parser's table and --help. */
#define OPTIONS                                                                                    \
    OPTION(udp, NULL, "relay UDP between the LISTEN=TARGET pairs that follow")                     \
    OPTION(rate, "RATE",                                                                           \
           "each port's rate, both ways, Ethernet frames: 200Mbit (default: no limit)")            \
    OPTION(queue, "BYTES", "each port's queue (default: one bandwidth-delay product + 64KiB)")     \
    OPTION(delay, "TIME", "one way: 25ms (default 0)")                                             \
    OPTION(jitter, "TIME", "extra delay, uniform from 0 to this; order is kept")                   \
    OPTION(loss, "P", "independent loss: 0.01 or 1%")                                              \
    OPTION(burst, "PGB,PBG,PB",                                                                    \
           "Gilbert-Elliott: good to bad, bad to good, loss in the bad state")                     \
    OPTION(reorder, "P[,TIME]", "hold this share back by TIME (default 1ms)")                      \
    OPTION(dup, "P", "deliver this share twice")                                                   \
    OPTION(corrupt, "P", "flip one bit of the payload of this share")                              \
    OPTION(outage, "T0,T1",                                                                        \
           "drop everything from T0 to T1 after the start (seconds, or 500ms); repeatable")        \
    OPTION(seed, "N", "of all random decisions (default 1)")                                       \
    OPTION(workers, "N", "relay ports LISTEN+0..N-1 to TARGET+0..N-1 (default 1)")                 \
    OPTION(log, "FILE", "write one line per packet")                                               \
    OPTION(help, NULL, "print this")

enum option_id {
#define OPTION(name, argument, text) OPTION_##name,
    OPTIONS
#undef OPTION
        OPTION_COUNT
};

static const struct option_help {
    const char *name, *argument, *text;
} option_help[] = {
#define OPTION(name, argument, text) {#name, argument, text},
    OPTIONS
#undef OPTION
};

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
    va_list args;

    fputs("gx-wan: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return -EINVAL;
}

static void print_help(void)
{
    puts("usage: gx-wan --udp LISTEN=TARGET LISTEN=TARGET ... [options]\n\n"
         "Relays UDP between sites through an impaired network. Each site's gxd binds its TARGET;\n"
         "its peers dial its LISTEN. Addresses are 127.0.0.1:7440 or [::1]:7440.\n");
    for (int i = 0; i < OPTION_COUNT; i++) {
        char left[32];
        snprintf(left, sizeof(left), "--%s %s", option_help[i].name,
                 option_help[i].argument ? option_help[i].argument : "");
        printf("  %-20s %s\n", left, option_help[i].text);
    }
    puts(
        "\nCounters are printed as one line of JSON on stdout at the end (SIGINT, SIGTERM) and on\n"
        "SIGUSR1. \"ready\" on stderr says that all sockets are bound.\n"
        "Exit code: 0 ok, 1 failed, 2 usage.");
}

/* Cuts `text` at its commas into exactly `count` pieces, whose room is `buffer`. */
static int split(const char *text, char *buffer, size_t buffer_bytes, char **pieces, int count)
{
    if (strlen(text) >= buffer_bytes)
        return -EINVAL;
    strcpy(buffer, text);
    for (int i = 0; i < count; i++)
        pieces[i] = strsep(&buffer, ",");
    return pieces[count - 1] && !buffer ? 0 : -EINVAL;
}

static int parse_fraction(const char *option, const char *text, double *out)
{
    if (gx_units_fraction(text, out) != 0)
        return complain("--%s: '%s' is not %s", option, text, GX_UNITS_FRACTION);
    return 0;
}

static int parse_duration(const char *option, const char *text, uint64_t *out)
{
    if (gx_units_duration(text, out) != 0)
        return complain("--%s: '%s' is not %s", option, text, GX_UNITS_DURATION);
    return 0;
}

static int parse_count(const char *option, const char *text, uint64_t max, uint64_t *out)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > max)
        return complain("--%s: '%s' is not a whole number from 0 to %llu", option, text,
                        (unsigned long long)max);
    *out = value;
    return 0;
}

static int parse_burst(const char *text, struct gx_impair_burst *out)
{
    char buffer[128], *pieces[3];

    if (split(text, buffer, sizeof(buffer), pieces, 3) != 0)
        return complain("--burst: '%s' is not PGB,PBG,PB, such as 0.01,0.25,1", text);
    if (parse_fraction("burst", pieces[0], &out->p_gb) != 0 ||
        parse_fraction("burst", pieces[1], &out->p_bg) != 0 ||
        parse_fraction("burst", pieces[2], &out->p_loss_bad) != 0)
        return -EINVAL;
    return 0;
}

static int parse_reorder(const char *text, struct gx_impair_config *path)
{
    char buffer[128], *pieces[2];

    path->reorder_ns = REORDER_DEFAULT_NS;
    if (!strchr(text, ','))
        return parse_fraction("reorder", text, &path->reorder);
    if (split(text, buffer, sizeof(buffer), pieces, 2) != 0)
        return complain("--reorder: '%s' is not P or P,TIME, such as 0.02,3ms", text);
    if (parse_fraction("reorder", pieces[0], &path->reorder) != 0)
        return -EINVAL;
    return parse_duration("reorder", pieces[1], &path->reorder_ns);
}

/* A number without a unit is in seconds. */
static int parse_moment(const char *text, uint64_t *ns)
{
    char seconds[64];

    if (gx_units_duration(text, ns) == 0)
        return 0;
    snprintf(seconds, sizeof(seconds), "%ss", text);
    return gx_units_duration(seconds, ns);
}

static int parse_outage(const char *text, struct gx_impair_config *path)
{
    char buffer[128], *pieces[2];

    if (path->outage_count == GX_IMPAIR_OUTAGES_MAX)
        return complain("--outage: '%s' is one too many, %d are possible", text,
                        GX_IMPAIR_OUTAGES_MAX);
    struct gx_impair_outage *outage = &path->outages[path->outage_count];
    if (split(text, buffer, sizeof(buffer), pieces, 2) != 0 ||
        parse_moment(pieces[0], &outage->from_ns) != 0 ||
        parse_moment(pieces[1], &outage->to_ns) != 0 || outage->from_ns > outage->to_ns)
        return complain("--outage: '%s' is not T0,T1 with T0 <= T1, such as 5,7.5 or 500ms,2s",
                        text);
    path->outage_count++;
    return 0;
}

static int parse_workers(const char *text, uint32_t *out)
{
    uint64_t count;

    if (parse_count("workers", text, GX_WAN_WORKERS_MAX, &count) != 0)
        return -EINVAL;
    if (count == 0)
        return complain("--workers: '%s' is not 1 to %d", text, GX_WAN_WORKERS_MAX);
    *out = (uint32_t)count;
    return 0;
}

static int parse_option(enum option_id option, const char *text, struct gx_wan_options *out)
{
    struct gx_impair_config *path = &out->path;

    switch (option) {
    case OPTION_rate:
        if (gx_units_rate(text, &out->up.rate_bps) != 0)
            return complain("--rate: '%s' is not %s", text, GX_UNITS_RATE);
        return 0;
    case OPTION_queue:
        if (gx_units_bytes(text, &out->up.queue_bytes) != 0)
            return complain("--queue: '%s' is not %s", text, GX_UNITS_BYTES);
        return 0;
    case OPTION_delay:
        return parse_duration("delay", text, &path->delay_ns);
    case OPTION_jitter:
        return parse_duration("jitter", text, &path->jitter_ns);
    case OPTION_loss:
        return parse_fraction("loss", text, &path->loss);
    case OPTION_burst:
        return parse_burst(text, &path->burst);
    case OPTION_reorder:
        return parse_reorder(text, path);
    case OPTION_dup:
        return parse_fraction("dup", text, &path->dup);
    case OPTION_corrupt:
        return parse_fraction("corrupt", text, &path->corrupt);
    case OPTION_outage:
        return parse_outage(text, path);
    case OPTION_seed:
        return parse_count("seed", text, UINT64_MAX, &path->seed);
    case OPTION_workers:
        return parse_workers(text, &out->worker_count);
    case OPTION_log:
        out->log_path = text;
        return 0;
    case OPTION_udp:
    case OPTION_help:
    case OPTION_COUNT:
        break;
    }
    return 0;
}

static int parse_port(const char *text, struct gx_wan_options *out)
{
    const char *equals = strchr(text, '=');
    struct gx_wan_port_options *port = &out->ports[out->port_count];

    if (out->port_count == GX_WAN_PORTS_MAX)
        return complain("'%s' is one pair too many, %d are possible", text, GX_WAN_PORTS_MAX);
    if (!equals || gx_wan_address_parse(text, (size_t)(equals - text), &port->listen) != 0 ||
        gx_wan_address_parse(equals + 1, strlen(equals + 1), &port->target) != 0)
        return complain("'%s' is not LISTEN=TARGET, such as 127.0.0.1:7440=127.0.0.1:17440 or "
                        "[::1]:7440=[::1]:17440",
                        text);
    out->port_count++;
    return 0;
}

static bool overlap(const struct gx_wan_address *a, const struct gx_wan_address *b,
                    uint32_t worker_count)
{
    int distance = gx_wan_address_port(a) - gx_wan_address_port(b);

    return gx_wan_address_same_host(a, b) && abs(distance) < (int)worker_count;
}

static int check_address(const struct gx_wan_options *options, const struct gx_wan_address *address)
{
    char text[GX_WAN_ADDRESS_TEXT_MAX];

    gx_wan_address_format(address, text);
    if (gx_wan_address_port(address) + options->worker_count - 1 > UINT16_MAX)
        return complain("'%s': its port and %u workers go beyond 65535", text,
                        options->worker_count);
    if (address->as.any.sa_family != options->ports[0].listen.as.any.sa_family)
        return complain("'%s': IPv4 and IPv6 do not mix in one relay", text);
    return 0;
}

static int check_ports(const struct gx_wan_options *options)
{
    struct gx_wan_address all[2 * GX_WAN_PORTS_MAX];
    char a[GX_WAN_ADDRESS_TEXT_MAX], b[GX_WAN_ADDRESS_TEXT_MAX];
    uint32_t count = 0;

    if (options->port_count < 2)
        return complain("at least two LISTEN=TARGET pairs are needed, %u given; see --help",
                        options->port_count);
    for (uint32_t i = 0; i < options->port_count; i++) {
        all[count++] = options->ports[i].listen;
        all[count++] = options->ports[i].target;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (check_address(options, &all[i]) != 0)
            return -EINVAL;
        for (uint32_t j = 0; j < i; j++) {
            if (overlap(&all[i], &all[j], options->worker_count))
                return complain("'%s' and '%s' overlap (%u workers)",
                                gx_wan_address_format(&all[j], a),
                                gx_wan_address_format(&all[i], b), options->worker_count);
        }
    }
    return 0;
}

/* Each stage gets its part of what was given for all; the queues are sized by the whole path's
 * delay. */
static void spread(struct gx_wan_options *out)
{
    if (out->up.queue_bytes == 0)
        out->up.queue_bytes = gx_impair_queue_bytes(out->up.rate_bps, out->path.delay_ns);
    out->down.rate_bps = out->up.rate_bps;
    out->down.queue_bytes = out->up.queue_bytes;
    out->path.header_bytes = GX_WAN_HEADER_BYTES;
}

enum gx_wan_options_result gx_wan_options_parse(int argc, char **argv, struct gx_wan_options *out)
{
    struct option table[OPTION_COUNT + 1] = {0};
    bool udp = false;
    int option;

    for (int i = 0; i < OPTION_COUNT; i++) {
        table[i].name = option_help[i].name;
        table[i].has_arg = option_help[i].argument ? required_argument : no_argument;
        table[i].val = i;
    }
    *out = (struct gx_wan_options){.worker_count = 1, .path.seed = 1};
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (option == '?') {
            fputs("gx-wan: see --help\n", stderr);
            return GX_WAN_OPTIONS_USAGE;
        }
        if (option == OPTION_help) {
            print_help();
            return GX_WAN_OPTIONS_HELP;
        }
        udp = udp || option == OPTION_udp;
        if (parse_option((enum option_id)option, optarg, out) != 0)
            return GX_WAN_OPTIONS_USAGE;
    }
    if (!udp) {
        complain("say what to relay: --udp LISTEN=TARGET LISTEN=TARGET ...; see --help");
        return GX_WAN_OPTIONS_USAGE;
    }
    for (; optind < argc; optind++) {
        if (parse_port(argv[optind], out) != 0)
            return GX_WAN_OPTIONS_USAGE;
    }
    if (check_ports(out) != 0)
        return GX_WAN_OPTIONS_USAGE;
    spread(out);
    return GX_WAN_OPTIONS_RUN;
}
