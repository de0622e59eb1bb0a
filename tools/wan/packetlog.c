#include "wan/packetlog.h"

#include <inttypes.h>

/* PROTOCOL.md section 1. Read here byte by byte: a relay must not depend on what it relays. */
#define GX_VERSION 1
#define GX_HEADER_BYTES 48
#define GX_NUMBER_OFFSET 8
#define GX_TYPE_CONTROL 3
#define CONTENT_BYTES 80

static uint64_t read_le64(const uint8_t *bytes)
{
    uint64_t value = 0;

    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

static void write_index(FILE *log, int index)
{
    if (index < 0)
        fputs(" -", log);
    else
        fprintf(log, " %d", index);
}

static void write_time(FILE *log, uint64_t realtime_ns, int from, int to)
{
    fprintf(log, "%" PRIu64 ".%06" PRIu64, realtime_ns / 1000000000, realtime_ns / 1000 % 1000000);
    write_index(log, from);
    write_index(log, to);
}

void gx_wan_packetlog_write(FILE *log, uint64_t realtime_ns, int from, int to,
                            const uint8_t *payload, uint32_t bytes, const char *verdict)
{
    if (!log)
        return;
    int type = bytes > 0 ? payload[0] & 15 : 0;
    int is_gx = bytes >= GX_HEADER_BYTES && payload[0] >> 4 == GX_VERSION;
    write_time(log, realtime_ns, from, to);
    fprintf(log, " %" PRIu32 " %d %s", bytes, type, verdict);
    if (is_gx)
        fprintf(log, " %" PRIu64, read_le64(payload + GX_NUMBER_OFFSET));
    else
        fputs(" -", log);
    if (is_gx && type == GX_TYPE_CONTROL && bytes > GX_HEADER_BYTES) {
        uint32_t end =
            bytes < GX_HEADER_BYTES + CONTENT_BYTES ? bytes : GX_HEADER_BYTES + CONTENT_BYTES;
        fputc(' ', log);
        for (uint32_t i = GX_HEADER_BYTES; i < end; i++)
            fprintf(log, "%02x", payload[i]);
    }
    fputc('\n', log);
}

/* ---- frames ---- */

#define ETHERNET_BYTES 14
#define VLAN_BYTES 4
#define IPV4_BYTES_MIN 20
#define IPV6_BYTES 40
#define UDP_BYTES 8

static uint32_t read_be16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

static const char *name_protocol(uint8_t protocol)
{
    switch (protocol) {
    case 1:
    case 58:
        return "icmp";
    case 6:
        return "tcp";
    case 17:
        return "udp";
    default:
        return "ip";
    }
}

/* Where the IP header's payload lies; 0: the frame is no whole IP packet. */
static uint32_t read_ip(const uint8_t *frame, uint32_t bytes, uint32_t at, uint32_t ethertype,
                        uint8_t *protocol)
{
    if (ethertype == 0x0800 && bytes >= at + IPV4_BYTES_MIN) {
        *protocol = frame[at + 9];
        return (read_be16(frame + at + 6) & 0x3fff) == 0 ? at + 4 * (frame[at] & 15u) : 0;
    }
    if (ethertype == 0x86dd && bytes >= at + IPV6_BYTES) {
        *protocol = frame[at + 6];
        return at + IPV6_BYTES;
    }
    return 0;
}

static void write_other(FILE *log, uint64_t realtime_ns, int from, int to, uint32_t bytes,
                        const char *type, const char *verdict)
{
    write_time(log, realtime_ns, from, to);
    fprintf(log, " %" PRIu32 " %s %s -\n", bytes, type, verdict);
}

void gx_wan_packetlog_write_frame(FILE *log, uint64_t realtime_ns, int from, int to,
                                  const uint8_t *frame, uint32_t bytes, const char *verdict)
{
    uint32_t at = ETHERNET_BYTES, ethertype;
    uint8_t protocol = 0;

    if (!log || bytes < ETHERNET_BYTES)
        return;
    ethertype = read_be16(frame + at - 2);
    if (ethertype == 0x8100 && bytes >= at + VLAN_BYTES) {
        at += VLAN_BYTES;
        ethertype = read_be16(frame + at - 2);
    }
    uint32_t inner = read_ip(frame, bytes, at, ethertype, &protocol);
    if (inner == 0) {
        const char *type = ethertype == 0x0806 ? "arp" : ethertype == 0x0800 ? "ip" : "other";
        write_other(log, realtime_ns, from, to, bytes, type, verdict);
    } else if (protocol != 17 || bytes < inner + UDP_BYTES) {
        write_other(log, realtime_ns, from, to, bytes, name_protocol(protocol), verdict);
    } else {
        uint32_t payload_bytes = bytes - inner - UDP_BYTES; /* with a short frame's padding */
        uint32_t said = read_be16(frame + inner + 4);
        if (said >= UDP_BYTES && said - UDP_BYTES < payload_bytes)
            payload_bytes = said - UDP_BYTES;
        gx_wan_packetlog_write(log, realtime_ns, from, to, frame + inner + UDP_BYTES, payload_bytes,
                               verdict);
    }
}
