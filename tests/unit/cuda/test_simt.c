/* tests/simt: what the emulation computes, and that it notices what kernels do wrong. */
#include "bits.h"
#include "fault.h"
#include "simt/samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 5u
#define WIDTH 64u

static float small_float(void)
{
    return (float)(rand() % 33 - 16) / 8; /* exact in bf16, and so are products and sums in FP32 */
}

static float *fresh(size_t count)
{
    float *x = gx_simt_alloc(count * sizeof(*x));
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = small_float();
    return x;
}

/* ---- what is right ---- */

static bool turns(void (*sample)(float *y, const float *x, uint32_t rows))
{
    float *x = fresh(ROWS * WIDTH), *y = gx_simt_alloc(ROWS * WIDTH * sizeof(*y));
    bool right = true;
    sample(y, x, ROWS);
    for (size_t i = 0; i < ROWS * WIDTH; i++)
        right &= y[i] == x[i / WIDTH * WIDTH + WIDTH - 1 - i % WIDTH];
    gx_simt_free(x);
    gx_simt_free(y);
    return right;
}

static bool turn_is_right(void *arg)
{
    (void)arg;
    return turns(sample_turn);
}

static bool turn_async_is_right(void *arg)
{
    (void)arg;
    return turns(sample_turn_async);
}

static void test_barriers_and_copies_order_what_threads_do(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        gx_simt_seed(seed);
        assert_true(turn_is_right(NULL));
        assert_true(turn_async_is_right(NULL));
    }
}

static void test_every_block_runs_once(void **state)
{
    (void)state;
    uint32_t *y = gx_simt_alloc(64 * sizeof(*y));
    memset(y, 0, 64 * sizeof(*y));
    sample_count(y, 44);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(y[i], 44 * 43 / 2);
    gx_simt_free(y);
}

static void test_lanes_exchange_values(void **state)
{
    (void)state;
    float *x = fresh(32), *y = gx_simt_alloc(7 * 32 * sizeof(*y)), sum = 0, max = x[0];
    for (size_t i = 0; i < 32; i++) {
        sum += x[i];
        max = fmaxf(max, x[i]);
    }
    sample_warp(y, x);
    for (size_t i = 0; i < 32; i++) {
        assert_true(y[i] == x[5]);
        assert_true(y[32 + i] == x[i ^ 1]);
        assert_true(y[64 + i] == x[i + 3 < 32 ? i + 3 : i]);
        assert_true(y[96 + i] == x[i >= 3 ? i - 3 : i]);
        assert_true(y[128 + i] == sum);
        assert_true(y[160 + i] == max);
        assert_true(y[192 + i] == (x[i] > 0));
    }
    gx_simt_free(x);
    gx_simt_free(y);
}

static void test_tensor_cores_multiply(void **state)
{
    (void)state;
    uint16_t *a = gx_simt_alloc(16 * 16 * sizeof(*a)), *b = gx_simt_alloc(16 * 8 * sizeof(*b));
    float *c = fresh(16 * 8), want[16 * 8];
    for (size_t i = 0; i < 16 * 16; i++)
        a[i] = (uint16_t)(bits_of(small_float()) >> 16);
    for (size_t i = 0; i < 16 * 8; i++)
        b[i] = (uint16_t)(bits_of(small_float()) >> 16);
    for (size_t i = 0; i < 16 * 8; i++) {
        want[i] = c[i];
        for (size_t k = 0; k < 16; k++)
            want[i] += float_of((uint32_t)a[i / 8 * 16 + k] << 16) *
                       float_of((uint32_t)b[k * 8 + i % 8] << 16);
    }
    sample_multiply(c, a, b);
    for (size_t i = 0; i < 16 * 8; i++)
        assert_true(c[i] == want[i]);
    gx_simt_free(a);
    gx_simt_free(b);
    gx_simt_free(c);
}

/* Between the two neighbours of a value, a share of the random numbers chooses the upper one that is the value's own. */
static void test_bf16_is_rounded(void **state)
{
    (void)state;
    const uint32_t count = 4096, values[] = {0x3f808000, 0x3f818000, 0x3f804000, 0xbf80c000,
                                             0x00008001, 0x7f800000, 0x7fc00001, 0x7f7fffff};
    const uint16_t nearest_of[] = {0x3f80, 0x3f82, 0x3f80, 0xbf81, 0x0001, 0x7f80, 0x7fff, 0x7f80};
    float *x = gx_simt_alloc(count * sizeof(*x));
    uint16_t *nearest = gx_simt_alloc(count * 2), *stochastic = gx_simt_alloc(count * 2);
    uint16_t *random = gx_simt_alloc(count * 2);
    for (size_t v = 0; v < sizeof(values) / sizeof(*values); v++) {
        uint32_t ups = 0, low = values[v] & 0xffff;
        for (uint32_t i = 0; i < count; i++) {
            x[i] = float_of(values[v]);
            random[i] = (uint16_t)(i * 16 + 8);
        }
        sample_round(nearest, stochastic, x, random, count);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(nearest[i], nearest_of[v]);
            ups += stochastic[i] != values[v] >> 16;
        }
        if (!isfinite(x[0]))
            assert_int_equal(stochastic[0], nearest_of[v]);
        else
            assert_in_range(ups, low / 16, low / 16 + 1);
    }
    gx_simt_free(x);
    gx_simt_free(nearest);
    gx_simt_free(stochastic);
    gx_simt_free(random);
}

