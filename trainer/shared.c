#include "shared.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gx.h"
#include "outer.h"

#define FRAGMENT 0u

static int attach(struct gx_shared *s, struct gx *gx)
{
    struct gx_train *t = s->train;
    uint64_t bytes;
    struct gx_device_arena arena = {.memory = gx_arena(gx, &bytes)};
    arena.bytes = bytes;
    arena.theta = s->theta;
    arena.momentum = s->momentum;
    int rc = s->outer->attach(t->device_state, &arena);
    if (rc != 0)
        return rc == -ENOSYS ? rc : gx_train_fail_device(t, rc, "the arena");
    s->attached = true;
    return 0;
}

int gx_shared_init(struct gx_shared *s, struct gx_train *t, struct gx *gx)
{
    *s = (struct gx_shared){
        .train = t,
        .gx = gx,
        .outer = t->device->outer,
        .theta = gx_theta(gx, FRAGMENT),
        .momentum = gx_momentum(gx, FRAGMENT),
    };
    int rc = s->outer ? attach(s, gx) : -ENOSYS;
    if (rc != -ENOSYS)
        return rc;
    s->outer = NULL;
    s->delta = calloc(t->model.param_count, sizeof(float));
    if (s->delta)
        return 0;
    return gx_fail(&t->failure, -ENOMEM, "no memory for %" PRIu64 " parameters",
                   t->model.param_count);
}

void gx_shared_fini(struct gx_shared *s)
{
    if (s->attached)
        s->outer->detach(s->train->device_state);
    s->attached = false;
    free(s->delta);
    s->delta = NULL;
}

int gx_shared_load(struct gx_shared *s)
{
    struct gx_train *t = s->train;
    int rc = s->outer ? s->outer->load(t->device_state) : 0;
    return rc == 0 ? 0 : gx_train_fail_device(t, rc, "copy of the shared parameters");
}

int gx_shared_adopt(struct gx_shared *s)
{
    struct gx_train *t = s->train;
    int rc = gx_shared_load(s);
    if (rc != 0)
        return rc;
    rc = t->device->set(t->device_state, GX_PARAMS, s->theta);
    return rc == 0 ? 0 : gx_train_fail_device(t, rc, "copy of parameters");
}

/* ---- on the host ---- */

static int contribute_here(struct gx_shared *s, uint64_t round)
{
    struct gx_train *t = s->train;
    int rc = t->device->get(t->device_state, GX_PARAMS, t->params);
    if (rc != 0)
        return rc;
    gx_outer_delta(s->delta, s->theta, t->params, t->model.param_count);
    return gx_contribute(s->gx, FRAGMENT, round, s->delta);
}

static int apply_here(struct gx_shared *s, const float *mean, bool keep_local)
{
    struct gx_train *t = s->train;
    const uint64_t count = t->model.param_count;
    int rc = 0;
    if (keep_local) {
        rc = t->device->get(t->device_state, GX_PARAMS, t->params);
        memcpy(s->delta, s->theta, count * sizeof(float));
    }
    if (rc != 0)
        return rc;
    gx_outer_step(s->theta, s->momentum, mean, count, t->options.outer_lr,
                  t->options.outer_momentum);
    if (keep_local)
        gx_outer_rebase(t->params, s->theta, s->delta, count);
    return t->device->set(t->device_state, GX_PARAMS, keep_local ? t->params : s->theta);
}

/* ---- either way ---- */

int gx_shared_contribute(struct gx_shared *s, uint64_t round)
{
    struct gx_train *t = s->train;
    int rc;
    if (s->outer) {
        rc = s->outer->encode(t->device_state, gx_contribution(s->gx, FRAGMENT, round));
        rc = rc == 0 ? s->outer->settle(t->device_state, true) : rc;
    } else {
        rc = contribute_here(s, round);
    }
    if (rc == -EDOM)
        return gx_fail(&t->failure, rc,
                       "round %" PRIu64 ": the pseudo-gradient is not finite: lower --lr (%g)",
                       round, (double)t->options.lr);
    return rc == 0 ? 0 : gx_train_fail_device(t, rc, "the pseudo-gradient");
}

int gx_shared_apply(struct gx_shared *s, const float *mean, bool keep_local)
{
    struct gx_train *t = s->train;
    int rc;
    if (s->outer) {
        rc = s->outer->apply(t->device_state, mean, t->options.outer_lr, t->options.outer_momentum,
                             keep_local);
        rc = rc == 0 ? s->outer->settle(t->device_state, true) : rc;
    } else {
        rc = apply_here(s, mean, keep_local);
    }
    return rc == 0 ? 0 : gx_train_fail_device(t, rc, "the outer step");
}
