#include "wire/hello.h"

#include <string.h>

#include <xxhash.h>

#include "wire/le.h"

#define FIXED_BYTES 64
#define FIELD_HEAD_BYTES 4

enum field { NAME = 1, INDEX = 2, LIST = 3, LIST_DIGEST = 4, MTU = 5, WORKERS = 6, LANE = 7 };

_Static_assert(FIXED_BYTES + 7 * FIELD_HEAD_BYTES + GX_NAME_MAX + GX_SITES_MAX * GX_NAME_MAX +
                       GX_HELLO_DIGEST_BYTES + 16 <=
                   GX_HELLO_MAX_BYTES,
               "the longest hello fits");

static uint8_t *put_field(uint8_t *out, enum field type, const void *bytes, size_t length)
{
    gx_put_u16(out, (uint16_t)type);
    gx_put_u16(out + 2, (uint16_t)length);
    memcpy(out + FIELD_HEAD_BYTES, bytes, length);
    return out + FIELD_HEAD_BYTES + length;
}

static uint8_t *put_field_u32(uint8_t *out, enum field type, uint32_t value)
{
    uint8_t bytes[4];

    gx_put_u32(bytes, value);
    return put_field(out, type, bytes, sizeof bytes);
}

static uint8_t *put_list(uint8_t *out, const struct gx_hello *hello)
{
    uint8_t list[GX_SITES_MAX * GX_NAME_MAX];
    size_t used = 0;

    for (uint32_t i = 0; i < hello->site_count; i++) {
        size_t length = strnlen(hello->names[i], GX_NAME_MAX - 1);

        list[used] = (uint8_t)length;
        memcpy(list + used + 1, hello->names[i], length);
        used += 1 + length;
    }
    return put_field(out, LIST, list, used);
}

size_t gx_hello_build(const struct gx_hello *hello, uint8_t *out)
{
    uint8_t *at = out + FIXED_BYTES;

    out[0] = hello->version_min;
    out[1] = hello->version_max;
    out[2] = hello->mode;
    out[3] = hello->flags;
    gx_put_u32(out + 4, hello->session);
    gx_put_u64(out + 8, hello->incarnation);
    memcpy(out + 16, hello->key, GX_HELLO_KEY_BYTES);
    memcpy(out + 48, hello->cookie, GX_HELLO_COOKIE_BYTES);
    at = put_field(at, NAME, hello->name, strnlen(hello->name, GX_NAME_MAX - 1));
    at = put_field_u32(at, INDEX, hello->site_idx);
    at = put_list(at, hello);
    at = put_field(at, LIST_DIGEST, hello->list_digest, GX_HELLO_DIGEST_BYTES);
    at = put_field_u32(at, MTU, hello->mtu);
    at = put_field_u32(at, WORKERS, hello->workers);
    at = put_field_u32(at, LANE, hello->lane);
    return (size_t)(at - out);
}

static bool get_name(char name[GX_NAME_MAX], const uint8_t *in, size_t length)
{
    if (length == 0 || length >= GX_NAME_MAX || memchr(in, 0, length) != NULL)
        return false;
    memcpy(name, in, length);
    memset(name + length, 0, GX_NAME_MAX - length);
    return true;
}

static bool get_list(struct gx_hello *hello, const uint8_t *in, size_t length)
{
    uint32_t count = 0;

    for (size_t at = 0; at < length; count++) {
        size_t bytes = in[at];

        if (count == GX_SITES_MAX || bytes > length - at - 1 ||
            !get_name(hello->names[count], in + at + 1, bytes))
            return false;
        at += 1 + bytes;
    }
    hello->site_count = count;
    return true;
}

static bool get_u32(uint32_t *value, const uint8_t *in, size_t length)
{
    if (length != 4)
        return false;
    *value = gx_get_u32(in);
    return true;
}

static bool get_field(struct gx_hello *hello, unsigned type, const uint8_t *in, size_t length)
{
    switch (type) {
    case NAME:
        return get_name(hello->name, in, length);
    case INDEX:
        return get_u32(&hello->site_idx, in, length);
    case LIST:
        return get_list(hello, in, length);
    case LIST_DIGEST:
        if (length != GX_HELLO_DIGEST_BYTES)
            return false;
        memcpy(hello->list_digest, in, length);
        return true;
    case MTU:
        return get_u32(&hello->mtu, in, length);
    case WORKERS:
        return get_u32(&hello->workers, in, length);
    case LANE:
        return get_u32(&hello->lane, in, length);
    default:
        return true;
    }
}

bool gx_hello_parse(struct gx_hello *hello, const uint8_t *in, size_t bytes)
{
    bool has_digest = false;

    if (bytes < FIXED_BYTES)
        return false;
    memset(hello, 0, sizeof *hello);
    hello->version_min = in[0];
    hello->version_max = in[1];
    hello->mode = in[2];
    hello->flags = in[3];
    hello->session = gx_get_u32(in + 4);
    hello->incarnation = gx_get_u64(in + 8);
    memcpy(hello->key, in + 16, GX_HELLO_KEY_BYTES);
    memcpy(hello->cookie, in + 48, GX_HELLO_COOKIE_BYTES);
    for (size_t at = FIXED_BYTES; at < bytes;) {
        if (bytes - at < FIELD_HEAD_BYTES)
            return false;
        unsigned type = gx_get_u16(in + at);
        size_t length = gx_get_u16(in + at + 2);

        at += FIELD_HEAD_BYTES;
        if (length > bytes - at || !get_field(hello, type, in + at, length))
            return false;
        has_digest |= type == LIST_DIGEST;
        at += length;
    }
    return has_digest && hello->name[0] != 0 && hello->session != 0 && hello->incarnation != 0 &&
           hello->version_min <= hello->version_max;
}

void gx_hello_list_digest(char names[][GX_NAME_MAX], uint32_t site_count,
                          uint8_t out[GX_HELLO_DIGEST_BYTES])
{
    char all[GX_SITES_MAX * GX_NAME_MAX];
    size_t used = 0;
    XXH128_hash_t hash;

    for (uint32_t i = 0; i < site_count; i++) {
        size_t length = strnlen(names[i], GX_NAME_MAX - 1);

        memcpy(all + used, names[i], length);
        all[used + length] = 0;
        used += length + 1;
    }
    hash = XXH3_128bits(all, used);
    gx_put_u64(out, hash.low64);
    gx_put_u64(out + 8, hash.high64);
}
