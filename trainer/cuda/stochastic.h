/* Stochastic rounding to bf16, from the counter-based generator that the whole trainer uses (trainer/philox.h).
 *
 * Value i adds the low 16 bits of word i % 4 of Philox4x32-10 with key `seed` and counter (i / 4, stream
 * GX_PHILOX_ROUND, part `update`) to its FP32 bits, and cuts them to 16. So the mean is the value itself, a resumed run
 * rounds as one that was never stopped, and the order of threads does not matter.
 */
#ifndef GX_TRAINER_CUDA_STOCHASTIC_H
#define GX_TRAINER_CUDA_STOCHASTIC_H

#include "cuda/pack.h"
#include "philox.h"

/* gx_philox(), on the device. */
GX_DEVICE void gx_gpu_philox(uint32_t c[4], uint64_t seed)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c[0];
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c[2];
        c[0] = (uint32_t)(p1 >> 32) ^ c[1] ^ k0;
        c[2] = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
        c[1] = (uint32_t)p1;
        c[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* c[i], without giving the words an address. */
GX_DEVICE uint32_t gx_gpu_philox_word(const uint32_t c[4], uint64_t i)
{
    return i & 2 ? (i & 1 ? c[3] : c[2]) : (i & 1 ? c[1] : c[0]);
}

/* Rounds the values i .. i + N - 1 in place; N is 4, and i a multiple of it, or 1. */
template <unsigned N>
GX_DEVICE void gx_stochastic_round(float (&x)[N], uint64_t i, uint64_t seed, uint32_t update)
{
    const uint64_t counter = i / 4;
    uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), GX_PHILOX_ROUND, update};
    gx_gpu_philox(c, seed);
    for (unsigned j = 0; j < N; j++)
        x[j] =
            gx_bf16_float(gx_bf16_round_stochastic(x[j], N == 1 ? gx_gpu_philox_word(c, i) : c[j]));
}

#endif