/* ---- what is noticed ---- */

static void notice_each(enum gx_simt_fault fault, bool (*check)(void *arg), unsigned places)
{
    unsigned found;
    assert_true(fault_each(fault, "samples.cpp", check, NULL, &found));
    assert_true(found >= places);
}

static void test_a_missing_barrier_is_noticed(void **state)
{
    (void)state;
    notice_each(GX_SIMT_NO_BARRIER, turn_is_right, 2);
    notice_each(GX_SIMT_NO_BARRIER, turn_async_is_right, 1);
}

static void test_a_missing_wait_for_copies_is_noticed(void **state)
{
    (void)state;
    notice_each(GX_SIMT_NO_WAIT, turn_async_is_right, 2);
}

static void test_a_short_shared_array_is_noticed(void **state)
{
    (void)state;
    notice_each(GX_SIMT_SHORT_SHARED, turn_async_is_right, 1);
}

static bool buggy_is_right(void *arg)
{
    const enum sample_bug *bug = arg;
    float *x = fresh(WIDTH), *y = gx_simt_alloc(WIDTH * sizeof(*y));
    bool right = true;
    sample_buggy(*bug, y, x);
    for (size_t i = 0; i < WIDTH; i++)
        right &= y[i] == x[i];
    gx_simt_free(x);
    gx_simt_free(y);
    return right;
}

static const char *const bug_names[SAMPLE_BUGS] = {
    [SAMPLE_NO_BUG] = "no bug",
    [SAMPLE_SHARED_WRITE] = "a write beyond shared memory",
    [SAMPLE_SHARED_READ] = "a read beyond shared memory",
    [SAMPLE_GLOBAL_WRITE] = "a write beyond global memory",
    [SAMPLE_GLOBAL_READ] = "a read beyond global memory",
    [SAMPLE_HALF_AT_BARRIER] = "half of the threads at a barrier",
    [SAMPLE_TWO_BARRIERS] = "threads at two barriers",
    [SAMPLE_LANE_MISSING] = "a lane missing from a shuffle",
    [SAMPLE_LANES_DIFFER] = "lanes in different collectives",
    [SAMPLE_EARLY_WAIT] = "a wait for too few copies",
    [SAMPLE_NEVER_WAITS] = "copies under way at the end",
    [SAMPLE_UNALIGNED_COPY] = "an unaligned copy",
    [SAMPLE_DYNAMIC_BEYOND] = "more shared memory than asked for",
    [SAMPLE_TOO_MUCH] = "more shared memory than there is",
    [SAMPLE_EMPTY_GRID] = "a grid of no blocks",
    [SAMPLE_ODD_BLOCK] = "a block of half a warp",
};

static void test_every_bug_is_noticed(void **state)
{
    (void)state;
    for (int bug = SAMPLE_NO_BUG; bug < SAMPLE_BUGS; bug++) {
        unsigned seeds = fault_seeds(buggy_is_right, &(enum sample_bug){(enum sample_bug)bug});
        assert_true((seeds == 0) == (bug == SAMPLE_NO_BUG));
        if (seeds)
            printf("# %s: noticed by seed %u\n", bug_names[bug], seeds);
    }
}

/* Without its barriers, what sample_turn() computes depends on the order. */
static void turn_in_disorder(uint64_t seed, float *y)
{
    float *x = gx_simt_alloc(ROWS * WIDTH * sizeof(*x));
    float *out = gx_simt_alloc(ROWS * WIDTH * sizeof(*out));
    for (size_t i = 0; i < ROWS * WIDTH; i++)
        x[i] = (float)i;
    gx_simt_seed(seed);
    sample_turn(out, x, ROWS);
    memcpy(y, out, ROWS * WIDTH * sizeof(*y));
    gx_simt_free(x);
    gx_simt_free(out);
}

static void test_a_seed_draws_the_same_order_again(void **state)
{
    (void)state;
    float first[ROWS * WIDTH], y[ROWS * WIDTH], again[ROWS * WIDTH];
    unsigned different = 0;
    assert_true(turn_is_right(NULL));
    assert_true(gx_simt_plant(GX_SIMT_NO_BARRIER, 0));
    turn_in_disorder(1, first);
    for (uint64_t seed = 2; seed <= 20; seed++) {
        turn_in_disorder(seed, y);
        turn_in_disorder(seed, again);
        assert_memory_equal(y, again, sizeof(y));
        different += memcmp(first, y, sizeof(y)) != 0;
    }
    gx_simt_plant(GX_SIMT_NO_FAULT, 0);
    assert_true(different > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_barriers_and_copies_order_what_threads_do),
        cmocka_unit_test(test_every_block_runs_once),
        cmocka_unit_test(test_lanes_exchange_values),
        cmocka_unit_test(test_tensor_cores_multiply),
        cmocka_unit_test(test_bf16_is_rounded),
        cmocka_unit_test(test_a_missing_barrier_is_noticed),
        cmocka_unit_test(test_a_missing_wait_for_copies_is_noticed),
        cmocka_unit_test(test_a_short_shared_array_is_noticed),
        cmocka_unit_test(test_every_bug_is_noticed),
        cmocka_unit_test(test_a_seed_draws_the_same_order_again),
    };
    return cmocka_run_group_tests_name("cuda/simt", tests, NULL, NULL);
}
