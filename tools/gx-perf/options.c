#include "gx-perf/options.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

#define BYTES_MAX (1ull << 40)
#define LOCAL_HEADER_BYTES 76u /* IPv4, UDP and gx */

/* OPTION(id, name, argument, help): one row gives the parser's table and --help. */
#define OPTIONS                                                                                    \
    OPTION(socket, "socket", "PATH",                                                               \
           "gxd's socket, also -s (default: $GX_SOCKET, else " GX_PERF_SOCKET_DEFAULT ")")         \
    OPTION(run, "run", "NAME", "the run's name, the same at every site; one name, one benchmark")  \
    OPTION(local, "local", NULL,                                                                   \
           "no gxd needed: two gateways in this process, DPDK rings between them")                 \
    OPTION(                                                                                        \
        cores, "cores", "N",                                                                       \
        "of --local: 2 (default where there are two): a thread a worker; 1: one thread for both")  \
    OPTION(mtu, "mtu", "N", "of --local: the largest IP packet, 576 to 9000 (default 1500)")       \
    OPTION(encrypt, "encrypt", NULL, "of --local: links with `security: psk`")                     \
    OPTION(bytes, "bytes", "BYTES", "of a contribution on the wire: 25M (default)")                \
    OPTION(rounds, "rounds", "N", "counted rounds (default 10); one more comes first as warm-up")  \
    OPTION(interval, "interval", "TIME",                                                           \
           "a round is due every TIME: 5s; what a late one costs the next ones counts")            \
    OPTION(format, "format", "NAME", "fp32 (default), bf16, int8 or e3m0")                         \
    OPTION(digest, "digest", "NAME", "xxh3 (default) or blake2b")                                  \
    OPTION(no_offer, "no-offer", NULL,                                                             \
           "take part without offering: only receive; rounds then end by the deadline")            \
    OPTION(check, "check", NULL, "compute each result anew in double precision and compare")       \
    OPTION(link_rate, "link-rate", "RATE",                                                         \
           "the slower of uplink and downlink: 200Mbit; gives the bounds and the ratios")          \
    OPTION(link_delay, "link-delay", "TIME", "one way: 25ms (default 0)")                          \
    OPTION(link_loss, "link-loss", "P", "what the link loses, with --local for real: 0.01 or 1%")  \
    OPTION(link_fsync, "link-fsync", "TIME",                                                       \
           "the coordinator's fsync, part of a round's bound (default 0)")                         \
    OPTION(shard_bytes, "shard-bytes", "N", "payload of a packet, for the bounds (default 1408)")  \
    OPTION(realised, "realised", "FILE",                                                           \
           "gx-wan's --slots, its ports in the order of the sites: ratios to the realised bound")  \
    OPTION(state, "state", "DIR",                                                                  \
           "gxd's state directory, for its workers' busy share (default: SOCKET.state)")           \
    OPTION(report, "report", "FILE.md", "write a report with a plot, in Markdown")                 \
    OPTION(wait, "wait", "SECONDS", "for gxd's socket to appear (default 10)")                     \
    OPTION(timeout, "timeout", "SECONDS",                                                          \
           "give up when nothing happens for so long (default 300)")                               \
    OPTION(json, "json", NULL, "one JSON object on stdout instead of a table")                     \
    OPTION(help, "help", NULL, "print this, also -h")

enum option_id {
#define OPTION(id, name, argument, text) OPTION_##id,
    OPTIONS
#undef OPTION
        OPTION_COUNT
};

static const struct option_help {
    const char *name, *argument, *text;
} option_help[] = {
#define OPTION(id, name, argument, text) {name, argument, text},
    OPTIONS
#undef OPTION
};

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
    va_list args;

    fputs("gx-perf: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return -EINVAL;
}

static void print_help(void)
{
    puts(
        "usage: gx-perf [-s SOCKET] --run NAME [options]\n"
        "       gx-perf --local [options]\n\n"
        "Measures the exchange: started at every site, it submits rounds of made-up contributions\n"
        "back to back and reports how long they took, beside what physics allows.\n");
    for (int i = 0; i < OPTION_COUNT; i++) {
        char left[32];
        snprintf(left, sizeof(left), "--%s %s", option_help[i].name,
                 option_help[i].argument ? option_help[i].argument : "");
        printf("  %-18s %s\n", left, option_help[i].text);
    }
    puts("\nExit code: 0 ok, 1 failed or an error was found, 2 usage, 3 gxd not there.");
}

