/* The pseudo-gradient on the GPU: formed, encoded and decoded to the bytes of dataplane/format/ (docs/formats.md).
 *
 * Pieces    a contribution may be encoded in pieces that start at multiples of GX_GPU_ENCODE_PIECE_VALUES: their bytes
 *           follow one another, and every piece starts at a multiple of 16 bytes.
 * Memory    `wire` is device memory aligned to 16 bytes, of gx_wire_bytes(format, count) bytes.
 * Bits      compiled without fused multiply-adds; subnormal numbers count.
 */
#ifndef GX_TRAINER_CUDA_ENCODE_H
#define GX_TRAINER_CUDA_ENCODE_H

#include <stdint.h>

#include "gx.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gx_dev_stream;

#define GX_GPU_ENCODE_PIECE_VALUES 2048u

/* Encodes theta_outer - theta_local; theta_local may be NULL: theta_outer itself. A value that is not finite sets
 * *refused to 1 (the bytes are then of no use); nothing clears it. */
void gx_gpu_encode(enum gx_format format, void *wire, uint32_t *refused, const float *theta_outer,
                   const float *theta_local, uint64_t count, struct gx_dev_stream *stream);

void gx_gpu_decode(enum gx_format format, float *values, const void *wire, uint64_t count,
                   struct gx_dev_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
