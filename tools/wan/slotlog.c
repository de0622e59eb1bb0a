#include "wan/slotlog.h"

#include <errno.h>
#include <inttypes.h>

#define NS_PER_MS 1000000u

int gx_wan_slotlog_open(struct gx_wan_slotlog *log, const char *path)
{
    *log = (struct gx_wan_slotlog){.file = fopen(path, "we")};
    if (!log->file)
        return -errno;
    /* A line at once: gx-perf reads while we run. There are 1,000 a second and path at most. */
    setvbuf(log->file, NULL, _IOLBF, BUFSIZ);
    fputs(GX_WAN_SLOTLOG_TITLE "\n", log->file);
    return 0;
}

static void write_line(struct gx_wan_slotlog *log, uint32_t from, uint32_t to)
{
    struct gx_wan_slots *slots = &log->paths[from][to];

    if (slots->frames > 0)
        fprintf(log->file,
                "%" PRIu64 " %" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                "\n",
                slots->ms, from, to, slots->frames, slots->bytes, slots->lost_frames,
                slots->lost_bytes);
    *slots = (struct gx_wan_slots){0};
}

void gx_wan_slotlog_count(struct gx_wan_slotlog *log, uint32_t from, uint32_t to, uint64_t left_ns,
                          uint32_t frame_bytes, bool lost)
{
    struct gx_wan_slots *slots = &log->paths[from][to];

    if (!log->file)
        return;
    if (slots->ms != left_ns / NS_PER_MS)
        write_line(log, from, to);
    slots->ms = left_ns / NS_PER_MS;
    slots->frames++;
    slots->bytes += frame_bytes;
    slots->lost_frames += lost;
    slots->lost_bytes += lost ? frame_bytes : 0;
}

void gx_wan_slotlog_flush(struct gx_wan_slotlog *log)
{
    if (!log->file)
        return;
    for (uint32_t from = 0; from < GX_WAN_PORTS_MAX; from++)
        for (uint32_t to = 0; to < GX_WAN_PORTS_MAX; to++)
            write_line(log, from, to);
    fflush(log->file);
}

int gx_wan_slotlog_close(struct gx_wan_slotlog *log)
{
    int rc = 0;

    if (!log->file)
        return 0;
    gx_wan_slotlog_flush(log);
    if (ferror(log->file))
        rc = -EIO;
    if (fclose(log->file) != 0)
        rc = -errno;
    log->file = NULL;
    return rc;
}
