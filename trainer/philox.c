#include "philox.h"

void gx_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static void draw(uint32_t out[4], uint64_t seed, uint32_t stream, uint32_t part, uint64_t counter)
{
    uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), stream, part};
    uint32_t k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    gx_philox(out, c, k);
}

uint64_t gx_philox_u64(uint64_t seed, enum gx_philox_stream stream, uint64_t counter)
{
    uint32_t r[4];
    draw(r, seed, (uint32_t)stream, 0, counter);
    return (uint64_t)r[1] << 32 | r[0];
}

uint64_t gx_philox_below(uint64_t bound, uint64_t seed, enum gx_philox_stream stream,
                         uint64_t counter)
{
    /* The high half of a product: no modulo bias worth a second draw (bound is far below 2^64). */
    unsigned __int128 p = (unsigned __int128)gx_philox_u64(seed, stream, counter) * bound;
    return (uint64_t)(p >> 64);
}

double gx_philox_unit(uint64_t seed, enum gx_philox_stream stream, uint64_t counter)
{
    return (double)(gx_philox_u64(seed, stream, counter) >> 11) * 0x1p-53;
}

float gx_philox_normal(uint64_t seed, enum gx_philox_stream stream, uint64_t counter)
{
    int64_t sum = 0;
    for (uint32_t part = 0; part < 3; part++) {
        uint32_t r[4];
        draw(r, seed, (uint32_t)stream, part, counter);
        sum += (int64_t)(r[0] >> 8) + (r[1] >> 8) + (r[2] >> 8) + (r[3] >> 8);
    }
    /* Twelve integers of 24 bits: mean 12 * (2^24 - 1) / 2, variance 2^48. */
    return (float)((double)(2 * sum - 12 * 0xFFFFFFll) * 0x1p-25);
}
