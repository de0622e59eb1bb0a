/* Cursors over messages of variable length, on top of le.h. A reader that runs over its end turns `ok` false and gives
 * zeros from there on, so that a parser checks once, at the end. A writer that has no room asserts: sizes of what we
 * build are ours. */
#ifndef GX_WIRE_BYTES_H
#define GX_WIRE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gx_assert.h"
#include "wire/le.h"

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

static inline void gx_write(struct gx_writer *w, const void *in, size_t n)
{
    GX_ASSERT((size_t)(w->end - w->at) >= n);
    memcpy(w->at, in, n);
    w->at += n;
}

static inline uint8_t gx_read_u8(struct gx_reader *r)
{
    uint8_t value;
    gx_read(r, &value, 1);
    return value;
}

static inline void gx_write_u8(struct gx_writer *w, uint8_t value)
{
    gx_write(w, &value, 1);
}

#define GX_CURSOR(bits)                                                                            \
    static inline uint##bits##_t gx_read_u##bits(struct gx_reader *r)                              \
    {                                                                                              \
        uint8_t b[bits / 8];                                                                       \
        gx_read(r, b, sizeof(b));                                                                  \
        return gx_get_u##bits(b);                                                                  \
    }                                                                                              \
    static inline void gx_write_u##bits(struct gx_writer *w, uint##bits##_t value)                 \
    {                                                                                              \
        uint8_t b[bits / 8];                                                                       \
        gx_put_u##bits(b, value);                                                                  \
        gx_write(w, b, sizeof(b));                                                                 \
    }
GX_CURSOR(16)
GX_CURSOR(32)
GX_CURSOR(64)
#undef GX_CURSOR

#endif
