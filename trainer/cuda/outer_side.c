/* The outer side on the GPU: the pseudo-gradient is formed and encoded there, results are applied there, and the arena is
 * read and written by DMA. What is encoded or applied is done in `compute`, between two steps; copies run beside the
 * next step. Nothing is waited for on behalf of the operation before: that has settled. */
#include "cuda/state.h"

#include <errno.h>
#include <stdio.h>

#include "cuda/encode.h"
#include "cuda/outer.h"

static void outer_detach(void *state)
{
    struct gx_cuda *c = state;
    if (!c->arena.memory)
        return;
    gx_dev_sync(c->compute);
    gx_dev_sync(c->in);
    gx_dev_sync(c->out);
    if (c->registered)
        gx_dev_host_unregister(c->arena.memory);
    c->arena.memory = NULL;
}

static int outer_attach(void *state, const struct gx_device_arena *arena)
{
    struct gx_cuda *c = state;
    const char *why;
    c->registered = gx_dev_host_register(arena->memory, arena->bytes, &why) == 0;
    if (!c->registered && c->config.outer == GX_OUTER_ON_HOST)
        return gx_dev_fail(-ENOTSUP,
                           "the GPU cannot reach the arena (cudaHostRegister: %s): leave out "
                           "--outer-offload",
                           why);
    if (!c->registered)
        fprintf(stderr,
                "gx-train: the arena cannot be registered with the GPU (%s): copies are slower\n",
                why);
    c->arena = *arena;
    *c->host_refused = 0;
    if (c->config.outer == GX_OUTER_ON_HOST) {
        c->theta = arena->theta;
        c->momentum = arena->momentum;
    }
    return 0;
}

static int outer_load(void *state)
{
    struct gx_cuda *c = state;
    const size_t bytes = c->model.param_count * sizeof(float);
    if (c->config.outer == GX_OUTER_ON_HOST)
        return 0;
    gx_dev_copy_in(c->theta, c->arena.theta, bytes, c->compute);
    gx_dev_copy_in(c->momentum, c->arena.momentum, bytes, c->compute);
    return gx_dev_sync(c->compute);
}

static int outer_encode(void *state, void *wire)
{
    struct gx_cuda *c = state;
    const uint64_t count = c->model.param_count;
    gx_dev_zero(c->refused, sizeof(*c->refused), c->compute);
    gx_gpu_encode(c->config.format, c->wire, c->refused, c->theta, c->arrays[GX_PARAMS], count,
                  c->compute);
    gx_dev_event_record(c->made, c->compute);
    gx_dev_event_wait(c->made, c->out);
    gx_dev_copy_out(wire, c->wire, gx_wire_bytes(c->config.format, count), c->out);
    gx_dev_copy_out(c->host_refused, c->refused, sizeof(*c->refused), c->out);
    gx_dev_event_record(c->gone, c->out);
    return 0;
}

/* Values [at, at + count) of the outer step. */
static void apply_piece(struct gx_cuda *c, const struct gx_gpu_outer *step, const float *mean,
                        uint64_t at, uint64_t count)
{
    const size_t bytes = count * sizeof(float);
    float *delta = c->grads + at; /* of no use between steps, and step() waits for its end */
    gx_dev_copy_in(delta, mean + at, bytes, c->in);
    gx_dev_event_record(c->came, c->in);
    gx_dev_event_wait(c->came, c->compute);
    gx_gpu_outer_step(step, c->theta + at, c->momentum + at, delta, c->arrays[GX_PARAMS] + at,
                      c->copy ? (uint16_t *)c->copy + at : NULL, count, c->compute);
    gx_dev_event_record(c->made, c->compute);
    gx_dev_event_wait(c->made, c->out);
    if (c->config.outer == GX_OUTER_ON_HOST)
        return; /* the kernel has written the arena itself */
    gx_dev_copy_out(c->arena.theta + at, c->theta + at, bytes, c->out);
    gx_dev_copy_out(c->arena.momentum + at, c->momentum + at, bytes, c->out);
}

static int outer_apply(void *state, const float *mean, float lr, float momentum_factor,
                       bool keep_local)
{
    struct gx_cuda *c = state;
    const uint64_t count = c->model.param_count;
    const struct gx_gpu_outer step = {
        .lr = lr,
        .momentum_factor = momentum_factor,
        .local = keep_local ? GX_LOCAL_REBASE : GX_LOCAL_REPLACE,
    };
    for (uint64_t at = 0; at < count; at += c->piece_values)
        apply_piece(c, &step, mean, at,
                    count - at < c->piece_values ? count - at : c->piece_values);
    gx_dev_event_record(c->gone, c->out);
    return 0;
}

static int outer_settle(void *state, bool wait)
{
    struct gx_cuda *c = state;
    int rc = wait ? gx_dev_event_sync(c->gone) : gx_dev_event_query(c->gone);
    return rc == 0 && *c->host_refused ? -EDOM : rc;
}

const struct gx_device_outer gx_cuda_outer = {
    .attach = outer_attach,
    .detach = outer_detach,
    .load = outer_load,
    .encode = outer_encode,
    .apply = outer_apply,
    .settle = outer_settle,
};
