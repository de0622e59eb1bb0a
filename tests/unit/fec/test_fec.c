/* The code against an independent, naive GF(2^8) written here, for every kernel that this CPU has. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include <isa-l/erasure_code.h>

#include "fec/fec.h"

#define GUARD 0xa5
#define GUARD_BYTES 64u
#define SHARD_BYTES_MAX 8896u
#define ROUNDS 400u

static const char *const kernels[] = {"isal", "isal-avx", "gfni-avx2", "gfni"};
static uint64_t seed;

static uint32_t random_below(uint32_t bound)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % bound);
}

/* ---- the naive field ----------------------------------------------------------------------------------- */

static uint8_t slow_multiply(uint8_t a, uint8_t b)
{
    uint32_t product = 0, x = a;
    for (uint32_t bit = 0; bit < 8; bit++, x <<= 1)
        if (b >> bit & 1)
            product ^= x;
    for (uint32_t bit = 15; bit >= 8; bit--)
        if (product >> bit & 1)
            product ^= 0x11du << (bit - 8);
    return (uint8_t)product;
}

static uint8_t slow_inverse(uint8_t a)
{
    for (uint32_t b = 1; b < 256; b++)
        if (slow_multiply(a, (uint8_t)b) == 1)
            return (uint8_t)b;
    fail_msg("0 has no inverse");
    return 0;
}

static uint8_t products[256][256], inverses[256];

static void slow_row(uint32_t k, uint32_t row, uint8_t *const *data, uint32_t bytes, uint8_t *out)
{
    memset(out, 0, bytes);
    for (uint32_t j = 0; j < k; j++)
        for (uint32_t i = 0; i < bytes; i++)
            out[i] ^= products[inverses[row ^ j]][data[j][i]];
}

/* ---- a block of rows, each between guards ---------------------------------------------------------------- */

struct block {
    uint32_t k, bytes;
    uint8_t *data[GX_FEC_DATA_MAX];  /* as sent */
    uint8_t *slots[GX_FEC_DATA_MAX]; /* as received */
    uint8_t rows[GX_FEC_DATA_MAX];
    uint8_t *scratch;
};

/* One off the alignment of malloc: nothing may depend on it. */
static uint8_t *guarded_alloc(size_t bytes)
{
    uint8_t *memory = malloc(bytes + 2 * GUARD_BYTES);
    assert_non_null(memory);
    memset(memory, GUARD, bytes + 2 * GUARD_BYTES);
    return memory + GUARD_BYTES - 1;
}

static void guarded_free(uint8_t *memory, size_t bytes)
{
    const uint8_t *before = memory - (GUARD_BYTES - 1), *after = memory + bytes;
    for (uint32_t i = 0; i < GUARD_BYTES - 1; i++)
        assert_int_equal(before[i], GUARD);
    for (uint32_t i = 0; i < GUARD_BYTES + 1; i++)
        assert_int_equal(after[i], GUARD);
    free(memory - (GUARD_BYTES - 1));
}

static void block_create(struct block *block, uint32_t k, uint32_t bytes)
{
    block->k = k;
    block->bytes = bytes;
    for (uint32_t i = 0; i < k; i++) {
        block->data[i] = guarded_alloc(bytes);
        block->slots[i] = guarded_alloc(bytes);
        block->rows[i] = (uint8_t)i;
        for (uint32_t b = 0; b < bytes; b++)
            block->data[i][b] = (uint8_t)random_below(256);
        memcpy(block->slots[i], block->data[i], bytes);
    }
    block->scratch = guarded_alloc(gx_fec_scratch_bytes(bytes));
}

static void block_destroy(struct block *block)
{
    for (uint32_t i = 0; i < block->k; i++) {
        guarded_free(block->data[i], block->bytes);
        guarded_free(block->slots[i], block->bytes);
    }
    guarded_free(block->scratch, gx_fec_scratch_bytes(block->bytes));
}

/* Data row i is lost and its slot receives parity row `row`. */
static void block_lose(struct block *block, uint32_t i, uint32_t row)
{
    memset(block->slots[i], GUARD, block->bytes);
    gx_fec_row(block->k, row, (const uint8_t *const *)block->data, block->bytes, block->slots[i]);
    block->rows[i] = (uint8_t)row;
}

