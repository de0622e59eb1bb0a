/* What encoding, decoding and the mean of a cohort cost. From memory, beside a copy of as many bytes: the mean in one pass,
 * as it is made, and member by member through a buffer, as it was until then. From cache: each instruction set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format/format.h"

#define VALUES (8u << 20)
#define CACHED 65536u /* values that stay in the second-level cache */
#define SLICE 16384u  /* values at a time, as the core's jobs take them */
#define CHUNK 1024u   /* values decoded into a buffer */
#define MEMBERS_MAX 8u
#define ROUNDS 15u

static float *values, *mean, *buffer;
static uint8_t *copy;
static struct gx_format_cohort cohort;
static uint64_t count, repeats; /* values a pass, passes */

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *must(size_t bytes)
{
    void *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);

    if (memory == NULL)
        abort();
    return memset(memory, 0, bytes);
}

/* ---- the ways ---- */

static void in_one_pass(void)
{
    for (uint64_t first = 0; first < count; first += SLICE)
        gx_format_mean(&cohort, mean + first, first, SLICE);
}

/* As good as the kernels that were: the compiler's vectors, of the width of this CPU. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static void
add(float *restrict acc, const float *restrict from, float scale)
{
    for (uint32_t i = 0; i < CHUNK; i++) {
        float product = scale * from[i];
        acc[i] += product;
    }
}

static void member_add(uint32_t m, uint64_t first)
{
    const uint8_t *wire = cohort.members[m];

    wire += first / CHUNK * gx_wire_bytes(cohort.format, CHUNK);
    if (cohort.format == GX_FP32) {
        add(mean + first, (const float *)(const void *)wire, cohort.scales[m]);
        return;
    }
    gx_decode(cohort.format, buffer, wire, CHUNK);
    add(mean + first, buffer, cohort.scales[m]);
}

static void member_by_member(void)
{
    for (uint64_t first = 0; first < count; first += SLICE) {
        memset(mean + first, 0, SLICE * sizeof(float));
        for (uint32_t m = 0; m < cohort.member_count; m++)
            for (uint64_t at = first; at < first + SLICE; at += CHUNK)
                member_add(m, at);
    }
}

static uint64_t mean_bytes(void)
{
    return cohort.member_count * gx_wire_bytes(cohort.format, count) + count * sizeof(float);
}

/* Reads and writes as many bytes as the mean does, from where the members lie. */
static void copied(void)
{
    uint64_t bytes = mean_bytes() / 2 / cohort.member_count;

    for (uint32_t m = 0; m < cohort.member_count; m++)
        memcpy(copy + m * bytes, cohort.members[m], bytes);
}

static void encoded(void)
{
    if (gx_encode(cohort.format, copy, values, count) != 0)
        abort();
}

static void decoded(void)
{
    gx_decode(cohort.format, mean, cohort.members[0], count);
}

static void encoded_bytes_copied(void)
{
    memcpy(copy, values, (gx_wire_bytes(cohort.format, count) + count * sizeof(float)) / 2);
}

/* ---- their time ---- */

static int double_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Medians of the ways' times, in ns: they take turns, so that what disturbs one disturbs all. */
static void ways_time(void (*const ways[])(void), uint32_t way_count, double *ns)
{
    double times[4][ROUNDS];

    for (uint32_t round = 0; round < ROUNDS; round++)
        for (uint32_t w = 0; w < way_count; w++) {
            uint64_t start = clock_ns();

            for (uint64_t i = 0; i < repeats; i++)
                ways[w]();
            times[w][round] = (double)(clock_ns() - start) / (double)repeats;
        }
    for (uint32_t w = 0; w < way_count; w++) {
        qsort(times[w], ROUNDS, sizeof(double), double_compare);
        ns[w] = times[w][ROUNDS / 2];
    }
}

static void means_from_memory(void)
{
    static void (*const ways[])(void) = {copied, member_by_member, in_one_pass};
    double ns[3];

    printf("mean of %u values from memory, GB/s read and written\n", VALUES);
    for (cohort.member_count = 2; cohort.member_count <= MEMBERS_MAX; cohort.member_count *= 2) {
        double bytes = (double)mean_bytes();

        ways_time(ways, 3, ns);
        printf("  %-4s %u members   copy %5.1f   member by member %5.1f   in one pass %5.1f, %.2f "
               "of a copy   times as fast %.2f\n",
               gx_format_name(cohort.format), cohort.member_count, bytes / ns[0], bytes / ns[1],
               bytes / ns[2], ns[0] / ns[2], ns[1] / ns[2]);
    }
}

static void codec_from_memory(void)
{
    static void (*const ways[])(void) = {encoded_bytes_copied, encoded, decoded};
    double ns[3], bytes = (double)(gx_wire_bytes(cohort.format, count) + count * sizeof(float));

    ways_time(ways, 3, ns);
    printf("  %-4s copy %5.1f   encode %5.1f, %.2f of a copy   decode %5.1f, %.2f\n",
           gx_format_name(cohort.format), bytes / ns[0], bytes / ns[1], ns[0] / ns[1],
           bytes / ns[2], ns[0] / ns[2]);
}

/* GB/s of FP32 values: of the one encoded or decoded, of all members'. */
static void each_isa_from_cache(void)
{
    static const char *const isas[] = {"plain", "avx2", "avx512"};
    static void (*const ways[])(void) = {encoded, decoded, in_one_pass, member_by_member};
    const char *best = gx_format_isa();
    double ns[4], bytes = (double)(count * sizeof(float));

    cohort.member_count = 4;
    for (uint32_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        if (gx_format_use(isas[i]) != 0)
            continue;
        ways_time(ways, 4, ns);
        printf(
            "  %-4s %-6s encode %5.1f   decode %5.1f   mean of 4 %5.1f, member by member %5.1f\n",
            gx_format_name(cohort.format), isas[i], bytes / ns[0], bytes / ns[1], 4 * bytes / ns[2],
            4 * bytes / ns[3]);
    }
    gx_format_use(best);
}

static void format_prepare(enum gx_format format)
{
    cohort.format = format;
    for (uint32_t m = 0; m < MEMBERS_MAX; m++) {
        cohort.scales[m] = 1.0f / MEMBERS_MAX;
        if (gx_encode(format, (void *)(uintptr_t)cohort.members[m], values, VALUES) != 0)
            abort();
    }
}

int main(void)
{
    uint64_t seed = 1;

    values = must(VALUES * sizeof(float));
    mean = must(VALUES * sizeof(float));
    buffer = must(CHUNK * sizeof(float));
    copy = must((MEMBERS_MAX + 1) * VALUES * sizeof(float) / 2);
    for (uint32_t m = 0; m < MEMBERS_MAX; m++)
        cohort.members[m] = must(VALUES * sizeof(float));
    for (uint64_t i = 0; i < VALUES; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)(int32_t)(seed >> 32) * 0x1p-31f;
    }
    printf("format kernels: %s\n", gx_format_isa());
    for (uint32_t f = 0; f < GX_FORMAT_COUNT; f++) {
        format_prepare((enum gx_format)f);
        count = VALUES;
        repeats = 1;
        means_from_memory();
        codec_from_memory();
        count = CACHED;
        repeats = 64;
        each_isa_from_cache();
    }
    for (uint32_t m = 0; m < MEMBERS_MAX; m++)
        free((void *)(uintptr_t)cohort.members[m]);
    free(values);
    free(mean);
    free(buffer);
    free(copy);
    return 0;
}
