/* trainer/cuda/encode.cu against dataplane/format/, byte for byte. */
#include "arrays.h"
#include "device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/encode.h"
#include "format/format.h"
#include "outer.h"
#include "tests/unit/format/values.h"

/* Around one lane's values, one block and one piece, and several of each. */
static const uint64_t counts[] = {1, 3, 4, 63, 127, 128, 129, 255, 1000, 2047, 2048, 2049, 6019};
#define COUNTS (sizeof(counts) / sizeof(*counts))
#define COUNT_MAX 6019u
#define EACH_FORMAT(f) for (enum gx_format f = GX_FP32; f < GX_FORMAT_COUNT; f++)

/* Encoded bytes on the device, in poison. */
struct wire {
    struct array bytes, refused;
    uint64_t count;
};

static struct wire wire_make(enum gx_format format, uint64_t count)
{
    const uint32_t zero = 0;
    struct wire w = {.count = gx_wire_bytes(format, count)};
    w.bytes = array_bytes(w.count);
    w.refused.memory = test_upload(&zero, sizeof(zero));
    return w;
}

/* The bytes on the host; all around them is poison still. */
static uint8_t *wire_read(struct wire *w)
{
    uint8_t *bytes = malloc(w->count + 1);
    assert_non_null(bytes);
    array_read(&w->bytes);
    test_download(bytes, w->bytes.at, (w->count + 1) / 2 * 2);
    if (w->count % 2)
        assert_int_equal(bytes[w->count], 0xff);
    return bytes;
}

static uint32_t wire_refused(const struct wire *w)
{
    uint32_t refused;
    test_download(&refused, w->refused.memory, sizeof(refused));
    return refused;
}

static void wire_free(struct wire *w)
{
    array_free(&w->bytes), array_free(&w->refused);
}

static void encode_of(enum gx_format format, const float *outer, const float *local, uint64_t count,
                      uint32_t shift)
{
    static float delta[COUNT_MAX];
    uint8_t *want = malloc(gx_wire_bytes(format, count));
    struct wire w = wire_make(format, count);
    struct array theta = array_of(GX_DTYPE_FP32, outer, count, shift), other = {0};
    memcpy(delta, outer, count * sizeof(float));
    if (local) {
        other = array_of(GX_DTYPE_FP32, local, count, 0);
        gx_outer_delta(delta, outer, local, count);
    }
    const int rc = gx_encode(format, want, delta, count);
    gx_gpu_encode(format, w.bytes.at, w.refused.memory, theta.at, other.at, count, test_stream());
    uint8_t *got = wire_read(&w);
    assert_int_equal(wire_refused(&w), rc != 0);
    if (rc == 0)
        assert_memory_equal(got, want, w.count);
    free(got), free(want);
    wire_free(&w);
    array_free(&theta), array_free(&other);
}

/* All exponents, ties, signed zeros, subnormal numbers, neighbours of powers of two. */
static void values_encode_as_on_the_cpu(void **state)
{
    (void)state;
    static float values[COUNT_MAX];
    EACH_FORMAT(f)
    for (size_t i = 0; i < COUNTS; i++) {
        values_fill(values, counts[i], arrays_random());
        encode_of(f, values, NULL, counts[i], i % 2);
    }
}

/* Nearby parameters, whose differences are small, exact, or 0; and far ones, whose difference may overflow. */
static void differences_encode_as_on_the_cpu(void **state)
{
    (void)state;
    static float outer[COUNT_MAX], local[COUNT_MAX];
    EACH_FORMAT(f)
    for (size_t i = 0; i < COUNTS; i++) {
        values_fill(outer, counts[i], arrays_random());
        values_fill(local, counts[i], arrays_random());
        encode_of(f, outer, local, counts[i], 0);
        for (uint64_t j = 0; j < counts[i]; j++)
            local[j] =
                arrays_below(4) ? outer[j] * (1.0f + 1e-4f * (float)arrays_below(100)) : outer[j];
        encode_of(f, outer, local, counts[i], 1);
    }
}

static void what_is_not_finite_is_refused(void **state)
{
    (void)state;
    static float values[2049];
    const float bad[] = {INFINITY, -INFINITY, NAN};
    EACH_FORMAT(f)
    for (uint32_t i = 0; i < 8; i++) {
        values_fill(values, 2049, arrays_random());
        values[i == 0 ? 2048 : arrays_below(2049)] = bad[i % 3];
        encode_of(f, values, NULL, 2049, 0);
    }
}

/* Pieces that are encoded one by one, as they are copied, make the bytes of the whole. */
static void pieces_follow_one_another(void **state)
{
    (void)state;
    static float values[COUNT_MAX];
    values_fill(values, COUNT_MAX, arrays_random());
    EACH_FORMAT(f)
    {
        uint8_t *want = malloc(gx_wire_bytes(f, COUNT_MAX));
        struct wire w = wire_make(f, COUNT_MAX);
        struct array theta = array_of(GX_DTYPE_FP32, values, COUNT_MAX, 0);
        assert_int_equal(gx_encode(f, want, values, COUNT_MAX), 0);
        const uint64_t step = 2 * GX_GPU_ENCODE_PIECE_VALUES;
        for (uint64_t first = 0; first < COUNT_MAX; first += step)
            gx_gpu_encode(f, (uint8_t *)w.bytes.at + gx_wire_bytes(f, first), w.refused.memory,
                          (float *)theta.at + first, NULL,
                          COUNT_MAX - first < step ? COUNT_MAX - first : step, test_stream());
        uint8_t *got = wire_read(&w);
        assert_memory_equal(got, want, w.count);
        free(got), free(want);
        wire_free(&w);
        array_free(&theta);
    }
}

/* Bytes that no encoder makes decode the same too. NaNs of fp32 and bf16 are left out. */
static void any_bytes_decode_as_on_the_cpu(void **state)
{
    (void)state;
    static float want[COUNT_MAX];
    EACH_FORMAT(f)
    for (size_t i = 0; i < COUNTS; i++) {
        const uint64_t count = counts[i], bytes = gx_wire_bytes(f, count);
        const uint32_t shift = (uint32_t)(i % 3);
        uint8_t *wire = malloc(bytes);
        for (uint64_t j = 0; j < bytes; j++)
            wire[j] = (uint8_t)arrays_random();
        if (f == GX_FP32 || f == GX_BF16) {
            values_fill(want, count, arrays_random());
            assert_int_equal(gx_encode(f, wire, want, count), 0);
        }
        gx_decode(f, want, wire, count);
        struct array on_device = {.memory = test_upload(wire, bytes)};
        struct array values = array_output(GX_DTYPE_FP32, count, shift);
        gx_gpu_decode(f, values.at, on_device.memory, count, test_stream());
        array_equal(&values, want, gx_format_name(f));
        array_free(&on_device), array_free(&values);
        free(wire);
    }
}

int main(int argc, char **argv)
{
    arrays_seed(argc, argv);
    gx_format_use("plain");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_encode_as_on_the_cpu),
        cmocka_unit_test(differences_encode_as_on_the_cpu),
        cmocka_unit_test(what_is_not_finite_is_refused),
        cmocka_unit_test(pieces_follow_one_another),
        cmocka_unit_test(any_bytes_decode_as_on_the_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
