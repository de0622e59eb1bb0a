#include "wan/options.h"

#include "units.h"
#include "wan/values.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWN_MAX 256
#define OWN_BYTES_MAX 512

/* OPTION(name, argument, help): one row gives the parser's table and --help. */
#define OPTIONS                                                                                    \
    OPTION(udp, NULL, "relay UDP between the LISTEN=TARGET pairs that follow")                     \
    OPTION(port, "DEVICE", "bridge DPDK devices, one per site: net_af_xdp0,iface=wan-a")           \
    OPTION(rate, "RATE",                                                                           \
           "each port's rate, both ways, Ethernet frames: 200Mbit (default: no limit)")            \
    OPTION(up, "RATE", "from each site to the network (default: --rate)")                          \
    OPTION(down, "RATE", "from the network to each site (default: --rate)")                        \
    OPTION(queue, "BYTES", "each port's queue (default: one bandwidth-delay product + 64KiB)")     \
    OPTION(delay, "TIME", "one way: 25ms (default 0)")                                             \
    OPTION(jitter, "TIME", "extra delay, uniform from 0 to this; order is kept")                   \
    OPTION(loss, "P", "independent loss: 0.01 or 1%")                                              \
    OPTION(burst, "PGB,PBG,PB",                                                                    \
           "Gilbert-Elliott: good to bad, bad to good, loss in the bad state")                     \
    OPTION(reorder, "P[,TIME]", "hold this share back by TIME (default 1ms)")                      \
    OPTION(dup, "P", "deliver this share twice")                                                   \
    OPTION(corrupt, "P", "flip one bit of the payload of this share")                              \
    OPTION(mtu, "BYTES", "drop IP packets larger than this, in silence (default 0: none)")         \
    OPTION(outage, "T0,T1",                                                                        \
           "drop everything from T0 to T1 after the start (seconds, or 500ms); repeatable")        \
    OPTION(trace, "FILE", "change rate, delay and loss over time; docs/gx-wan.md")                 \
    OPTION(path, "A-B KEYS",                                                                       \
           "one path's own values, both ways: a-b delay=80ms,loss=1%; A:B: one way")               \
    OPTION(site, "A KEYS", "one port's own values: c up=20Mbit,down=100Mbit,queue=1MiB")           \
    OPTION(seed, "N", "of all random decisions (default 1)")                                       \
    OPTION(workers, "N", "relay ports LISTEN+0..N-1 to TARGET+0..N-1 (default 1)")                 \
    OPTION(log, "FILE", "write one line per packet")                                               \
    OPTION(slots, "FILE", "write what each path serialised and lost, per ms; gx-perf --realised")  \
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

/* `--path a-b KEYS` or `--site a KEYS`: kept until all that it inherits is known. */
struct own {
    enum option_id option;
    const char *who, *values;
};

struct given {
    struct gx_wan_options *out;
    uint64_t rate_bps, up_bps, down_bps, queue_bytes;
    bool has_up, has_down, has_port, has_workers;
    struct gx_impair_config path;
    struct own own[OWN_MAX];
    uint32_t own_count;
    const char *trace_path;
};

static void print_help(void)
{
    puts("usage: gx-wan --udp LISTEN=TARGET LISTEN=TARGET ... [options]\n"
         "       gx-wan --port DEVICE --port DEVICE ... [options]\n\n"
         "A wide-area network between sites. --udp relays UDP: each site's gxd binds its TARGET,\n"
         "its peers dial its LISTEN; addresses are 127.0.0.1:7440 or [::1]:7440. --port bridges\n"
         "Ethernet between DPDK devices, one per site, and learns where each address is.\n"
         "Ports are named a, b, c ... or 0, 1, 2 ... in the order given.\n");
    for (int i = 0; i < OPTION_COUNT; i++) {
        char left[32];
        snprintf(left, sizeof(left), "--%s %s", option_help[i].name,
                 option_help[i].argument ? option_help[i].argument : "");
        printf("  %-20s %s\n", left, option_help[i].text);
    }
    printf("\nKEYS are KEY=VALUE separated by commas, and / within a value. Of a path: %s.\n"
           "Of a site: rate, up, down, queue.\n",
           gx_wan_value_keys);
    puts("Counters are printed as one line of JSON on stdout at the end (SIGINT, SIGTERM) and on\n"
         "SIGUSR1. \"ready\" on stderr says that all ports are open.\n"
         "Exit code: 0 ok, 1 failed, 2 usage.");
}

static int parse_rate(const char *where, const char *key, const char *text, uint64_t *out)
{
    if (gx_units_rate(text, out) != 0)
        return gx_wan_usage("%s%s: '%s' is not %s", where, key, text, GX_UNITS_RATE);
    return 0;
}

