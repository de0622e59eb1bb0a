/* ptx.h: every instruction that C++ has no name for, each with a twin for the host.
 *
 * Fragments (PTX ISA, "Matrix fragments for mma.m16n8k16"), g = lane / 4, t = lane % 4; a word holds two bf16:
 *   A 16 x 16   a[0] (g, 2t..)   a[1] (g + 8, 2t..)   a[2] (g, 2t + 8..)   a[3] (g + 8, 2t + 8..)
 *   B 16 x 8    b0 (2t.., g)   b1 (2t + 8.., g)
 *   C 16 x 8    c[0], c[1] (g, 2t..)   c[2], c[3] (g + 8, 2t..)
 * Collective: all lanes of the warp take part.
 */
#ifndef GX_TRAINER_CUDA_PTX_H
#define GX_TRAINER_CUDA_PTX_H

#include "cuda/gpu.h"

#ifdef GX_SIMT
#include "simt/ptx.h"
#else

GX_DEVICE float gx_float_of_bits(uint32_t bits)
{
    return __uint_as_float(bits);
}

GX_DEVICE uint32_t gx_bits_of_float(float value)
{
    return __float_as_uint(value);
}

GX_DEVICE uint16_t gx_ptx_bf16(float value)
{
    uint16_t bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

GX_DEVICE uint32_t gx_ptx_bf16_pair(float low, float high)
{
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

/* 2^x within 2 units in the last place; subnormal results become 0. */
GX_DEVICE float gx_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

GX_DEVICE uint32_t gx_shared_address(const void *shared)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

/* c += a b, in FP32. Collective. */
GX_DEVICE void gx_mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Four 8 x 8 matrices of 16-bit values: lanes 8i .. 8i + 7 name the rows (16 bytes, aligned, shared memory) of matrix i,
 * of which this lane gets (g, 2t..) in to[i]. Collective. */
GX_DEVICE void gx_ldmatrix(uint32_t (&to)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(gx_shared_address(row))
                 : "memory");
}

/* The same, each matrix transposed: this lane gets (2t.., g). Collective. */
GX_DEVICE void gx_ldmatrix_transposed(uint32_t (&to)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(gx_shared_address(row))
                 : "memory");
}

/* Copies 16 bytes from global to shared memory, both aligned to 16, without waiting; zeros instead where not `valid`
 * (`from` is not read then, but must be an address). This thread may read them after gx_copy_async_wait(), others after
 * a barrier that follows it. */
GX_DEVICE void gx_copy_async16(void *shared, const void *from, bool valid)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(gx_shared_address(shared)),
                 "l"(__cvta_generic_to_global(from)), "r"(valid ? 16 : 0)
                 : "memory");
}

/* The same for 4 bytes. */
GX_DEVICE void gx_copy_async4(void *shared, const void *from, bool valid)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(gx_shared_address(shared)),
                 "l"(__cvta_generic_to_global(from)), "r"(valid ? 4 : 0)
                 : "memory");
}

/* Ends a group of copies. */
GX_DEVICE void gx_copy_async_commit(void)
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until at most the `pending` (a constant) youngest of this thread's groups are under way. */
#define gx_copy_async_wait(pending)                                                                \
    asm volatile("cp.async.wait_group %0;" ::"n"(static_cast<int>(pending)) : "memory")

#endif
#endif
