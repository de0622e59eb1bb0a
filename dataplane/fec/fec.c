#include "fec/fec.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "gx_assert.h"
#include "fec/kernel.h"

#define POLYNOMIAL 0x11du
#define ORDER 255u /* of the multiplicative group */
#define STRIPE_MULTIPLE 64u
#define SCRATCH_BYTES_MAX 65536u

_Static_assert(SCRATCH_BYTES_MAX / GX_FEC_DATA_MAX >= STRIPE_MULTIPLE, "a stripe must fit");

static uint8_t exponentials[2 * ORDER], logarithms[256];
static uint8_t coefficients[GX_FEC_ROWS]
                           [GX_FEC_DATA_MAX]; /* 1/(row ^ column); unused where both are equal */
static const struct gx_fec_kernel *kernel;

static const struct gx_fec_kernel *const kernels[] = {
#ifdef __x86_64__
    &gx_fec_gfni,
    &gx_fec_isal_avx,
#endif
    &gx_fec_isal,
};
#define KERNEL_COUNT (sizeof(kernels) / sizeof(kernels[0]))

/* ---- GF(2^8)
 * ------------------------------------------------------------------------------------------- */

static void field_init(void)
{
    uint32_t x = 1;
    for (uint32_t i = 0; i < ORDER; i++) {
        exponentials[i] = exponentials[i + ORDER] = (uint8_t)x;
        logarithms[x] = (uint8_t)i;
        x = x << 1 ^ (x & 0x80 ? POLYNOMIAL : 0);
    }
}

uint8_t gx_fec_multiply(uint8_t a, uint8_t b)
{
    return a && b ? exponentials[logarithms[a] + logarithms[b]] : 0;
}

static uint8_t inverse(uint8_t a)
{
    return exponentials[ORDER - logarithms[a]];
}

/* ---- kernels
 * ------------------------------------------------------------------------------------------- */

static bool cpu_has(const struct gx_fec_kernel *wanted)
{
    if (wanted == &gx_fec_isal)
        return true;
#ifdef __x86_64__
    __builtin_cpu_init();
    if (wanted == &gx_fec_isal_avx)
        return __builtin_cpu_supports("avx");
    if (wanted == &gx_fec_gfni)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("gfni");
#endif
    return false;
}

/* ISA-L picks AVX2 on Zen 1, whose vector units are 128 bits wide: measured 5.7 GB/s against
 * AVX's 9.7. */
static const struct gx_fec_kernel *kernel_best(void)
{
#ifdef __x86_64__
    if (cpu_has(&gx_fec_gfni))
        return &gx_fec_gfni;
    if (__builtin_cpu_is("znver1"))
        return &gx_fec_isal_avx;
#endif
    return &gx_fec_isal;
}

void gx_fec_init(void)
{
    field_init();
    for (uint32_t row = 0; row < GX_FEC_ROWS; row++)
        for (uint32_t column = 0; column < GX_FEC_DATA_MAX; column++)
            coefficients[row][column] = row == column ? 0 : inverse((uint8_t)(row ^ column));
    for (size_t i = 0; i < KERNEL_COUNT; i++)
        if (cpu_has(kernels[i]))
            kernels[i]->init();
    kernel = kernel_best();
}

const char *gx_fec_kernel_name(void)
{
    return kernel->name;
}

int gx_fec_kernel_use(const char *name)
{
    for (size_t i = 0; i < KERNEL_COUNT; i++) {
        if (strcmp(kernels[i]->name, name) != 0)
            continue;
        if (!cpu_has(kernels[i]))
            return -ENOTSUP;
        kernel = kernels[i];
        return 0;
    }
    return -EINVAL;
}

/* ---- parity rows
 * --------------------------------------------------------------------------------------- */

