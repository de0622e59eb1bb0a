/* gx_device: where the model is computed. A device is one const table of functions: trainer/cpu/, trainer/cuda/.
 *
 * State     the device owns parameters, AdamW moments, gradients and activations. Callers see the first two as FP32 in
 *           the model's layout, by copy.
 * Outer     a device may also hold the shared parameters and momentum, form and encode the pseudo-gradient and take the
 *           outer step, reading and writing the arena by DMA: `outer`. Without it trainer/shared.c does that on the host.
 * Tokens    inputs and targets are [batch][context], targets shifted by one.
 * Threads   one caller at a time.
 * Ranks     with config.ranks, step() is collective: it adds up the gradients and losses of all ranks and takes their
 *           mean before it clips, so that every rank makes the same update and returns the same loss or -EDOM. All other
 *           functions are this rank's own. team.h makes one device of many such.
 * Errors    0 or -errno; -EDOM: loss or gradient is not finite, and nothing was updated. For all others describe() has
 *           the line for the user, until the next call.
 */
#ifndef GX_TRAINER_DEVICE_H
#define GX_TRAINER_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gx.h"
#include "model/gpt2.h"

struct gx_ranks;

/* In what the model is computed; parameters are FP32 in any case. DEFAULT: bf16 on a GPU, FP32 on a CPU. */
enum gx_precision { GX_PRECISION_DEFAULT, GX_PRECISION_FP32, GX_PRECISION_TF32, GX_PRECISION_BF16 };

/* Activations that are not kept for the way back, but computed again. CHEAP: outputs of LayerNorm and GELU. LAYERS: all
 * but each layer's output. */
enum gx_recompute { GX_RECOMPUTE_NONE, GX_RECOMPUTE_CHEAP, GX_RECOMPUTE_LAYERS };

/* Whose attention a GPU runs in bf16: our own kernels, or cuDNN's. AUTO: cuDNN's where it is installed and has kernels for
 * the model, unless the same bits are wanted again. */
enum gx_attention { GX_ATTENTION_AUTO, GX_ATTENTION_OWN, GX_ATTENTION_CUDNN };

/* Where theta_outer and its momentum are kept besides the arena. */
enum gx_outer_place { GX_OUTER_NONE, GX_OUTER_ON_DEVICE, GX_OUTER_ON_HOST };

struct gx_device_config {
    uint32_t batch;   /* this rank's rows */
    uint32_t threads; /* of a CPU */
    uint32_t gpu;     /* its number */
    enum gx_precision precision;
    enum gx_recompute recompute;
    enum gx_attention attention;
    bool deterministic; /* the same bits again on the same machine */
    enum gx_outer_place outer;
    enum gx_format format;       /* of contributions, where there is an outer side */
    float beta1, beta2, epsilon; /* AdamW */
    float weight_decay;
    float clip_norm;        /* of all gradients together */
    struct gx_ranks *ranks; /* NULL: this device alone computes the whole batch */
};

enum gx_device_array { GX_PARAMS, GX_MOMENT1, GX_MOMENT2, GX_DEVICE_ARRAY_COUNT };

/* What exchanges read and write: the arena that libgx made. */
struct gx_device_arena {
    void
        *memory; /* whole pages; everything below lies in it, and so do contributions and results */
    size_t bytes;
    float *theta, *momentum;
};

/* encode() and apply() only start: settle() says when the arena holds what they make. One at a time. */
struct gx_device_outer {
    /* -ENOSYS: this device has no outer side after all (one of several ranks' whose own devices have none). */
    int (*attach)(void *state, const struct gx_device_arena *arena);
    void (*detach)(void *state); /* before the arena is unmapped; waits for what was started */

    /* theta and momentum in the arena have changed: they are the shared ones now. */
    int (*load)(void *state);

    /* Encodes theta minus the parameters, as they are now, into `wire` (of the arena). */
    int (*encode)(void *state, void *wire);

    /* DiLoCo's outer step with the cohort's mean, which must stay until it has settled. Then the parameters become theta, or,
     * with `keep_local`, move by what theta moved. Steps may follow at once. */
    int (*apply)(void *state, const float *mean, float lr, float momentum_factor, bool keep_local);

    /* 0: settled; -EAGAIN: not yet (only without `wait`); -EDOM: what encode() saw is not finite. */
    int (*settle)(void *state, bool wait);
};

struct gx_device {
    const char *name;

    int (*create)(const struct gx_gpt2 *model, const struct gx_device_config *config, void **out);
    void (*destroy)(void *state); /* NULL is allowed */

    /* Forward, backward, clip, AdamW. `update` is 1 for the first update of these moments. `loss` is the mean
     * cross-entropy in nats before the update. */
    int (*step)(void *state, const uint16_t *inputs, const uint16_t *targets, float lr,
                uint64_t update, float *loss);

    /* The mean cross-entropy of one batch in nats. */
    int (*eval)(void *state, const uint16_t *inputs, const uint16_t *targets, float *loss);

    /* The logits [vocab] that follow `count` tokens, 1 to context. */
    int (*logits)(void *state, const uint16_t *tokens, uint32_t count, float *out);

    /* Copies one array [param_count] out of and into the device. */
    int (*get)(void *state, enum gx_device_array array, float *dst);
    int (*set)(void *state, enum gx_device_array array, const float *src);

    /* What went wrong in the call that returned `error`; `state` is NULL after create(). */
    const char *(*describe)(void *state, int error);

    /* Which machine this is, for the user: "16 threads", "NVIDIA H100, bf16". */
    const char *(*machine)(void *state);

    const struct gx_device_outer *outer; /* NULL: none */
};

extern const struct gx_device gx_cpu_device;
extern const struct gx_device gx_cuda_device; /* where it was built in */

/* Whether a GPU answers; if not, why. */
bool gx_cuda_present(const char **why);

#endif
