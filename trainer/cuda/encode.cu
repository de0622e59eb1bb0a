#include "cuda/encode.h"

#include "format/kernel.h"

#include "cuda/exact.h"
#include "cuda/pack.h"

namespace
{

/* A warp takes a format's block, four values a lane; a block of threads takes a piece. Its bytes are gathered in shared
 * memory, since blocks of 65 or 129 bytes lie as they come, and enter and leave it in words of 128 bits. */
constexpr uint32_t WARPS = 8;
constexpr uint32_t THREADS = WARPS * GX_WARP_LANES;
constexpr uint32_t PIECE_BLOCKS = GX_GPU_ENCODE_PIECE_VALUES / GX_FORMAT_BLOCK_VALUES;
static_assert(GX_FORMAT_BLOCK_VALUES == 4 * GX_WARP_LANES, "four values a lane");
static_assert(PIECE_BLOCKS % 16 == 0, "pieces of whole words, whatever a block's size");

/* ---- formats: what a lane does with values 4 lane .. 4 lane + 3 of the block whose bytes are at `block` ---- */

template <enum gx_format F> struct format;

template <> struct format<GX_FP32> {
    static constexpr uint32_t BLOCK_BYTES = 4 * GX_FORMAT_BLOCK_VALUES;

    static GX_METHOD void encode(uint8_t *block, const float (&v)[4], uint32_t)
    {
        gx_store((float *)block + 4 * gx_lane(), v);
    }
    static GX_METHOD void decode(float (&v)[4], const uint8_t *block)
    {
        gx_load(v, (const float *)block + 4 * gx_lane());
    }
};

template <> struct format<GX_BF16> {
    static constexpr uint32_t BLOCK_BYTES = GX_BF16_BLOCK_BYTES;

    static GX_METHOD void encode(uint8_t *block, const float (&v)[4], uint32_t)
    {
        uint32_t half[4];
        for (unsigned j = 0; j < 4; j++) {
            const uint32_t bits = gx_bits_of_float(v[j]);
            uint32_t a = gx_min(bits & GX_FP32_ABS, GX_BF16_ABS_MAX);
            a += 0x7fff + (a >> 16 & 1);
            half[j] = (a | (bits & GX_FP32_SIGN)) >> 16;
        }
        *(gx_pack_words<2> *)(block +
                              8 * gx_lane()) = {{half[0] | half[1] << 16, half[2] | half[3] << 16}};
    }
    static GX_METHOD void decode(float (&v)[4], const uint8_t *block)
    {
        gx_load(v, (const gx_bf16 *)block + 4 * gx_lane());
    }
};

template <> struct format<GX_INT8> {
    static constexpr uint32_t BLOCK_BYTES = GX_INT8_BLOCK_BYTES;

    static GX_METHOD void encode(uint8_t *block, const float (&v)[4], uint32_t max)
    {
        /* Added to a small number, 1.5 * 2^23 leaves its nearest integer, ties to even, in the low bits. */
        const float magic = 12582912.0f;
        const uint32_t scale = gx_int8_scale(max);
        uint32_t inverse[2];
        gx_int8_inverse_bits(scale, inverse);
        const float low = gx_float_of_bits(inverse[0]), high = gx_float_of_bits(inverse[1]);
        if (gx_lane() == 0)
            block[0] = (uint8_t)scale;
        for (unsigned j = 0; j < 4; j++) {
            const float rounded = gx_add(gx_mul(gx_mul(v[j], low), high), magic);
            const int32_t q = (int32_t)(gx_bits_of_float(rounded) - gx_bits_of_float(magic));
            block[1 + 4 * gx_lane() + j] = (uint8_t)gx_max(gx_min(q, GX_INT8_MAX), -GX_INT8_MAX);
        }
    }
    static GX_METHOD void decode(float (&v)[4], const uint8_t *block)
    {
        const float step = gx_float_of_bits(gx_int8_step_bits(block[0]));
        for (unsigned j = 0; j < 4; j++)
            v[j] = gx_mul((float)(int8_t)block[1 + 4 * gx_lane() + j], step);
    }
};

template <> struct format<GX_E3M0> {
    static constexpr uint32_t BLOCK_BYTES = GX_E3M0_BLOCK_BYTES;

    static GX_METHOD uint32_t code(uint32_t scale, float value)
    {
        const uint32_t bits = gx_bits_of_float(value), e = gx_e3m0_exponent(bits & GX_FP32_ABS);
        const uint32_t c = scale > e ? scale - e : 0;
        return c >= GX_E3M0_ZERO || e == 0 ? GX_E3M0_ZERO : c | (bits >> 31) << 3;
    }
    /* Lanes 0 to 15 hold the low nibbles of bytes whose high ones lanes 16 to 31 hold. */
    static GX_METHOD void encode(uint8_t *block, const float (&v)[4], uint32_t max)
    {
        const uint32_t scale = gx_e3m0_scale(max);
        uint32_t codes = 0;
        for (unsigned j = 0; j < 4; j++)
            codes |= code(scale, v[j]) << 8 * j;
        codes |= gx_shuffle_xor(codes, 16) << 4;
        if (gx_lane() == 0)
            block[0] = (uint8_t)scale;
        if (gx_lane() < 16)
            for (unsigned j = 0; j < 4; j++)
                block[1 + 4 * gx_lane() + j] = (uint8_t)(codes >> 8 * j);
    }
    static GX_METHOD void decode(float (&v)[4], const uint8_t *block)
    {
        for (unsigned j = 0; j < 4; j++) {
            const uint32_t byte = block[1 + 4 * (gx_lane() % 16) + j];
            const uint32_t code = gx_lane() < 16 ? byte & 15 : byte >> 4;
            const uint32_t bits = gx_e3m0_magnitude_bits(block[0], code & 7);
            v[j] = gx_float_of_bits(bits ? bits | code >> 3 << 31 : 0);
        }
    }
};

template <enum gx_format F> constexpr uint32_t piece_bytes = PIECE_BLOCKS *format<F>::BLOCK_BYTES;

/* ---- pieces ---- */

/* Bytes between a piece in shared memory and its place, `count` of them; both begin at a whole word. */
GX_DEVICE void copy_piece(uint8_t *to, const uint8_t *from, uint32_t count)
{
    const uint32_t words = count / 16;
    for (uint32_t i = threadIdx.x; i < words; i += THREADS)
        ((gx_pack_words<4> *)to)[i] = ((const gx_pack_words<4> *)from)[i];
    for (uint32_t i = 16 * words + threadIdx.x; i < count; i += THREADS)
        to[i] = from[i];
}

/* Values from `count` on are 0. N is 4 where the arrays are aligned for it. */
template <unsigned N>
GX_DEVICE void load_values(float (&v)[4], const float *values, uint64_t i, uint64_t count)
{
    if (N == 4 && i + 4 <= count)
        gx_load_floats(v, values + i);
    else
        for (unsigned j = 0; j < 4; j++)
            v[j] = i + j < count ? values[i + j] : 0.0f;
}

constexpr uint32_t TURNS = PIECE_BLOCKS / WARPS;

/* This lane's values of a warp's block in each turn; the loads of all turns are under way at once where the piece is WHOLE. */
template <unsigned N, bool WHOLE>
GX_DEVICE void load_turns(float (&v)[TURNS][4], const float *values, uint64_t first, uint64_t count)
{
    GX_EACH (turn, TURNS) {
        const uint64_t i =
            first + (turn * WARPS + gx_warp()) * GX_FORMAT_BLOCK_VALUES + 4 * gx_lane();
        if (WHOLE)
            gx_load_floats(v[turn], values + i);
        else
            load_values<N>(v[turn], values, i, count);
    }
}

template <enum gx_format F, unsigned N, bool WHOLE>
GX_DEVICE void encode_turns(uint8_t *bytes, uint32_t *refused, const float *theta_outer,
                            const float *theta_local, uint64_t first, uint64_t count)
{
    float v[TURNS][4], local[TURNS][4] = {};
    load_turns<N, WHOLE>(v, theta_outer, first, count);
    if (theta_local)
        load_turns<N, WHOLE>(local, theta_local, first, count);
    GX_EACH (turn, TURNS) {
        const uint32_t block = turn * WARPS + gx_warp();
        uint32_t max = 0;
        GX_EACH (j, 4) {
            if (theta_local)
                v[turn][j] = gx_sub(v[turn][j], local[turn][j]);
            max = gx_max(max, gx_bits_of_float(v[turn][j]) & GX_FP32_ABS);
        }
        max = gx_warp_max(max);
        if (max >= GX_FP32_INF && gx_lane() == 0)
            gx_atomic_or(refused, 1u);
        format<F>::encode(bytes + block * format<F>::BLOCK_BYTES, v[turn], max);
    }
}

template <enum gx_format F, unsigned N>
GX_KERNEL_BOUND(THREADS, 4)
encode_piece(uint8_t *wire, uint64_t wire_bytes, uint32_t *refused, const float *theta_outer,
             const float *theta_local, uint64_t count)
{
    GX_SHARED(uint8_t, bytes, piece_bytes<F>);
    const uint64_t first = (uint64_t)blockIdx.x * GX_GPU_ENCODE_PIECE_VALUES;
    if (N == 4 && first + GX_GPU_ENCODE_PIECE_VALUES <= count)
        encode_turns<F, N, N == 4>(bytes, refused, theta_outer, theta_local, first, count);
    else
        encode_turns<F, N, false>(bytes, refused, theta_outer, theta_local, first, count);
    gx_syncthreads();
    const uint64_t at = (uint64_t)blockIdx.x * piece_bytes<F>;
    copy_piece(wire + at, bytes, (uint32_t)gx_min<uint64_t>(wire_bytes - at, piece_bytes<F>));
}

template <enum gx_format F, unsigned N>
GX_KERNEL_BOUND(THREADS, 4)
decode_piece(float *values, const uint8_t *wire, uint64_t wire_bytes, uint64_t count)
{
    GX_SHARED(uint8_t, bytes, piece_bytes<F>);
    const uint64_t at = (uint64_t)blockIdx.x * piece_bytes<F>;
    const uint64_t first = (uint64_t)blockIdx.x * GX_GPU_ENCODE_PIECE_VALUES;
    copy_piece(bytes, wire + at, (uint32_t)gx_min<uint64_t>(wire_bytes - at, piece_bytes<F>));
    gx_syncthreads();
    for (uint32_t block = gx_warp(); block < PIECE_BLOCKS; block += WARPS) {
        const uint64_t i = first + block * GX_FORMAT_BLOCK_VALUES + 4 * gx_lane();
        if (i >= count)
            continue;
        float v[4];
        format<F>::decode(v, bytes + block * format<F>::BLOCK_BYTES);
        if (N == 4 && i + 4 <= count)
            gx_store_floats(values + i, v);
        else
            for (unsigned j = 0; j < 4 && i + j < count; j++)
                values[i + j] = v[j];
    }
}

struct encoding {
    uint8_t *wire;
    uint32_t *refused;
    const float *theta_outer, *theta_local;
};

template <enum gx_format F>
void encode(const encoding &e, uint64_t count, uint32_t pieces, struct gx_dev_stream *stream)
{
    const uint64_t bytes = gx_wire_bytes(F, count);
    if (gx_pack_fits(e.theta_outer, 0, 4) && gx_pack_fits(e.theta_local, 0, 4))
        GX_LAUNCH((encode_piece<F, 4>), pieces, THREADS, stream, e.wire, bytes, e.refused,
                  e.theta_outer, e.theta_local, count);
    else
        GX_LAUNCH((encode_piece<F, 1>), pieces, THREADS, stream, e.wire, bytes, e.refused,
                  e.theta_outer, e.theta_local, count);
}

template <enum gx_format F>
void decode(float *values, const uint8_t *wire, uint64_t count, uint32_t pieces,
            struct gx_dev_stream *stream)
{
    const uint64_t bytes = gx_wire_bytes(F, count);
    if (gx_pack_fits(values, 0, 4))
        GX_LAUNCH((decode_piece<F, 4>), pieces, THREADS, stream, values, wire, bytes, count);
    else
        GX_LAUNCH((decode_piece<F, 1>), pieces, THREADS, stream, values, wire, bytes, count);
}

uint32_t pieces_of(uint64_t count)
{
    return (uint32_t)((count + GX_GPU_ENCODE_PIECE_VALUES - 1) / GX_GPU_ENCODE_PIECE_VALUES);
}

} // namespace

void gx_gpu_encode(enum gx_format wire_format, void *wire, uint32_t *refused,
                   const float *theta_outer, const float *theta_local, uint64_t count,
                   struct gx_dev_stream *stream)
{
    static void (*const by_format[GX_FORMAT_COUNT])(const encoding &, uint64_t, uint32_t,
                                                    struct gx_dev_stream *) = {
        encode<GX_FP32>, encode<GX_BF16>, encode<GX_INT8>, encode<GX_E3M0>};
    if (count > 0)
        by_format[wire_format]({(uint8_t *)wire, refused, theta_outer, theta_local}, count,
                               pieces_of(count), stream);
}

void gx_gpu_decode(enum gx_format wire_format, float *values, const void *wire, uint64_t count,
                   struct gx_dev_stream *stream)
{
    static void (*const by_format[GX_FORMAT_COUNT])(float *, const uint8_t *, uint64_t, uint32_t,
                                                    struct gx_dev_stream *) = {
        decode<GX_FP32>, decode<GX_BF16>, decode<GX_INT8>, decode<GX_E3M0>};
    if (count > 0)
        by_format[wire_format](values, (const uint8_t *)wire, count, pieces_of(count), stream);
}
