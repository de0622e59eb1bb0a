#include "train.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sample.h"
#include "team.h"

uint64_t gx_train_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int allocate(struct gx_train *t)
{
    const size_t rows = (size_t)t->options.batch * t->options.model.context;
    const bool checkpoint = t->options.checkpoint_path != NULL;
    t->inputs = calloc(rows, sizeof(*t->inputs));
    t->targets = calloc(rows, sizeof(*t->targets));
    t->params = calloc(t->model.param_count, sizeof(float));
    if (checkpoint) {
        t->moment1 = calloc(t->model.param_count, sizeof(float));
        t->moment2 = calloc(t->model.param_count, sizeof(float));
    }
    if (t->inputs && t->targets && t->params && (!checkpoint || (t->moment1 && t->moment2)))
        return 0;
    return gx_fail(&t->failure, -ENOMEM, "no memory for %" PRIu64 " parameters",
                   t->model.param_count);
}

int gx_train_fail_device(struct gx_train *t, int rc, const char *doing)
{
    const struct gx_device *d = t->device;
    return gx_fail(&t->failure, rc, "device %s: %s: %s", t->device_name, doing,
                   d->describe ? d->describe(t->device_state, rc) : strerror(-rc));
}

struct gx_device_config gx_train_device_config(const struct gx_train_options *o)
{
    return (struct gx_device_config){
        .batch = o->batch,
        .threads = o->threads,
        .gpu = o->gpu,
        .precision = o->precision,
        .recompute = o->recompute,
        .attention = o->attention,
        .deterministic = o->deterministic,
        .outer = !o->socket_path    ? GX_OUTER_NONE
                 : o->outer_offload ? GX_OUTER_ON_HOST
                                    : GX_OUTER_ON_DEVICE,
        .format = o->format,
        .beta1 = 0.9f,
        .beta2 = 0.95f,
        .epsilon = 1e-8f,
        .weight_decay = 0.1f,
        .clip_norm = 1.0f,
    };
}

static void say_machine(const struct gx_train *t)
{
    if (t->device->machine)
        fprintf(stderr, "gx-train: %s\n", t->device->machine(t->device_state));
}

static int create_device(struct gx_train *t)
{
    const struct gx_device_config config = gx_train_device_config(&t->options);
    if (t->ranks) {
        const struct gx_device *each = t->device;
        t->device = &gx_team_device;
        int rc = gx_team_create(t->ranks, each, &t->model, &config, &t->device_state, &t->failure);
        if (rc == 0)
            say_machine(t);
        return rc;
    }
    int rc = t->device->create(&t->model, &config, &t->device_state);
    if (rc != 0) {
        char model[96];
        snprintf(model, sizeof(model), "%" PRIu64 " parameters, --batch %u, --context %u",
                 t->model.param_count, t->options.batch, t->options.model.context);
        return gx_train_fail_device(t, rc, model);
    }
    say_machine(t);
    return 0;
}

int gx_train_init(struct gx_train *t, const struct gx_train_options *options,
                  const struct gx_device *device, struct gx_ranks *ranks, FILE *table)
{
    memset(t, 0, sizeof(*t));
    t->options = *options;
    t->device = device;
    t->device_name = device->name;
    t->ranks = ranks;
    t->started_ns = gx_train_now_ns();
    t->schedule = (struct gx_schedule){options->lr, options->warmup_steps,
                                       options->inner_steps * options->rounds};
    const struct gx_gpt2_config *m = &options->model;
    int rc = gx_gpt2_init(&t->model, m, &t->failure);
    if (rc == 0)
        rc = gx_tokens_open(&t->data, options->data_path, m->vocab, m->context, &t->failure);
    if (rc == 0)
        rc = gx_tokens_open(&t->val, options->val_path, m->vocab, m->context, &t->failure);
    if (rc == 0)
        rc = allocate(t);
    if (rc == 0)
        rc = create_device(t);
    if (rc == 0)
        rc = gx_trainlog_open(&t->log, options->json_path, table, &t->failure);
    t->log.rank_count = ranks ? ranks->count : 1;
    return rc;
}

