/* gx_pack: N neighbouring values as they lie in memory, moved in one access: 128 bits of them, four, or one.
 *
 * Kernels are templates over N; gx_pack_fits() says whether memory is aligned for it. All arithmetic is on floats.
 */
#ifndef GX_TRAINER_CUDA_PACK_H
#define GX_TRAINER_CUDA_PACK_H

#include "cuda/bf16.h"
#include "cuda/dtype.h"

/* Before a member function. */
#define GX_METHOD __device__ __forceinline__

/* Before a loop: n turns at a time, so that as many loads are under way. */
#ifdef GX_SIMT
#define GX_UNROLL_BY(n)
#else
#define GX_UNROLL_BY(n) _Pragma(GX_PACK_STRING(unroll n))
#define GX_PACK_STRING(text) #text
#endif

/* Memory of one type is read as words of another here. */
template <unsigned N> struct __attribute__((may_alias, aligned(4 * N))) gx_pack_words {
    uint32_t w[N];
};

template <typename T, unsigned N> struct gx_pack;

/* The N of 128 bits. */
template <typename T> constexpr unsigned gx_pack_width = 16 / (unsigned)sizeof(T);

template <> struct gx_pack<float, 1> {
    float value;

    GX_METHOD void load(const float *p)
    {
        value = *p;
    }
    GX_METHOD void store(float *p) const
    {
        *p = value;
    }
    GX_METHOD void get(float out[1]) const
    {
        out[0] = value;
    }
    GX_METHOD void set(const float in[1])
    {
        value = in[0];
    }
};

template <> struct gx_pack<gx_bf16, 1> {
    gx_bf16 value;

    GX_METHOD void load(const gx_bf16 *p)
    {
        value = *p;
    }
    GX_METHOD void store(gx_bf16 *p) const
    {
        *p = value;
    }
    GX_METHOD void get(float out[1]) const
    {
        out[0] = gx_bf16_float(value);
    }
    GX_METHOD void set(const float in[1])
    {
        value = gx_bf16_round(in[0]);
    }
};

template <> struct gx_pack<float, 4> {
    gx_pack_words<4> words;

    GX_METHOD void load(const float *p)
    {
        words = *(const gx_pack_words<4> *)p;
    }
    GX_METHOD void store(float *p) const
    {
        *(gx_pack_words<4> *)p = words;
    }
    GX_METHOD void get(float out[4]) const
    {
        for (unsigned i = 0; i < 4; i++)
            out[i] = gx_float_of_bits(words.w[i]);
    }
    GX_METHOD void set(const float in[4])
    {
        for (unsigned i = 0; i < 4; i++)
            words.w[i] = gx_bits_of_float(in[i]);
    }
};

/* Two in a word. */
template <unsigned N> struct gx_pack<gx_bf16, N> {
    gx_pack_words<N / 2> words;

    GX_METHOD void load(const gx_bf16 *p)
    {
        words = *(const gx_pack_words<N / 2> *)p;
    }
    GX_METHOD void store(gx_bf16 *p) const
    {
        *(gx_pack_words<N / 2> *)p = words;
    }
    GX_METHOD void get(float out[N]) const
    {
        for (unsigned i = 0; i < N / 2; i++)
            out[2 * i] = gx_bf16_low(words.w[i]), out[2 * i + 1] = gx_bf16_high(words.w[i]);
    }
    GX_METHOD void set(const float in[N])
    {
        for (unsigned i = 0; i < N / 2; i++)
            words.w[i] = gx_bf16_pack(in[2 * i], in[2 * i + 1]);
    }
};

template <typename T, unsigned N> GX_DEVICE void gx_load(float (&out)[N], const T *p)
{
    gx_pack<T, N> pack;
    pack.load(p);
    pack.get(out);
}

template <typename T, unsigned N> GX_DEVICE void gx_store(T *p, const float (&in)[N])
{
    gx_pack<T, N> pack;
    pack.set(in);
    pack.store(p);
}

/* N FP32 values, N being 1 or a multiple of 4, beside packs of another type. */
template <unsigned N> GX_DEVICE void gx_load_floats(float (&out)[N], const float *p)
{
    constexpr unsigned M = N % 4 == 0 ? 4 : 1;
    for (unsigned i = 0; i < N; i += M) {
        gx_pack<float, M> pack;
        pack.load(p + i);
        pack.get(out + i);
    }
}

template <unsigned N> GX_DEVICE void gx_store_floats(float *p, const float (&in)[N])
{
    constexpr unsigned M = N % 4 == 0 ? 4 : 1;
    for (unsigned i = 0; i < N; i += M) {
        gx_pack<float, M> pack;
        pack.set(in + i);
        pack.store(p + i);
    }
}

/* p[i] += in[i], no other thread touching them. */
template <unsigned N> GX_DEVICE void gx_add_floats(float *p, const float (&in)[N])
{
    float sum[N];
    gx_load_floats(sum, p);
    for (unsigned i = 0; i < N; i++)
        sum[i] += in[i];
    gx_store_floats(p, sum);
}

/* Calls `f` with a value of the type that `type` names: a generic lambda is compiled for each. */
template <typename F> static inline void gx_by_type(enum gx_dtype type, const F &f)
{
    if (type == GX_DTYPE_BF16)
        f(gx_bf16());
    else
        f(float());
}

/* Whether rows of `width` values that start at p may be moved N at a time. NULL fits. */
template <typename T> static inline bool gx_pack_fits(const T *p, uint64_t width, unsigned n)
{
    return (uintptr_t)p % (n * sizeof(T)) == 0 && width % n == 0;
}

#endif
