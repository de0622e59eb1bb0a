/* Little-endian cursors for building and parsing messages. A reader that runs over its end turns `ok` false and gives
 * zeros from there on, so that a parser checks once, at the end. A writer that has no room asserts: sizes of what we
 * build are ours. */
#ifndef GX_WIRE_BYTES_H
#define GX_WIRE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gx_assert.h"

struct gx_reader {
    const uint8_t *at, *end;
    bool ok;
};

struct gx_writer {
    uint8_t *at, *end;
};

static inline void gx_read(struct gx_reader *r, void *out, size_t n)
{
    if ((size_t)(r->end - r->at) < n) {
        r->ok = false;
        r->at = r->end;
        memset(out, 0, n);
        return;
    }
    memcpy(out, r->at, n);
    r->at += n;
}

static inline uint64_t gx_read_uint(struct gx_reader *r, size_t n)
{
    uint8_t b[8];
    uint64_t value = 0;
    gx_read(r, b, n);
    for (size_t i = n; i-- > 0;)
        value = value << 8 | b[i];
    return value;
}

static inline uint8_t gx_read_u8(struct gx_reader *r)
{
    return (uint8_t)gx_read_uint(r, 1);
}

static inline uint16_t gx_read_u16(struct gx_reader *r)
{
    return (uint16_t)gx_read_uint(r, 2);
}

static inline uint32_t gx_read_u32(struct gx_reader *r)
{
    return (uint32_t)gx_read_uint(r, 4);
}

static inline uint64_t gx_read_u64(struct gx_reader *r)
{
    return gx_read_uint(r, 8);
}

static inline void gx_write(struct gx_writer *w, const void *in, size_t n)
{
    GX_ASSERT((size_t)(w->end - w->at) >= n);
    memcpy(w->at, in, n);
    w->at += n;
}

static inline void gx_write_uint(struct gx_writer *w, uint64_t value, size_t n)
{
    uint8_t b[8];
    for (size_t i = 0; i < n; i++, value >>= 8)
        b[i] = (uint8_t)value;
    gx_write(w, b, n);
}

static inline void gx_write_u8(struct gx_writer *w, uint8_t value)
{
    gx_write_uint(w, value, 1);
}

static inline void gx_write_u16(struct gx_writer *w, uint16_t value)
{
    gx_write_uint(w, value, 2);
}

static inline void gx_write_u32(struct gx_writer *w, uint32_t value)
{
    gx_write_uint(w, value, 4);
}

static inline void gx_write_u64(struct gx_writer *w, uint64_t value)
{
    gx_write_uint(w, value, 8);
}

#endif
