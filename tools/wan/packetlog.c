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

void gx_wan_packetlog_write(FILE *log, uint64_t realtime_ns, int from, int to,
                            const uint8_t *payload, uint32_t bytes, const char *verdict)
{
    if (!log)
        return;
    int type = bytes > 0 ? payload[0] & 15 : 0;
    int is_gx = bytes >= GX_HEADER_BYTES && payload[0] >> 4 == GX_VERSION;
    fprintf(log, "%" PRIu64 ".%06" PRIu64, realtime_ns / 1000000000, realtime_ns / 1000 % 1000000);
    write_index(log, from);
    write_index(log, to);
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
