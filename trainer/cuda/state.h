/* gx_cuda: the state of the device "cuda". device.c has the inner steps, outer_side.c the exchange with the arena.
 *
 * Streams   `compute` has everything that reads or writes parameters; `in` and `out` only copy between the arena and the
 *           device, beside it. Events order them: `came` (in), `made` (compute), `gone` (out).
 * Memory    one piece of the device's memory and three small ones of the host's, taken by create(); nothing afterwards.
 */
#ifndef GX_TRAINER_CUDA_STATE_H
#define GX_TRAINER_CUDA_STATE_H

#include "cuda/adamw.h"
#include "cuda/dev.h"
#include "cuda/gpt2.h"
#include "device.h"

/* What the host reads after a step. */
struct gx_cuda_results {
    struct gx_gpu_norm norm;
    float loss;
};

/* Bytes of the device's memory, by use. */
struct gx_cuda_split {
    size_t params, outer, activations;
};

struct gx_cuda {
    struct gx_gpt2 model;
    struct gx_device_config config;
    struct gx_dev_properties properties;
    char machine[384];
    enum gx_dtype dtype;
    uint32_t rows; /* tokens of a batch */
    struct gx_gpu_gpt2 *gpt2;
    struct gx_gpu_decay decay;

    void *memory;
    size_t memory_bytes;
    float *arrays[GX_DEVICE_ARRAY_COUNT];
    float *grads; /* [param_count], then the loss */
    void *copy;   /* of the parameters in bf16, or NULL */
    void *norm_scratch, *workspace;

    /* one step's input: struct gx_gpu_adamw, inputs, targets, token index; the same on the host */
    char *batch, *host_batch;
    size_t batch_bytes;
    struct gx_gpu_gpt2_batch tokens; /* in `batch` */
    uint32_t *counts;                /* scratch of the token index */
    struct gx_cuda_results *results, *host_results;

    struct gx_dev_stream *compute, *in, *out;
    struct gx_dev_event *came, *made, *gone, *stepped;
    struct gx_dev_graph *step_graph, *eval_graph;
    uint32_t steps, evals;

    /* the outer side */
    struct gx_device_arena arena; /* memory NULL: not attached */
    bool registered;              /* the arena is: copies need no CPU */
    float *theta, *momentum;      /* the device's, or the arena's with GX_OUTER_ON_HOST */
    uint64_t
        piece_values; /* copies in, the outer step and copies out of neighbouring pieces overlap */
    char *wire;       /* an encoded contribution */
    uint32_t *refused, *host_refused;
};

extern const struct gx_device_outer gx_cuda_outer;

static inline uint16_t *gx_cuda_host_inputs(const struct gx_cuda *cuda)
{
    return (uint16_t *)(void *)(cuda->host_batch + sizeof(struct gx_gpu_adamw));
}

#endif
