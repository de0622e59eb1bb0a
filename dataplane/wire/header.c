#include "wire/header.h"

#include <string.h>

#include <isa-l/crc.h> /* crc32_iscsi() */

#include "wire/le.h"
#include "wire/vector.h"

void gx_header_build(const struct gx_header *header, uint8_t out[GX_HEADER_BYTES])
{
    out[0] = (uint8_t)(GX_VERSION << 4 | header->type);
    out[1] = header->flags;
    gx_put_u16(out + 2, header->payload_bytes);
    gx_put_u32(out + 4, header->session);
    gx_put_u64(out + 8, header->number);
    gx_put_u32(out + 16, header->transfer);
    gx_put_u32(out + 20, header->block);
    out[24] = header->shard;
    out[25] = header->k;
    gx_put_u16(out + 26, 0);
    gx_put_u32(out + 28, header->clock_us);
    memset(out + GX_TAG_OFFSET, 0, GX_HEADER_BYTES - GX_TAG_OFFSET);
}

enum gx_header_fault gx_header_parse(struct gx_header *header, const uint8_t *packet, size_t bytes)
{
    if (bytes < GX_HEADER_BYTES)
        return GX_HEADER_MALFORMED;
    header->version = packet[0] >> 4;
    header->type = packet[0] & 15;
    header->flags = packet[1];
    header->payload_bytes = gx_get_u16(packet + 2);
    header->session = gx_get_u32(packet + 4);
    header->number = gx_get_u64(packet + 8);
    header->transfer = gx_get_u32(packet + 16);
    header->block = gx_get_u32(packet + 20);
    header->shard = packet[24];
    header->k = packet[25];
    header->clock_us = gx_get_u32(packet + 28);
    if (header->type != GX_TYPE_HELLO && header->version != GX_VERSION)
        return GX_HEADER_VERSION;
    if (header->type >= GX_TYPE_COUNT || header->payload_bytes != bytes - GX_HEADER_BYTES)
        return GX_HEADER_MALFORMED;
    return GX_HEADER_OK;
}

static uint32_t checksum(const uint8_t *header, const uint8_t *payload, size_t payload_bytes)
{
    /* ISA-L reads only, but its prototypes lack const. */
    uint32_t crc = crc32_iscsi((unsigned char *)(uintptr_t)header, GX_TAG_OFFSET, 0xffffffffu);

    if (payload_bytes > 0)
        crc = crc32_iscsi((unsigned char *)(uintptr_t)payload, (int)payload_bytes, crc);
    gx_vector_clean();
    return ~crc;
}

void gx_header_checksum(uint8_t header[GX_HEADER_BYTES], const uint8_t *payload,
                        size_t payload_bytes)
{
    gx_put_u32(header + GX_TAG_OFFSET, checksum(header, payload, payload_bytes));
}

bool gx_header_checksum_fits(const uint8_t header[GX_HEADER_BYTES], const uint8_t *payload,
                             size_t payload_bytes)
{
    static const uint8_t zeros[GX_HEADER_BYTES - GX_TAG_OFFSET - 4];

    return memcmp(header + GX_TAG_OFFSET + 4, zeros, sizeof zeros) == 0 &&
           gx_get_u32(header + GX_TAG_OFFSET) == checksum(header, payload, payload_bytes);
}