static int block_decode(struct block *block)
{
    return gx_fec_decode(block->k, block->bytes, block->slots, block->rows, block->scratch);
}

static void block_check(const struct block *block)
{
    for (uint32_t i = 0; i < block->k; i++)
        assert_memory_equal(block->slots[i], block->data[i], block->bytes);
}

/* `count` distinct numbers from first .. first + range - 1. */
static void pick_distinct(uint8_t *picked, uint32_t count, uint32_t first, uint32_t range)
{
    uint8_t all[256];
    for (uint32_t i = 0; i < range; i++)
        all[i] = (uint8_t)(first + i);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t other = i + random_below(range - i);
        picked[i] = all[other];
        all[other] = all[i];
    }
}

static void block_lose_random(struct block *block, uint32_t missing_count)
{
    uint8_t missing[GX_FEC_DATA_MAX], rows[GX_FEC_DATA_MAX];
    pick_distinct(missing, missing_count, 0, block->k);
    pick_distinct(rows, missing_count, block->k, GX_FEC_ROWS - block->k);
    for (uint32_t i = 0; i < missing_count; i++)
        block_lose(block, missing[i], rows[i]);
}

static void with_each_kernel(void (*body)(void))
{
    uint32_t tried = 0;
    for (uint32_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
        int status = gx_fec_kernel_use(kernels[i]);
        if (status == -ENOTSUP)
            continue;
        assert_int_equal(status, 0);
        assert_string_equal(gx_fec_kernel_name(), kernels[i]);
        body();
        tried++;
    }
    assert_true(tried >= 1);
}

/* ---- tests --------------------------------------------------------------------------------------------- */

static void rows_equal_naive_body(void)
{
    static const uint32_t ks[] = {1, 2, 3, 7, 61, 64, 127, 128};
    uint8_t *expected = guarded_alloc(320), *got = guarded_alloc(320);
    for (uint32_t t = 0; t < sizeof(ks) / sizeof(ks[0]); t++) {
        struct block block;
        block_create(&block, ks[t], 320);
        for (uint32_t row = block.k; row < GX_FEC_ROWS; row++) {
            slow_row(block.k, row, block.data, block.bytes, expected);
            memset(got, GUARD, block.bytes);
            gx_fec_row(block.k, row, (const uint8_t *const *)block.data, block.bytes, got);
            assert_memory_equal(got, expected, block.bytes);
        }
        block_destroy(&block);
    }
    guarded_free(expected, 320), guarded_free(got, 320);
}

static void parity_rows_equal_the_naive_code(void **state)
{
    (void)state;
    with_each_kernel(rows_equal_naive_body);
}

static void rows_together_body(void)
{
    for (uint32_t count = 0; count <= 20; count++) {
        struct block block;
        uint8_t rows[20], *out[20], *one = guarded_alloc(1408);
        block_create(&block, 64, 1408);
        pick_distinct(rows, count, 64, 192);
        for (uint32_t i = 0; i < count; i++)
            out[i] = guarded_alloc(1408);
        gx_fec_rows(64, count, rows, (const uint8_t *const *)block.data, 1408, out);
        for (uint32_t i = 0; i < count; i++) {
            gx_fec_row(64, rows[i], (const uint8_t *const *)block.data, 1408, one);
            assert_memory_equal(out[i], one, 1408);
            guarded_free(out[i], 1408);
        }
        guarded_free(one, 1408);
        block_destroy(&block);
    }
}

static void rows_made_together_equal_rows_made_alone(void **state)
{
    (void)state;
    with_each_kernel(rows_together_body);
}

static void isa_l_rows(const struct block *block, uint32_t count, const uint8_t *rows,
                       uint8_t **out)
{
    static uint8_t coefficients[20 * GX_FEC_DATA_MAX], expanded[20 * GX_FEC_DATA_MAX * 32];
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < block->k; j++)
            coefficients[i * block->k + j] = gf_inv((uint8_t)(rows[i] ^ j));
    ec_init_tables((int)block->k, (int)count, coefficients, expanded);
    ec_encode_data((int)block->bytes, (int)block->k, (int)count, expanded,
                   (uint8_t **)(uintptr_t)block->data, out);
}