static int parse_workers(const char *text, struct given *given)
{
    uint64_t count;

    if (gx_wan_value_count("--", "workers", text, GX_WAN_WORKERS_MAX, &count) != 0)
        return -EINVAL;
    if (count == 0)
        return gx_wan_usage("--workers: '%s' is not 1 to %d", text, GX_WAN_WORKERS_MAX);
    given->out->worker_count = (uint32_t)count;
    given->has_workers = true;
    return 0;
}

static int parse_device(const char *text, struct given *given)
{
    struct gx_wan_options *out = given->out;

    if (out->port_count == GX_WAN_PORTS_MAX)
        return gx_wan_usage("--port: '%s' is one too many, %d are possible", text,
                            GX_WAN_PORTS_MAX);
    for (uint32_t i = 0; i < out->port_count; i++) {
        size_t length = strcspn(out->ports[i].device, ",");
        if (strcspn(text, ",") == length && strncmp(text, out->ports[i].device, length) == 0)
            return gx_wan_usage("--port: '%s' and '%s' have one name: number them, as in "
                                "net_af_xdp0 and net_af_xdp1",
                                out->ports[i].device, text);
    }
    out->ports[out->port_count++].device = text;
    given->has_port = true;
    return 0;
}

/* The values are the next word of the command line. */
static int parse_own(enum option_id option, int argc, char **argv, struct given *given)
{
    const char *name = option_help[option].name;

    if (optind >= argc || !strchr(argv[optind], '='))
        return gx_wan_usage("--%s %s: what follows must be KEY=VALUE[,KEY=VALUE...]", name, optarg);
    if (given->own_count == OWN_MAX)
        return gx_wan_usage("--%s %s is one too many, %d are possible", name, optarg, OWN_MAX);
    given->own[given->own_count++] = (struct own){option, optarg, argv[optind++]};
    return 0;
}

static int parse_option(enum option_id option, const char *text, struct given *given)
{
    switch (option) {
    case OPTION_rate:
        return parse_rate("--", "rate", text, &given->rate_bps);
    case OPTION_up:
        given->has_up = true;
        return parse_rate("--", "up", text, &given->up_bps);
    case OPTION_down:
        given->has_down = true;
        return parse_rate("--", "down", text, &given->down_bps);
    case OPTION_queue:
        if (gx_units_bytes(text, &given->queue_bytes) != 0)
            return gx_wan_usage("--queue: '%s' is not %s", text, GX_UNITS_BYTES);
        return 0;
    case OPTION_port:
        return parse_device(text, given);
    case OPTION_trace:
        given->trace_path = text;
        return 0;
    case OPTION_seed:
        return gx_wan_value_count("--", "seed", text, UINT64_MAX, &given->path.seed);
    case OPTION_workers:
        return parse_workers(text, given);
    case OPTION_log:
        given->out->log_path = text;
        return 0;
    case OPTION_slots:
        given->out->slots_path = text;
        return 0;
    case OPTION_udp:
        given->out->udp = true;
        return 0;
    default:
        return gx_wan_value_parse("--", option_help[option].name, text, ',', &given->path);
    }
}

static int parse_pair(const char *text, struct gx_wan_options *out)
{
    const char *equals = strchr(text, '=');
    struct gx_wan_port_options *port = &out->ports[out->port_count];

    if (out->port_count == GX_WAN_PORTS_MAX)
        return gx_wan_usage("'%s' is one pair too many, %d are possible", text, GX_WAN_PORTS_MAX);
    if (!equals || gx_wan_address_parse(text, (size_t)(equals - text), &port->listen) != 0 ||
        gx_wan_address_parse(equals + 1, strlen(equals + 1), &port->target) != 0)
        return gx_wan_usage("'%s' is not LISTEN=TARGET, such as 127.0.0.1:7440=127.0.0.1:17440 or "
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
        return gx_wan_usage("'%s': its port and %u workers go beyond 65535", text,
                            options->worker_count);
    if (address->as.any.sa_family != options->ports[0].listen.as.any.sa_family)
        return gx_wan_usage("'%s': IPv4 and IPv6 do not mix in one relay", text);
    return 0;
}

static int check_pairs(const struct gx_wan_options *options)
{
    struct gx_wan_address all[2 * GX_WAN_PORTS_MAX];
    char a[GX_WAN_ADDRESS_TEXT_MAX], b[GX_WAN_ADDRESS_TEXT_MAX];
    uint32_t count = 0;

    if (options->port_count < 2)
        return gx_wan_usage("at least two LISTEN=TARGET pairs are needed, %u given; see --help",
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
                return gx_wan_usage("'%s' and '%s' overlap (%u workers)",
                                    gx_wan_address_format(&all[j], a),
                                    gx_wan_address_format(&all[i], b), options->worker_count);
        }
    }
    return 0;
}

