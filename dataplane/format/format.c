#include "format/format.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "gx_assert.h"
#include "format/kernel.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fp32 and bf16 travel as they lie");

#define BLOCK GX_FORMAT_BLOCK_VALUES
#define BLOCK_BYTES_MAX (BLOCK * 4)
/* Decoded values pass through a buffer that stays in the first-level cache. */
#define CHUNK_BLOCKS 8u

/* What is particular to a format beside its kernels. */
struct gx_format_ops {
    const char *name;
    uint32_t block_bytes;
    uint32_t (*short_block_bytes)(uint32_t count); /* a last block of 1 to 127 values */
    bool (*check)(const uint8_t *wire, uint64_t first_byte, uint64_t byte_count);
};

static _Atomic(const struct gx_format_kernel *) kernel_in_use;

static bool cpu_has(const struct gx_format_kernel *kernel)
{
    if (kernel == &gx_format_plain)
        return true;
#ifdef __x86_64__
    __builtin_cpu_init();
    if (kernel == &gx_format_avx2)
        return __builtin_cpu_supports("avx2");
    if (kernel == &gx_format_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return false;
}

static const struct gx_format_kernel *const kernels[] = {
#ifdef __x86_64__
    &gx_format_avx512,
    &gx_format_avx2,
#endif
    &gx_format_plain,
};
#define KERNEL_COUNT (sizeof(kernels) / sizeof(kernels[0]))

/* Relaxed: the tables are constant, and threads that choose at the same time choose the same. */
static const struct gx_format_kernel *kernel_get(void)
{
    const struct gx_format_kernel *kernel =
        atomic_load_explicit(&kernel_in_use, memory_order_relaxed);
    for (size_t i = 0; !kernel; i++)
        if (cpu_has(kernels[i]))
            kernel = kernels[i];
    atomic_store_explicit(&kernel_in_use, kernel, memory_order_relaxed);
    return kernel;
}

const char *gx_format_isa(void)
{
    return kernel_get()->name;
}

int gx_format_use(const char *isa)
{
    for (size_t i = 0; i < KERNEL_COUNT; i++) {
        if (strcmp(kernels[i]->name, isa) != 0)
            continue;
        if (!cpu_has(kernels[i]))
            return -ENOTSUP;
        atomic_store_explicit(&kernel_in_use, kernels[i], memory_order_relaxed);
        return 0;
    }
    return -EINVAL;
}

static uint32_t fp32_short_bytes(uint32_t count)
{
    return 4 * count;
}

static uint32_t bf16_short_bytes(uint32_t count)
{
    return 2 * count;
}

static uint32_t int8_short_bytes(uint32_t count)
{
    return 1 + count;
}

static uint32_t e3m0_short_bytes(uint32_t count)
{
    (void)count;
    return GX_E3M0_BLOCK_BYTES;
}

/* fp32 and bf16: whole blocks where they lie, the rest from a copy padded with zeros. */
static bool finite_check(gx_format_finite_fn *finite, uint32_t block_bytes, const uint8_t *src,
                         uint64_t byte_count)
{
    uint8_t last[BLOCK_BYTES_MAX] = {0};
    uint64_t block_count = byte_count / block_bytes;
    memcpy(last, src + block_count * block_bytes, byte_count % block_bytes);
    return finite(src, block_count) && finite(last, 1);
}

static bool fp32_check(const uint8_t *wire, uint64_t first_byte, uint64_t byte_count)
{
    return finite_check(kernel_get()->finite_fp32, 4 * BLOCK, wire + first_byte, byte_count);
}

static bool bf16_check(const uint8_t *wire, uint64_t first_byte, uint64_t byte_count)
{
    return finite_check(kernel_get()->finite_bf16, GX_BF16_BLOCK_BYTES, wire + first_byte,
                        byte_count);
}

static bool int8_check(const uint8_t *wire, uint64_t first_byte, uint64_t byte_count)
{
    const uint8_t *at = wire + first_byte, *end = at + byte_count;
    uint64_t in_block = first_byte % GX_INT8_BLOCK_BYTES;
    while (at < end) {
        if (in_block == 0) {
            if (*at++ > GX_SCALE_MAX)
                return false;
            in_block = 1;
        }
        uint64_t left = (uint64_t)(end - at), run = GX_INT8_BLOCK_BYTES - in_block;
        run = run < left ? run : left;
        if (run && memchr(at, 0x80, run))
            return false;
        at += run;
        in_block = 0;
    }
    return true;
}

static bool e3m0_check(const uint8_t *wire, uint64_t first_byte, uint64_t byte_count)
{
    uint64_t block = (first_byte + GX_E3M0_BLOCK_BYTES - 1) / GX_E3M0_BLOCK_BYTES;
    for (uint64_t at = block * GX_E3M0_BLOCK_BYTES; at < first_byte + byte_count;
         at += GX_E3M0_BLOCK_BYTES)
        if (wire[at] > GX_SCALE_MAX)
            return false;
    return true;
}

static const struct gx_format_ops format_ops[GX_FORMAT_COUNT] = {
    [GX_FP32] = {"fp32", 4 * BLOCK, fp32_short_bytes, fp32_check},
    [GX_BF16] = {"bf16", GX_BF16_BLOCK_BYTES, bf16_short_bytes, bf16_check},
    [GX_INT8] = {"int8", GX_INT8_BLOCK_BYTES, int8_short_bytes, int8_check},
    [GX_E3M0] = {"e3m0", GX_E3M0_BLOCK_BYTES, e3m0_short_bytes, e3m0_check},
};

static bool format_known(enum gx_format format)
{
    return (unsigned)format < GX_FORMAT_COUNT;
}

const char *gx_format_name(enum gx_format format)
{
    return format_known(format) ? format_ops[format].name : "unknown";
}

int gx_format_parse(const char *name, enum gx_format *out)
{
    for (unsigned i = 0; i < GX_FORMAT_COUNT; i++) {
        if (strcmp(format_ops[i].name, name) == 0) {
            *out = (enum gx_format)i;
            return 0;
        }
    }
    return -EINVAL;
}

uint64_t gx_wire_bytes(enum gx_format format, uint64_t param_count)
{
    GX_ASSERT(format_known(format));
    const struct gx_format_ops *ops = &format_ops[format];
    uint32_t rest = (uint32_t)(param_count % BLOCK);
    /* A count from a hostile schema must not wrap round to a small size. */
    if (param_count > UINT64_MAX / 8)
        return UINT64_MAX;
    return param_count / BLOCK * ops->block_bytes + (rest ? ops->short_block_bytes(rest) : 0);
}

/* ---- whole blocks
 * -------------------------------------------------------------------------------------- */

static bool blocks_encode(enum gx_format format, uint8_t *dst, const float *src,
                          uint64_t block_count)
{
    const struct gx_format_kernel *kernel = kernel_get();
    if (kernel->encode[format])
        return kernel->encode[format](dst, src, block_count);
    for (uint64_t done = 0; done < block_count; done += CHUNK_BLOCKS) {
        uint64_t n = block_count - done < CHUNK_BLOCKS ? block_count - done : CHUNK_BLOCKS;
        const uint8_t *from = (const uint8_t *)(src + done * BLOCK);
        if (!kernel->finite_fp32(from, n))
            return false;
        memcpy(dst + done * BLOCK * 4, from, n * BLOCK * 4);
    }
    return true;
}

static void blocks_decode(enum gx_format format, float *dst, const uint8_t *src,
                          uint64_t block_count)
{
    const struct gx_format_kernel *kernel = kernel_get();
    if (kernel->decode[format])
        kernel->decode[format](dst, src, block_count);
    else
        memcpy(dst, src, block_count * BLOCK * 4);
}

/* ---- any count
 * ----------------------------------------------------------------------------------------- */

int gx_encode(enum gx_format format, void *dst, const float *src, uint64_t count)
{
    if (!format_known(format))
        return -EINVAL;
    const struct gx_format_ops *ops = &format_ops[format];
    uint64_t block_count = count / BLOCK;
    uint32_t rest = (uint32_t)(count % BLOCK);
    uint8_t *at = dst;
    if (!blocks_encode(format, at, src, block_count))
        return -EDOM;
    if (rest) {
        float values[BLOCK] = {0};
        uint8_t bytes[BLOCK_BYTES_MAX];
        memcpy(values, src + block_count * BLOCK, rest * sizeof(float));
        if (!blocks_encode(format, bytes, values, 1))
            return -EDOM;
        memcpy(at + block_count * ops->block_bytes, bytes, ops->short_block_bytes(rest));
    }
    return 0;
}

/* The 128 values of a short last block; those beyond `count` are of no meaning. */
static void short_block_decode(enum gx_format format, float *values, const uint8_t *src,
                               uint32_t count)
{
    uint8_t bytes[BLOCK_BYTES_MAX] = {0};
    memcpy(bytes, src, format_ops[format].short_block_bytes(count));
    blocks_decode(format, values, bytes, 1);
}

void gx_decode(enum gx_format format, float *dst, const void *src, uint64_t count)
{
    GX_ASSERT(format_known(format));
    const uint8_t *at = src;
    uint64_t block_count = count / BLOCK;
    uint32_t rest = (uint32_t)(count % BLOCK);
    blocks_decode(format, dst, at, block_count);
    if (rest) {
        float values[BLOCK];
        short_block_decode(format, values, at + block_count * format_ops[format].block_bytes, rest);
        memcpy(dst + block_count * BLOCK, values, rest * sizeof(float));
    }
}

/* The mean of a short last block, of which few are made. */
static void short_block_mean(const struct gx_format_cohort *cohort, float *dst, uint64_t first_byte,
                             uint32_t count)
{
    float values[BLOCK], sums[BLOCK] = {0};
    for (uint32_t m = 0; m < cohort->member_count; m++) {
        const uint8_t *wire = cohort->members[m];
        short_block_decode(cohort->format, values, wire + first_byte, count);
        for (uint32_t i = 0; i < count; i++) {
            float product = cohort->scales[m] * values[i];
            sums[i] += product;
        }
    }
    memcpy(dst, sums, count * sizeof(float));
}

void gx_format_mean(const struct gx_format_cohort *cohort, float *dst, uint64_t first,
                    uint64_t count)
{
    GX_ASSERT(format_known(cohort->format) && cohort->member_count <= GX_SITES_MAX);
    GX_ASSERT(first % BLOCK == 0);
    uint64_t block_count = count / BLOCK, last = first / BLOCK + block_count;
    uint32_t rest = (uint32_t)(count % BLOCK);
    kernel_get()->mean[cohort->format](dst, cohort, first / BLOCK, block_count);
    if (rest)
        short_block_mean(cohort, dst + block_count * BLOCK,
                         last * format_ops[cohort->format].block_bytes, rest);
}

int gx_format_check(enum gx_format format, const void *wire, uint64_t first_byte,
                    uint64_t byte_count, uint64_t param_count)
{
    GX_ASSERT(format_known(format));
    uint64_t total = gx_wire_bytes(format, param_count);
    if (first_byte > total || byte_count > total - first_byte)
        return -EDOM;
    GX_ASSERT(first_byte % 4 == 0);
    return format_ops[format].check(wire, first_byte, byte_count) ? 0 : -EDOM;
}