void gx_train_fini(struct gx_train *t)
{
    gx_trainlog_close(&t->log);
    if (t->device_state)
        t->device->destroy(t->device_state);
    t->device_state = NULL;
    gx_tokens_close(&t->data);
    gx_tokens_close(&t->val);
    free(t->inputs);
    free(t->targets);
    free(t->params);
    free(t->moment1);
    free(t->moment2);
    t->inputs = t->targets = NULL;
    t->params = t->moment1 = t->moment2 = NULL;
}

int gx_train_step(struct gx_train *t)
{
    const uint32_t batch = t->options.batch, context = t->options.model.context;
    const uint64_t start = gx_train_now_ns();
    const uint64_t position = t->state.round * t->options.inner_steps + t->state.inner_done;
    float loss;
    gx_tokens_batch(&t->data, t->inputs, t->targets, batch, context, t->options.seed,
                    t->state.steps);
    int rc = t->device->step(t->device_state, t->inputs, t->targets,
                             gx_schedule_lr(&t->schedule, position), t->state.updates + 1, &loss);
    if (rc == -EDOM)
        return gx_fail(&t->failure, rc,
                       "inner step %" PRIu64 ": loss or gradient is not finite: lower --lr (%g)",
                       t->state.steps, (double)t->options.lr);
    if (rc != 0) {
        char doing[40];
        snprintf(doing, sizeof(doing), "inner step %" PRIu64, t->state.steps);
        return gx_train_fail_device(t, rc, doing);
    }
    const uint64_t tokens = (uint64_t)batch * context;
    t->state.steps++;
    t->state.updates++;
    t->state.inner_done++;
    t->state.weight += tokens;
    t->loss_sum += (double)loss;
    t->loss_count++;
    t->tokens += tokens;
    t->tokens_total += tokens;
    t->train_ns += gx_train_now_ns() - start;
    return 0;
}

int gx_train_validate(struct gx_train *t, double *loss)
{
    const uint32_t count = t->options.val_batches;
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        float one;
        gx_tokens_validation_batch(&t->val, t->inputs, t->targets, t->options.batch,
                                   t->options.model.context, i, count);
        int rc = t->device->eval(t->device_state, t->inputs, t->targets, &one);
        if (rc == -EDOM)
            return gx_fail(&t->failure, rc,
                           "validation after round %" PRIu64
                           ": the loss is not finite: lower --lr or --outer-lr",
                           t->state.round);
        if (rc != 0)
            return gx_train_fail_device(t, rc, "validation");
        sum += (double)one;
    }
    *loss = sum / count;
    return 0;
}

int gx_train_compare_ranks(struct gx_train *t, struct gx_record *record)
{
    const char(*digests)[GX_OUTER_DIGEST_CHARS] = NULL;
    int rc = t->ranks ? gx_team_digest(t->device_state, &digests) : 0;
    if (rc != 0)
        return gx_fail(&t->failure, rc, "after inner step %" PRIu64 ": comparing the ranks",
                       t->state.steps);
    if (record)
        record->rank_digests = digests;
    return 0;
}

void gx_train_record(struct gx_train *t, struct gx_record *record)
{
    *record = (struct gx_record){
        .round = t->state.round,
        .steps = t->state.steps,
        .tokens = t->tokens,
        .inner_loss = t->loss_count > 0 ? t->loss_sum / (double)t->loss_count : (double)NAN,
        .val_loss = (double)NAN,
        .train_seconds = (double)t->train_ns * 1e-9,
    };
    t->loss_sum = 0;
    t->loss_count = t->tokens = t->train_ns = 0;
}

int gx_train_start(struct gx_train *t)
{
    gx_gpt2_randomize(&t->model, t->params, t->options.seed);
    int rc = t->device->set(t->device_state, GX_PARAMS, t->params);
    if (rc != 0)
        return gx_train_fail_device(t, rc, "copy of parameters");
    return 0;
}

