/* Prints digests of what must be the same bytes from every compiler, flag and instruction set: encoded contributions,
 * decoded values, accumulations, parity. The test runner compares the output of several builds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fec/fec.h"
#include "format/format.h"
#include "tests/unit/format/values.h"

#define VALUES 100003u /* a short last block */
#define K 61u
#define SHARD_BYTES 1408u
#define ROWS 5u

static uint64_t random_state = 20240520;

/* FNV-1a, 64 bits. */
static uint64_t digest(const void *bytes, size_t count)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < count; i++)
        h = (h ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    return h;
}

static void *allocate(size_t bytes)
{
    void *p = calloc(1, bytes);
    if (!p)
        abort();
    return p;
}

static void print_formats(void)
{
    float *src = allocate(VALUES * sizeof(float));
    float *back = allocate(VALUES * sizeof(float));
    float *sum = allocate(VALUES * sizeof(float));
    void *wire = allocate(VALUES * sizeof(float));
    values_fill(src, VALUES, 20240520);
    for (uint32_t f = 0; f < GX_FORMAT_COUNT; f++) {
        enum gx_format format = (enum gx_format)f;
        uint64_t bytes = gx_wire_bytes(format, VALUES);
        if (gx_encode(format, wire, src, VALUES) != 0)
            abort();
        gx_decode(format, back, wire, VALUES);
        struct gx_format_cohort cohort = {format, 2, {wire, wire}, {1.0f / 3, 2.0f / 3}};
        gx_format_mean(&cohort, sum, 0, VALUES);
        printf("%s: encoded %016llx decoded %016llx mean %016llx\n", gx_format_name(format),
               (unsigned long long)digest(wire, bytes),
               (unsigned long long)digest(back, VALUES * sizeof(float)),
               (unsigned long long)digest(sum, VALUES * sizeof(float)));
    }
    free(src);
    free(back);
    free(sum);
    free(wire);
}

static void print_parity(void)
{
    static uint8_t data[K][SHARD_BYTES], parity[ROWS][SHARD_BYTES];
    static const uint8_t rows[ROWS] = {K, K + 1, 100, 200, 255};
    const uint8_t *in[K];
    uint8_t *out[ROWS];
    for (uint32_t i = 0; i < K; i++) {
        in[i] = data[i];
        for (uint32_t j = 0; j < SHARD_BYTES; j++)
            data[i][j] = (uint8_t)random_next(&random_state);
    }
    for (uint32_t i = 0; i < ROWS; i++)
        out[i] = parity[i];
    gx_fec_rows(K, ROWS, rows, in, SHARD_BYTES, out);
    printf("fec: %016llx\n", (unsigned long long)digest(parity, sizeof(parity)));
}

int main(void)
{
    static const char *const isas[] = {"plain", "avx2", "avx512"};
    static const char *const kernels[] = {"isal", "isal-avx", "gfni"};
    gx_fec_init();
    for (size_t i = 0; i < sizeof(isas) / sizeof(isas[0]); i++) {
        random_state = 20240520;
        if (gx_format_use(isas[i]) == 0) {
            printf("%s:\n", isas[i]);
            print_formats();
        }
    }
    for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
        random_state = 20240520;
        if (gx_fec_kernel_use(kernels[i]) == 0) {
            printf("%s:\n", kernels[i]);
            print_parity();
        }
    }
    return 0;
}
