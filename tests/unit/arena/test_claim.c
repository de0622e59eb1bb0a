/* A claim is the digest that gxd will compute, whatever the format and length. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arena/claim.h"
#include "transfer/digest.h"

#define VALUES 200001u

static float *values_random(void)
{
    float *values = malloc(VALUES * sizeof(float));
    uint32_t x = 12345;

    for (uint32_t i = 0; i < VALUES; i++) {
        x = x * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)x * 1e-9f;
    }
    return values;
}

static void check(enum gx_format format, const float *values, uint64_t count)
{
    uint64_t bytes = gx_wire_bytes(format, count);
    uint8_t *wire = malloc(bytes + 1), *whole = malloc(bytes), claim[GX_CLAIM_BYTES];
    struct gx_digest digest;

    memset(wire, 0xa5, bytes + 1);
    assert_int_equal(gx_claim_encode(format, wire, values, count, claim), 0);
    assert_int_equal(gx_encode(format, whole, values, count), 0);
    assert_memory_equal(wire, whole, bytes);
    assert_int_equal(wire[bytes], 0xa5);
    gx_digest_bytes(GX_XXH3, wire, bytes, &digest);
    assert_memory_equal(claim, digest.b, sizeof(claim));
    free(wire);
    free(whole);
}

static void a_claim_is_the_first_half_of_the_digest(void **state)
{
    static const uint64_t counts[] = {1,     127,   128,   16383,  16384, 16385,
                                      32768, 65536, 65537, 131072, VALUES};
    float *values = values_random();

    (void)state;
    for (int format = 0; format < GX_FORMAT_COUNT; format++)
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
            check((enum gx_format)format, values, counts[i]);
    free(values);
}

static void a_value_that_is_not_finite_is_refused(void **state)
{
    float *values = values_random(), *wire = malloc(VALUES * sizeof(float));
    uint8_t claim[GX_CLAIM_BYTES];

    (void)state;
    values[VALUES - 1] = INFINITY;
    assert_int_equal(gx_claim_encode(GX_FP32, wire, values, VALUES, claim), -EDOM);
    free(values);
    free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_claim_is_the_first_half_of_the_digest),
        cmocka_unit_test(a_value_that_is_not_finite_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