static int parse_count(const char *option, const char *text, uint64_t min, uint64_t max,
                       uint64_t *out)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || value < min || value > max)
        return complain("--%s: '%s' is not a whole number from %llu to %llu", option, text,
                        (unsigned long long)min, (unsigned long long)max);
    *out = value;
    return 0;
}

static int parse_duration(const char *option, const char *text, uint64_t *ns)
{
    if (gx_units_duration(text, ns) != 0)
        return complain("--%s: '%s' is not %s", option, text, GX_UNITS_DURATION);
    return 0;
}

/* A number without a unit is in seconds. */
static int parse_seconds(const char *option, const char *text, uint64_t *ns)
{
    char seconds[64];

    if (gx_units_duration(text, ns) == 0)
        return 0;
    snprintf(seconds, sizeof(seconds), "%ss", text);
    return gx_units_duration(seconds, ns) == 0
               ? 0
               : complain("--%s: '%s' is neither seconds nor %s", option, text, GX_UNITS_DURATION);
}

static int parse_digest(const char *text, enum gx_digest_kind *out)
{
    *out = strcmp(text, "blake2b") == 0 ? GX_BLAKE2B : GX_XXH3;
    if (*out == GX_XXH3 && strcmp(text, "xxh3") != 0)
        return complain("--digest: '%s' is not xxh3 or blake2b", text);
    return 0;
}

static int parse_link(enum option_id option, const char *text, struct gx_perf_link *link)
{
    uint64_t ns = 0, count = 0;
    int rc = 0;

    switch (option) {
    case OPTION_link_rate:
        if (gx_units_rate(text, &link->rate_bps) != 0 || link->rate_bps == 0)
            return complain("--link-rate: '%s' is not %s", text, GX_UNITS_RATE);
        break;
    case OPTION_link_delay:
        rc = parse_duration("link-delay", text, &ns);
        link->delay_seconds = (double)ns / 1e9;
        break;
    case OPTION_link_loss:
        if (gx_units_fraction(text, &link->loss) != 0 || link->loss >= 1)
            return complain("--link-loss: '%s' is not %s, and below 1", text, GX_UNITS_FRACTION);
        break;
    case OPTION_link_fsync:
        rc = parse_duration("link-fsync", text, &ns);
        link->fsync_seconds = (double)ns / 1e9;
        break;
    default:
        rc = parse_count("shard-bytes", text, 64, 65536, &count);
        link->shard_bytes = (uint32_t)count;
        break;
    }
    return rc;
}

static int parse_option(enum option_id option, const char *text, struct gx_perf_options *out)
{
    uint64_t count = 0;
    int rc;

    switch (option) {
    case OPTION_socket:
        out->socket = text;
        return 0;
    case OPTION_run:
        out->run = text;
        return 0;
    case OPTION_bytes:
        if (gx_units_bytes(text, &out->bytes) != 0 || out->bytes > BYTES_MAX)
            return complain("--bytes: '%s' is not %s", text, GX_UNITS_BYTES);
        return 0;
    case OPTION_rounds:
        rc = parse_count("rounds", text, 1, GX_PERF_ROUNDS_MAX, &count);
        out->rounds = (uint32_t)count;
        return rc;
    case OPTION_format:
        if (gx_format_parse(text, &out->format) != 0)
            return complain("--format: '%s' is not fp32, bf16, int8 or e3m0", text);
        return 0;
    case OPTION_digest:
        return parse_digest(text, &out->digest);
    case OPTION_check:
        out->check = true;
        return 0;
    case OPTION_no_offer:
        out->no_offer = true;
        return 0;
    case OPTION_local:
        out->local = true;
        return 0;
    case OPTION_cores:
        rc = parse_count("cores", text, 1, 2, &count);
        out->cores = (uint32_t)count;
        return rc;
    case OPTION_mtu:
        rc = parse_count("mtu", text, 576, 9000, &count);
        out->mtu = (uint32_t)count;
        return rc;
    case OPTION_encrypt:
        out->encrypt = true;
        return 0;
    case OPTION_json:
        out->json = true;
        return 0;
    case OPTION_interval:
        return parse_duration("interval", text, &out->interval_ns);
    case OPTION_realised:
        out->realised_path = text;
        return 0;
    case OPTION_state:
        out->state = text;
        return 0;
    case OPTION_report:
        out->report_path = text;
        return 0;
    case OPTION_wait:
        return parse_seconds("wait", text, &out->wait_ns);
    case OPTION_timeout:
        return parse_seconds("timeout", text, &out->timeout_ns);
    case OPTION_link_rate:
    case OPTION_link_delay:
    case OPTION_link_loss:
    case OPTION_link_fsync:
    case OPTION_shard_bytes:
        return parse_link(option, text, &out->link);
    case OPTION_help:
    case OPTION_COUNT:
        break;
    }
    return -EINVAL;
}

