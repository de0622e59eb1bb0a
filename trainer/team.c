#include "team.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum order { STEP, EVAL, SET, DIGEST, END, ORDER_COUNT };

/* What rank 0 tells the others to do next. */
struct command {
    uint32_t order;
    uint32_t array; /* SET */
    float lr;       /* STEP */
    uint32_t reserved;
    uint64_t update; /* STEP */
};

/* How rank 0 was started; the others must have been the same way. */
struct start {
    struct gx_gpt2_config model;
    uint32_t batch;
    char device[16];
};

struct verdict {
    float loss;
    int32_t rc;
};

struct team {
    struct gx_ranks *ranks;
    char machine[512];
    const struct gx_device *device;
    const struct gx_device_outer *outer; /* rank 0's; NULL: none */
    void *device_state;
    uint64_t param_count, batch_bytes;      /* of this rank's inputs; as many are its targets */
    float *params;                          /* [param_count] scratch */
    uint16_t *inputs, *targets;             /* this rank's rows; NULL at rank 0 */
    struct verdict *verdicts;               /* [ranks] at rank 0 */
    char (*digests)[GX_OUTER_DIGEST_CHARS]; /* likewise */
};

/* ---- what each rank does ---- */

static int set_here(struct team *t, uint32_t array, float *values)
{
    int rc = gx_ranks_broadcast(t->ranks, values, t->param_count * sizeof(float));
    return rc == 0 ? t->device->set(t->device_state, (enum gx_device_array)array, values) : rc;
}

static int eval_here(struct team *t, const uint16_t *inputs, const uint16_t *targets)
{
    struct verdict v = {.loss = 0};
    v.rc = t->device->eval(t->device_state, inputs, targets, &v.loss);
    return gx_ranks_gather(t->ranks, &v, t->verdicts, sizeof(v));
}

static int digest_here(struct team *t)
{
    char digest[GX_OUTER_DIGEST_CHARS];
    int rc = t->device->get(t->device_state, GX_PARAMS, t->params);
    if (rc != 0)
        return rc;
    gx_outer_digest(digest, t->params, NULL, t->param_count);
    return gx_ranks_gather(t->ranks, digest, t->digests, sizeof(digest));
}

/* ---- life ---- */

static void release(struct team *t)
{
    if (!t)
        return;
    if (t->device_state)
        t->device->destroy(t->device_state);
    free(t->params);
    free(t->inputs);
    free(t->targets);
    free(t->verdicts);
    free(t->digests);
    free(t);
}

static int agree_on_start(struct gx_ranks *ranks, const struct gx_device *device,
                          const struct gx_gpt2 *model, uint32_t batch, struct gx_failure *failure)
{
    struct start mine, first;
    memset(&mine, 0, sizeof(mine));
    mine.model = model->config;
    mine.batch = batch;
    strncpy(mine.device, device->name, sizeof(mine.device) - 1);
    first = mine;
    int rc = gx_ranks_broadcast(ranks, &first, sizeof(first));
    if (rc != 0)
        return gx_fail(failure, rc, "%s", ranks->failure.text);
    if (memcmp(&first, &mine, sizeof(mine)) == 0)
        return 0;
    return gx_fail(failure, -EINVAL,
                   "started with another model, --batch or device than rank 0: --batch %u on %s, "
                   "there %u on %.15s",
                   mine.batch, mine.device, first.batch, first.device);
}

static bool allocate(struct team *t)
{
    const bool first = t->ranks->rank == 0;
    t->params = malloc(t->param_count * sizeof(float));
    if (first) {
        t->verdicts = calloc(t->ranks->count, sizeof(*t->verdicts));
        t->digests = calloc(t->ranks->count, sizeof(*t->digests));
        return t->params && t->verdicts && t->digests;
    }
    t->inputs = malloc(t->batch_bytes);
    t->targets = malloc(t->batch_bytes);
    return t->params && t->inputs && t->targets;
}

/* One rank's part: the same at all of them. */
static int create(struct gx_ranks *ranks, const struct gx_device *device,
                  const struct gx_gpt2 *model, const struct gx_device_config *config,
                  struct team **out, struct gx_failure *failure)
{
    if (config->batch % ranks->count != 0)
        return gx_fail(failure, -EINVAL, "--batch %u: must be a multiple of the %u ranks",
                       config->batch, ranks->count);
    int rc = agree_on_start(ranks, device, model, config->batch, failure);
    if (rc != 0)
        return rc;
    struct gx_device_config part = *config;
    part.batch = config->batch / ranks->count;
    part.ranks = ranks;
    if (ranks->rank != 0)
        part.outer = GX_OUTER_NONE;
    struct team *t = calloc(1, sizeof(*t));
    if (!t)
        return gx_fail(failure, -ENOMEM, "no memory");
    t->outer = device->outer;
    t->ranks = ranks;
    t->device = device;
    t->param_count = model->param_count;
    t->batch_bytes = (uint64_t)part.batch * model->config.context * sizeof(uint16_t);
    rc = allocate(t) ? device->create(model, &part, &t->device_state) : -ENOMEM;
    if (rc == 0) {
        *out = t;
        return 0;
    }
    release(t);
    return gx_fail(failure, rc,
                   "device %s: %s (%" PRIu64 " parameters, %u of --batch %u, --context %u)",
                   device->name, device->describe ? device->describe(NULL, rc) : strerror(-rc),
                   model->param_count, part.batch, config->batch, model->config.context);
}