static void isa_l_body(void)
{
    for (uint32_t count = 1; count <= 20; count++) {
        struct block block;
        uint8_t rows[20], *ours[20], *theirs[20];
        uint32_t k = 1 + random_below(GX_FEC_DATA_MAX);
        block_create(&block, k, 64 * (1 + random_below(40)));
        pick_distinct(rows, count, k, GX_FEC_ROWS - k);
        for (uint32_t i = 0; i < count; i++) {
            ours[i] = guarded_alloc(block.bytes);
            theirs[i] = guarded_alloc(block.bytes);
        }
        isa_l_rows(&block, count, rows, theirs);
        gx_fec_rows(k, count, rows, (const uint8_t *const *)block.data, block.bytes, ours);
        for (uint32_t i = 0; i < count; i++) {
            assert_memory_equal(ours[i], theirs[i], block.bytes);
            guarded_free(ours[i], block.bytes), guarded_free(theirs[i], block.bytes);
        }
        block_destroy(&block);
    }
}

static void rows_equal_those_of_isa_l(void **state)
{
    (void)state;
    with_each_kernel(isa_l_body);
}

static void holders_body(void)
{
    /* A holder that received the data by way of decoding makes the rows that the owner makes. */
    struct block block;
    uint8_t *owners = guarded_alloc(1408), *holders = guarded_alloc(1408);
    block_create(&block, 62, 1408);
    block_lose_random(&block, 20);
    assert_int_equal(block_decode(&block), 0);
    for (uint32_t row = 62; row < GX_FEC_ROWS; row++) {
        gx_fec_row(62, row, (const uint8_t *const *)block.data, 1408, owners);
        gx_fec_row(62, row, (const uint8_t *const *)block.slots, 1408, holders);
        assert_memory_equal(owners, holders, 1408);
    }
    guarded_free(owners, 1408), guarded_free(holders, 1408);
    block_destroy(&block);
}

static void every_holder_makes_the_same_rows(void **state)
{
    (void)state;
    with_each_kernel(holders_body);
}

static void every_subset_body(void)
{
    /* k = 3, rows 0 to 7 and 252 to 255: every set of three distinct rows, every order in the missing slots. */
    static const uint8_t rows[] = {0, 1, 2, 3, 4, 5, 6, 7, 252, 253, 254, 255};
    const uint32_t n = sizeof(rows);
    uint32_t tried = 0;
    for (uint32_t a = 0; a < n; a++)
        for (uint32_t b = 0; b < n; b++)
            for (uint32_t c = 0; c < n; c++) {
                uint8_t chosen[3] = {rows[a], rows[b], rows[c]};
                bool valid = a != b && b != c && a != c;
                for (uint32_t i = 0; i < 3; i++)
                    valid = valid && (chosen[i] == i || chosen[i] >= 3);
                if (!valid)
                    continue;
                struct block block;
                block_create(&block, 3, 64);
                for (uint32_t i = 0; i < 3; i++)
                    if (chosen[i] != i)
                        block_lose(&block, i, chosen[i]);
                assert_int_equal(block_decode(&block), 0);
                block_check(&block);
                block_destroy(&block);
                tried++;
            }
    /* e missing: C(3,e) choices of slots, 9!/(9-e)! assignments of the 9 parity rows. */
    assert_int_equal(tried, 1 + 3 * 9 + 3 * 9 * 8 + 9 * 8 * 7);
}

static void every_subset_of_a_small_code_rebuilds(void **state)
{
    (void)state;
    with_each_kernel(every_subset_body);
}

static void random_erasures_body(void)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct block block;
        uint32_t k = 1 + random_below(GX_FEC_DATA_MAX);
        block_create(&block, k, 64 * (1 + random_below(round % 16 ? 24 : SHARD_BYTES_MAX / 64)));
        block_lose_random(&block, random_below(k + 1));
        assert_int_equal(block_decode(&block), 0);
        block_check(&block);
        block_destroy(&block);
    }
}

