/* The device string, "net_af_xdp0,iface=eth0": what it says, and what it leaves out but the driver needs. For device.c. */
#ifndef GX_PORT_DEVICE_TEXT_H
#define GX_PORT_DEVICE_TEXT_H

#include "port/device.h"

#define GX_ROOM_MIN 2048u /* of a packet buffer, whatever the MTU */

/* The value of `key`, cut at `out_bytes`. False: it is not there. */
bool gx_device_value(const char *text, const char *key, char *out, size_t out_bytes);
/* Takes name, kind and interface from the string. 0 or -errno, and what to do in `error`. */
int gx_device_name(struct gx_device *device, const char *text, char *error, size_t error_bytes);
/* A frame of af_packet's ring: the kernel's head and the packet. Larger frames are cut or vanish. */
uint32_t gx_packet_room(uint32_t frame_bytes);
/* Adds what the driver needs to the user's string in `text`, which has room for GX_DEVICE_TEXT_MAX bytes. */
void gx_device_text(const struct gx_device *device, uint32_t frame_bytes, char *text);

#endif
