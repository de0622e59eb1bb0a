/* gx_header: the 48 bytes before every payload. Little-endian.
 *
 *   0  u8      version (high nibble), type (low nibble)
 *   1  u8      flags: 1 the shard is parity that the receiver's feedback asked for; others 0, and ignored
 *   2  u16     payload bytes
 *   4  u32     receiver's session index; 0 in a hello
 *   8  u64     packet number of the lane and direction, from 1; of a hello its attempt
 *  16  u32     transfer        20  u32  block          (0 where the type has none)
 *  24  u8      shard index     25  u8   k              26  u16  0
 *  28  u32     sender's clock, µs, low 32 bits
 *  32  u8[16]  tag: with `security: none` the CRC32C of bytes 0 to 31 and the payload, then 12 zeros
 */
#ifndef GX_WIRE_HEADER_H
#define GX_WIRE_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GX_HEADER_BYTES 48
#define GX_FRAME_OVERHEAD_BYTES 42 /* Ethernet, IPv4, UDP */
#define GX_TAG_OFFSET 32
#define GX_VERSION 1
#define GX_HEADER_ASKED 1 /* flag */
#define GX_WORKERS_MAX 8  /* of one site, hence lanes of one link and parts of one transfer */

enum gx_type {
    GX_TYPE_HELLO,
    GX_TYPE_SHARD,
    GX_TYPE_FEEDBACK,
    GX_TYPE_CONTROL,
    GX_TYPE_PROBE,
    GX_TYPE_COUNT,
};

struct gx_header {
    uint8_t version;
    uint8_t type; /* enum gx_type */
    uint8_t flags;
    uint8_t shard;
    uint8_t k;
    uint16_t payload_bytes;
    uint32_t session;
    uint64_t number;
    uint32_t transfer;
    uint32_t block;
    uint32_t clock_us;
};

enum gx_header_fault {
    GX_HEADER_OK,
    GX_HEADER_MALFORMED,
    GX_HEADER_VERSION, /* not ours, and no hello: a hello's layout never changes */
};

/* Writes bytes 0 to 31 and a tag of zeros; the version is GX_VERSION. */
void gx_header_build(const struct gx_header *header, uint8_t out[GX_HEADER_BYTES]);

/* `bytes` is the whole packet, which must be exactly header and payload. */
enum gx_header_fault gx_header_parse(struct gx_header *header, const uint8_t *packet, size_t bytes);

/* The CRC32C tag (RFC 3720's polynomial) over bytes 0 to 31 and the payload. */
void gx_header_checksum(uint8_t header[GX_HEADER_BYTES], const uint8_t *payload,
                        size_t payload_bytes);
bool gx_header_checksum_fits(const uint8_t header[GX_HEADER_BYTES], const uint8_t *payload,
                             size_t payload_bytes);

#endif