void gx_fec_rows(uint32_t k, uint32_t row_count, const uint8_t *rows, const uint8_t *const *data,
                 uint32_t shard_bytes, uint8_t *const *out)
{
    uint8_t matrix[GX_FEC_GROUP * GX_FEC_DATA_MAX];
    GX_ASSERT(k >= 1 && k <= GX_FEC_DATA_MAX && shard_bytes % STRIPE_MULTIPLE == 0);
    for (uint32_t done = 0; done < row_count; done += GX_FEC_GROUP) {
        uint32_t n = row_count - done < GX_FEC_GROUP ? row_count - done : GX_FEC_GROUP;
        for (uint32_t i = 0; i < n; i++) {
            GX_ASSERT(rows[done + i] >= k);
            memcpy(matrix + i * k, coefficients[rows[done + i]], k);
        }
        kernel->dot(&(struct gx_fec_dot){shard_bytes, k, n, matrix, data, NULL, out + done});
    }
}

void gx_fec_row(uint32_t k, uint32_t row, const uint8_t *const *data, uint32_t shard_bytes,
                uint8_t *out)
{
    GX_ASSERT(row < GX_FEC_ROWS);
    gx_fec_rows(k, 1, &(uint8_t){(uint8_t)row}, data, shard_bytes, &out);
}

/* ---- decoding
 * ------------------------------------------------------------------------------------------ */

/* What of a block is there, and what is missing. */
struct erasures {
    uint32_t present_count, missing_count;
    uint8_t present[GX_FEC_DATA_MAX]; /* data rows */
    uint8_t missing[GX_FEC_DATA_MAX]; /* data rows */
    uint8_t parity[GX_FEC_DATA_MAX];  /* [missing_count] the parity rows that lie in their slots */
};

static int erasures_find(struct erasures *e, uint32_t k, const uint8_t *rows)
{
    bool seen[GX_FEC_ROWS] = {false};
    e->present_count = e->missing_count = 0;
    for (uint32_t i = 0; i < k; i++) {
        if (rows[i] == i) {
            e->present[e->present_count++] = (uint8_t)i;
            continue;
        }
        if (rows[i] < k || seen[rows[i]])
            return -EINVAL;
        seen[rows[i]] = true;
        e->missing[e->missing_count] = (uint8_t)i;
        e->parity[e->missing_count++] = rows[i];
    }
    return 0;
}

/* The logarithm of the product over all i of (x ^ values[i]) where that is not 0. */
static uint32_t log_product(const uint8_t *values, uint32_t count, uint8_t x)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        if (values[i] != x)
            sum += logarithms[values[i] ^ x];
    return sum % ORDER;
}

/* The inverse of the Cauchy matrix 1/(x_i ^ y_j), x the parity rows, y the missing data rows, in
 * closed form (Schechter, "On the inversion of certain matrices", 1959; Knuth, TAOCP 1, 1.2.3
 * exercise 41): b_ij = prod_m (x_j ^ y_m)(x_m ^ y_i) / ((x_j ^ y_i) prod_{m != j} (x_j ^ x_m)
 * prod_{m != i} (y_i ^ y_m)). */
