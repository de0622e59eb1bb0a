#include "gx-perf/pattern.h"

#include <string.h>

uint64_t gx_perf_seed(const char *run)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (; *run; run++)
        hash = (hash ^ (uint8_t)*run) * 0x100000001b3;
    return hash;
}

/* The finaliser of splitmix64. */
static uint64_t mix64(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* lowbias32 (Wellons, "Prospecting for Hash Functions"): 32 bits, so that it runs eight lanes wide. */
static uint32_t mix32(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

static float value(uint32_t index, uint32_t key_a, uint32_t key_b)
{
    uint32_t hash = mix32(mix32(index + key_a) ^ key_b);
    uint32_t scale_bits = (127 - 31 - (hash & 7)) << 23; /* 2^-31 to 2^-38 */
    float scale;

    memcpy(&scale, &scale_bits, sizeof(scale));
    return (float)(int32_t)hash * scale;
}

void gx_perf_pattern_fill(float *out, uint64_t seed, uint32_t site, uint64_t round, uint64_t first,
                          uint64_t count)
{
    while (count > 0) {
        /* up to the next multiple of 2^32, which has other keys */
        uint64_t span = (1ull << 32) - (uint32_t)first;
        uint64_t n = count < span ? count : span;
        uint64_t key = mix64(mix64(mix64(seed ^ site) + round) + (first >> 32));
        for (uint64_t i = 0; i < n; i++)
            out[i] = value((uint32_t)(first + i), (uint32_t)key, (uint32_t)(key >> 32));
        out += n;
        first += n;
        count -= n;
    }
}

uint64_t gx_perf_weight(uint32_t site)
{
    return 1000 + site;
}

uint64_t gx_perf_param_count(enum gx_format format, uint64_t bytes)
{
    uint64_t low = 0,
             high = bytes * 2 + 1; /* the densest format has a little more than four bits a value */

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (gx_wire_bytes(format, middle) <= bytes)
            low = middle;
        else
            high = middle;
    }
    return low;
}
