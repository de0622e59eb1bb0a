/* What a warp does with its tensor core: each operation is computed once, for all lanes, from all lanes' registers. */
#include "cuda/ptx.h"
#include "simt/inside.h"

struct mma {
    float *c;
    const uint32_t *a;
    uint32_t b[2];
};

static struct mma *mma_of(void *const operands[32], unsigned lane)
{
    return static_cast<struct mma *>(operands[lane]);
}

static float half_of(uint32_t pair, unsigned which)
{
    return gx_float_of_bits(which ? pair & 0xffff0000u : pair << 16);
}

static void mma_work(void *const operands[32])
{
    float a[16][16], b[16][8];
    for (unsigned lane = 0; lane < 32; lane++) {
        const unsigned g = lane / 4, t = lane % 4;
        for (unsigned i = 0; i < 8; i++)
            a[g + 8 * (i / 2 % 2)][2 * t + 8 * (i / 4) + i % 2] =
                half_of(mma_of(operands, lane)->a[i / 2], i % 2);
        for (unsigned i = 0; i < 4; i++)
            b[2 * t + 8 * (i / 2) + i % 2][g] = half_of(mma_of(operands, lane)->b[i / 2], i % 2);
    }
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < 4; i++) {
            const unsigned row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
            float sum = 0;
            for (unsigned k = 0; k < 16; k++)
                sum += a[row][k] * b[k][column];
            mma_of(operands, lane)->c[i] += sum;
        }
}

void gx_mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    struct mma mine = {c, a, {b0, b1}};
    gx_simt_collect("gx_mma_bf16", &mine, mma_work);
}

struct matrix_load {
    uint32_t *to;
    const uint16_t *row;
};

static void load_work(void *const operands[32], bool transposed)
{
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < 4; i++) {
            uint32_t pair = 0;
            for (unsigned half = 0; half < 2; half++) {
                const unsigned row = transposed ? 2 * (lane % 4) + half : lane / 4;
                const unsigned column = transposed ? lane / 4 : 2 * (lane % 4) + half;
                const uint16_t *from =
                    static_cast<struct matrix_load *>(operands[8 * i + row])->row;
                pair |= static_cast<uint32_t>(from[column]) << 16 * half;
            }
            static_cast<struct matrix_load *>(operands[lane])->to[i] = pair;
        }
}

static struct matrix_load load_of(uint32_t (&to)[4], const void *row)
{
    if (reinterpret_cast<uintptr_t>(row) % 16 != 0)
        gx_simt_fail("gx_ldmatrix: %p is not aligned to 16 bytes", row);
    return {to, static_cast<const uint16_t *>(row)};
}

void gx_ldmatrix(uint32_t (&to)[4], const void *row)
{
    struct matrix_load mine = load_of(to, row);
    gx_simt_collect("gx_ldmatrix", &mine, [](void *const all[32]) { load_work(all, false); });
}

void gx_ldmatrix_transposed(uint32_t (&to)[4], const void *row)
{
    struct matrix_load mine = load_of(to, row);
    gx_simt_collect("gx_ldmatrix_transposed", &mine,
                    [](void *const all[32]) { load_work(all, true); });
}
