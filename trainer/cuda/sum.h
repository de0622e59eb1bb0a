/* gx_gpu_sum: gradients summed over the ranks of a site, on their GPUs: NCCL's, by trainer/ranks.h. tests/simt/ has a twin.
 *
 * Errors    those of dev.h, with the ranks' own line.
 */
#ifndef GX_TRAINER_CUDA_SUM_H
#define GX_TRAINER_CUDA_SUM_H

#include <stdint.h>

struct gx_dev_stream;
struct gx_ranks;

/* Collective: every rank's device is open. */
int gx_gpu_sum_open(struct gx_ranks *ranks);
void gx_gpu_sum_close(struct gx_ranks *ranks);

/* Queued on the stream, and captured with it: values[i] becomes its sum over the ranks. */
void gx_gpu_sum(struct gx_ranks *ranks, float *values, uint64_t count,
                struct gx_dev_stream *stream);

/* While the stream is waited for: whether all ranks still live. After a failure the stream comes to its end. */
int gx_gpu_sum_check(struct gx_ranks *ranks);

#endif
