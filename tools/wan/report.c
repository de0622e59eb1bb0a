#include "wan/report.h"

#include "units.h"

#include <inttypes.h>

/* By the longest length of each bin that has runs. */
static void print_runs(FILE *out, const struct gx_impair_counters *counters)
{
    const char *comma = "";

    fputs(",\"bursts\":{", out);
    for (uint32_t bin = 0; bin < GX_IMPAIR_RUN_BINS; bin++) {
        if (counters->runs[bin] == 0)
            continue;
        if (bin == GX_IMPAIR_RUN_BINS - 1)
            fprintf(out, "%s\"more\":%" PRIu64, comma, counters->runs[bin]);
        else
            fprintf(out, "%s\"%" PRIu64 "\":%" PRIu64, comma, UINT64_C(1) << bin,
                    counters->runs[bin]);
        comma = ",";
    }
    fputc('}', out);
}

static void print_counters(FILE *out, const struct gx_impair_counters *counters)
{
    fprintf(out, "{\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64, counters->packets, counters->bytes);
    fprintf(out, ",\"delivered_packets\":%" PRIu64 ",\"delivered_bytes\":%" PRIu64,
            counters->delivered_packets, counters->delivered_bytes);
    fputs(",\"dropped\":{", out);
    for (int cause = GX_IMPAIR_NONE + 1; cause < GX_IMPAIR_CAUSE_COUNT; cause++)
        fprintf(out, "%s\"%s\":%" PRIu64, cause > GX_IMPAIR_NONE + 1 ? "," : "",
                gx_impair_cause_text((enum gx_impair_cause)cause), counters->dropped[cause]);
    fprintf(out, "},\"duplicated\":%" PRIu64 ",\"corrupted\":%" PRIu64 ",\"reordered\":%" PRIu64,
            counters->duplicated, counters->corrupted, counters->reordered);
    fprintf(out, ",\"loss\":%.6f,\"mean_burst_packets\":%.3f", gx_impair_loss(counters),
            gx_impair_mean_burst(counters));
    print_runs(out, counters);
    fputc('}', out);
}

static void print_port(FILE *out, const struct gx_wan_network *network, uint32_t port)
{
    struct gx_impair_counters paths = {0};

    for (uint32_t to = 0; to < network->options.port_count; to++)
        gx_impair_counters_add(&paths, &network->paths[port][to].counters);
    fputc('{', out);
    network->front->describe(network, port, out);
    fputs("\"up\":", out);
    print_counters(out, &network->ports[port].up.counters);
    fputs(",\"path\":", out);
    print_counters(out, &paths);
    fputs(",\"down\":", out);
    print_counters(out, &network->ports[port].down.counters);
    fputc('}', out);
}

static void print_paths(FILE *out, const struct gx_wan_network *network)
{
    uint32_t count = network->options.port_count;
    const char *comma = "";

    for (uint32_t from = 0; from < count; from++) {
        for (uint32_t to = 0; to < count; to++) {
            if (from == to)
                continue;
            fprintf(out, "%s{\"from\":%" PRIu32 ",\"to\":%" PRIu32 ",\"path\":", comma, from, to);
            print_counters(out, &network->paths[from][to].counters);
            fputc('}', out);
            comma = ",";
        }
    }
}

void gx_wan_report_json(const struct gx_wan_network *network, FILE *out)
{
    const struct gx_wan_network_counters *counters = &network->counters;
    double seconds = 1e-9 * (double)(gx_wan_now_ns() - network->start_ns);
    double mean_ns = counters->sent_packets > 0
                         ? (double)counters->late_ns_sum / (double)counters->sent_packets
                         : 0;

    fprintf(out, "{\"seconds\":%.6f,\"ports\":[", seconds);
    for (uint32_t port = 0; port < network->options.port_count; port++) {
        if (port > 0)
            fputc(',', out);
        print_port(out, network, port);
    }
    fputs("],\"paths\":[", out);
    print_paths(out, network);
    fprintf(out, "],\"stranger_packets\":%" PRIu64 ",\"buffer_drops\":%" PRIu64,
            counters->stranger_packets, counters->buffer_drops);
    fprintf(out, ",\"send_drops\":%" PRIu64 ",\"kernel_drops\":%" PRIu64, counters->send_drops,
            network->front->kernel_drops(network));
    fprintf(out, ",\"sent_packets\":%" PRIu64 ",\"late_mean_us\":%.1f,\"late_max_us\":%.1f",
            counters->sent_packets, 1e-3 * mean_ns, 1e-3 * (double)counters->late_ns_max);
    fprintf(out, ",\"late_1ms_packets\":%" PRIu64, counters->late_1ms_packets);
    if (network->front->count)
        network->front->count(network, out);
    fputs("}\n", out);
    fflush(out);
}

void gx_wan_report_live(const struct gx_wan_network *network, struct gx_wan_report_live *live,
                        uint64_t now_ns, FILE *out)
{
    uint64_t since_ns = now_ns - (live->at_ns > 0 ? live->at_ns : network->start_ns);
    double seconds = 1e-9 * (double)(since_ns > 0 ? since_ns : 1);

    fputs("\r\033[K", out);
    for (uint32_t p = 0; p < network->options.port_count; p++) {
        const struct gx_wan_network_port *port = &network->ports[p];
        struct gx_impair_counters paths = {0};
        char rate[GX_UNITS_TEXT_MAX];

        for (uint32_t to = 0; to < network->options.port_count; to++)
            gx_impair_counters_add(&paths, &network->paths[p][to].counters);
        uint64_t bytes = port->up.counters.delivered_bytes;
        double bps = 8 * (double)(bytes - live->up_bytes[p]) / seconds;
        live->up_bytes[p] = bytes;
        fprintf(out, "%sport %" PRIu32 ": %s, lost %" PRIu64 ", queue drops %" PRIu64,
                p > 0 ? " | " : "", p, gx_units_format_rate(rate, (uint64_t)bps),
                paths.packets - paths.delivered_packets,
                port->up.counters.dropped[GX_IMPAIR_QUEUE] +
                    port->down.counters.dropped[GX_IMPAIR_QUEUE]);
    }
    fflush(out);
    live->at_ns = now_ns;
}