static int check_kind(const struct given *given)
{
    if (given->out->udp && given->has_port)
        return gx_wan_usage("--udp and --port do not mix");
    if (given->out->udp)
        return 0;
    if (!given->has_port)
        return gx_wan_usage("say what to join: --udp LISTEN=TARGET LISTEN=TARGET ..., or --port "
                            "DEVICE --port DEVICE ...; see --help");
    if (given->has_workers)
        return gx_wan_usage("--workers is for --udp: a --port carries every worker's packets");
    if (given->out->port_count < 2)
        return gx_wan_usage("at least two --port are needed, one per site");
    return 0;
}

static int read_trace(const char *path, struct gx_wan_trace *out)
{
    char why[256];
    FILE *file = fopen(path, "re");

    if (!file)
        return gx_wan_usage("--trace: cannot read '%s': %s", path, strerror(errno));
    int rc = gx_wan_trace_read(out, file, why, sizeof(why));
    fclose(file);
    return rc ? gx_wan_usage("--trace %s: %s", path, why) : 0;
}

/* ---- what one port or path has for itself ---- */

/* A port's letter or number, `length` bytes of text; -EINVAL: there is none of that name. */
static int port_named(const struct gx_wan_options *options, const char *text, size_t length)
{
    int port = -1;

    if (length == 1 && text[0] >= 'a' && text[0] <= 'p')
        port = text[0] - 'a';
    else if (length >= 1 && length <= 2 && strspn(text, "0123456789") >= length)
        port = atoi(text);
    return port >= 0 && port < (int)options->port_count ? port : -EINVAL;
}

static int no_port(const char *option, const char *who, const struct gx_wan_options *options)
{
    return gx_wan_usage("--%s %s: ports are a to %c, or 0 to %u", option, who,
                        (char)('a' + options->port_count - 1), options->port_count - 1);
}

typedef int (*own_set)(struct given *given, const char *where, int from, int to, const char *key,
                       const char *value);

/* Calls `set` for each KEY=VALUE. */
static int each_value(struct given *given, const struct own *own, own_set set, int from, int to)
{
    char where[64], buffer[OWN_BYTES_MAX], *rest = buffer;

    snprintf(where, sizeof(where), "--%s %s: ", option_help[own->option].name, own->who);
    if (strlen(own->values) >= sizeof(buffer))
        return gx_wan_usage("%sis longer than %d bytes", where, OWN_BYTES_MAX - 1);
    strcpy(buffer, own->values);
    for (char *key; (key = strsep(&rest, ","));) {
        char *value = strchr(key, '=');
        if (!value)
            return gx_wan_usage("%s'%s' is not KEY=VALUE", where, key);
        *value++ = '\0';
        if (set(given, where, from, to, key, value) != 0)
            return -EINVAL;
    }
    return 0;
}

static int set_path(struct given *given, const char *where, int from, int to, const char *key,
                    const char *value)
{
    struct gx_wan_options *out = given->out;
    int rc = gx_wan_value_parse(where, key, value, '/', &out->paths[from][to]);

    if (rc == -ENOENT)
        return gx_wan_usage("%s'%s' is none of %s", where, key, gx_wan_value_keys);
    out->own[from][to].delay |= strcmp(key, "delay") == 0;
    out->own[from][to].loss |= strcmp(key, "loss") == 0;
    return rc;
}

static int set_site(struct given *given, const char *where, int from, int to, const char *key,
                    const char *value)
{
    struct gx_wan_port_options *port = &given->out->ports[from];
    uint64_t number;

    (void)to;
    if (strcmp(key, "queue") == 0) {
        if (gx_units_bytes(value, &number) != 0)
            return gx_wan_usage("%squeue: '%s' is not %s", where, value, GX_UNITS_BYTES);
        port->up.queue_bytes = port->down.queue_bytes = number;
        return 0;
    }
    bool both = strcmp(key, "rate") == 0, up = strcmp(key, "up") == 0;
    if (!both && !up && strcmp(key, "down") != 0)
        return gx_wan_usage("%s'%s' is none of rate, up, down, queue", where, key);
    if (parse_rate(where, key, value, &number) != 0)
        return -EINVAL;
    port->own_rate = true;
    if (both || up)
        port->up.rate_bps = number;
    if (both || !up)
        port->down.rate_bps = number;
    return 0;
}

static int apply_path(struct given *given, const struct own *own)
{
    size_t length = strcspn(own->who, "-:");
    const char *rest = own->who + length;
    bool one_way = *rest == ':';
    int from = port_named(given->out, own->who, length);
    int to = *rest ? port_named(given->out, rest + 1, strlen(rest + 1)) : -EINVAL;

    if (from < 0 || to < 0)
        return no_port("path", own->who, given->out);
    if (from == to)
        return gx_wan_usage("--path %s: a path joins two ports", own->who);
    if (each_value(given, own, set_path, from, to) != 0)
        return -EINVAL;
    return one_way ? 0 : each_value(given, own, set_path, to, from);
}