int gx_team_create(struct gx_ranks *ranks, const struct gx_device *device,
                   const struct gx_gpt2 *model, const struct gx_device_config *config, void **out,
                   struct gx_failure *failure)
{
    struct team *t;
    int rc = create(ranks, device, model, config, &t, failure);
    if (rc == 0)
        *out = t;
    return rc;
}

/* ---- the other ranks ---- */

static int take_rows(struct team *t)
{
    int rc = gx_ranks_scatter(t->ranks, NULL, t->inputs, t->batch_bytes);
    return rc == 0 ? gx_ranks_scatter(t->ranks, NULL, t->targets, t->batch_bytes) : rc;
}

/* A loss that is not finite is rank 0's to tell. */
static int serve_step(struct team *t, const struct command *c)
{
    float loss;
    int rc = take_rows(t);
    if (rc != 0)
        return rc;
    rc = t->device->step(t->device_state, t->inputs, t->targets, c->lr, c->update, &loss);
    return rc == -EDOM ? 0 : rc;
}

static int serve_eval(struct team *t, const struct command *c)
{
    (void)c;
    int rc = take_rows(t);
    return rc == 0 ? eval_here(t, t->inputs, t->targets) : rc;
}

static int serve_set(struct team *t, const struct command *c)
{
    return set_here(t, c->array, t->params);
}

static int serve_digest(struct team *t, const struct command *c)
{
    (void)c;
    return digest_here(t);
}

static const struct {
    const char *name;
    int (*serve)(struct team *t, const struct command *c);
} orders[ORDER_COUNT] = {
    [STEP] = {"inner step", serve_step},
    [EVAL] = {"validation", serve_eval},
    [SET] = {"taking rank 0's parameters", serve_set},
    [DIGEST] = {"digest", serve_digest},
    [END] = {"end", NULL},
};

static const char *device_error(struct team *t, int rc)
{
    return t->device->describe ? t->device->describe(t->device_state, rc) : strerror(-rc);
}

static int serve_next(struct team *t, bool *ended, struct gx_failure *failure)
{
    struct command c;
    int rc = gx_ranks_broadcast(t->ranks, &c, sizeof(c));
    if (rc != 0)
        return gx_fail(failure, rc, "%s", t->ranks->failure.text);
    if (c.order >= ORDER_COUNT)
        return gx_fail(failure, -EPROTO, "rank 0 gave an unknown order %u", c.order);
    *ended = c.order == END;
    if (*ended)
        return 0;
    rc = orders[c.order].serve(t, &c);
    if (rc == 0)
        return 0;
    const char *why = t->ranks->failure.text;
    return gx_fail(failure, rc, "%s: device %s: %s%s%s", orders[c.order].name, t->device->name,
                   device_error(t, rc), *why ? ": " : "", why);
}

int gx_team_serve(struct gx_ranks *ranks, const struct gx_device *device,
                  const struct gx_gpt2 *model, const struct gx_device_config *config,
                  struct gx_failure *failure)
{
    struct team *t = NULL;
    bool ended = false;
    int rc = create(ranks, device, model, config, &t, failure);
    while (rc == 0 && !ended)
        rc = serve_next(t, &ended, failure);
    release(t);
    return rc;
}

/* ---- rank 0 ---- */

static int order(struct team *t, struct command c)
{
    return gx_ranks_broadcast(t->ranks, &c, sizeof(c));
}

/* An order that comes with each rank's rows of the batch. */
static int order_batch(struct team *t, struct command c, const uint16_t *inputs,
                       const uint16_t *targets)
{
    int rc = order(t, c);
    if (rc == 0)
        rc = gx_ranks_scatter(t->ranks, inputs, NULL, t->batch_bytes);
    return rc == 0 ? gx_ranks_scatter(t->ranks, targets, NULL, t->batch_bytes) : rc;
}