static struct gx_checkpoint describe(const struct gx_train *t, float *theta, float *momentum)
{
    return (struct gx_checkpoint){
        .run = {.model = t->options.model,
                .batch = t->options.batch,
                .shared = theta != NULL,
                .inner_steps = t->options.inner_steps,
                .seed = t->options.seed,
                .data_count = t->data.count,
                .data_digest = t->data.digest},
        .state = t->state,
        .params = t->params,
        .moment1 = t->moment1,
        .moment2 = t->moment2,
        .theta = theta,
        .momentum = momentum,
    };
}

int gx_train_resume(struct gx_train *t, float *theta, float *momentum)
{
    const char *path = t->options.checkpoint_path;
    if (!path)
        return 0;
    struct gx_checkpoint c = describe(t, theta, momentum);
    int rc = gx_checkpoint_read(path, &c, t->model.param_count, &t->failure);
    if (rc == -ENOENT)
        return 0;
    if (rc != 0)
        return rc;
    t->state = c.state;
    rc = t->device->set(t->device_state, GX_PARAMS, t->params);
    if (rc == 0)
        rc = t->device->set(t->device_state, GX_MOMENT1, t->moment1);
    if (rc == 0)
        rc = t->device->set(t->device_state, GX_MOMENT2, t->moment2);
    if (rc != 0)
        return gx_train_fail_device(t, rc, "copy of parameters");
    fprintf(stderr, "gx-train: resumed from %s after round %" PRIu64 ", inner step %" PRIu64 "\n",
            path, t->state.round, t->state.steps);
    return 1;
}

int gx_train_checkpoint(struct gx_train *t, float *theta, float *momentum)
{
    if (!t->options.checkpoint_path)
        return 0;
    int rc = t->device->get(t->device_state, GX_PARAMS, t->params);
    if (rc == 0)
        rc = t->device->get(t->device_state, GX_MOMENT1, t->moment1);
    if (rc == 0)
        rc = t->device->get(t->device_state, GX_MOMENT2, t->moment2);
    if (rc != 0)
        return gx_train_fail_device(t, rc, "copy of parameters");
    const struct gx_checkpoint c = describe(t, theta, momentum);
    return gx_checkpoint_write(t->options.checkpoint_path, &c, t->model.param_count, &t->failure);
}

static int record_alone(struct gx_train *t, enum gx_outcome outcome)
{
    struct gx_record record;
    gx_train_record(t, &record);
    record.outcome = outcome;
    record.weight = t->state.weight;
    int rc = gx_train_validate(t, &record.val_loss);
    if (rc != 0)
        return rc;
    rc = t->device->get(t->device_state, GX_PARAMS, t->params);
    if (rc != 0)
        return gx_train_fail_device(t, rc, "copy of parameters");
    gx_outer_digest(record.digest, t->params, NULL, t->model.param_count);
    rc = gx_train_compare_ranks(t, &record);
    if (rc != 0)
        return rc;
    gx_trainlog_round(&t->log, &record);
    return 0;
}

int gx_train_alone(struct gx_train *t)
{
    int rc = gx_train_resume(t, NULL, NULL);
    if (rc < 0)
        return rc;
    const bool resumed = rc == 1;
    gx_trainlog_start(&t->log, &t->options, t->device_name, t->model.param_count, NULL,
                      t->state.round);
    if (!resumed) {
        rc = gx_train_start(t);
        if (rc == 0)
            rc = record_alone(t, GX_OUTCOME_START);
        if (rc != 0)
            return rc;
    }
    while (t->state.round < t->options.rounds) {
        while (t->state.inner_done < t->options.inner_steps) {
            rc = gx_train_step(t);
            if (rc != 0)
                return rc;
        }
        t->state.round++;
        t->state.inner_done = 0;
        rc = record_alone(t, GX_OUTCOME_ALONE);
        if (rc == 0)
            rc = gx_train_checkpoint(t, NULL, NULL);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int gx_train_finish(struct gx_train *t)
{
    gx_trainlog_end(&t->log, t->state.round, (double)(gx_train_now_ns() - t->started_ns) * 1e-9,
                    t->tokens_total);
    return gx_sample_write(t->log.table, t->device, t->device_state, &t->model,
                           t->options.sample_bytes, t->options.seed, &t->failure);
}