static int apply_site(struct given *given, const struct own *own)
{
    int port = port_named(given->out, own->who, strlen(own->who));

    if (port < 0)
        return no_port("site", own->who, given->out);
    return each_value(given, own, set_site, port, port);
}

/* ---- each stage gets its part of what was given for all ---- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Queues that nobody sized hold the bandwidth-delay product of the port's longest path. */
static void size_queues(struct gx_wan_options *out, uint32_t port)
{
    uint64_t delay_ns = gx_wan_trace_delay_max(&out->trace);
    uint64_t rate_bps = gx_wan_trace_rate_max(&out->trace);
    struct gx_impair_config *up = &out->ports[port].up, *down = &out->ports[port].down;

    for (uint32_t other = 0; other < out->port_count; other++) {
        if (other != port)
            delay_ns = larger(delay_ns, larger(out->paths[port][other].delay_ns,
                                               out->paths[other][port].delay_ns));
    }
    if (up->queue_bytes == 0)
        up->queue_bytes = gx_impair_queue_bytes(larger(up->rate_bps, rate_bps), delay_ns);
    if (down->queue_bytes == 0)
        down->queue_bytes = gx_impair_queue_bytes(larger(down->rate_bps, rate_bps), delay_ns);
}

static int spread(struct given *given)
{
    struct gx_wan_options *out = given->out;

    out->spared_bytes = out->udp ? 0 : GX_WAN_ETHERNET_BYTES;
    given->path.header_bytes = out->udp ? GX_WAN_HEADER_BYTES : GX_WAN_ETHERNET_BYTES;
    for (uint32_t a = 0; a < out->port_count; a++) {
        struct gx_wan_port_options *port = &out->ports[a];
        port->up.rate_bps = given->has_up ? given->up_bps : given->rate_bps;
        port->down.rate_bps = given->has_down ? given->down_bps : given->rate_bps;
        port->up.queue_bytes = port->down.queue_bytes = given->queue_bytes;
        for (uint32_t b = 0; b < out->port_count; b++)
            out->paths[a][b] = given->path;
    }
    for (uint32_t i = 0; i < given->own_count; i++) {
        const struct own *own = &given->own[i];
        if ((own->option == OPTION_path ? apply_path : apply_site)(given, own) != 0)
            return -EINVAL;
    }
    for (uint32_t a = 0; a < out->port_count; a++)
        size_queues(out, a);
    return 0;
}

static enum gx_wan_options_result parse_words(int argc, char **argv, struct given *given)
{
    struct option table[OPTION_COUNT + 1] = {0};
    int option;

    for (int i = 0; i < OPTION_COUNT; i++) {
        table[i].name = option_help[i].name;
        table[i].has_arg = option_help[i].argument ? required_argument : no_argument;
        table[i].val = i;
    }
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        int rc;
        if (option == '?') {
            fputs("gx-wan: see --help\n", stderr);
            return GX_WAN_OPTIONS_USAGE;
        }
        if (option == OPTION_help) {
            print_help();
            return GX_WAN_OPTIONS_HELP;
        }
        if (option == OPTION_path || option == OPTION_site)
            rc = parse_own((enum option_id)option, argc, argv, given);
        else
            rc = parse_option((enum option_id)option, optarg, given);
        if (rc != 0)
            return GX_WAN_OPTIONS_USAGE;
    }
    if (check_kind(given) != 0)
        return GX_WAN_OPTIONS_USAGE;
    if (!given->out->udp && optind < argc) {
        gx_wan_usage("'%s' belongs to no option; see --help", argv[optind]);
        return GX_WAN_OPTIONS_USAGE;
    }
    for (; optind < argc; optind++) {
        if (parse_pair(argv[optind], given->out) != 0)
            return GX_WAN_OPTIONS_USAGE;
    }
    return GX_WAN_OPTIONS_RUN;
}

enum gx_wan_options_result gx_wan_options_parse(int argc, char **argv, struct gx_wan_options *out)
{
    struct given given = {.out = out, .path.seed = 1};

    *out = (struct gx_wan_options){.worker_count = 1};
    enum gx_wan_options_result result = parse_words(argc, argv, &given);
    if (result != GX_WAN_OPTIONS_RUN)
        return result;
    if ((out->udp && check_pairs(out) != 0) ||
        (given.trace_path && read_trace(given.trace_path, &out->trace) != 0) ||
        spread(&given) != 0) {
        gx_wan_options_fini(out);
        return GX_WAN_OPTIONS_USAGE;
    }
    return GX_WAN_OPTIONS_RUN;
}

void gx_wan_options_fini(struct gx_wan_options *options)
{
    gx_wan_trace_fini(&options->trace);
}
