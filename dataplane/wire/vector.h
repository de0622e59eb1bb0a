/* gx_vector_clean: after a call into ISA-L. Its AVX-512 code returns with the upper halves of the vector registers in use, and
 * then every SSE instruction of ours waits for the one before it (Intel's optimization manual, "mixing AVX and SSE"): measured,
 * a sender of packets with a CRC32C takes 2.3 times as long. */
#ifndef GX_WIRE_VECTOR_H
#define GX_WIRE_VECTOR_H

static inline void gx_vector_clean(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vzeroupper" ::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                               "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                               "xmm15");
#endif
}

#endif
