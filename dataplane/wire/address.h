/* gx_addr: where a peer is, as the core sees it: opaque, compared bytewise, made and read by port/ only. */
#ifndef GX_WIRE_ADDRESS_H
#define GX_WIRE_ADDRESS_H

#include <stdint.h>

struct gx_addr {
    uint8_t b[28];
};

#endif
