/* AVX2 and AVX-512 against plain C, byte for byte, on fresh random input; a kernel that this CPU
 * lacks is skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "format/format.h"
#include "tests/unit/format/values.h"

#define ROUNDS 40u
#define VALUES_MAX (128u * 300u)
#define WIRE_MAX (VALUES_MAX * 4u)

struct outputs {
    uint8_t wire[WIRE_MAX + 1];
    uint8_t other[WIRE_MAX + 3];
    float decoded[VALUES_MAX], mean[VALUES_MAX + 1];
    int checked;
};

static struct outputs *plain, *vector;
static float *values;
static uint64_t seed;

/* Of 1 to 16 members, which are `wire` and `other` in turn. */
static void mean_make(struct outputs *out, enum gx_format format, const uint8_t *wire,
                      const uint8_t *other, uint64_t count)
{
    struct gx_format_cohort cohort = {.format = format};
    cohort.member_count = 1 + (uint32_t)count % GX_SITES_MAX;
    for (uint32_t m = 0; m < cohort.member_count; m++) {
        cohort.members[m] = m % 2 ? other : wire;
        cohort.scales[m] = float_from(0x3f800000 - (uint32_t)(count + m) % 7 * 0x05123457);
    }
    gx_format_mean(&cohort, out->mean + 1, 0, count);
}

static void outputs_make(struct outputs *out, enum gx_format format, uint64_t count, uint8_t poison)
{
    uint64_t bytes = gx_wire_bytes(format, count);
    memset(out, poison, sizeof(*out));
    /* One byte off, so that nothing depends on alignment. */
    assert_int_equal(gx_encode(format, out->wire + 1, values, count), 0);
    gx_decode(format, out->decoded, out->wire + 1, count);
    assert_int_equal(gx_encode(format, out->other + 3, values + count / 2, count - count / 2), 0);
    mean_make(out, format, out->wire + 1, out->other + 3, count - count / 2);
    out->checked = gx_format_check(format, out->wire + 1, 0, bytes, count);
}

static void outputs_compare(enum gx_format format, uint64_t count)
{
    assert_memory_equal(plain->wire + 1, vector->wire + 1, gx_wire_bytes(format, count));
    assert_memory_equal(plain->decoded, vector->decoded, count * sizeof(float));
    assert_memory_equal(plain->mean + 1, vector->mean + 1, (count - count / 2) * sizeof(float));
    assert_int_equal(plain->checked, vector->checked);
}

static void need(const char *isa)
{
    if (!gx_format_use(isa))
        return;
    print_message("skip: this CPU has no %s\n", isa);
    skip();
}

static void kernel_equals_plain(const char *isa)
{
    need(isa);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t count = round < 8 ? 1 + round * 49 : 1 + random_next(&seed) % VALUES_MAX;
        values_fill(values, count, random_next(&seed));
        for (uint32_t f = 0; f < GX_FORMAT_COUNT; f++) {
            assert_int_equal(gx_format_use("plain"), 0);
            outputs_make(plain, (enum gx_format)f, count, 0xa5);
            assert_int_equal(gx_format_use(isa), 0);
            outputs_make(vector, (enum gx_format)f, count, 0x5a);
            outputs_compare((enum gx_format)f, count);
        }
    }
}

/* Bytes that no encoder makes must decode the same too: gxd may meet them. NaNs of fp32 and bf16
 * are left out. */
static void kernel_decodes_any_bytes_like_plain(const char *isa)
{
    need(isa);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < WIRE_MAX; i++)
            plain->wire[i] = (uint8_t)random_next(&seed);
        uint64_t count = VALUES_MAX - 200 - round;
        for (uint32_t f = GX_INT8; f < GX_FORMAT_COUNT; f++) {
            assert_int_equal(gx_format_use("plain"), 0);
            gx_decode((enum gx_format)f, plain->decoded, plain->wire, VALUES_MAX);
            mean_make(plain, (enum gx_format)f, plain->wire, plain->wire + 7, count);
            assert_int_equal(gx_format_use(isa), 0);
            gx_decode((enum gx_format)f, vector->decoded, plain->wire, VALUES_MAX);
            mean_make(vector, (enum gx_format)f, plain->wire, plain->wire + 7, count);
            assert_memory_equal(plain->decoded, vector->decoded, sizeof(plain->decoded));
            assert_memory_equal(plain->mean + 1, vector->mean + 1, count * sizeof(float));
        }
    }
}

static void kernel_refuses_like_plain(const char *isa)
{
    need(isa);
    for (uint32_t at = 0; at < 256; at++) {
        values_fill(values, 256, random_next(&seed));
        values[at] = float_from(at % 2 ? 0x7f800000 : 0xffc00000);
        for (uint32_t f = 0; f < GX_FORMAT_COUNT; f++)
            assert_true(gx_encode((enum gx_format)f, vector->wire, values, 256) != 0);
        memcpy(vector->wire, values, 1024);
        assert_true(gx_format_check(GX_FP32, vector->wire, 0, 1024, 256) != 0);
        memset(vector->wire, 0x11, 512);
        memcpy(vector->wire + 2 * at, at % 2 ? "\x80\x7f" : "\xc0\xff", 2);
        assert_true(gx_format_check(GX_BF16, vector->wire, 0, 512, 256) != 0);
    }
}

static void avx2_equals_plain(void **state)
{
    (void)state;
    kernel_equals_plain("avx2");
}

static void avx2_decodes_any_bytes_like_plain(void **state)
{
    (void)state;
    kernel_decodes_any_bytes_like_plain("avx2");
}

static void avx2_refuses_like_plain(void **state)
{
    (void)state;
    kernel_refuses_like_plain("avx2");
}

static void avx512_equals_plain(void **state)
{
    (void)state;
    kernel_equals_plain("avx512");
}

static void avx512_decodes_any_bytes_like_plain(void **state)
{
    (void)state;
    kernel_decodes_any_bytes_like_plain("avx512");
}

static void avx512_refuses_like_plain(void **state)
{
    (void)state;
    kernel_refuses_like_plain("avx512");
}

static void plain_refuses(void **state)
{
    (void)state;
    kernel_refuses_like_plain("plain");
}

static void an_unknown_kernel_is_refused(void **state)
{
    (void)state;
    assert_true(gx_format_use("neon2") < 0);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
    printf("seed %llu (an argument replays it)\n", (unsigned long long)seed);
    plain = malloc(sizeof(*plain));
    vector = malloc(sizeof(*vector));
    values = malloc(VALUES_MAX * sizeof(float));
    if (!plain || !vector || !values)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(avx2_equals_plain),
        cmocka_unit_test(avx2_decodes_any_bytes_like_plain),
        cmocka_unit_test(avx2_refuses_like_plain),
        cmocka_unit_test(avx512_equals_plain),
        cmocka_unit_test(avx512_decodes_any_bytes_like_plain),
        cmocka_unit_test(avx512_refuses_like_plain),
        cmocka_unit_test(plain_refuses),
        cmocka_unit_test(an_unknown_kernel_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(plain), free(vector), free(values);
    return failed;
}