/* What follows from --local, or does not go with it. */
static int complete_local(struct gx_perf_options *o)
{
    cpu_set_t cpus;

    if (!o->local && (o->cores || o->mtu || o->encrypt))
        return complain("--cores, --mtu and --encrypt are of --local: the sites' gxd has its own");
    if (!o->local)
        return 0;
    if (o->link.delay_seconds > 0)
        return complain("--local has no delay: leave --link-delay out");
    if (o->report_path || o->realised_path || o->state)
        return complain("--report, --realised and --state are of a gxd's network: leave them out "
                        "with --local");
    if (o->no_offer)
        return complain("--no-offer does not go with --local: both sites would only receive");
    if (!o->run)
        o->run = "local";
    if (!o->mtu)
        o->mtu = 1500;
    o->link.shard_bytes = (o->mtu - LOCAL_HEADER_BYTES) / 64 * 64;
    if (!o->cores)
        o->cores = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) < 2 ? 1 : 2;
    return 0;
}

static int check_all(const struct gx_perf_options *o)
{
    if (!o->run)
        return complain(
            "--run is missing: a name that every site gives and that no earlier benchmark used");
    if (!o->local && o->link.rate_bps == 0 && (o->link.delay_seconds > 0 || o->link.loss > 0))
        return complain("--link-delay and --link-loss say nothing without --link-rate");
    if (o->realised_path && o->link.rate_bps == 0)
        return complain("--realised says nothing without --link-rate");
    if (o->no_offer && o->interval_ns)
        return complain("--interval does not go with --no-offer: nothing is due here");
    return 0;
}

enum gx_perf_options_result gx_perf_options_parse(int argc, char **argv,
                                                  struct gx_perf_options *out)
{
    struct option options[OPTION_COUNT + 1];
    int code;

    memset(options, 0, sizeof(options));
    for (int i = 0; i < OPTION_COUNT; i++) {
        options[i].name = option_help[i].name;
        options[i].has_arg = option_help[i].argument ? required_argument : no_argument;
        options[i].val = 256 + i;
    }
    *out = (struct gx_perf_options){.socket = getenv("GX_SOCKET"),
                                    .bytes = 25000000,
                                    .rounds = 10,
                                    .link = {.shard_bytes = 1408},
                                    .wait_ns = 10000000000,
                                    .timeout_ns = 300000000000};
    if (!out->socket || !*out->socket)
        out->socket = GX_PERF_SOCKET_DEFAULT;
    optind = 0; /* 0, not 1: GNU's way to start anew */
    opterr = 0;
    while ((code = getopt_long(argc, argv, ":s:h", options, NULL)) != -1) {
        enum option_id option = code == 's'   ? OPTION_socket
                                : code == 'h' ? OPTION_help
                                              : (enum option_id)(code - 256);
        if (code == ':') {
            complain("%s needs a value", argv[optind - 1]);
            return GX_PERF_OPTIONS_USAGE;
        }
        if (code == '?') {
            complain("%s is no option; gx-perf --help lists them", argv[optind - 1]);
            return GX_PERF_OPTIONS_USAGE;
        }
        if (option == OPTION_help) {
            print_help();
            return GX_PERF_OPTIONS_HELP;
        }
        if (parse_option(option, optarg, out) != 0)
            return GX_PERF_OPTIONS_USAGE;
    }
    if (optind < argc) {
        complain("'%s' is not expected; gx-perf --help lists the options", argv[optind]);
        return GX_PERF_OPTIONS_USAGE;
    }
    return complete_local(out) == 0 && check_all(out) == 0 ? GX_PERF_OPTIONS_RUN
                                                           : GX_PERF_OPTIONS_USAGE;
}