static void cauchy_invert(const struct erasures *e, uint8_t *inverted)
{
    const uint8_t *x = e->parity, *y = e->missing;
    uint32_t n = e->missing_count, row_log[GX_FEC_DATA_MAX], column_log[GX_FEC_DATA_MAX];
    for (uint32_t i = 0; i < n; i++) {
        row_log[i] = log_product(x, n, y[i]) + ORDER - log_product(y, n, y[i]);
        column_log[i] = log_product(y, n, x[i]) + ORDER - log_product(x, n, x[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++) {
            uint32_t sum = row_log[i] + column_log[j] + ORDER - logarithms[x[j] ^ y[i]];
            inverted[i * n + j] = exponentials[sum % ORDER];
        }
}

/* Columns at .. at + bytes - 1 of a block: where everything lies. */
struct stripe {
    uint32_t bytes;
    const uint8_t *present[GX_FEC_DATA_MAX];
    uint8_t *missing[GX_FEC_DATA_MAX];
    uint8_t *syndromes[GX_FEC_DATA_MAX];
};

static void stripe_place(struct stripe *stripe, const struct erasures *e, uint8_t *const *slots,
                         uint8_t *scratch, uint32_t at)
{
    for (uint32_t i = 0; i < e->present_count; i++)
        stripe->present[i] = slots[e->present[i]] + at;
    for (uint32_t i = 0; i < e->missing_count; i++) {
        stripe->missing[i] = slots[e->missing[i]] + at;
        stripe->syndromes[i] = scratch + (size_t)i * stripe->bytes;
    }
}

/* What each parity row says of the missing data alone: the row less what the present data adds to
 * it. */
static void syndromes_make(const struct stripe *stripe, const struct erasures *e)
{
    uint8_t matrix[GX_FEC_GROUP * GX_FEC_DATA_MAX];
    uint32_t columns = e->present_count;
    for (uint32_t done = 0; done < e->missing_count; done += GX_FEC_GROUP) {
        uint32_t left = e->missing_count - done, n = left < GX_FEC_GROUP ? left : GX_FEC_GROUP;
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < columns; j++)
                matrix[i * columns + j] = coefficients[e->parity[done + i]][e->present[j]];
        kernel->dot(&(struct gx_fec_dot){stripe->bytes, columns, n, matrix, stripe->present,
                                         (const uint8_t *const *)stripe->missing + done,
                                         stripe->syndromes + done});
    }
}

static void missing_rebuild(const struct stripe *stripe, uint32_t missing_count,
                            const uint8_t *inverted)
{
    const uint8_t *sources[GX_FEC_DATA_MAX];
    for (uint32_t i = 0; i < missing_count; i++)
        sources[i] = stripe->syndromes[i];
    for (uint32_t done = 0; done < missing_count; done += GX_FEC_GROUP) {
        uint32_t left = missing_count - done, n = left < GX_FEC_GROUP ? left : GX_FEC_GROUP;
        kernel->dot(&(struct gx_fec_dot){stripe->bytes, missing_count, n,
                                         inverted + done * missing_count, sources, NULL,
                                         stripe->missing + done});
    }
}

size_t gx_fec_scratch_bytes(uint32_t shard_bytes)
{
    size_t all = (size_t)shard_bytes * GX_FEC_DATA_MAX;
    return all < SCRATCH_BYTES_MAX ? all : SCRATCH_BYTES_MAX;
}

/* As wide as the syndromes of all missing rows fit into the scratch memory. */
static uint32_t stripe_bytes_max(uint32_t missing_count, uint32_t shard_bytes)
{
    uint32_t bytes = SCRATCH_BYTES_MAX / missing_count / STRIPE_MULTIPLE * STRIPE_MULTIPLE;
    return bytes < shard_bytes ? bytes : shard_bytes;
}

int gx_fec_decode(uint32_t k, uint32_t shard_bytes, uint8_t *const *slots, const uint8_t *rows,
                  void *scratch)
{
    uint8_t inverted[GX_FEC_DATA_MAX * GX_FEC_DATA_MAX];
    struct erasures e;
    struct stripe stripe;
    GX_ASSERT(k >= 1 && k <= GX_FEC_DATA_MAX && shard_bytes % STRIPE_MULTIPLE == 0);
    int status = erasures_find(&e, k, rows);
    if (status || !e.missing_count)
        return status;
    cauchy_invert(&e, inverted);
    uint32_t stripe_bytes = stripe_bytes_max(e.missing_count, shard_bytes);
    for (uint32_t at = 0; at < shard_bytes; at += stripe_bytes) {
        stripe.bytes = shard_bytes - at < stripe_bytes ? shard_bytes - at : stripe_bytes;
        stripe_place(&stripe, &e, slots, scratch, at);
        syndromes_make(&stripe, &e);
        missing_rebuild(&stripe, e.missing_count, inverted);
    }
    return 0;
}
