/* gx_checksum: the Internet's checksum (RFC 1071), as sums of 16-bit words in memory order, folded at the end. The order
 * of bytes does not matter to it (section 2 B of the RFC), so sums are of the machine's words. */
#ifndef GX_NET_CHECKSUM_H
#define GX_NET_CHECKSUM_H

#include <stdint.h>
#include <string.h>

/* Adds `count` bytes that start at an even place of what is summed. */
static inline uint64_t gx_checksum_add(uint64_t sum, const void *bytes, uint32_t count)
{
    const uint8_t *p = (const uint8_t *)bytes;
    uint64_t even = 0, odd = 0; /* two chains, so that additions overlap */
    uint32_t words[4];
    uint16_t half;

    for (; count >= sizeof(words); p += sizeof(words), count -= (uint32_t)sizeof(words)) {
        memcpy(words, p, sizeof(words));
        even += (uint64_t)words[0] + words[2];
        odd += (uint64_t)words[1] + words[3];
    }
    for (; count >= 2; p += 2, count -= 2) {
        memcpy(&half, p, sizeof(half));
        even += half;
    }
    if (count) {
        half = 0;
        memcpy(&half, p, 1);
        even += half;
    }
    /* Below 2^48 for any frame: no sum overflows. */
    return sum + even + odd;
}

static inline uint16_t gx_checksum_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* What stands in a header; memory order. */
static inline uint16_t gx_checksum_finish(uint64_t sum)
{
    return (uint16_t)~gx_checksum_fold(sum);
}

#endif
