#include "port/device_text.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "port/device_kernel.h"

#define PACKET_HEAD 128u

static const struct {
    const char *driver;
    enum gx_device_kind kind;
} drivers[] = {
    {"net_af_xdp", GX_DEVICE_AF_XDP},       {"net_af_packet", GX_DEVICE_AF_PACKET},
    {"eth_af_packet", GX_DEVICE_AF_PACKET}, {"net_memif", GX_DEVICE_MEMIF},
    {"net_ring", GX_DEVICE_RING},           {"net_tap", GX_DEVICE_TAP},
};

static bool device_has(const char *text, const char *key)
{
    size_t length = strlen(key);

    for (const char *at = strchr(text, ','); at; at = strchr(at + 1, ','))
        if (!strncmp(at + 1, key, length) && at[1 + length] == '=')
            return true;
    return false;
}

bool gx_device_value(const char *text, const char *key, char *out, size_t out_bytes)
{
    size_t length = strlen(key);

    for (const char *at = strchr(text, ','); at; at = strchr(at + 1, ',')) {
        if (strncmp(at + 1, key, length) || at[1 + length] != '=')
            continue;
        snprintf(out, out_bytes, "%.*s", (int)strcspn(at + 2 + length, ","), at + 2 + length);
        return true;
    }
    out[0] = '\0';
    return false;
}

int gx_device_name(struct gx_device *device, const char *text, char *error, size_t error_bytes)
{
    size_t length = strcspn(text, ",");
    char driver[GX_DEVICE_NAME_MAX];

    if (!length || length >= sizeof(device->name)) {
        snprintf(error, error_bytes,
                 "device '%s': not a DPDK device string such as net_af_xdp0,iface=eth0", text);
        return -EINVAL;
    }
    memcpy(device->name, text, length);
    memcpy(driver, device->name, sizeof(driver));
    while (length && isdigit((unsigned char)driver[length - 1]))
        driver[--length] = '\0';
    device->kind = GX_DEVICE_NIC;
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
        if (!strcmp(driver, drivers[i].driver))
            device->kind = drivers[i].kind;
    if (!strncmp(driver, "net_ring_", 9)) /* made by rte_eth_from_rings() */
        device->kind = GX_DEVICE_RING;
    if (device->kind == GX_DEVICE_TAP && !gx_device_value(text, "iface", device->iface, IFNAMSIZ))
        snprintf(device->iface, sizeof(device->iface), "dtap0");
    else
        gx_device_value(text, "iface", device->iface, sizeof(device->iface));
    return 0;
}

static void text_add(char *text, const char *key, uint32_t value)
{
    size_t at = strlen(text);

    if (!device_has(text, key))
        snprintf(text + at, GX_DEVICE_TEXT_MAX - at, ",%s=%u", key, value);
}

static uint32_t power_of_two(uint32_t value)
{
    uint32_t power = 1;

    while (power < value)
        power *= 2;
    return power;
}

uint32_t gx_packet_room(uint32_t frame_bytes)
{
    return (frame_bytes + GX_VLAN_BYTES + PACKET_HEAD + 63) / 64 * 64;
}

void gx_device_text(const struct gx_device *device, uint32_t frame_bytes, char *text)
{
    uint32_t room = power_of_two(frame_bytes + GX_VLAN_BYTES);

    switch (device->kind) {
    case GX_DEVICE_AF_XDP:
        /* Busy polling makes an empty poll a system call; without it we are a quarter faster and can sleep. */
        text_add(text, "busy_budget", 0);
        if (device->queue_count > 1)
            text_add(text, "queue_count", device->queue_count);
        break;
    case GX_DEVICE_AF_PACKET:
        if (device->queue_count > 1)
            text_add(text, "qpairs", device->queue_count);
        if (gx_packet_room(frame_bytes) > GX_ROOM_MIN) {
            text_add(text, "framesz", gx_packet_room(frame_bytes));
            text_add(text, "blocksz", (gx_packet_room(frame_bytes) + 4095) / 4096 * 4096);
        }
        break;
    case GX_DEVICE_MEMIF:
        /* A frame larger than bsize is chained by the driver with a stale flag; small rings stay in the cache. */
        text_add(text, "bsize", room > GX_ROOM_MIN ? room : GX_ROOM_MIN);
        text_add(text, "rsize", 8);
        break;
    default:
        break;
    }
}