static int team_step(void *state, const uint16_t *inputs, const uint16_t *targets, float lr,
                     uint64_t update, float *loss)
{
    struct team *t = state;
    const struct command c = {.order = STEP, .lr = lr, .update = update};
    int rc = order_batch(t, c, inputs, targets);
    return rc == 0 ? t->device->step(t->device_state, inputs, targets, lr, update, loss) : rc;
}

static int team_eval(void *state, const uint16_t *inputs, const uint16_t *targets, float *loss)
{
    struct team *t = state;
    int rc = order_batch(t, (struct command){.order = EVAL}, inputs, targets);
    if (rc == 0)
        rc = eval_here(t, inputs, targets);
    double sum = 0;
    for (uint32_t r = 0; rc == 0 && r < t->ranks->count; r++) {
        rc = t->verdicts[r].rc;
        sum += (double)t->verdicts[r].loss;
    }
    *loss = (float)(sum / t->ranks->count);
    return rc;
}

static int team_logits(void *state, const uint16_t *tokens, uint32_t count, float *out)
{
    struct team *t = state;
    return t->device->logits(t->device_state, tokens, count, out);
}

static int team_get(void *state, enum gx_device_array array, float *dst)
{
    struct team *t = state;
    return t->device->get(t->device_state, array, dst);
}

/* The broadcast only reads `src` here: this is rank 0. */
static int team_set(void *state, enum gx_device_array array, const float *src)
{
    struct team *t = state;
    int rc = order(t, (struct command){.order = SET, .array = array});
    return rc == 0 ? set_here(t, array, (float *)(uintptr_t)src) : rc;
}

/* After a failure gx_ranks_abort() has ended the others, and this order finds nobody. */
static void team_destroy(void *state)
{
    struct team *t = state;
    if (t)
        order(t, (struct command){.order = END});
    release(t);
}

int gx_team_digest(void *state, const char (**digests)[GX_OUTER_DIGEST_CHARS])
{
    struct team *t = state;
    int rc = order(t, (struct command){.order = DIGEST});
    if (rc == 0)
        rc = digest_here(t);
    if (rc != 0)
        return rc;
    *digests = (const char(*)[GX_OUTER_DIGEST_CHARS])t->digests;
    for (uint32_t r = 1; r < t->ranks->count; r++)
        if (memcmp(t->digests[r], t->digests[0], sizeof(t->digests[0])) != 0)
            return gx_fail(&t->ranks->failure, -EUCLEAN,
                           "rank %u's parameters are not rank 0's: digest %s, there %s", r,
                           t->digests[r], t->digests[0]);
    return 0;
}

static const char *team_describe(void *state, int error)
{
    return device_error(state, error);
}

static const char *team_machine(void *state)
{
    struct team *t = state;
    if (!t->device->machine)
        return t->device->name;
    snprintf(t->machine, sizeof(t->machine), "%u ranks; rank 0: %s", t->ranks->count,
             t->device->machine(t->device_state));
    return t->machine;
}

/* ---- the outer side: rank 0's device's; what it makes of the parameters goes to the others ---- */

static int outer_attach(void *state, const struct gx_device_arena *arena)
{
    struct team *t = state;
    return t->outer ? t->outer->attach(t->device_state, arena) : -ENOSYS;
}

static void outer_detach(void *state)
{
    struct team *t = state;
    t->outer->detach(t->device_state);
}

static int outer_load(void *state)
{
    struct team *t = state;
    return t->outer->load(t->device_state);
}

static int outer_encode(void *state, void *wire)
{
    struct team *t = state;
    return t->outer->encode(t->device_state, wire);
}

static int outer_apply(void *state, const float *mean, float lr, float momentum_factor,
                       bool keep_local)
{
    struct team *t = state;
    int rc = t->outer->apply(t->device_state, mean, lr, momentum_factor, keep_local);
    if (rc == 0)
        rc = t->device->get(t->device_state, GX_PARAMS, t->params);
    if (rc == 0)
        rc = order(t, (struct command){.order = SET, .array = GX_PARAMS});
    return rc == 0 ? gx_ranks_broadcast(t->ranks, t->params, t->param_count * sizeof(float)) : rc;
}

static int outer_settle(void *state, bool wait)
{
    struct team *t = state;
    return t->outer->settle(t->device_state, wait);
}

static const struct gx_device_outer team_outer = {
    .attach = outer_attach,
    .detach = outer_detach,
    .load = outer_load,
    .encode = outer_encode,
    .apply = outer_apply,
    .settle = outer_settle,
};

const struct gx_device gx_team_device = {
    .name = "team",
    .destroy = team_destroy,
    .step = team_step,
    .eval = team_eval,
    .logits = team_logits,
    .get = team_get,
    .set = team_set,
    .describe = team_describe,
    .machine = team_machine,
    .outer = &team_outer,
};
