#include "arrays.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu/parallel.h"
#undef test_free /* cmocka's */
#include "bits.h"
#include "device.h"

#define GUARD_BYTES 64u

static uint64_t state;

void arrays_seed(int argc, char **argv)
{
    struct timespec now;
    gx_parallel_set_threads(1); /* more would only spin: the CPU has little to do here */
    clock_gettime(CLOCK_REALTIME, &now);
    state = argc > 1 ? strtoull(argv[1], NULL, 0)
                     : (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
    printf("seed %llu (an argument replays it)\n", (unsigned long long)state);
    fflush(stdout);
}

uint64_t arrays_random(void)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15u); /* SplitMix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t arrays_below(uint32_t below)
{
    return (uint32_t)(arrays_random() >> 33) % below;
}

/* Four uniforms of 16 bits: mean 0, deviation 1. */
static float normal(void)
{
    const uint64_t r = arrays_random();
    const int32_t sum =
        (int32_t)((r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48)) - 2 * 0xffff;
    return (float)sum * 2.6429e-5f;
}

float dtype_error(enum gx_dtype type)
{
    return type == GX_DTYPE_FP32 ? 0x1p-23f : 0x1p-8f;
}

float dtype_rounded(enum gx_dtype type, float value)
{
    const uint32_t bits = bits_of(value);
    if (type == GX_DTYPE_FP32 || isnan(value))
        return value;
    return float_of((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
}

static size_t bytes_before(enum gx_dtype type, uint32_t shift)
{
    return GUARD_BYTES + shift * gx_dtype_bytes(type);
}

/* Takes over device memory in which the values start after `before` bytes. */
static struct array make(enum gx_dtype type, uint64_t count, void *memory, size_t before)
{
    struct array a = {.type = type, .count = count, .memory = memory};
    a.at = (uint8_t *)memory + before;
    a.values = calloc(count ? count : 1, sizeof(float));
    assert_non_null(a.values);
    return a;
}

struct array array_output(enum gx_dtype type, uint64_t count, uint32_t shift)
{
    const size_t before = bytes_before(type, shift);
    return make(type, count, test_alloc(before + count * gx_dtype_bytes(type)), before);
}

struct array array_bytes(size_t bytes)
{
    return array_output(GX_DTYPE_BF16, (bytes + 1) / 2, 0);
}

struct array array_of(enum gx_dtype type, const float *values, uint64_t count, uint32_t shift)
{
    const size_t before = bytes_before(type, shift), bytes = before + count * gx_dtype_bytes(type);
    uint8_t *host = malloc(bytes);
    assert_non_null(host);
    memset(host, 0xff, before);
    for (uint64_t i = 0; i < count; i++) {
        const uint32_t bits = bits_of(dtype_rounded(type, values[i]));
        const uint16_t half = (uint16_t)(bits >> 16);
        if (type == GX_DTYPE_FP32)
            memcpy(host + before + 4 * i, &bits, 4);
        else
            memcpy(host + before + 2 * i, &half, 2);
    }
    struct array a = make(type, count, test_upload(host, bytes), before);
    for (uint64_t i = 0; i < count; i++)
        a.values[i] = dtype_rounded(type, values[i]);
    free(host);
    return a;
}

struct array array_random(enum gx_dtype type, uint64_t count, uint32_t shift, float spread)
{
    float *values = malloc((count ? count : 1) * sizeof(float));
    assert_non_null(values);
    for (uint64_t i = 0; i < count; i++)
        values[i] = spread * normal();
    struct array a = array_of(type, values, count, shift);
    free(values);
    return a;
}

void array_free(struct array *array)
{
    test_free(array->memory);
    free(array->values);
}

const float *array_read(struct array *a)
{
    const size_t before = (size_t)((uint8_t *)a->at - (uint8_t *)a->memory);
    const size_t bytes = before + a->count * gx_dtype_bytes(a->type);
    uint8_t *host = malloc(bytes);
    assert_non_null(host);
    test_download(host, a->memory, bytes);
    for (size_t i = 0; i < before; i++)
        if (host[i] != 0xff)
            fail_msg("byte %zu before an array was overwritten", before - i);
    for (uint64_t i = 0; i < a->count; i++) {
        uint16_t half = 0;
        uint32_t bits = 0;
        if (a->type == GX_DTYPE_FP32)
            memcpy(&bits, host + before + 4 * i, 4);
        else
            memcpy(&half, host + before + 2 * i, 2);
        a->values[i] = float_of(a->type == GX_DTYPE_FP32 ? bits : (uint32_t)half << 16);
    }
    free(host);
    return a->values;
}

void array_near(struct array *got, const float *want, float absolute, float relative,
                const char *what)
{
    const float *values = array_read(got);
    for (uint64_t i = 0; i < got->count; i++) {
        const float allowed = absolute + relative * fabsf(want[i]);
        if (!(fabsf(values[i] - want[i]) <= allowed) && !(isnan(values[i]) && isnan(want[i])))
            fail_msg("%s[%llu] of %llu is %.9g, not %.9g (within %.3g)", what,
                     (unsigned long long)i, (unsigned long long)got->count, (double)values[i],
                     (double)want[i], (double)allowed);
    }
}

void array_equal(struct array *got, const float *want, const char *what)
{
    const float *values = array_read(got);
    for (uint64_t i = 0; i < got->count; i++)
        if (bits_of(values[i]) != bits_of(want[i]))
            fail_msg("%s[%llu] of %llu is %08x, not %08x", what, (unsigned long long)i,
                     (unsigned long long)got->count, bits_of(values[i]), bits_of(want[i]));
}