static void any_k_distinct_rows_rebuild(void **state)
{
    (void)state;
    with_each_kernel(random_erasures_body);
}

static void all_missing_body(void)
{
    static const uint32_t ks[] = {1, 2, 63, 64, 65, 127, 128};
    for (uint32_t t = 0; t < sizeof(ks) / sizeof(ks[0]); t++) {
        struct block block;
        block_create(&block, ks[t], 1408);
        block_lose_random(&block, ks[t]);
        assert_int_equal(block_decode(&block), 0);
        block_check(&block);
        block_destroy(&block);
    }
}

static void parity_alone_rebuilds_everything(void **state)
{
    (void)state;
    with_each_kernel(all_missing_body);
}

static void large_shards_body(void)
{
    static const uint32_t missing[] = {1, 2, 7, 8, 9, 40, 128};
    for (uint32_t t = 0; t < sizeof(missing) / sizeof(missing[0]); t++) {
        struct block block;
        block_create(&block, 128, SHARD_BYTES_MAX);
        block_lose_random(&block, missing[t]);
        assert_int_equal(block_decode(&block), 0);
        block_check(&block);
        block_destroy(&block);
    }
}

static void shards_larger_than_a_stripe_rebuild(void **state)
{
    (void)state;
    with_each_kernel(large_shards_body);
}

static void a_whole_block_is_left_alone(void **state)
{
    (void)state;
    struct block block;
    block_create(&block, 64, 1408);
    assert_int_equal(block_decode(&block), 0);
    block_check(&block);
    block_destroy(&block);
}

static void wrong_parity_does_not_pass_unnoticed(void **state)
{
    (void)state;
    struct block block;
    block_create(&block, 16, 128);
    block_lose(&block, 3, 20);
    block.rows[3] = 21;
    assert_int_equal(block_decode(&block), 0);
    assert_memory_not_equal(block.slots[3], block.data[3], 128);
    block_destroy(&block);
}

static void inconsistent_rows_are_refused_and_nothing_changes(void **state)
{
    (void)state;
    struct block block;
    block_create(&block, 16, 128);
    block.rows[2] = block.rows[5] = 40;
    assert_int_equal(block_decode(&block), -EINVAL); /* a parity row twice */
    block.rows[2] = 7;
    assert_int_equal(block_decode(&block), -EINVAL); /* a data row in another's slot */
    block.rows[2] = 15;
    block.rows[15] = 2;
    assert_int_equal(block_decode(&block), -EINVAL);
    block_check(&block);
    block_destroy(&block);
}

static void an_unknown_kernel_is_refused(void **state)
{
    (void)state;
    assert_int_equal(gx_fec_kernel_use("neon"), -EINVAL);
}

static void tables_make(void)
{
    for (uint32_t a = 0; a < 256; a++) {
        for (uint32_t b = 0; b < 256; b++)
            products[a][b] = slow_multiply((uint8_t)a, (uint8_t)b);
        inverses[a] = a ? slow_inverse((uint8_t)a) : 0;
    }
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
    printf("seed %llu (an argument replays it)\n", (unsigned long long)seed);
    tables_make();
    gx_fec_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parity_rows_equal_the_naive_code),
        cmocka_unit_test(rows_made_together_equal_rows_made_alone),
        cmocka_unit_test(rows_equal_those_of_isa_l),
        cmocka_unit_test(every_holder_makes_the_same_rows),
        cmocka_unit_test(every_subset_of_a_small_code_rebuilds),
        cmocka_unit_test(any_k_distinct_rows_rebuild),
        cmocka_unit_test(parity_alone_rebuilds_everything),
        cmocka_unit_test(shards_larger_than_a_stripe_rebuild),
        cmocka_unit_test(a_whole_block_is_left_alone),
        cmocka_unit_test(wrong_parity_does_not_pass_unnoticed),
        cmocka_unit_test(inconsistent_rows_are_refused_and_nothing_changes),
        cmocka_unit_test(an_unknown_kernel_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
