#include "cuda/elementwise.h"

#include "cuda/each.h"
#include "cuda/pack.h"
#include "cuda/scalar.h"
#include "cuda/stochastic.h"

namespace
{

template <typename T> struct gelu_forward {
    T *y;
    const T *x;

    template <unsigned N> GX_METHOD void run(uint64_t i) const
    {
        float v[N];
        gx_load(v, x + i);
        for (unsigned j = 0; j < N; j++)
            v[j] = gx_gelu(v[j]);
        gx_store(y + i, v);
    }
    bool fits(unsigned n) const
    {
        return gx_pack_fits(y, 0, n) && gx_pack_fits(x, 0, n);
    }
};

template <typename T> struct gelu_backward {
    T *dx;
    const T *dy, *x;

    template <unsigned N> GX_METHOD void run(uint64_t i) const
    {
        float v[N], d[N];
        gx_load(v, x + i);
        gx_load(d, dy + i);
        for (unsigned j = 0; j < N; j++)
            d[j] *= gx_gelu_slope(v[j]);
        gx_store(dx + i, d);
    }
    bool fits(unsigned n) const
    {
        return gx_pack_fits(dx, 0, n) && gx_pack_fits(dy, 0, n) && gx_pack_fits(x, 0, n);
    }
};

template <typename T> struct add {
    T *y;
    const T *a, *b;

    template <unsigned N> GX_METHOD void run(uint64_t i) const
    {
        float v[N], w[N];
        gx_load(v, a + i);
        gx_load(w, b + i);
        for (unsigned j = 0; j < N; j++)
            v[j] += w[j];
        gx_store(y + i, v);
    }
    bool fits(unsigned n) const
    {
        return gx_pack_fits(y, 0, n) && gx_pack_fits(a, 0, n) && gx_pack_fits(b, 0, n);
    }
};

template <typename To, typename From> struct cast {
    To *dst;
    const From *src;

    template <unsigned N> GX_METHOD void run(uint64_t i) const
    {
        float v[N];
        gx_load(v, src + i);
        gx_store(dst + i, v);
    }
    bool fits(unsigned n) const
    {
        return gx_pack_fits(dst, 0, n) && gx_pack_fits(src, 0, n);
    }
};

struct cast_stochastic {
    gx_bf16 *dst;
    const float *src;
    uint64_t seed;
    uint32_t update;

    template <unsigned N> GX_METHOD void run(uint64_t i) const
    {
        float v[N];
        gx_load(v, src + i);
        gx_stochastic_round(v, i, seed, update);
        gx_store(dst + i, v);
    }
    bool fits(unsigned n) const
    {
        return gx_pack_fits(dst, 0, n) && gx_pack_fits(src, 0, n);
    }
};

struct fill {
    float *dst;
    float value;

    template <unsigned N> GX_METHOD void run(uint64_t i) const
    {
        float v[N];
        for (unsigned j = 0; j < N; j++)
            v[j] = value;
        gx_store(dst + i, v);
    }
    bool fits(unsigned n) const
    {
        return gx_pack_fits(dst, 0, n);
    }
};

} // namespace

void gx_gpu_gelu_forward(enum gx_dtype type, void *y, const void *x, uint64_t count,
                         struct gx_dev_stream *stream)
{
    gx_by_type(type, [&](auto t) {
        using T = decltype(t);
        gx_each<gx_pack_width<T>>(gelu_forward<T>{(T *)y, (const T *)x}, count, stream);
    });
}

void gx_gpu_gelu_backward(enum gx_dtype type, void *dx, const void *dy, const void *x,
                          uint64_t count, struct gx_dev_stream *stream)
{
    gx_by_type(type, [&](auto t) {
        using T = decltype(t);
        gx_each<gx_pack_width<T>>(gelu_backward<T>{(T *)dx, (const T *)dy, (const T *)x}, count,
                                  stream);
    });
}

void gx_gpu_residual_add(enum gx_dtype type, void *y, const void *a, const void *b, uint64_t count,
                         struct gx_dev_stream *stream)
{
    gx_by_type(type, [&](auto t) {
        using T = decltype(t);
        gx_each<gx_pack_width<T>>(add<T>{(T *)y, (const T *)a, (const T *)b}, count, stream);
    });
}

void gx_gpu_cast_bf16(void *dst, const float *src, uint64_t count, struct gx_dev_stream *stream)
{
    gx_each<4>(cast<gx_bf16, float>{(gx_bf16 *)dst, src}, count, stream);
}

void gx_gpu_cast_bf16_stochastic(void *dst, const float *src, uint64_t count, uint64_t seed,
                                 uint32_t update, struct gx_dev_stream *stream)
{
    gx_each<4>(cast_stochastic{(gx_bf16 *)dst, src, seed, update}, count, stream);
}

void gx_gpu_cast_fp32(float *dst, const void *src_bf16, uint64_t count,
                      struct gx_dev_stream *stream)
{
    gx_each<4>(cast<float, gx_bf16>{dst, (const gx_bf16 *)src_bf16}, count, stream);
}

void gx_gpu_fill(float *dst, float value, uint64_t count, struct gx_dev_stream *stream)
{
    gx_each<4>(fill{dst, value}, count, stream);
}

void gx_gpu_accumulate(float *acc, const float *x, uint64_t count, struct gx_dev_stream *stream)
{
    gx_each<4>(add<float>{acc, acc, x}, count, stream);
}
